//! Writes a log as a busy server and its logrotate do: in bursts, with half lines, rotated by renaming or by copying.

use super::super::logs;
use crate::dice::Dice;
use crate::files::{Emitted, Place, Spot, shortened};
use crate::harness::until;
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Waiting for the output may take as long as many short runs of the program.
const PATIENCE: Duration = Duration::from_secs(60);
/// Records that are ahead of the output at most: the test is not to take longer than its kills.
const AHEAD_MAX: u64 = 3_000;

/// Rotated files at most.
const KEEP_MAX: usize = 20;

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Numbered lines.
    Lines,
    /// Evaluations, two records each, in JSON.
    Json,
    /// The same in text.
    Text,
}

/// What writer and reader tell each other.
#[derive(Default)]
pub struct Progress {
    /// The reader's: enough was killed.
    pub stop: AtomicBool,
    /// The reader's: every record before this one has come out.
    emitted: AtomicU64,
}

/// What has come out, as the reader sees it.
pub struct Reached {
    content: Content,
    progress: Arc<Progress>,
    /// Lines of the output that were looked at.
    lines: usize,
    /// Records that came out before one of those in front of them.
    ahead: BTreeSet<u64>,
    next: u64,
}

impl Reached {
    pub fn new(content: Content, progress: Arc<Progress>) -> Reached {
        Reached { content, progress, lines: 0, ahead: BTreeSet::new(), next: 0 }
    }

    /// Takes note of the output so far. Returns how many records have come out without a gap.
    pub fn take(&mut self, lines: &[Emitted]) -> u64 {
        for line in &lines[self.lines..] {
            let number = number(self.content, line);
            if number >= self.next {
                self.ahead.insert(number);
            }
        }
        self.lines = lines.len();
        while self.ahead.remove(&self.next) {
            self.next += 1;
        }
        self.progress.emitted.store(self.next, Ordering::Relaxed);
        self.next
    }
}

impl Progress {
    /// Whether so many records came out in time. Where not, nothing is destroyed, and the test says what is missing.
    fn wait_for(&self, records: u64) -> bool {
        let out = until(PATIENCE, || self.emitted.load(Ordering::Relaxed) >= records);
        self.stop.fetch_or(!out, Ordering::Relaxed);
        out
    }
}

/// What was written.
#[derive(Debug, Default)]
pub struct Written {
    /// Number of the first record of each file, from its creation or from when it was emptied.
    pub files: Vec<u64>,
    pub records: u64,
}

impl Written {
    /// Where a record was written.
    pub fn spot(&self, number: u64) -> Spot {
        let file = self.files.partition_point(|first| *first <= number) - 1;
        Spot { file, line: (number - self.files[file]) as usize }
    }
}

/// The number of the record that became a line of the output, which has to be whole.
#[track_caller]
pub fn number(content: Content, line: &Emitted) -> u64 {
    let text = line.code.as_ref().unwrap_or(&line.message);
    let digits = |c: char| c.is_ascii_digit();
    let first: String = text.chars().skip_while(|c| !digits(*c)).take_while(|c| digits(*c)).collect();
    // Without a digit it is one that is told by its control characters, the last being the highest.
    let number = first.parse().unwrap_or_else(|_| {
        text.chars().rev().fold(0, |number: u64, c| number.wrapping_mul(6).wrapping_add(c as u64 - 1))
    });
    let whole = match content {
        Content::Lines => message(number),
        _ => code(number, content).1,
    };
    assert!(*text == whole, "nobody wrote this: {}", shortened(&format!("{line:?}")));
    number
}

/// A line that tells its own length, so that a torn one shows.
fn message(number: u64) -> String {
    let len = match number % 97 {
        0 => 70_000,
        1..=10 => 2_000,
        _ => number % 120,
    };
    format!("{number}:{}.", "abcdefg ".repeat(len as usize / 8))
}

/// The source of an evaluation, as it is written and as it has to come out.
fn code(number: u64, content: Content) -> (Kind, String) {
    match number % 5 {
        0 => (Kind::Printable, format!("x = \"\\n#{{{number}}}\"")),
        1 => (Kind::Printable, format!("a = {number}\n\n  b = a * 2\n")),
        2 if content == Content::Json => {
            let digits = (0..8).map(|at| char::from(1 + (number / 6u64.pow(at) % 6) as u8));
            (Kind::Bytes, digits.collect())
        }
        3 => (Kind::Printable, format!("{number}\n{}", "Enum.map(list, & &1)\n".repeat(200))),
        _ => (Kind::Printable, format!("{number} + 1")),
    }
}

/// How Livebook prints a source.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Printable,
    /// As `<<1, 2>>`, in both records.
    Bytes,
}

pub struct Writer {
    content: Content,
    log: PathBuf,
    dice: Dice,
    /// Rotated files that are kept.
    keep: usize,
    destroys: bool,
    /// Records that were written before the end of each rotated file, the youngest first.
    rotated: Vec<u64>,
    archived: usize,
    written: Written,
    pub progress: Arc<Progress>,
}

impl Writer {
    /// Where not `destroys`, whatever was written stays.
    pub fn new(content: Content, place: &Place, seed: u64, destroys: bool) -> Writer {
        let mut dice = Dice::new(seed);
        Writer {
            content,
            log: place.path("app.log"),
            keep: if destroys { dice.within(3..=5) as usize } else { KEEP_MAX },
            destroys,
            dice,
            rotated: Vec::new(),
            archived: 0,
            written: Written { files: vec![0], ..Written::default() },
            progress: Arc::default(),
        }
    }

    /// Writes until it is told to stop.
    pub fn run(mut self) -> Written {
        let mut file = self.open();
        while !self.progress.stop.load(Ordering::Relaxed) {
            for _ in 0..self.dice.within(1..=30) {
                self.record(&mut file);
            }
            match self.dice.within(0..=99) {
                0..=9 => file = self.rename(file),
                10..=13 if self.destroys => self.copy_and_truncate(&file),
                _ => {}
            }
            let (stop, limit) = (&self.progress.stop, self.written.records.saturating_sub(AHEAD_MAX));
            let emitted = || self.progress.emitted.load(Ordering::Relaxed) >= limit;
            until(PATIENCE, || emitted() || stop.load(Ordering::Relaxed));
            self.pause();
        }
        self.written
    }

    /// A moment in which the program may be killed.
    fn pause(&mut self) {
        std::thread::sleep(Duration::from_micros(self.dice.within(0..=5_000)));
    }

    fn open(&self) -> File {
        OpenOptions::new().append(true).create(true).open(&self.log).unwrap()
    }

    /// Writes one record, or both of an evaluation: now and then in two pieces, with time between them.
    fn record(&mut self, file: &mut File) {
        let number = self.written.records;
        let bytes = match self.content {
            Content::Lines => message(number) + "\n",
            _ => self.evaluation(number),
        };
        // Where the first record ends is the most interesting place to be killed at.
        let first_ends = bytes.find('\n').unwrap() + 1;
        let cut = match self.dice.within(0..=99) {
            0..=4 => self.dice.below(bytes.len()),
            5..=9 => first_ends,
            _ => 0,
        };
        let (begun, rest) = bytes.as_bytes().split_at(cut);
        if !begun.is_empty() {
            file.write_all(begun).unwrap();
            self.pause();
        }
        file.write_all(rest).unwrap();
        self.written.records += 1;
    }

    fn evaluation(&mut self, number: u64) -> String {
        let (kind, code) = code(number, self.content);
        let ms = (number * 3 % 59_000) as u32;
        let literal = match kind {
            Kind::Printable => logs::inspect(&code),
            Kind::Bytes => {
                let bytes: Vec<String> = code.bytes().map(|byte| byte.to_string()).collect();
                format!("<<{}>>", bytes.join(", "))
            }
        };
        let said = if kind == Kind::Bytes { &literal } else { &code };
        let twins = match self.content {
            Content::Text => [logs::legacy_line(ms, &literal), logs::structured_line(ms, said)],
            _ => [logs::legacy_json(ms, &literal), logs::structured_json(ms, said)],
        };
        // In JSON either may come first; in text the first says what the raw source of the second is.
        let swapped = self.content == Content::Json && self.dice.chance(30);
        let [first, second] = twins;
        if swapped { second + &first } else { first + &second }
    }

    /// Renames the log, and begins a new one. The oldest goes only once it is out.
    fn rename(&mut self, file: File) -> File {
        if self.rotated.len() == self.keep {
            let ends = self.rotated[self.keep - 1];
            if !self.destroys || !self.progress.wait_for(ends) {
                return file;
            }
            self.rotated.pop();
            std::fs::remove_file(self.name(self.keep)).unwrap();
        }
        for at in (1..=self.rotated.len()).rev() {
            std::fs::rename(self.name(at), self.name(at + 1)).unwrap();
        }
        std::fs::rename(&self.log, self.name(1)).unwrap();
        self.rotated.insert(0, self.written.records);
        self.next_file();
        self.open()
    }

    /// Copies the log and empties it: what is written meanwhile would be lost by the writer itself.
    fn copy_and_truncate(&mut self, file: &File) {
        if !self.progress.wait_for(self.written.records) {
            return;
        }
        self.archived += 1;
        std::fs::copy(&self.log, self.log.with_file_name(format!("archived.{}", self.archived))).unwrap();
        file.set_len(0).unwrap();
        self.next_file();
    }

    fn next_file(&mut self) {
        if self.written.files.last() == Some(&self.written.records) {
            return;
        }
        self.written.files.push(self.written.records);
    }

    fn name(&self, at: usize) -> PathBuf {
        self.log.with_file_name(format!("app.log.{at}"))
    }
}
