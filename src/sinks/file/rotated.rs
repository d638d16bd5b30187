//! Names of rotated files: the name of the file, the moment of its rotation, and a number where one second has seen
//! several: `audit.jsonl.20261122T220000Z`, `audit.jsonl.20261122T220000Z-1.gz`.
//!
//! Only names of exactly this form are ever compressed or removed.

use crate::codec::Compression;
use chrono::DateTime;
use std::fmt;
use std::path::Path;
use std::{fs, io};

/// When a file was rotated, in the order of rotations.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment {
    /// `20261122T220000Z`.
    stamp: String,
    /// Which one of that second, from zero.
    number: u32,
}

impl Moment {
    /// The moment for a rotation at `now_ms`, after `newest`: also where the clock was set back.
    pub fn next(now_ms: u64, newest: Option<&Moment>) -> Moment {
        let now = i64::try_from(now_ms).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default();
        let stamp = now.format("%Y%m%dT%H%M%SZ").to_string();
        match newest {
            Some(newest) if newest.stamp >= stamp => {
                Moment { stamp: newest.stamp.clone(), number: newest.number.saturating_add(1) }
            }
            _ => Moment { stamp, number: 0 },
        }
    }
}

/// The part of a rotated file's name behind the name of the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Suffix {
    /// When it was rotated.
    pub moment: Moment,
    /// How it is compressed.
    pub compression: Compression,
    /// Whether its compression is not finished.
    pub is_unfinished: bool,
}

const UNFINISHED: &str = ".tmp";

impl fmt::Display for Suffix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ".{}", self.moment.stamp)?;
        if self.moment.number > 0 {
            write!(f, "-{}", self.moment.number)?;
        }
        f.write_str(self.compression.ending())?;
        f.write_str(if self.is_unfinished { UNFINISHED } else { "" })
    }
}

impl Suffix {
    /// Of a file that was rotated and nothing more.
    pub fn plain(moment: Moment) -> Suffix {
        Suffix { moment, compression: Compression::None, is_unfinished: false }
    }

    /// Reads what stands behind the name of the file; none where rotation writes no such thing.
    pub fn parse(text: &str) -> Option<Suffix> {
        let rest = text.strip_prefix('.')?;
        let (stamp, rest) = rest.split_at_checked("20261122T220000Z".len())?;
        let is_stamp = stamp.bytes().enumerate().all(|(at, byte)| match at {
            8 => byte == b'T',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        });
        let (rest, is_unfinished) = match rest.strip_suffix(UNFINISHED) {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let (number, compression) = match rest.split_once('.') {
            None => (rest, Compression::None),
            Some((number, "gz")) => (number, Compression::Gzip),
            Some((number, "zst")) => (number, Compression::Zstd),
            Some(_) => return None,
        };
        let number = match number.strip_prefix('-') {
            // As it is written: without a sign, without zeros in front.
            Some(digits) if digits.starts_with(|c: char| ('1'..='9').contains(&c)) => digits.parse().ok()?,
            None if number.is_empty() => 0,
            _ => return None,
        };
        if !is_stamp || (is_unfinished && compression == Compression::None) {
            return None;
        }
        Some(Suffix { moment: Moment { stamp: stamp.to_owned(), number }, compression, is_unfinished })
    }
}

/// Where in `name` the suffix of a rotated file begins, if it has one.
pub fn suffix_at(name: &str) -> Option<usize> {
    name.match_indices('.').map(|(at, _)| at).find(|&at| name.get(at..).and_then(Suffix::parse).is_some())
}

/// The rotated files of `path` that are there, oldest first.
pub fn list(path: &Path) -> io::Result<Vec<Suffix>> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for entry in fs::read_dir(crate::delivery::disk::folder_of(path))? {
        let other = entry?.file_name();
        found.extend(other.to_str().and_then(|other| other.strip_prefix(name)).and_then(Suffix::parse));
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOON: u64 = 1_795_348_800_000;

    #[test]
    fn a_rotated_file_is_named_after_its_moment() {
        let first = Moment::next(NOON, None);
        assert_eq!(Suffix::plain(first.clone()).to_string(), ".20261122T120000Z");
        let second = Moment::next(NOON + 999, Some(&first));
        assert_eq!(Suffix::plain(second.clone()).to_string(), ".20261122T120000Z-1");
        let later = Moment::next(NOON + 1_000, Some(&second));
        assert_eq!(Suffix::plain(later.clone()).to_string(), ".20261122T120001Z");
        // The clock was set back by an hour: the order of rotations stays.
        let back = Moment::next(NOON - 3_600_000, Some(&later));
        assert_eq!(Suffix::plain(back.clone()).to_string(), ".20261122T120001Z-1");
        assert!(first < second && second < later && later < back);
    }

    #[test]
    fn what_rotation_never_writes_is_no_suffix() {
        for text in [
            "",
            ".",
            "20261122T120000Z",
            ".20261122T120000",
            ".20261122t120000Z",
            ".20261122T120000Z-",
            ".20261122T120000Z-0",
            ".20261122T120000Z-01",
            ".20261122T120000Z-+1",
            ".20261122T120000Z-99999999999",
            ".20261122T120000Z.gz.gz",
            ".20261122T120000Z.bz2",
            ".20261122T120000Z.tmp",
            ".20261122T120000Z.gz.tmp.tmp",
            ".20261122T120000Z ",
            ".2026112åT120000Z",
            ".1",
            ".gz",
        ] {
            assert_eq!(Suffix::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_suffix_reads_back(now_ms in 0u64..253_402_300_799_000, number in any::<u32>(), kind in 0..3, is_unfinished: bool) {
            let compression = [Compression::None, Compression::Gzip, Compression::Zstd][kind as usize];
            let moment = Moment { number, ..Moment::next(now_ms, None) };
            let is_unfinished = is_unfinished && compression != Compression::None;
            let suffix = Suffix { moment, compression, is_unfinished };
            prop_assert_eq!(Suffix::parse(&suffix.to_string()), Some(suffix.clone()));
            prop_assert_eq!(suffix_at(&format!("a.b{suffix}")), Some(3));
        }

        #[test]
        fn any_suffix_that_is_read_is_written_the_same(text in r"\.[0-9T]{8,9}[0-9TZ]{6,7}Z?(-[0-9]{1,4})?(\.gz|\.zst)?(\.tmp)?") {
            if let Some(suffix) = Suffix::parse(&text) {
                prop_assert_eq!(suffix.to_string(), text);
            }
        }
    }
}
