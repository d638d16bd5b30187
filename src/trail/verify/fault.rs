//! What verifying has found: faults with their places, bounded in number, and what is only worth a word.

use crate::trail::hashes::Node;
use serde::Serialize;
use std::collections::HashSet;
use std::fmt;

/// So many faults are told; behind them it is only said that there are more.
pub const FAULTS_MAX: usize = 20;
/// So many hashes of a fault are kept, to find out what was moved.
const HASHES_MAX: usize = 8;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The checkpoint or the minimum index is not as it was signed.
    Note,
    /// Records are not as they were signed.
    Changed,
    /// Records are gone from between others.
    Missing,
    /// There are records that were never signed.
    Inserted,
    /// Records are not where they were.
    OutOfOrder,
    /// The newest records are gone.
    TailCut,
    /// There is more than what is signed, at the end, and nobody writes.
    Unsigned,
    /// Nothing leads from records to the signed root: their tiles are wrong, and perhaps they are.
    Root,
    /// A tile is wrong or gone.
    Tile,
    /// A file does not belong where it is, or can't be read.
    File,
    /// An older checkpoint tells another history, or is none.
    Anchor,
}

/// Something that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// What was done.
    pub kind: Kind,
    /// The file, below the trail; of an anchor, as it was given.
    pub file: String,
    /// The index of the first record that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<u64>,
    /// Its line in the file, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Where that line begins, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// How many records it is about; 0 where it is about none.
    pub count: u64,
    /// Whether that is certain; not where it goes by a tile that does not lead to the signed root.
    pub is_sure: bool,
    /// The same for people.
    pub what: String,
    /// The first hashes that are there and should not be.
    #[serde(skip)]
    pub(super) seen: Vec<Node>,
    /// The first hashes that should be there.
    #[serde(skip)]
    pub(super) expected: Vec<Node>,
}

impl Fault {
    /// A fault of a whole file.
    pub fn of_file(kind: Kind, file: &str, what: impl Into<String>) -> Fault {
        let (seen, expected) = (Vec::new(), Vec::new());
        let (file, what) = (file.to_owned(), what.into());
        Fault {
            kind,
            file,
            record: None,
            line: None,
            offset: None,
            count: 0,
            is_sure: true,
            what,
            seen,
            expected,
        }
    }

    /// A fault of `count` records, the first of which is `record`.
    pub fn of_records(kind: Kind, place: &Place, count: u64, what: impl Into<String>) -> Fault {
        let (record, line, offset) = (Some(place.record), Some(place.line), Some(place.offset));
        Fault { record, line, offset, count, ..Fault::of_file(kind, &place.file, what) }
    }

    pub(super) fn with_hashes(
        mut self,
        seen: impl Iterator<Item = Node>,
        expected: impl Iterator<Item = Node>,
    ) -> Fault {
        self.seen = seen.take(HASHES_MAX).collect();
        self.expected = expected.take(HASHES_MAX).collect();
        self
    }

    /// Whether all hashes of it are known.
    fn is_complete(&self) -> bool {
        let known = self.seen.len().max(self.expected.len());
        self.count == known as u64
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let (Some(line), Some(offset)) = (self.line, self.offset) {
            write!(f, ":{line} (byte {offset})")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// Where a record is, or should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, below the trail.
    pub file: String,
    /// Its index.
    pub record: u64,
    /// From 1.
    pub line: u64,
    /// In bytes.
    pub offset: u64,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Findings {
    faults: Vec<Fault>,
    has_more: bool,
    files: HashSet<(Kind, String)>,
    remarks: Vec<String>,
}

impl Findings {
    /// Adds a fault. Of a file without a record, only the first of a kind counts.
    pub fn add(&mut self, fault: Fault) {
        if fault.record.is_none() && self.files.contains(&(fault.kind, fault.file.clone())) {
            return;
        }
        if self.is_full() {
            self.has_more = true;
            return;
        }
        if fault.record.is_none() {
            self.files.insert((fault.kind, fault.file.clone()));
        }
        self.faults.push(fault);
    }

    /// Adds what is no fault, and worth a word.
    pub fn remark(&mut self, text: String) {
        if self.remarks.len() < FAULTS_MAX && !self.remarks.contains(&text) {
            self.remarks.push(text);
        }
    }

    /// Whether no further fault is told.
    pub fn is_full(&self) -> bool {
        self.faults.len() >= FAULTS_MAX
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.faults.len()
    }

    /// Whether one of this kind is among them.
    pub fn has(&self, kind: Kind) -> bool {
        self.faults.iter().any(|fault| fault.kind == kind)
    }

    /// The last fault, to be added to.
    pub fn last_mut(&mut self) -> Option<&mut Fault> {
        self.faults.last_mut()
    }

    /// The faults, what was signed first, then records in their order, then the rest; whether there are more; what is worth a word.
    pub fn finish(mut self) -> (Vec<Fault>, bool, Vec<String>) {
        join_moved(&mut self.faults);
        let rank = |fault: &Fault| match fault.kind {
            Kind::Note => 0,
            Kind::Root => 3,
            _ if !fault.is_sure => 4,
            _ if fault.record.is_some() => 1,
            Kind::Tile => 2,
            Kind::File => 4,
            _ => 5,
        };
        self.faults.sort_by_key(|fault| (rank(fault), fault.record));
        (self.faults, self.has_more, self.remarks)
    }
}

/// Two faults that are one: what is missing here stands there, or two have changed places.
fn join_moved(faults: &mut Vec<Fault>) {
    let mut at = 0;
    while let Some(one) = faults.get(at) {
        let is_other = |other: &&Fault| {
            let is_kind = match one.kind {
                Kind::Changed => other.kind == Kind::Changed && one.seen != one.expected,
                Kind::Missing | Kind::TailCut => other.kind == Kind::Inserted,
                Kind::Inserted => matches!(other.kind, Kind::Missing | Kind::TailCut),
                _ => false,
            };
            is_kind
                && one.is_complete()
                && other.is_complete()
                && one.seen == other.expected
                && one.expected == other.seen
        };
        let found = faults.iter().skip(at + 1).position(|other| is_other(&other)).map(|found| found + at + 1);
        if let Some(other) = found.map(|found| faults.remove(found))
            && let Some(one) = faults.get_mut(at)
        {
            one.join(&other);
        }
        at += 1;
    }
}

impl Fault {
    fn join(&mut self, other: &Fault) {
        let line = |fault: &Fault| format!("{}:{}", fault.file, fault.line.unwrap_or(0));
        let index = |fault: &Fault| fault.record.unwrap_or(0);
        let many =
            |count: u64| if count == 1 { String::new() } else { format!(" and the {} behind it", count - 1) };
        self.what = match self.kind {
            Kind::Changed => {
                let rest = many(self.count);
                format!(
                    "out of order: record {}{rest} has changed places with record {}{rest} ({})",
                    index(self),
                    index(other),
                    line(other)
                )
            }
            Kind::Inserted => {
                format!(
                    "out of order: here stands record {}{}, which belongs to {}",
                    index(other),
                    many(self.count),
                    line(other)
                )
            }
            _ => format!(
                "out of order: record {}{} stands at {} instead",
                index(self),
                many(self.count),
                line(other)
            ),
        };
        self.kind = Kind::OutOfOrder;
    }
}
