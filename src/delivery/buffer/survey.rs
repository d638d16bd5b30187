//! A look at everything in the folder of a buffer: what is whole, what was torn by a crash, what is damaged.
//!
//! A crash leaves at most a beginning of what was to be written last, and nothing of that was acknowledged. Everything
//! else that does not fit is damage: a wrong checksum, a number that is missing or stands twice, an end before the one
//! that the cursor knows of. Nothing is changed here.

use super::cursor::{self, Found};
use super::folder;
use super::frame::{NoHeader, Piece, SEGMENT_HEADER_BYTES, SegmentHeader, VERSION, pieces};
use super::repair;
use crate::delivery::counted;
use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One segment.
#[derive(Debug)]
pub struct Segment {
    /// The number in its name.
    pub number: u64,
    /// The file.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// Where its last whole record ends.
    pub end: u64,
    /// The number behind that of its last record.
    pub next: u64,
    /// Whole records.
    pub records: u64,
    /// Events in them.
    pub events: u64,
    /// Whether anything is wrong with the file itself.
    pub is_damaged: bool,
    /// The number that its header would have to say it follows, where it says another.
    pub follows: Option<u64>,
}

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Number of its segment.
    pub segment: u64,
    /// Offset in it.
    pub offset: u64,
    /// Its own number.
    pub sequence: u64,
}

/// Something that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// In which file.
    pub path: PathBuf,
    /// Which bytes of it; empty where something is missing.
    pub at: Range<u64>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, offset {}: {}", self.path.display(), self.at.start, self.what)?;
        match self.at.end - self.at.start {
            0 => Ok(()),
            bytes => write!(f, " ({bytes} bytes can't be read)"),
        }
    }
}

/// What was found.
#[derive(Debug)]
pub struct Survey {
    /// The folder.
    pub folder: PathBuf,
    /// In the order of their numbers.
    pub segments: Vec<Segment>,
    /// What the cursor says.
    pub cursor: Found,
    /// Everything that is damaged, in order.
    pub flaws: Vec<Flaw>,
    /// What a crash has left at the end: from where on the last segment is to be cut.
    pub torn: Option<(PathBuf, Range<u64>)>,
    /// The number behind that of the last record that is there.
    pub end: u64,
    /// The number of the next record to be written.
    pub next: u64,
    /// The first record that is not delivered, where one is there.
    pub start: Option<Start>,
    /// Records that are not delivered.
    pub undelivered: u64,
    /// Events in them.
    pub undelivered_events: u64,
    /// Events in front of the first flaw, delivered or not.
    pub events_before: u64,
}

impl Survey {
    /// Looks at everything in `folder`. A file that vanishes meanwhile was delivered.
    pub fn of(folder: &Path) -> io::Result<Survey> {
        // First, so that what is written meanwhile is more than it says, never less.
        let cursor = Found::read(folder)?;
        let mut survey = Survey {
            folder: folder.to_owned(),
            segments: Vec::new(),
            cursor,
            flaws: Vec::new(),
            torn: None,
            end: 1,
            next: cursor.marks().map_or(1, |marks| marks.written),
            start: None,
            undelivered: 0,
            undelivered_events: 0,
            events_before: 0,
        };
        if let Some(path) = repair::interrupted(folder) {
            survey.flaw(&path, 0..0, "a repair was interrupted".to_owned());
        }
        if cursor == Found::Damaged {
            survey.flaw(&folder.join(cursor::FILE), 0..0, "the cursor does not fit its checksum".to_owned());
        }
        let mut files = folder::segments(folder)?;
        let last = files.pop();
        let mut expected = None;
        for (number, path, is_last) in files
            .into_iter()
            .map(|(number, path)| (number, path, false))
            .chain(last.map(|(n, p)| (n, p, true)))
        {
            match fs::read(&path) {
                Ok(bytes) => expected = survey.segment((number, path), &bytes, expected, is_last),
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) if folder::is_unreadable(&e) => survey.unreadable((number, path), expected, &e),
                Err(e) => return Err(io::Error::new(e.kind(), format!("{}: {e}", path.display()))),
            }
        }
        survey.end(expected);
        Ok(survey)
    }

    fn flaw(&mut self, path: &Path, at: Range<u64>, what: String) {
        self.flaws.push(Flaw { path: path.to_owned(), at, what });
    }

    /// Takes in a segment that nothing can be read of.
    fn unreadable(&mut self, (number, path): (u64, PathBuf), expected: Option<u64>, why: &io::Error) {
        self.flaw(&path, 0..0, format!("it can't be read: {why}"));
        let next = expected.unwrap_or(number);
        let (bytes, end, records, events) = (0, 0, 0, 0);
        let (is_damaged, follows) = (true, None);
        self.segments.push(Segment { number, path, bytes, end, next, records, events, is_damaged, follows });
    }

    /// Takes in one segment, in which the record `expected` should be the first. Gives the number that comes next.
    fn segment(
        &mut self,
        (number, path): (u64, PathBuf),
        bytes: &[u8],
        mut expected: Option<u64>,
        is_last: bool,
    ) -> Option<u64> {
        let len = bytes.len() as u64;
        let start = (SEGMENT_HEADER_BYTES as u64).min(len);
        let mut segment = Segment {
            number,
            path,
            bytes: len,
            end: start,
            next: number,
            records: 0,
            events: 0,
            is_damaged: false,
            follows: None,
        };
        let path = segment.path.clone();
        let flaws = self.flaws.len();
        let is_unmade = bytes.iter().all(|byte| *byte == 0) || bytes.len() < SEGMENT_HEADER_BYTES;
        match SegmentHeader::read(bytes) {
            Ok(header) if header.first == number => {
                self.check_follows(&mut segment, header, expected);
                expected = Some(number);
            }
            Ok(header) => {
                let what =
                    format!("it begins with the record {}, which is not what its name says", header.first);
                self.flaw(&path, 0..0, what);
            }
            // The crash came before the header was on the disk, and nothing else can be.
            Err(_) if is_last && is_unmade => {
                self.torn = Some((path, 0..len));
                segment.next = expected.unwrap_or(number);
                (segment.end, segment.bytes) = (0, len);
                self.segments.push(segment);
                return expected;
            }
            Err(NoHeader::Version(version)) => {
                let what = format!(
                    "it is written in version {version} of its form, and this evaltrail knows version {VERSION}"
                );
                self.flaw(&path, 0..start, what);
            }
            Err(NoHeader::Short) => self.flaw(&path, 0..start, "the file ends in its header".to_owned()),
            Err(NoHeader::Wrong) => {
                self.flaw(&path, 0..start, "the header of the file does not fit its checksum".to_owned());
            }
        }
        expected = self.records(&mut segment, bytes, expected, is_last);
        segment.is_damaged = self.flaws.len() - flaws > usize::from(segment.follows.is_some());
        self.segments.push(segment);
        expected
    }

    /// Whether `segment` is the one behind that which ended in front of the record `expected`.
    fn check_follows(&mut self, segment: &mut Segment, header: SegmentHeader, expected: Option<u64>) {
        let SegmentHeader { first, follows } = header;
        let wanted = match expected {
            Some(expected) => expected,
            // Of the first segment only the cursor knows what was in front of it.
            None => match self.cursor.marks() {
                Some(marks) if marks.delivered < follows => marks.delivered,
                _ => return,
            },
        };
        if follows == wanted {
            return;
        }
        let what = if wanted < first {
            format!("the records {wanted} to {} are missing in front of it", first - 1)
        } else if wanted > first {
            format!("its records from {first} on stand elsewhere too")
        } else {
            "its header does not know what is in front of it".to_owned()
        };
        self.flaw(&segment.path, 0..0, what);
        segment.follows = (wanted <= first).then_some(wanted);
    }

    /// Takes in the records of a segment.
    fn records(
        &mut self,
        segment: &mut Segment,
        bytes: &[u8],
        mut expected: Option<u64>,
        is_last: bool,
    ) -> Option<u64> {
        let range = |at: &Range<usize>| at.start as u64..at.end as u64;
        let mut gap_is_known = expected.is_none();
        for piece in pieces(bytes, SEGMENT_HEADER_BYTES.min(bytes.len())) {
            match piece {
                Piece::Record { at, sequence, events } => {
                    if let Some(expected) = expected.filter(|expected| *expected != sequence && !gap_is_known)
                    {
                        let what = format!("a record has the number {sequence} in the place of {expected}");
                        self.flaw(&segment.path, at.start as u64..at.start as u64, what);
                    }
                    gap_is_known = false;
                    self.record(segment, &at, sequence, u64::from(events));
                    expected = Some(sequence + 1);
                }
                Piece::Flaw { at, why } => {
                    self.flaw(&segment.path, range(&at), why.to_owned());
                    gap_is_known = true;
                }
                Piece::Tail(at) if is_last => self.torn = Some((segment.path.clone(), range(&at))),
                Piece::Tail(at) => {
                    self.flaw(&segment.path, range(&at), "the file ends in a record".to_owned());
                }
            }
        }
        segment.next = expected.unwrap_or(segment.number);
        expected
    }

    fn record(&mut self, segment: &mut Segment, at: &Range<usize>, sequence: u64, events: u64) {
        segment.records += 1;
        segment.events += events;
        segment.end = at.end as u64;
        if self.flaws.is_empty() {
            self.events_before += events;
        }
        if self.cursor.marks().is_none_or(|marks| sequence >= marks.delivered) {
            self.start.get_or_insert(Start { segment: segment.number, offset: at.start as u64, sequence });
            self.undelivered += 1;
            self.undelivered_events += events;
        }
    }

    /// Holds the end of the last segment against what the cursor knows.
    fn end(&mut self, expected: Option<u64>) {
        let Some(marks) = self.cursor.marks() else {
            self.next = expected.or(self.segments.last().map(|last| last.number)).unwrap_or(1);
            self.end = self.next;
            return;
        };
        let end = expected.unwrap_or(marks.delivered);
        (self.end, self.next) = (end, end.max(marks.written));
        if end < marks.written && marks.delivered < marks.written {
            let last = self.segments.last();
            let (path, at) = last.map_or((self.folder.clone(), 0), |last| (last.path.clone(), last.end));
            // More than this was there: what looks torn has been damaged after it was acknowledged.
            if let Some((path, at)) = self.torn.take() {
                let what =
                    if at.start == 0 { "the file ends in its header" } else { "the file ends in a record" };
                self.flaw(&path, at, what.to_owned());
                self.segments.iter_mut().for_each(|one| one.is_damaged |= one.path == path);
            }
            let what = format!("the records {end} to {} are missing at the end", marks.written - 1);
            self.flaw(&path, at..at, what);
        }
    }

    /// Whether what is torn at the end had been written to its end: then all of it was delivered, since it would be
    /// damage otherwise.
    pub fn is_torn_behind_delivery(&self) -> bool {
        let last = self.segments.last();
        last.zip(self.cursor.marks()).is_some_and(|(last, marks)| last.next < marks.written)
    }

    /// All whole records and the events in them.
    pub fn totals(&self) -> (u64, u64) {
        let of = |count: fn(&Segment) -> u64| self.segments.iter().map(count).sum();
        (of(|one| one.records), of(|one| one.events))
    }

    /// What to tell whoever wants to start with a damaged buffer; none where nothing is damaged.
    pub fn refusal(&self) -> Option<String> {
        let first = self.flaws.first()?;
        let others = match self.flaws.len() - 1 {
            0 => String::new(),
            1 => ", and one more place is damaged".to_owned(),
            more => format!(", and {more} more places are damaged"),
        };
        let (_, events) = self.totals();
        let (before, folder) = (self.events_before, folder::quoted(&self.folder));
        Some(format!(
            "its buffer on disk is damaged: {first}{others}. {} in front of it and {} behind it can be \
             read. Nothing was changed. To keep all that can be read, run `evaltrail buffer repair {folder}`, and \
             start again",
            counted(before, "event"),
            events - before
        ))
    }
}
