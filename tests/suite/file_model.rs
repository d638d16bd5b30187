//! The file source against a model: what is done to a log is drawn from a seed, and what has to come out is known.
//!
//! The actions: append lines, half a line, the rest of it; rotate by renaming, by copying and truncating; truncate;
//! delete; write anew; compress a rotated file; stop by SIGTERM; kill; start. What nobody could read before it was
//! destroyed is not asked for: in front of such an action the output has to hold what is there, unless the program
//! has the file open.
//!
//! `EVALTRAIL_SEQUENCES=200` runs more of them. `EVALTRAIL_SEED=17` runs one.

mod world;

use crate::dice::{Dice, seeds};
use crate::files::{LINES, LINES_OF_ALL, Place, Reading};
use crate::harness::{TIMEOUT, until};
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;
use world::World;

/// By now all came that will come.
const PATIENCE: Duration = Duration::from_secs(20);
/// Sequences that run side by side: most of their time is spent waiting.
const AT_ONCE: usize = 4;

const LOG: &str = "app.log";

fn sequences(reading: Reading, first_seed: u64) {
    let seeds = Mutex::new(seeds("EVALTRAIL_SEQUENCES", 6));
    let next = || seeds.lock().unwrap().pop();
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(seed) = next() {
                    let mut world = World::new(reading);
                    let mut dice = Dice::new(first_seed + seed);
                    let done = catch_unwind(AssertUnwindSafe(|| {
                        for _ in 0..dice.within(15..=40) {
                            world.act(&mut dice);
                        }
                        world.finish();
                    }));
                    if done.is_err() {
                        failed.lock().unwrap().push(format!("EVALTRAIL_SEED={seed} did:\n{}", world.story()));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

#[test]
fn a_log_whose_rotated_files_are_out_of_the_glob() {
    sequences(LINES, 0);
}

#[test]
fn a_log_whose_rotated_files_are_in_the_glob() {
    sequences(LINES_OF_ALL, 1_000_000);
}

/// Writes a file anew until it has the inode it had before; says whether it came back.
fn recreate(place: &Place, text: &str) -> bool {
    let path = place.path(LOG);
    let inode = std::fs::metadata(&path).unwrap().ino();
    (0..100).any(|_| {
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::metadata(&path).unwrap().ino() == inode
    })
}

#[test]
fn an_inode_that_comes_back_is_another_file() {
    for (before, after) in [("a\nb\nc\n", "d\n"), ("a\n", "b\nc\nd\n"), ("a\nb\n", "c\nd\n")] {
        let place = Place::new(LINES, None);
        std::fs::write(place.path(LOG), before).unwrap();
        place.once().exits(0);
        if !recreate(&place, after) {
            crate::tools::skip("this file system does not give an inode a second time");
            return;
        }
        place.once().exits(0);
        let mut output = place.follow();
        output.catch_up();
        let messages: Vec<&str> = output.lines.iter().map(|line| line.message.as_str()).collect();
        assert_eq!(messages, (before.to_owned() + after).lines().collect::<Vec<_>>());
        let ids: std::collections::BTreeSet<&str> =
            output.lines.iter().map(|line| line.id.as_str()).collect();
        assert_eq!(ids.len(), output.lines.len(), "different records have different ids");
    }
}

/// Writes a log anew while it is read, in one breath; gives back what came out, by the number in front of each line.
fn written_anew(before: &[String], after: &[String]) -> Vec<String> {
    let place = Place::new(LINES, None);
    let text = |lines: &[String]| lines.concat();
    std::fs::write(place.path(LOG), text(before)).unwrap();
    let mut output = place.follow();
    let live = place.start();
    let mut has = |count: usize| {
        until(PATIENCE, || {
            output.catch_up();
            output.lines.len() >= count
        })
    };
    assert!(has(before.len()));
    std::fs::write(place.path(LOG), text(after)).unwrap();
    let all_came = has(before.len() + after.len());
    live.signal("TERM");
    assert_eq!(live.wait(TIMEOUT).0.code(), Some(0));
    let numbers: Vec<String> =
        output.lines.iter().map(|line| line.message.split(':').next().unwrap().to_owned()).collect();
    assert!(all_came, "a line is missing, these came: {numbers:?}");
    numbers
}

#[test]
fn a_log_that_was_emptied_is_told_from_one_that_grew_however_long_it_is() {
    let lines = |texts: &[&str]| texts.iter().map(|text| format!("{text}\n")).collect::<Vec<_>>();
    let before = lines(&["1:first", "2:second"]);
    let after = lines(&["3:third", "4:fourth and longer than what was there before", "5:fifth"]);
    assert_eq!(written_anew(&before, &after), ["1", "2", "3", "4", "5"]);
}

#[test]
fn a_log_that_was_emptied_is_told_from_one_that_grew_also_where_lines_end_alike() {
    // As in every log where the same is said again and again, behind a time.
    let line =
        |number: u32| format!("{number}:{}\n", "the same long text at the end of each line; ".repeat(4));
    let (before, after): (Vec<_>, Vec<_>) = ((1..=2).map(line).collect(), (3..=6).map(line).collect());
    assert_eq!(written_anew(&before, &after), ["1", "2", "3", "4", "5", "6"]);
}
