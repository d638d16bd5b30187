//! How a segment looks: a header, then records, each behind a header with checksums of its own.
//!
//! ```text
//! segment: magic (8) version (4) first (8) follows (8) crc (4)
//! record:  magic (4) len (4) sequence (8) events (4) crc of the payload (4) crc of these 24 bytes (4) payload (len)
//! ```
//!
//! Numbers are little-endian. The magic of a record holds bytes that no UTF-8 has, so that nothing in a payload of text
//! is taken for the beginning of a record when the next whole one behind a damaged place is looked for.

use std::ops::Range;

const SEGMENT_MAGIC: &[u8; 8] = b"\x89evtbuf\n";
/// The form that this program writes and reads.
pub const VERSION: u32 = 1;
/// Bytes of a segment's header.
pub const SEGMENT_HEADER_BYTES: usize = 32;
const RECORD_MAGIC: &[u8; 4] = b"\xF5EV\xFE";
/// Bytes of a record's header.
pub const RECORD_HEADER_BYTES: usize = 28;

/// What stands at the beginning of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Sequence number of its first record.
    pub first: u64,
    /// The number behind the last record in front of it: `first`, unless a repair found that records are missing.
    pub follows: u64,
}

/// What stands in front of a record's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// Bytes of the payload.
    pub len: u32,
    /// Its number; the next record has the next number.
    pub sequence: u64,
    /// Events in the payload.
    pub events: u32,
    /// Checksum of the payload.
    pub crc: u32,
}

/// A header that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoHeader {
    /// The file ends in it.
    Short,
    /// It is written by a program that writes another form.
    Version(u32),
    /// It does not fit its checksum.
    Wrong,
}

fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..at + N).and_then(|found| found.try_into().ok()).unwrap_or([0; N])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes_at(bytes, at))
}

impl SegmentHeader {
    /// As it is written.
    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SEGMENT_HEADER_BYTES);
        bytes.extend_from_slice(SEGMENT_MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.first.to_le_bytes());
        bytes.extend_from_slice(&self.follows.to_le_bytes());
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads it from the front of `bytes`.
    pub fn read(bytes: &[u8]) -> Result<SegmentHeader, NoHeader> {
        let header = bytes.get(..SEGMENT_HEADER_BYTES).ok_or(NoHeader::Short)?;
        if crc32fast::hash(header.get(..28).unwrap_or_default()) != u32_at(header, 28)
            || !header.starts_with(SEGMENT_MAGIC)
        {
            return Err(NoHeader::Wrong);
        }
        match u32_at(header, 8) {
            VERSION => Ok(SegmentHeader { first: u64_at(header, 12), follows: u64_at(header, 20) }),
            other => Err(NoHeader::Version(other)),
        }
    }
}

impl RecordHeader {
    /// Appends a record to `out`.
    pub fn write(sequence: u64, events: u32, payload: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(RECORD_MAGIC);
        // A payload ends soon after 64 KiB, or holds one event of at most 512 MiB.
        out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        out.extend_from_slice(&sequence.to_le_bytes());
        out.extend_from_slice(&events.to_le_bytes());
        out.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
        let crc = crc32fast::hash(out.get(start..).unwrap_or_default());
        out.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(payload);
    }

    /// Reads it from the front of `bytes`.
    pub fn read(bytes: &[u8]) -> Result<RecordHeader, NoHeader> {
        let header = bytes.get(..RECORD_HEADER_BYTES).ok_or(NoHeader::Short)?;
        if !header.starts_with(RECORD_MAGIC)
            || crc32fast::hash(header.get(..24).unwrap_or_default()) != u32_at(header, 24)
        {
            return Err(NoHeader::Wrong);
        }
        Ok(RecordHeader {
            len: u32_at(header, 4),
            sequence: u64_at(header, 8),
            events: u32_at(header, 16),
            crc: u32_at(header, 20),
        })
    }

    /// Whether `payload` is what was written.
    pub fn fits(&self, payload: &[u8]) -> bool {
        payload.len() == self.len as usize && crc32fast::hash(payload) == self.crc
    }
}

/// A part of a segment behind its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A whole record.
    Record {
        /// Where it stands, header included.
        at: Range<usize>,
        /// Its number.
        sequence: u64,
        /// Events in it.
        events: u32,
    },
    /// Bytes that are no record, up to the next one or the end.
    Flaw {
        /// Where they stand.
        at: Range<usize>,
        /// What is wrong with them.
        why: &'static str,
    },
    /// The last record ends with the file, before its own end: it was never acknowledged, where this is the end of all.
    Tail(Range<usize>),
}

/// The whole record at `at`.
fn record_at(bytes: &[u8], at: usize) -> Option<(RecordHeader, usize)> {
    let header = RecordHeader::read(bytes.get(at..)?).ok()?;
    let start = at + RECORD_HEADER_BYTES;
    let end = start.checked_add(header.len as usize)?;
    header.fits(bytes.get(start..end)?).then_some((header, end))
}

/// Where the next whole record begins.
fn next_record(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    memchr::memmem::find_iter(rest, RECORD_MAGIC)
        .map(|at| from + at)
        .find(|at| record_at(bytes, *at).is_some())
        .unwrap_or(bytes.len())
}

/// Takes a segment apart, from the offset `from` on. The pieces cover it without a gap.
pub fn pieces(bytes: &[u8], from: usize) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut at = from;
    while at < bytes.len() {
        if let Some((RecordHeader { sequence, events, .. }, end)) = record_at(bytes, at) {
            pieces.push(Piece::Record { at: at..end, sequence, events });
            at = end;
            continue;
        }
        let rest = bytes.get(at..).unwrap_or_default();
        let end_of = |header: RecordHeader| RECORD_HEADER_BYTES + header.len as usize;
        let why = match RecordHeader::read(rest) {
            Ok(header) if end_of(header) <= rest.len() => "the content of a record does not fit its checksum",
            Err(NoHeader::Wrong | NoHeader::Version(_)) if rest.iter().any(|byte| *byte != 0) => {
                "the header of a record does not fit its checksum"
            }
            _ => {
                pieces.push(Piece::Tail(at..bytes.len()));
                break;
            }
        };
        let end = next_record(bytes, at + 1);
        pieces.push(Piece::Flaw { at: at..end, why });
        at = end;
    }
    pieces
}
