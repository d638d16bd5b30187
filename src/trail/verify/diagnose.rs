//! What was done to the records of a trail that does not lead to its signed root: file by file, the hashes of its lines are
//! held against those that were signed, through a window, until they are in step again.

use super::align::{self, Gap};
use super::fault::{Fault, Findings, Kind, Place};
use super::lines::{Leaf, Lines, RECORD_BYTES_MAX};
use super::proven::Proven;
use super::sweep::Range;
use crate::delivery::{are, counted};
use crate::trail::hashes::Node;
use crate::trail::layout::{RECORDS, Segment, TILE_WIDTH, Tile};
use std::collections::VecDeque;
use std::io;

/// So many hashes are looked at to find out where a file comes into step again.
const WINDOW: usize = 4096;
/// So many lines are looked for behind the window.
const PROBE: usize = 3;

/// Finds what does not fit in `segments`, of which the first is to begin with record `minimum` at the latest.
///
/// # Errors
///
/// What the system says.
pub fn diagnose(
    range: Range<'_>,
    minimum: u64,
    segments: &[Segment],
    proven: &mut Proven<'_>,
    findings: &mut Findings,
) -> io::Result<()> {
    let mut unproven: Option<(u64, u64)> = None;
    let mut next = start(range, minimum, segments, proven, findings)?;
    for (at, segment) in segments.iter().enumerate() {
        let is_last = segments.get(at + 1).is_none_or(|next| next.first >= range.size);
        let first = next.take().unwrap_or(segment.first);
        let end = segments.get(at + 1).map_or(range.size, |next| next.first.min(range.size)).max(first);
        let mut pair = Pair {
            file: name_of(segment),
            lines: Lines::open(&segment.path)?,
            line: 1,
            seen: VecDeque::new(),
            expected: VecDeque::new(),
            index: first,
            end,
            is_last,
            is_lost: false,
            range,
            proven,
            unproven: &mut unproven,
            findings,
        };
        pair.run()?;
    }
    if let Some((from, to)) = unproven {
        let count = to - from + 1;
        let file = name_of_group(range.size, from);
        let what = format!(
            "records {from} to {to} can't be checked: this tile, or one above it, does not lead to the signed root, and could not be made anew from the records. Where nothing else is named, records and tiles were changed together; checkpoints that left the machine (`--against`) narrow down which"
        );
        findings.add(Fault { record: Some(from), count, ..Fault::of_file(Kind::Root, &file, what) });
    }
    Ok(())
}

/// The record that the first file begins with, where its name says something else.
fn start(
    range: Range<'_>,
    minimum: u64,
    segments: &[Segment],
    proven: &mut Proven<'_>,
    findings: &mut Findings,
) -> io::Result<Option<u64>> {
    let first = segments.first().map_or(range.size, |segment| segment.first.min(range.size));
    if first <= minimum {
        return Ok(None);
    }
    let wanted = Segment::at(range.root, minimum);
    if let Some(segment) = segments.first()
        && let Some(leaf) = Lines::open(&segment.path)?.read()?
        && proven.leaf(minimum, findings)? == Some(leaf.hash)
    {
        let what =
            format!("the file was renamed: it begins with record {minimum}, and was {}", name_of(&wanted));
        findings.add(Fault { record: Some(minimum), ..Fault::of_file(Kind::File, &name_of(segment), what) });
        return Ok(Some(minimum));
    }
    let place = Place { file: name_of(&wanted), record: minimum, line: 1, offset: 0 };
    let count = first - minimum;
    findings.add(if segments.is_empty() || first == range.size {
        let what = match count {
            1 => "tail cut: the only record is gone".to_owned(),
            _ => format!("tail cut: all {count} records are gone"),
        };
        Fault::of_records(Kind::TailCut, &place, count, what)
    } else {
        let what = format!("missing: {} gone, and so is this file", many(count, minimum));
        Fault::of_records(Kind::Missing, &place, count, what)
    });
    Ok(None)
}

/// The name of the tile that holds the leaf of a record.
fn name_of_group(size: u64, record: u64) -> String {
    let index = record / TILE_WIDTH;
    let width = size.saturating_sub(index * TILE_WIDTH).clamp(1, TILE_WIDTH);
    super::tiles::name_of(Tile { level: 0, index, width })
}

fn name_of(segment: &Segment) -> String {
    let name = segment.path.file_name().unwrap_or_default().to_string_lossy();
    format!("{}/{name}", RECORDS)
}

/// `record 5 is`, `3 records, 5 to 7, are`.
fn many(count: u64, first: u64) -> String {
    match count {
        1 => format!("record {first} is"),
        _ => format!("{count} records, {first} to {}, are", first + count.saturating_sub(1)),
    }
}

/// A file of records beside what it should hold.
struct Pair<'a, 'b, 'c> {
    file: String,
    lines: Lines,
    /// Of the first of `seen`, from 1.
    line: u64,
    seen: VecDeque<Leaf>,
    expected: VecDeque<Option<Node>>,
    /// Of the first of `expected`.
    index: u64,
    /// The index behind the last record that belongs into the file.
    end: u64,
    is_last: bool,
    /// Whether it was not found out where the file comes into step again.
    is_lost: bool,
    range: Range<'c>,
    proven: &'a mut Proven<'b>,
    unproven: &'a mut Option<(u64, u64)>,
    findings: &'a mut Findings,
}

impl Pair<'_, '_, '_> {
    fn run(&mut self) -> io::Result<()> {
        loop {
            self.fill(1)?;
            match (self.seen.front().copied(), self.expected.front().copied()) {
                (None, None) => return Ok(()),
                (None, Some(_)) => {
                    self.end_early();
                    return Ok(());
                }
                (Some(_), None) => return self.end_late(),
                (Some(leaf), Some(hash)) => {
                    if hash.is_some_and(|hash| hash != leaf.hash) {
                        self.differ()?;
                        continue;
                    }
                    self.is_lost = false;
                    self.check_form(leaf);
                    self.skip(Gap { seen: 1, expected: 1 });
                }
            }
        }
    }

    /// Reads until `count` of each are there, or all.
    fn fill(&mut self, count: usize) -> io::Result<()> {
        while self.seen.len() < count
            && let Some(leaf) = self.lines.read()?
        {
            self.seen.push_back(leaf);
        }
        while self.expected.len() < count && self.index + (self.expected.len() as u64) < self.end {
            let index = self.index + self.expected.len() as u64;
            let hash = self.proven.leaf(index, self.findings)?;
            if !self.proven.is_proven(index) {
                let from = self.unproven.map_or(index, |(from, _)| from);
                *self.unproven = Some((from, index));
            }
            self.expected.push_back(hash);
        }
        Ok(())
    }

    fn skip(&mut self, gap: Gap) {
        self.seen.drain(..gap.seen.min(self.seen.len()));
        self.expected.drain(..gap.expected.min(self.expected.len()));
        self.line += gap.seen as u64;
        self.index += gap.expected as u64;
    }

    fn place(&self) -> Place {
        let offset = self.seen.front().map_or(self.lines.offset(), |leaf| leaf.offset);
        Place { file: self.file.clone(), record: self.index, line: self.line, offset }
    }

    fn add(&mut self, kind: Kind, count: u64, gap: Gap, what: String) {
        let seen: Vec<Node> = self.seen.iter().take(gap.seen).map(|leaf| leaf.hash).collect();
        let expected: Vec<Node> = self.expected.iter().take(gap.expected).flatten().copied().collect();
        let mut fault = Fault::of_records(kind, &self.place(), count, what);
        if self.unproven.is_some_and(|(from, to)| (from..=to).contains(&self.index)) {
            fault.is_sure = false;
            fault.what += " (going by a tile that does not lead to the signed root)";
        }
        self.findings.add(fault.with_hashes(seen.into_iter(), expected.into_iter()));
    }

    /// A record whose bytes are right may still not be written as a line.
    fn check_form(&mut self, leaf: Leaf) {
        let one = Gap { seen: 1, expected: 1 };
        if !leaf.is_whole {
            self.add(
                Kind::Changed,
                1,
                one,
                format!("changed: the newline behind record {} is gone", self.index),
            );
        } else if leaf.len > RECORD_BYTES_MAX {
            let what = format!(
                "changed: record {} has {} bytes, and a trail takes {RECORD_BYTES_MAX} at most",
                self.index, leaf.len
            );
            self.add(Kind::Changed, 1, one, what);
        }
    }

    /// The file ends too early.
    fn end_early(&mut self) {
        let count = self.end - self.index;
        let gap = Gap { seen: 0, expected: usize::try_from(count).unwrap_or(usize::MAX) };
        let records = many(count, self.index);
        if self.is_last {
            self.add(Kind::TailCut, count, gap, format!("tail cut: {records} gone from the end"));
        } else {
            let what = format!(
                "missing: {records} gone, from the end of this file or with a file that came behind it"
            );
            self.add(Kind::Missing, count, gap, what);
        }
    }

    /// The file goes on too long.
    fn end_late(&mut self) -> io::Result<()> {
        if self.is_last && self.end == self.range.size {
            if self.range.is_written {
                return Ok(());
            }
            let (place, count) = (self.place(), self.count_rest()?);
            let (lines, they_were, left, them) = match count {
                1 => ("1 line stands".to_owned(), "it was", "is left", "it"),
                _ => (format!("{count} lines stand"), "they were", "are left", "them"),
            };
            let what = format!(
                "not signed: {lines} behind the {} that {} signed, and nobody writes: {they_were} inserted, or {left} of a crash (the next start of the sink sets {them} aside)",
                counted(self.range.size, "record"),
                are(self.range.size)
            );
            self.findings.add(Fault::of_records(Kind::Unsigned, &place, count, what));
            return Ok(());
        }
        self.fill(WINDOW)?;
        let gap = Gap { seen: self.seen.len(), expected: 0 };
        let place = self.place();
        let hashes: Vec<Node> = self.seen.iter().map(|leaf| leaf.hash).collect();
        let count = self.count_rest()?.max(gap.seen as u64);
        let were = if count == 1 { "was" } else { "were" };
        let lines = counted(count, "line");
        let what = format!("inserted: {lines} behind the last record of this file {were} never signed here");
        let fault = Fault::of_records(Kind::Inserted, &place, count, what);
        self.findings.add(fault.with_hashes(hashes.into_iter(), std::iter::empty()));
        Ok(())
    }

    fn count_rest(&mut self) -> io::Result<u64> {
        let mut count = self.seen.len() as u64;
        self.seen.clear();
        while self.lines.read()?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    /// Says what is between here and where both are in step again, and goes there.
    fn differ(&mut self) -> io::Result<()> {
        if self.findings.is_full() {
            // Nothing more is told: one is added, so that it is said that there are more.
            self.add(Kind::Changed, 1, Gap { seen: 1, expected: 1 }, String::new());
            self.seen.clear();
            self.expected.clear();
            self.index = self.end;
            self.count_rest()?;
            return Ok(());
        }
        self.fill(WINDOW)?;
        let left = self.end - self.index;
        let ends = (self.seen.len() < WINDOW, self.expected.len() as u64 == left);
        let hashes: Vec<Node> = self.seen.iter().map(|leaf| leaf.hash).collect();
        let found = align::gap(&hashes, self.expected.make_contiguous(), ends);
        let all = Gap { seen: self.seen.len(), expected: self.expected.len() };
        if let Some(gap) = found.filter(|gap| !self.is_lost || *gap != all) {
            self.tell(gap, gap.expected as u64);
            self.skip(gap);
            return Ok(());
        }
        if !self.is_lost
            && let Some(expected) = self.find_far(&hashes)?
        {
            let gap = Gap { seen: 0, expected: self.expected.len() };
            self.tell(gap, expected);
            self.expected.clear();
            self.index += expected;
            return Ok(());
        }
        // As many as there are on both sides are changed.
        let count = if ends.0 { left } else { all.expected as u64 };
        match self.findings.last_mut().filter(|last| self.is_lost && last.kind == Kind::Changed) {
            Some(last) => {
                last.count += count;
                last.what =
                    format!("changed: {} not what was signed", many(last.count, last.record.unwrap_or(0)));
            }
            None => self.tell(all, count),
        }
        self.is_lost = true;
        self.skip(all);
        if ends.0 {
            self.expected.clear();
            self.index = self.end;
        }
        Ok(())
    }

    /// How many records were skipped, where the next lines are found behind the window.
    fn find_far(&mut self, seen: &[Node]) -> io::Result<Option<u64>> {
        let Some(probe) = seen.get(..PROBE.min(seen.len())).filter(|probe| !probe.is_empty()) else {
            return Ok(None);
        };
        let mut last: VecDeque<Option<Node>> = VecDeque::new();
        for index in self.index + self.expected.len() as u64..self.end {
            last.push_back(self.proven.leaf(index, self.findings)?);
            if last.len() > probe.len() {
                last.pop_front();
            }
            if last.len() == probe.len() && last.iter().zip(probe).all(|(one, other)| *one == Some(*other)) {
                return Ok(Some(index + 1 - probe.len() as u64 - self.index));
            }
        }
        Ok(None)
    }

    /// Says what a gap is, of which `expected` records were signed.
    fn tell(&mut self, gap: Gap, expected: u64) {
        let seen: Vec<Node> = self.seen.iter().take(gap.seen).map(|leaf| leaf.hash).collect();
        let was: Vec<Node> = self.expected.iter().take(gap.expected).flatten().copied().collect();
        let (index, is_torn) = (self.index, self.seen.iter().take(gap.seen).any(|leaf| !leaf.is_whole));
        let to_end = self.is_last && index + expected == self.end && self.end == self.range.size;
        let (mut one, mut other) = (seen.clone(), was.clone());
        one.sort_unstable();
        other.sort_unstable();
        let there = gap.seen as u64;
        let lines = if there == 1 { "1 line stands".to_owned() } else { format!("{there} lines stand") };
        let records = many(expected, index);
        let (kind, count, what) = if expected == 0 {
            let subject = if there == 1 {
                "this line was".to_owned()
            } else {
                format!("{there} lines, from this one on, were")
            };
            (
                Kind::Inserted,
                there,
                format!("inserted: {subject} never signed; it stands in front of record {index}"),
            )
        } else if there == 0 {
            (Kind::Missing, expected, format!("missing: {records} gone from in front of this line"))
        } else if one == other {
            (Kind::OutOfOrder, expected, format!("out of order: {records} here in another order"))
        } else if is_torn && to_end && there == 1 {
            let rest = match expected - 1 {
                0 => String::new(),
                rest => format!(", and {} gone", many(rest, index + 1)),
            };
            (Kind::TailCut, expected, format!("tail cut: record {index} is cut off{rest}"))
        } else if there == expected {
            let count = seen.iter().zip(&was).filter(|(one, other)| one != other).count().max(1) as u64;
            let among = if count == expected {
                records
            } else {
                format!("{count} of {expected} records from {index} on are")
            };
            (Kind::Changed, count, format!("changed: {among} not what was signed"))
        } else if to_end && expected > there {
            (Kind::TailCut, expected, format!("tail cut: {lines} where {records} gone"))
        } else {
            (
                Kind::Changed,
                expected,
                format!(
                    "changed: {lines} where {} signed",
                    records.replace(" is", " was").replace(" are", " were")
                ),
            )
        };
        self.add(kind, count, gap, what);
    }
}
