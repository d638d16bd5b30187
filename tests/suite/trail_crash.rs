//! The program is killed again and again between a file and a trail: each evaluation is in the trail once, in order, and
//! the trail is whole after each restart.
//!
//! In full: `EVALTRAIL_KILLS=500 cargo test --test suite trail_crash -- --nocapture`, which prints the figures.

use crate::crash::{SmallDisk, fill};
use crate::dice::{self, Dice};
use crate::harness::{TIMEOUT, until};
use crate::trail::Ground;
use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

/// Kills in the suite; `EVALTRAIL_KILLS` asks for others.
const KILLS: u64 = 12;
/// A run lives so long at least and at most, in milliseconds.
const LIVES_MS: std::ops::RangeInclusive<u64> = 1..=250;
/// By now all is out, retries of a full disk included.
const PATIENCE: Duration = Duration::from_secs(120);
/// Evaluations that are ahead of the trail at most.
const AHEAD_MAX: u32 = 4_000;

/// Writes the log while the program is killed, never too far ahead of the trail.
fn write(ground: &Ground, seed: u64, done: &AtomicU32, stop: &AtomicBool) -> u32 {
    let mut dice = Dice::new(seed);
    let mut written = 0;
    while !stop.load(Ordering::Relaxed) {
        let next = written + dice.within(1..=120) as u32;
        ground.log(written..next);
        written = next;
        let pause = Duration::from_millis(dice.within(1..=20));
        until(pause, || stop.load(Ordering::Relaxed));
        let is_near = || written < done.load(Ordering::Relaxed) + AHEAD_MAX;
        until(TIMEOUT, || stop.load(Ordering::Relaxed) || is_near());
    }
    written
}

/// Somebody writes the trail, so that it was opened.
fn is_open(ground: &Ground) -> bool {
    File::open(ground.path("trail")).is_ok_and(|folder| folder.try_lock().is_err())
}

#[test]
fn each_evaluation_is_in_the_trail_once_and_in_order_whatever_is_killed() {
    let (kills, seed) = (dice::number("EVALTRAIL_KILLS", KILLS), dice::number("EVALTRAIL_SEED", 1));
    let ground =
        Ground::new("segment.max_bytes = 300000\ncheckpoint.every_records = 100\ncheckpoint.every_secs = 1");
    let (done, stop) = (AtomicU32::new(0), AtomicBool::new(false));
    let mut dice = Dice::new(seed);
    let mut verified = 0;
    let written = thread::scope(|scope| {
        let writing = scope.spawn(|| write(&ground, seed, &done, &stop));
        for _ in 0..kills {
            let live = ground.live();
            // Some are killed at any moment of their start, most when the trail is open.
            let lives = Duration::from_millis(dice.within(LIVES_MS));
            if dice.chance(20) {
                until(lives, || false);
            } else {
                let is_signed = || is_open(&ground) && ground.checkpoint().is_some();
                assert!(until(TIMEOUT, is_signed), "{}", live.stderr());
                until(lives, || false);
                // While it is written.
                ground.verify();
                verified += 1;
            }
            live.kill();
            done.store(ground.size() as u32, Ordering::Relaxed);
        }
        stop.store(true, Ordering::Relaxed);
        writing.join().unwrap()
    });
    ground.once().exits(0);
    ground.holds(written);
    ground.verify();
    let size = ground.size();
    eprintln!(
        "trail: {kills} kills, verified {verified} times, {written} evaluations written, {size} in the trail, 0 lost, 0 twice"
    );
}

#[test]
fn a_full_disk_holds_the_trail_up_and_costs_nothing() {
    let Some(disk) = SmallDisk::mount() else {
        crate::tools::skip("a disk that is full needs the right to mount one");
        return;
    };
    let ground =
        Ground::new("segment.max_bytes = 300000\ncheckpoint.every_records = 100\ncheckpoint.every_secs = 1");
    std::os::unix::fs::symlink(disk.path("trail"), ground.path("trail")).unwrap();
    std::fs::create_dir(disk.path("trail")).unwrap();
    let (stop, mut live) = (AtomicBool::new(false), ground.live());
    let filled = thread::scope(|scope| {
        let filling = scope.spawn(|| fill(&disk.path("filler"), &stop));
        for round in 0..30 {
            ground.log(round * 100..round * 100 + 100);
            // Half of the time it can't, and tries again.
            until(Duration::from_millis(60), || ground.size() == u64::from(round + 1) * 100);
        }
        stop.store(true, Ordering::Relaxed);
        filling.join().unwrap()
    });
    assert!(until(PATIENCE, || ground.size() == 3_000), "{}", live.stderr());
    live.signal_when_ready("TERM");
    let (status, said) = live.wait(TIMEOUT);
    assert_eq!(status.code(), Some(0));
    assert!(filled > 1 && said.contains("free some space"), "full {filled} times: {said}");
    ground.holds(3_000);
}
