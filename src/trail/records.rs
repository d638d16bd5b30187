//! The records of a trail as they lie in its segments, a page of whole lines at a time, from either end.
//!
//! Nothing is checked here: that is what verifying is for. The index of a record comes from the name of its segment and
//! the lines in front of it, so a trail that was tampered with shows what it holds now. How long each segment is, is
//! asked once: a trail may grow while it is read.

use super::layout::{self, RECORDS, Segment, segments};
use bytes::Bytes;
use memchr::{memchr, memchr_iter, memrchr};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::ops::RangeInclusive;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes of a page, as long as a line fits into it.
const PAGE_BYTES: u64 = 512 * 1024;
/// No record is so long.
const LINE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// From which end records are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// In the order in which they were written.
    OldestFirst,
    /// The other way round.
    NewestFirst,
}

/// Whole lines that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The index of the first line.
    pub first: u64,
    /// Lines with their ends; only the last one of a segment may have none.
    pub text: Bytes,
}

impl Page {
    /// How many lines it has.
    pub fn count(&self) -> u64 {
        count_lines(&self.text)
    }
}

fn count_lines(text: &[u8]) -> u64 {
    let open = u64::from(text.last().is_some_and(|byte| *byte != b'\n'));
    memchr_iter(b'\n', text).count() as u64 + open
}

/// A segment that can't be read.
#[derive(Debug)]
pub struct Unreadable {
    path: PathBuf,
    why: io::Error,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "can't read {}: {}", self.path.display(), self.why)
    }
}

/// A segment, and how long it was.
struct Part {
    segment: Segment,
    bytes: u64,
}

/// The records of a trail.
pub struct Records {
    parts: Vec<Part>,
}

impl Records {
    /// Looks at the trail at `root`; none where it has no folder of records.
    ///
    /// # Errors
    ///
    /// Names what can't be read.
    pub fn of(root: &Path) -> Result<Option<Records>, String> {
        let folder = root.join(RECORDS);
        let why = |path: &Path, e: io::Error| format!("can't read {}: {e}", path.display());
        match fs::metadata(&folder) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Ok(None),
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            Err(e) => return Err(why(&folder, e)),
        }
        let mut parts = Vec::new();
        for segment in segments(root).map_err(|e| why(&folder, e))? {
            let bytes = fs::metadata(&segment.path).map_err(|e| why(&segment.path, e))?.len();
            parts.push(Part { segment, bytes });
        }
        Ok(Some(Records { parts }))
    }

    /// The index of the first record that is there, going by the names of the segments.
    pub fn first(&self) -> Option<u64> {
        self.parts.first().map(|part| part.segment.first)
    }

    /// The index with which the next segment behind `index` begins.
    pub fn next_after(&self, index: u64) -> Option<u64> {
        self.parts.iter().map(|part| part.segment.first).find(|first| *first > index)
    }

    /// All of them, and around `range` no more than begins or ends in a page with some of it.
    pub fn pages(&self, order: Order, range: RangeInclusive<u64>) -> Pages<'_> {
        let behind = self.parts.iter().skip(1).map(|part| Some(part.segment.first)).chain([None]);
        // What follows a segment bounds its indices, as far as names tell the truth.
        let has_some = |(part, behind): &(&Part, Option<u64>)| {
            part.segment.first <= *range.end() && behind.is_none_or(|behind| behind > *range.start())
        };
        let mut parts: Vec<&Part> =
            self.parts.iter().zip(behind).filter(has_some).map(|(part, _)| part).collect();
        if order == Order::OldestFirst {
            parts.reverse();
        }
        Pages { parts, order, range, open: None }
    }
}

/// The pages of a trail, one after the other. A segment that can't be read costs what is left of it.
pub struct Pages<'a> {
    /// The next one is the last.
    parts: Vec<&'a Part>,
    order: Order,
    range: RangeInclusive<u64>,
    open: Option<Open<'a>>,
}

impl Iterator for Pages<'_> {
    type Item = Result<Page, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let page = match (&mut self.open, self.order) {
                (Some(open), Order::OldestFirst) if open.index <= *self.range.end() => open.forward(),
                (Some(open), Order::NewestFirst) if open.index > *self.range.start() => open.backward(),
                _ => Ok(None),
            };
            match page {
                Ok(Some(page)) => return Some(Ok(page)),
                Ok(None) => {
                    let part = self.parts.pop()?;
                    match Open::new(part, self.order) {
                        Ok(open) => self.open = Some(open),
                        Err(why) => {
                            self.open = None;
                            return Some(Err(Unreadable { path: part.segment.path.clone(), why }));
                        }
                    }
                }
                Err(why) => {
                    let path =
                        self.open.take().map(|open| open.part.segment.path.clone()).unwrap_or_default();
                    return Some(Err(Unreadable { path, why }));
                }
            }
        }
    }
}

/// A segment that is being read.
struct Open<'a> {
    part: &'a Part,
    file: File,
    /// Bytes that are left, from `start` to `end`.
    start: u64,
    end: u64,
    /// Forwards the index of the first line that is left; backwards the one behind the last.
    index: u64,
}

impl<'a> Open<'a> {
    fn new(part: &'a Part, order: Order) -> io::Result<Open<'a>> {
        let file = layout::open(&part.segment.path)?;
        let mut open = Open { part, file, start: 0, end: part.bytes, index: part.segment.first };
        if order == Order::NewestFirst {
            let mut is_open = false;
            while let Some(text) = open.ahead(PAGE_BYTES)? {
                open.index = open.index.saturating_add(memchr_iter(b'\n', &text).count() as u64);
                open.start += text.len() as u64;
                is_open = text.last() != Some(&b'\n');
            }
            open.index = open.index.saturating_add(u64::from(is_open));
            open.start = 0;
        }
        Ok(open)
    }

    /// As many bytes from the front of what is left; none where nothing is.
    fn ahead(&self, bytes: u64) -> io::Result<Option<Vec<u8>>> {
        let bytes = bytes.min(self.end - self.start);
        if bytes == 0 { Ok(None) } else { self.read(self.start, bytes).map(Some) }
    }

    fn read(&self, at: u64, bytes: u64) -> io::Result<Vec<u8>> {
        let mut text = vec![0; usize::try_from(bytes).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut text, at)?;
        Ok(text)
    }

    fn forward(&mut self) -> io::Result<Option<Page>> {
        let mut bytes = PAGE_BYTES;
        loop {
            let Some(mut text) = self.ahead(bytes)? else { return Ok(None) };
            let is_all = text.len() as u64 == self.end - self.start;
            let whole = if is_all { text.len() } else { memrchr(b'\n', &text).map_or(0, |at| at + 1) };
            if whole > 0 {
                text.truncate(whole);
                let page = Page { first: self.index, text: Bytes::from(text) };
                self.start += whole as u64;
                self.index = self.index.saturating_add(page.count());
                return Ok(Some(page));
            }
            bytes = longer(bytes)?;
        }
    }

    fn backward(&mut self) -> io::Result<Option<Page>> {
        let mut bytes = PAGE_BYTES;
        loop {
            let left = self.end - self.start;
            if left == 0 {
                return Ok(None);
            }
            let text = self.read(self.end - bytes.min(left), bytes.min(left))?;
            // What stands in front of the first line end may have begun further ahead.
            let from = if bytes >= left { 0 } else { memchr(b'\n', &text).map_or(text.len(), |at| at + 1) };
            if from < text.len() {
                let text = Bytes::from(text).slice(from..);
                self.end -= text.len() as u64;
                self.index = self.index.saturating_sub(count_lines(&text));
                return Ok(Some(Page { first: self.index, text }));
            }
            bytes = longer(bytes)?;
        }
    }
}

/// How much is read where so many bytes hold no whole line.
fn longer(bytes: u64) -> io::Result<u64> {
    if bytes >= LINE_BYTES_MAX {
        return Err(io::Error::other("a line of more than 256 MiB is no record"));
    }
    Ok(bytes * 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A folder that goes with the test.
    struct Trail(PathBuf);

    impl Trail {
        fn new(segments: &[(u64, &str)]) -> Trail {
            static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
            let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let root =
                std::env::temp_dir().join(format!("evaltrail-records-{}-{number}", std::process::id()));
            fs::create_dir_all(root.join(RECORDS)).unwrap();
            for (first, text) in segments {
                fs::write(Segment::at(&root, *first).path, text).unwrap();
            }
            Trail(root)
        }

        /// Index and length of every line that comes, as the pages have them.
        fn lines(&self, order: Order, range: RangeInclusive<u64>) -> Vec<(u64, String)> {
            let records = Records::of(&self.0).unwrap().unwrap();
            let mut lines = Vec::new();
            for page in records.pages(order, range) {
                let page = page.unwrap();
                let text = std::str::from_utf8(&page.text).unwrap();
                let mut some: Vec<_> =
                    (page.first..).zip(text.split_inclusive('\n').map(str::to_owned)).collect();
                assert_eq!(some.len() as u64, page.count());
                if order == Order::NewestFirst {
                    some.reverse();
                }
                lines.append(&mut some);
            }
            lines
        }
    }

    impl Drop for Trail {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn records_come_from_either_end_and_only_the_segments_that_are_asked_for() {
        let trail = Trail::new(&[(0, "a\nb\n"), (2, ""), (2 + 5, "c\nd")]);
        let line = |index: u64, text: &str| (index, text.to_owned());
        let all = [line(0, "a\n"), line(1, "b\n"), line(7, "c\n"), line(8, "d")];
        assert_eq!(trail.lines(Order::OldestFirst, 0..=u64::MAX), all);
        let mut reversed = all.to_vec();
        reversed.reverse();
        assert_eq!(trail.lines(Order::NewestFirst, 0..=u64::MAX), reversed);
        assert_eq!(trail.lines(Order::OldestFirst, 2..=u64::MAX), all[2..]);
        assert_eq!(trail.lines(Order::OldestFirst, 0..=6), all[..2]);
    }

    #[test]
    fn a_folder_without_records_is_no_trail_and_a_missing_segment_is_named() {
        assert!(Records::of(Path::new("/nonexistent/trail")).unwrap().is_none());
        let trail = Trail::new(&[(0, "a\n"), (1, "b\n")]);
        let records = Records::of(&trail.0).unwrap().unwrap();
        fs::remove_file(Segment::at(&trail.0, 0).path).unwrap();
        let pages: Vec<_> = records.pages(Order::OldestFirst, 0..=u64::MAX).collect();
        assert!(
            pages[0].as_ref().unwrap_err().to_string().contains("00000000000000000000.jsonl: No such file")
        );
        assert_eq!(pages[1].as_ref().unwrap().first, 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn lines_of_any_length_come_whole(lens in proptest::collection::vec(prop_oneof![0..40_usize, 400_000..2_400_000_usize], 1..8), ends in any::<bool>()) {
            let mut text: String = lens.iter().map(|len| "x".repeat(*len) + "\n").collect();
            if !ends && text.len() > 1 {
                text.truncate(text.len() - 1);
            }
            let trail = Trail::new(&[(9, &text)]);
            let forward = trail.lines(Order::OldestFirst, 0..=u64::MAX);
            let expected: Vec<_> = (9..).zip(text.split_inclusive('\n').map(str::to_owned)).collect();
            prop_assert!(forward == expected);
            let mut backward = trail.lines(Order::NewestFirst, 0..=u64::MAX);
            backward.reverse();
            prop_assert!(backward == expected);
        }
    }
}
