//! A log directory, what was done to it, and what has to come out.

use super::LOG;
use crate::dice::Dice;
use crate::files::{Emitted, Follower, Place, Reading, Spot, Stretch, check_order, shortened};
use crate::harness::{Live, until};
use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::process::Command;
use std::time::Duration;

/// Longer than anything may take to come out, `rotate_wait_secs` included.
const PATIENCE: Duration = Duration::from_secs(30);
/// Rotated files that are kept.
const KEEP: usize = 3;

/// A line that can come out.
struct Line {
    text: String,
    /// Whether it need not come: its file ended without a newline while nobody looked.
    optional: bool,
    /// Whether it has no newline.
    open: bool,
}

/// One file from its creation, or from when it was emptied.
#[derive(Default)]
struct Generation {
    lines: Vec<Line>,
    /// The beginning of a line that is not complete.
    partial: String,
    /// Whether its name is gone from the glob: only a program that has it open can read it.
    departed: bool,
}

pub struct World {
    reading: Reading,
    place: Place,
    live: Option<Live>,
    output: Follower,
    generations: Vec<Generation>,
    /// Which generation stands under the log's name.
    current: Option<usize>,
    /// Rotated files, the youngest first: their names count from 1. Whether one is compressed.
    rotated: Vec<(usize, bool)>,
    archived: usize,
    number: u64,
    spots: HashMap<String, Spot>,
    stretches: Vec<Stretch>,
    killed: bool,
    story: Vec<String>,
    said: String,
}

impl World {
    pub fn new(reading: Reading) -> World {
        let place = Place::new(reading, None);
        let output = place.follow();
        World {
            reading,
            place,
            live: None,
            output,
            generations: Vec::new(),
            current: None,
            rotated: Vec::new(),
            archived: 0,
            number: 0,
            spots: HashMap::new(),
            stretches: Vec::new(),
            killed: false,
            story: Vec::new(),
            said: String::new(),
        }
    }

    /// What was done, and the last that the program said.
    pub fn story(&self) -> String {
        let said: Vec<&str> = self.said.lines().rev().take(10).collect();
        format!("{}\nits last words, backwards:\n{}", self.story.join("\n"), said.join("\n"))
    }

    fn tell(&mut self, what: impl Into<String>) {
        let (up, out) = (if self.live.is_some() { "up  " } else { "down" }, self.output.lines.len());
        self.story.push(format!("{up} {out:>4} out: {}", what.into()));
    }

    fn keeps_rotated(&self) -> bool {
        self.reading.include.ends_with('*')
    }

    /// Does one thing.
    pub fn act(&mut self, dice: &mut Dice) {
        self.output.catch_up();
        match dice.within(0..=99) {
            0..=29 => self.append(dice),
            30..=39 => self.append_half(dice),
            40..=49 => self.rotate(dice),
            50..=55 => self.empty(dice, true),
            56..=60 => self.empty(dice, false),
            61..=65 => self.delete(dice),
            66..=69 => self.delete_rotated(),
            70..=74 => self.compress(),
            75..=84 => self.stop(dice.chance(60)),
            _ => self.start(),
        }
    }

    /// What is left comes out, and nothing comes twice.
    pub fn finish(&mut self) {
        self.start();
        self.wait_for(|_| true);
        self.stop(false);
        // The half line at the end of the log is complete for a program that does not wait for more.
        if let Some(current) = self.current {
            self.end_partial(current, false);
        }
        self.tell("--once");
        self.stretches.push(Stretch { from: self.output.lines.len(), after_kill: self.killed });
        let outcome = self.place.once();
        self.said.push_str(&outcome.stderr);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        self.wait_for(|_| true);
        self.check();
    }

    /// Compares all of the output with what was written.
    fn check(&mut self) {
        let spot = |line: &Emitted| {
            let spot = self.spots.get(&line.message).copied();
            Some(spot.unwrap_or_else(|| panic!("nobody wrote this: {}", shortened(&line.message))))
        };
        let spots: Vec<Option<Spot>> = self.output.lines.iter().map(spot).collect();
        let optional = |spot: Spot| self.generations[spot.file].lines[spot.line].optional;
        check_order(&self.output.lines, &self.stretches, &spots, optional);
    }

    /// Waits until all that has to come out of some files has come.
    #[track_caller]
    fn wait_for(&mut self, of: impl Fn(&Generation) -> bool) {
        let mut missing: HashSet<&str> = HashSet::new();
        for generation in self.generations.iter().filter(|generation| of(generation)) {
            let lines = generation.lines.iter().filter(|line| !line.optional);
            missing.extend(lines.map(|line| line.text.as_str()));
        }
        let mut seen = 0;
        let output = &mut self.output;
        let done = until(PATIENCE, || {
            output.catch_up();
            for line in &output.lines[seen..] {
                missing.remove(line.message.as_str());
            }
            seen = output.lines.len();
            missing.is_empty()
        });
        let mut missing: Vec<Spot> = missing.iter().map(|text| self.spots[*text]).collect();
        missing.sort_unstable();
        missing.truncate(5);
        let first: Vec<String> = missing
            .iter()
            .map(|spot| format!("{spot:?} {}", shortened(&self.generations[spot.file].lines[spot.line].text)))
            .collect();
        if !done {
            let said = self.live.take().map(Live::kill).unwrap_or_default();
            self.said.push_str(&said);
        }
        assert!(done, "never came out: {first:#?}");
    }

    /// Whether all that has to come out of a file has come already.
    fn is_out(&mut self, generation: usize) -> bool {
        self.output.catch_up();
        let seen: HashSet<&str> = self.output.lines.iter().map(|line| line.message.as_str()).collect();
        let lines = &self.generations[generation].lines;
        lines.iter().all(|line| line.optional || seen.contains(line.text.as_str()))
    }

    /// Whether a line of a file came out in this run.
    fn is_being_read(&mut self, generation: usize) -> bool {
        self.output.catch_up();
        let from = self.stretches.last().map_or(0, |stretch| stretch.from);
        let mut came = self.output.lines[from..].iter().map(|line| self.spots[&line.message].file);
        self.live.is_some() && came.any(|file| file == generation)
    }

    fn log(&self) -> File {
        OpenOptions::new().append(true).create(true).open(self.place.path(LOG)).unwrap()
    }

    /// The file under the log's name, made where there is none.
    fn current(&mut self) -> usize {
        if self.current.is_none() {
            self.generations.push(Generation::default());
            self.current = Some(self.generations.len() - 1);
            self.log();
        }
        self.current.unwrap()
    }

    fn line(&mut self, dice: &mut Dice) -> String {
        let number = self.number;
        self.number += 1;
        let len = match dice.within(0..=99) {
            0..=9 => return number.to_string(),
            10..=79 => dice.within(0..=200),
            80..=97 => dice.within(200..=20_000),
            _ => dice.within(20_000..=300_000),
        };
        let letters = ["a", "b c", "\\", "\"", "\t", "ž", "{", "é\u{301}"];
        let mut text = format!("{number}:");
        let (one, other) = (dice.pick(&letters), dice.pick(&letters));
        while (text.len() as u64) < len {
            text.push_str(if text.len() % 7 == 0 { one } else { other });
        }
        // What ends with white space could be mistaken for something trimmed.
        text.push('.');
        text
    }

    /// Takes note of a line that was written.
    fn wrote(&mut self, generation: usize, text: String, optional: bool, open: bool) {
        let spot = Spot { file: generation, line: self.generations[generation].lines.len() };
        self.spots.insert(text.clone(), spot);
        self.generations[generation].lines.push(Line { text, optional, open });
    }

    /// Appends whole lines through `file`, the first of which may be half there already.
    fn append_to(&mut self, file: &mut File, generation: usize, dice: &mut Dice) {
        let mut bytes = String::new();
        for at in 0..dice.within(1..=20) {
            let line = self.line(dice);
            let begun = std::mem::take(&mut self.generations[generation].partial);
            bytes.push_str(&line);
            bytes.push('\n');
            self.wrote(generation, begun + &line, false, false);
            if at % 5 == 4 {
                file.write_all(std::mem::take(&mut bytes).as_bytes()).unwrap();
            }
        }
        file.write_all(bytes.as_bytes()).unwrap();
    }

    fn append(&mut self, dice: &mut Dice) {
        let current = self.current();
        let before = self.number;
        self.append_to(&mut self.log(), current, dice);
        self.tell(format!("append lines {before}.. to file {current}"));
    }

    fn append_half(&mut self, dice: &mut Dice) {
        let current = self.current();
        let line = self.line(dice);
        // The number and what ends it, so that no other line is the same.
        let begun = self.generations[current].partial.len();
        let half = if line.contains(':') { line } else { line + ":" };
        self.log().write_all(half.as_bytes()).unwrap();
        self.generations[current].partial.push_str(&half);
        self.tell(format!("append half a line to file {current}, behind {begun} bytes"));
    }

    /// The file ends, and with it the line that is not complete.
    fn end_partial(&mut self, generation: usize, optional: bool) {
        let partial = std::mem::take(&mut self.generations[generation].partial);
        if !partial.is_empty() {
            self.wrote(generation, partial, optional, true);
        }
    }

    /// Makes sure that the program has the log open, and may have more to read.
    fn ensure_open(&mut self, current: usize, dice: &mut Dice) {
        self.append(dice);
        self.wait_for(|_| true);
        if dice.chance(70) {
            self.append(dice);
        }
        if dice.chance(30) {
            self.append_half(dice);
        }
        assert_eq!(self.current, Some(current));
    }

    /// Before a file is out of reach; says whether it may go.
    fn prepare_to_go(&mut self, generation: usize, dice: &mut Dice) -> bool {
        match self.live.is_some() {
            true => {
                self.ensure_open(generation, dice);
                true
            }
            false => self.is_out(generation),
        }
    }

    fn rotated_name(&self, at: usize) -> String {
        format!("{LOG}.{}{}", at + 1, if self.rotated[at].1 { ".gz" } else { "" })
    }

    fn rotate(&mut self, dice: &mut Dice) {
        let Some(current) = self.current else { return };
        if !self.keeps_rotated() && !self.prepare_to_go(current, dice) {
            return;
        }
        if self.rotated.len() == KEEP {
            self.delete_rotated();
            if self.rotated.len() == KEEP {
                return;
            }
        }
        for at in (0..self.rotated.len()).rev() {
            let from = self.place.path(&self.rotated_name(at));
            let number = format!("{LOG}.{}", at + 1);
            let to = self.rotated_name(at).replace(&number, &format!("{LOG}.{}", at + 2));
            std::fs::rename(from, self.place.path(&to)).unwrap();
        }
        let mut old = self.log();
        std::fs::rename(self.place.path(LOG), self.place.path(&format!("{LOG}.1"))).unwrap();
        self.rotated.insert(0, (current, false));
        self.current = None;
        // Nobody could read what comes late to a file that nobody has open and that has left the glob.
        let late = dice.chance(30) && (self.live.is_some() || self.keeps_rotated());
        if late {
            self.append_to(&mut old, current, dice);
        }
        // Who never saw the file under its first name need not know that it is finished.
        let optional = !self.is_being_read(current);
        self.end_partial(current, optional);
        self.generations[current].departed = !self.keeps_rotated();
        if dice.chance(70) {
            self.current();
        }
        self.tell(format!("rotate file {current}; lines came late: {late}; now there is {:?}", self.current));
    }

    /// Empties the log, perhaps after copying it; then there may at once be more in it than before.
    fn empty(&mut self, dice: &mut Dice, copy: bool) {
        let Some(current) = self.current else { return };
        if self.live.is_some() {
            self.wait_for(|_| true);
        } else if !self.is_out(current) {
            return;
        }
        if copy {
            self.archived += 1;
            let name = format!("archived.{}", self.archived);
            std::fs::copy(self.place.path(LOG), self.place.path(&name)).unwrap();
        }
        let file = self.log();
        let len = file.metadata().unwrap().len();
        file.set_len(0).unwrap();
        self.end_partial(current, true);
        self.current = None;
        self.tell(format!("empty file {current} of {len} bytes, copied before: {copy}"));
        if dice.chance(60) {
            self.append(dice);
        }
    }

    fn delete(&mut self, dice: &mut Dice) {
        let Some(current) = self.current else { return };
        if !self.prepare_to_go(current, dice) {
            return;
        }
        std::fs::remove_file(self.place.path(LOG)).unwrap();
        self.end_partial(current, self.live.is_none());
        self.generations[current].departed = true;
        self.current = None;
        self.tell(format!("delete file {current}"));
        if dice.chance(70) {
            self.append(dice);
        }
    }

    /// Deletes the oldest rotated file, once all of it is out.
    fn delete_rotated(&mut self) {
        let Some(&(oldest, _)) = self.rotated.last() else { return };
        if self.live.is_some() {
            self.wait_for(|_| true);
        } else if !self.is_out(oldest) {
            return;
        }
        let name = self.rotated_name(self.rotated.len() - 1);
        std::fs::remove_file(self.place.path(&name)).unwrap();
        self.rotated.pop();
        self.tell(format!("delete {name}, which is file {oldest}"));
    }

    /// Compresses the oldest rotated file that is not, once all of it is out.
    fn compress(&mut self) {
        let Some(at) = self.rotated.iter().rposition(|(_, compressed)| !compressed) else { return };
        let generation = self.rotated[at].0;
        if self.live.is_some() {
            self.wait_for(|_| true);
        } else if !self.is_out(generation) {
            return;
        }
        let name = self.rotated_name(at);
        assert!(Command::new("gzip").arg(self.place.path(&name)).status().unwrap().success());
        self.rotated[at].1 = true;
        self.tell(format!("compress {name}, which is file {generation}"));
    }

    fn stop(&mut self, kill: bool) {
        if self.live.is_none() {
            return;
        }
        // Nobody can read these later.
        self.wait_for(|generation| generation.departed);
        self.tell(if kill { "kill" } else { "stop" });
        let live = self.live.take().unwrap();
        if kill {
            let said = live.kill();
            self.said.push_str(&said);
        } else {
            let mut live = live;
            live.signal_when_ready("TERM");
            let (status, said) = live.wait(PATIENCE);
            self.said.push_str(&said);
            assert_eq!(status.code(), Some(0), "{said}");
        }
        self.killed = kill;
        self.output.catch_up();
        // That a file has ended is known to who saw it end. The next run need not know.
        let seen: HashSet<&str> = self.output.lines.iter().map(|line| line.message.as_str()).collect();
        for line in self.generations.iter_mut().flat_map(|generation| &mut generation.lines) {
            line.optional |= line.open && !seen.contains(line.text.as_str());
        }
    }

    fn start(&mut self) {
        if self.live.is_some() {
            return;
        }
        self.output.catch_up();
        self.tell("start");
        self.stretches.push(Stretch { from: self.output.lines.len(), after_kill: self.killed });
        self.live = Some(self.place.start());
    }
}
