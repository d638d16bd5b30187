//! The program is killed at random moments, over a log that grows and is rotated; nothing may be lost by it.
//!
//! Afterwards every line is in the output, in order, whole; what is there twice was read again after a kill, and has
//! its old `%id`. Of evaluations each is there once, also where a kill fell between its two records. Once more with
//! an output whose disk is full half of the time.
//!
//! In full: `EVALTRAIL_KILLS=200 cargo test --release --test suite crash -- --nocapture`, which prints the figures.
//! `EVALTRAIL_SEED=17` draws other moments, and another log.

mod writer;

use crate::dice::{self, Dice};
use crate::files::{Follower, Place, Reading, Spot, Stretch, check_order};
use crate::harness::{Live, TIMEOUT, TempDir, until};
use std::collections::{BTreeSet, HashMap};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use writer::{Content, Reached, Writer, Written, number};

/// Kills in the suite; `EVALTRAIL_KILLS` asks for others.
const KILLS: u64 = 12;
/// A run lives so long at least and at most, in milliseconds.
const LIVES_MS: std::ops::RangeInclusive<u64> = 2..=300;
/// The same behind a buffer, long enough that a checkpoint is written at times: else all is read again each time.
const BUFFERED_LIVES_MS: std::ops::RangeInclusive<u64> = 2..=1_200;
/// By now everything is out, retries of a full disk included.
const PATIENCE: Duration = Duration::from_secs(120);
/// Size of the disk that is filled.
const SMALL_DISK: &str = "size=48m";

/// What came of it.
struct Figures {
    kills: u64,
    lines: usize,
    repeated: usize,
}

impl Figures {
    fn print(&self, what: &str) {
        let Figures { kills, lines, repeated } = self;
        // A lost or a torn line has failed the test by now.
        eprintln!("crash, {what}: {kills} kills, {lines} lines, 0 lost, {repeated} repeated, 0 torn");
    }
}

/// Kills the program again and again while the log is written, and waits until all of it is out.
struct Crash {
    content: Content,
    place: Place,
    output: Follower,
    stretches: Vec<Stretch>,
    kills: u64,
    written: Written,
}

impl Crash {
    /// A disk that is full at times is made `calm` when enough was killed. Until then a write that failed may be taken
    /// back, whole lines included: what is there counts when nobody is left who could, and nothing is destroyed for it.
    fn run(content: Content, output: Option<&Path>, calm: Option<Box<dyn FnOnce() + '_>>) -> Crash {
        Crash::at(content, LIVES_MS, |reading| Place::new(reading, output), calm)
    }

    fn at(
        content: Content,
        lives_ms: std::ops::RangeInclusive<u64>,
        place: impl FnOnce(Reading) -> Place,
        calm: Option<Box<dyn FnOnce() + '_>>,
    ) -> Crash {
        let (evaluations, options) = match content {
            Content::Lines => (false, "decoding.codec = \"text\""),
            Content::Json | Content::Text => (true, ""),
        };
        let place = place(Reading { include: "app.log*", options, evaluations });
        let (output, mut dice) = (place.follow(), Dice::new(dice::number("EVALTRAIL_SEED", 1)));
        let (kills, stretches) = (dice::number("EVALTRAIL_KILLS", KILLS), Vec::new());
        let mut crash = Crash { content, place, output, stretches, kills, written: Written::default() };
        let is_steady = calm.is_none();
        let writer = Writer::new(content, &crash.place, dice.roll(), is_steady);
        let progress = Arc::clone(&writer.progress);
        let mut reached = Reached::new(content, Arc::clone(&progress));
        let writing = thread::spawn(move || writer.run());
        for _ in 0..kills {
            let live = crash.start();
            let lives = Duration::from_millis(dice.within(lives_ms.clone()));
            let ended = until(lives, || {
                if is_steady {
                    crash.output.catch_up();
                    reached.take(&crash.output.lines);
                }
                false
            });
            assert!(!ended);
            live.kill();
            crash.output.catch_up();
            reached.take(&crash.output.lines);
        }
        if let Some(calm) = calm {
            calm();
        }
        progress.stop.store(true, Ordering::Relaxed);
        let live = crash.start();
        // The writer may still wait for something to come out before it destroys it.
        let done = until(PATIENCE, || {
            crash.output.catch_up();
            reached.take(&crash.output.lines);
            writing.is_finished()
        });
        assert!(done, "the writer does not end");
        crash.written = writing.join().unwrap();
        crash.drain(live, &mut reached);
        crash
    }

    fn start(&mut self) -> Live {
        self.output.catch_up();
        let after_kill = !self.stretches.is_empty();
        self.stretches.push(Stretch { from: self.output.lines.len(), after_kill });
        self.place.start()
    }

    /// Waits until all is out, and ends the last run well.
    fn drain(&mut self, mut live: Live, reached: &mut Reached) {
        let Written { records, files } = &self.written;
        let done = until(PATIENCE, || {
            self.output.catch_up();
            reached.take(&self.output.lines) == *records
        });
        if !done {
            let next = reached.take(&self.output.lines);
            let (spot, files) = (self.written.spot(next), files.len());
            panic!(
                "of {records} records in {files} files {next} did not come out, {spot:?}: {}",
                live.kill()
            );
        }
        live.signal_when_ready("TERM");
        let (status, said) = live.wait(TIMEOUT);
        assert_eq!(status.code(), Some(0), "{said}");
        self.output.catch_up();
    }

    /// Every line is there, in order; those of one run follow each other.
    fn check_lines(&self) -> Figures {
        let spot = |line| self.written.spot(number(self.content, line));
        let spots: Vec<Option<Spot>> = self.output.lines.iter().map(|line| Some(spot(line))).collect();
        let repeated = check_order(&self.output.lines, &self.stretches, &spots, |_| false);
        Figures { kills: self.kills, lines: self.written.records as usize, repeated }
    }

    /// The same behind a buffer on disk, which is drained before the source reads again: every line comes for the first
    /// time in its order. What comes again comes after a kill, with its old `%id`.
    fn check_buffered_lines(&self) -> Figures {
        let mut ids: HashMap<Spot, &str> = HashMap::new();
        let mut due: HashMap<usize, usize> = HashMap::new();
        for (at, line) in self.output.lines.iter().enumerate() {
            let spot = self.written.spot(number(self.content, line));
            let due = due.entry(spot.file).or_default();
            match ids.get(&spot) {
                Some(id) => {
                    let kills = self.stretches.iter().filter(|one| one.from <= at && one.after_kill).count();
                    assert!(kills > 0, "a repeat without a kill: {spot:?}");
                    assert_eq!(*id, line.id, "a repeat with another id: {spot:?}");
                }
                None => {
                    assert_eq!(spot.line, *due, "out of order: {spot:?}");
                    *due += 1;
                    ids.insert(spot, &line.id);
                }
            }
        }
        let distinct: BTreeSet<&str> = ids.values().copied().collect();
        assert_eq!(distinct.len(), ids.len(), "different lines have different ids");
        assert_eq!(ids.len(), self.written.records as usize);
        let repeated = self.output.lines.len() - ids.len();
        Figures { kills: self.kills, lines: ids.len(), repeated }
    }

    /// Every evaluation is there once: whatever is there again has its old `%id`, and came after a kill.
    fn check_evaluations(&self) -> Figures {
        let mut ids: HashMap<u64, (&str, usize)> = HashMap::new();
        let mut repeated = 0;
        for (at, line) in self.output.lines.iter().enumerate() {
            let number = number(self.content, line);
            let run = self.stretches.iter().filter(|stretch| stretch.from <= at).count();
            let (id, came) = *ids.entry(number).or_insert((&line.id, run));
            assert_eq!(
                id, line.id,
                "evaluation {number} became two: {line:?} of run {run}, the first of {came}"
            );
            if ids.len() + repeated <= at {
                repeated += 1;
                assert!(came < run, "evaluation {number} came twice in one run: {line:?}");
            }
        }
        let distinct: BTreeSet<&str> = ids.values().map(|(id, _)| *id).collect();
        assert_eq!(distinct.len(), ids.len(), "different evaluations have different ids");
        Figures { kills: self.kills, lines: self.written.records as usize, repeated }
    }
}

#[test]
fn no_line_is_lost_by_a_kill() {
    Crash::run(Content::Lines, None, None).check_lines().print("lines");
}

#[test]
fn no_line_in_a_buffer_on_disk_is_lost_by_a_kill() {
    let buffered = |reading| Place::new(reading, None).buffered();
    let crash = Crash::at(Content::Lines, BUFFERED_LIVES_MS, buffered, Some(Box::new(|| ())));
    crash.check_buffered_lines().print("lines through a buffer on disk");
}

#[test]
fn no_evaluation_of_a_json_log_is_lost_or_doubled_by_a_kill() {
    Crash::run(Content::Json, None, None).check_evaluations().print("evaluations in JSON");
}

#[test]
fn no_evaluation_of_a_text_log_is_lost_or_doubled_by_a_kill() {
    Crash::run(Content::Text, None, None).check_evaluations().print("evaluations in text");
}

/// A small file system in memory.
pub struct SmallDisk(TempDir);

impl SmallDisk {
    /// None where nobody may mount one.
    pub fn mount() -> Option<SmallDisk> {
        let dir = TempDir::new();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", SMALL_DISK, "tmpfs"]).arg(dir.path());
        mount.output().is_ok_and(|done| done.status.success()).then_some(SmallDisk(dir))
    }

    /// A file on it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if !Command::new("umount").arg(self.0.path()).status().is_ok_and(|status| status.success()) {
            eprintln!("{} stays mounted", self.0.path().display());
        }
    }
}

/// Fills the disk and frees it, until it is told to stop.
pub fn fill(filler: &Path, stop: &AtomicBool) -> u64 {
    let mut dice = Dice::new(dice::number("EVALTRAIL_SEED", 1));
    let mut filled = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut file = std::fs::File::create(filler).unwrap();
        let mut size = 1 << 20;
        while size > 0 {
            // To the last byte: part of a line may still fit, which is what tears it.
            match file.write(&vec![0; size]) {
                Ok(len) if len > 0 => {}
                _ => size /= 2,
            }
        }
        filled += 1;
        let is_stopped = || stop.load(Ordering::Relaxed);
        until(Duration::from_millis(dice.within(5..=150)), is_stopped);
        std::fs::remove_file(filler).unwrap();
        until(Duration::from_millis(dice.within(20..=300)), is_stopped);
    }
    filled
}

#[test]
fn no_line_is_lost_by_kills_and_a_full_disk_together() {
    let Some(disk) = SmallDisk::mount() else {
        crate::tools::skip("a disk that is full needs the right to mount one");
        return;
    };
    let stop = AtomicBool::new(false);
    let crash = thread::scope(|scope| {
        let filling = scope.spawn(|| fill(&disk.path("filler"), &stop));
        let calm = || {
            stop.store(true, Ordering::Relaxed);
            eprintln!("the disk was full {} times", filling.join().unwrap());
        };
        let run = || Crash::run(Content::Lines, Some(disk.0.path()), Some(Box::new(calm)));
        let run = catch_unwind(AssertUnwindSafe(run));
        // The disk is freed however the run ends.
        stop.store(true, Ordering::Relaxed);
        run.unwrap_or_else(|panic| resume_unwind(panic))
    });
    crash.check_lines().print("lines to a disk that is full half of the time");
}
