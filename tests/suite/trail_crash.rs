//! The program is killed again and again between a file and a trail: each evaluation is in the trail once, in order, and
//! the trail is whole after each restart.
//!
//! In full: `EVALTRAIL_KILLS=500 cargo test --test suite trail_crash -- --nocapture`, which prints the figures.

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
                assert!(until(TIMEOUT, || is_open(&ground)), "{}", live.stderr());
                until(lives, || false);
                if ground.checkpoint().is_some() {
                    // While it is written.
                    ground.verify();
                    verified += 1;
                }
            }
            live.kill();
            done.store(ground.size() as u32, Ordering::Relaxed);
        }
        stop.store(true, Ordering::Relaxed);
        writing.join().unwrap()
    });
    assert!(verified >= kills / 2, "{verified} of {kills}");
    ground.once().exits(0);
    ground.holds(written);
    ground.verify();
    let size = ground.size();
    eprintln!(
        "trail: {kills} kills, verified {verified} times, {written} evaluations written, {size} in the trail, 0 lost, 0 twice"
    );
}
