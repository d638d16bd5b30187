//! Damaged logs: no panic, no endless loop, no line that is not JSON, and nothing skipped that is an evaluation.
//!
//! The damage depends on a seed alone, so that a failure can be repeated.

use crate::corpus;
use crate::harness::root;
use crate::inproc::{Output, run, run_checking};
use crate::wrap::WRAPPERS;
use evaltrail::event::Demand;
use serde_json::Value;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Bytes of a log that are damaged at a time.
const PART_BYTES: usize = 24 * 1024;
const LIMIT: usize = 16 * 1024;

/// How many damaged logs: a few seconds without optimisation. `EVALTRAIL_ROUNDS` asks for more.
const ROUNDS: u64 = 500;

/// SplitMix64, which needs nothing but a number to start from.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.roll() % limit.max(1) as u64) as usize
    }

    /// A stretch of up to `most` bytes.
    fn stretch(&mut self, len: usize, most: usize) -> std::ops::Range<usize> {
        let start = self.below(len);
        start..(start + 1 + self.below(most)).min(len)
    }
}

/// What logs are made of, in places where it does not belong.
const PIECES: [&[u8]; 16] = [
    b"\n",
    b"\r\n",
    b"\"",
    b"\\",
    b"\\u",
    b"{",
    b"}",
    b"\0",
    b"\xff",
    b"\x1b[0m",
    b"Evaluating code\n  Session mode: ",
    b" [info] Evaluating code\n",
    b"\"event\":\"code.evaluate\"",
    b"2025-10-04 17:48:22.253 ",
    b" code=",
    b" (truncated)\n",
];

fn damage(log: &mut Vec<u8>, other: &[u8], dice: &mut Dice) {
    if log.is_empty() {
        return log.extend_from_slice(other);
    }
    match dice.below(8) {
        0 => {
            let at = dice.below(log.len());
            log[at] ^= 1 << dice.below(8);
        }
        1 => drop(log.drain(dice.stretch(log.len(), 40))),
        2 => drop(log.drain(dice.stretch(log.len(), 4000))),
        3 => {
            let copied = log[dice.stretch(log.len(), 3000)].to_vec();
            let at = dice.below(log.len());
            drop(log.splice(at..at, copied));
        }
        4 if !other.is_empty() => {
            let taken = other[dice.stretch(other.len(), 3000)].to_vec();
            drop(log.splice(dice.stretch(log.len(), 3000), taken));
        }
        5 => log.truncate(log.len() - dice.below(log.len().min(2000))),
        _ => {
            let at = dice.below(log.len());
            drop(log.splice(at..at, PIECES[dice.below(PIECES.len())].iter().copied()));
        }
    }
}

fn logs() -> Vec<Vec<u8>> {
    let sample = std::fs::read(root().join("configs/sample.jsonl")).unwrap();
    let mut logs = vec![sample];
    if let Some(folder) = corpus::folder() {
        let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        paths.retain(|path| {
            let name = path.to_string_lossy();
            (name.ends_with(".jsonl") || name.ends_with(".log")) && !name.ends_with(".expected.jsonl")
        });
        paths.sort();
        logs.extend(paths.iter().map(|path| std::fs::read(path).unwrap()));
    }
    logs
}

/// Some whole lines of a log.
fn part(log: &[u8], dice: &mut Dice) -> Vec<u8> {
    let from = dice.below(log.len().saturating_sub(PART_BYTES));
    let from = log[from..].iter().position(|&byte| byte == b'\n').map_or(0, |newline| from + newline + 1);
    log[from..(from + PART_BYTES).min(log.len())].to_vec()
}

/// Runs the pipeline; a panic is told with the seed that leads to it.
fn survive(demand: Demand, log: &[u8], write: usize, seed: u64) -> Output {
    let outcome = catch_unwind(AssertUnwindSafe(|| run(demand, LIMIT, log.chunks(write))));
    let output = outcome.unwrap_or_else(|_| panic!("seed {seed} panics"));
    for line in &output.lines {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("seed {seed}: {e}: {line}"));
        assert_eq!(event["metadata"]["event"], "code.evaluate", "seed {seed}: {line}");
        assert!(line.ends_with("}\n") && line.matches('\n').count() == 1, "seed {seed}: {line:?}");
    }
    output
}

/// What is skipped where only evaluations are wanted is none.
#[track_caller]
fn same(all: &Output, wanted: &Output, seed: u64) {
    let only = |these: &Output, those: &Output| {
        let lines: Vec<&String> = these.lines.iter().filter(|line| !those.lines.contains(line)).collect();
        format!("{lines:#?}")
    };
    let told = || {
        format!(
            "seed {seed}: only with everything {}, only with skipping {}",
            only(all, wanted),
            only(wanted, all)
        )
    };
    assert!(all.lines == wanted.lines, "{}", told());
}

/// The lines of a log in a wrapper, split now and then, the streams taking turns.
fn wrapped(log: &[u8], dice: &mut Dice) -> Vec<u8> {
    let wrapper = WRAPPERS[dice.below(WRAPPERS.len())];
    let mut all = Vec::new();
    for line in log.split(|&byte| byte == b'\n') {
        let stream = if dice.below(9) == 0 { "stderr" } else { "stdout" };
        let (front, back) = line.split_at(dice.below(line.len()));
        if dice.below(5) == 0 && wrapper.splits() {
            all.extend(wrapper.part(stream, front, false));
            all.extend(wrapper.line(stream, back));
        } else {
            all.extend(wrapper.line(stream, line));
        }
    }
    all
}

fn rounds(seeds: std::ops::Range<u64>, wraps: bool) {
    let logs = logs();
    let mut evaluations = 0;
    for seed in seeds {
        let mut dice = Dice(seed);
        let first = dice.below(logs.len());
        let mut log = part(&logs[first], &mut dice);
        let second = dice.below(logs.len());
        let mut other = part(&logs[second], &mut dice);
        if wraps {
            log = wrapped(&log, &mut dice);
            other = if dice.below(2) == 0 { other } else { wrapped(&other, &mut dice) };
        }
        for _ in 0..dice.below(12) {
            damage(&mut log, &other, &mut dice);
        }
        let write = [1000, 4096, 70_000][dice.below(3)];
        let all = survive(Demand::Everything, &log, write, seed);
        let wanted = survive(Demand::Evaluations, &log, write, seed);
        same(&all, &wanted, seed);
        if seed % 4 == 0 {
            let checked = run_checking(LIMIT, log.chunks(write));
            same(&all, &checked, seed);
            // A message of many lines may be one fault or several; it is none for nobody.
            assert_eq!(all.faults.is_empty(), checked.faults.is_empty(), "seed {seed}");
        }
        evaluations += all.lines.len();
    }
    assert!(evaluations > 0);
}

#[test]
fn damaged_logs_harm_nobody_and_lose_nothing_to_skipping() {
    let more = std::env::var("EVALTRAIL_ROUNDS").ok().map(|rounds| rounds.parse().unwrap());
    rounds(0..more.unwrap_or(ROUNDS), false);
}

#[test]
fn damaged_logs_in_wrappers_harm_nobody_and_lose_nothing_to_skipping() {
    let more = std::env::var("EVALTRAIL_ROUNDS").ok().map(|rounds| rounds.parse().unwrap());
    rounds(0..more.unwrap_or(ROUNDS / 2), true);
}

#[test]
fn noise_harms_nobody() {
    for seed in 0..200 {
        let mut dice = Dice(seed);
        let log: Vec<u8> = (0..dice.below(4000)).map(|_| dice.roll() as u8).collect();
        survive(Demand::Everything, &log, 512, seed);
        let log: Vec<u8> =
            (0..dice.below(400)).flat_map(|_| PIECES[dice.below(PIECES.len())].to_vec()).collect();
        let all = survive(Demand::Everything, &log, 512, seed);
        same(&all, &survive(Demand::Evaluations, &log, 512, seed), seed);
    }
}
