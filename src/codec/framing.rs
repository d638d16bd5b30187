//! Cuts a stream into chunks of whole lines.
//!
//! Bytes are read straight into a large buffer, and the buffer itself travels on, shared by the events that lie in
//! it; when the last of them is gone, it comes back and is read into again. Only the beginning of the line that a
//! read ended in is copied, to the front of the next buffer. Where little was read (somebody types), the lines are
//! copied out instead, so that a few short events never hold on to a large buffer.

use super::decode::Chunk;
use bytes::Bytes;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

/// Size of a buffer, in bytes: large enough for few wake-ups between threads, small enough for all that is under way to
/// stay below 32 MiB.
const BUFFER_BYTES: usize = 384 * 1024;
/// Buffers that are kept for reading into again.
const SPARE_BUFFERS_MAX: usize = 16;
/// Fewer bytes than this are copied out of a buffer rather than travel in it: what a pipe holds (64 KiB) would keep a
/// buffer that is six times as large.
const COPY_BYTES_MAX: usize = BUFFER_BYTES / 4;
/// How much of a line over the limit is kept for its fault.
const TOO_LONG_KEPT_BYTES: usize = 1024;

type Spares = Arc<Mutex<Vec<Vec<u8>>>>;

/// Buffers that framers which take turns share.
#[derive(Clone, Debug, Default)]
pub struct Buffers(Spares);

/// Where a framer stopped, for another that goes on: it needs no buffer meanwhile.
#[derive(Clone, Debug, Default)]
pub struct Parked {
    /// Offset of the first byte that has not been handed on.
    pub offset: u64,
    /// The bytes at that offset that were read already, where they can't be read again.
    rest: Vec<u8>,
    too_long: Option<(Bytes, u64)>,
}

impl Parked {
    /// Before the line at `offset`.
    pub fn at(offset: u64) -> Parked {
        Parked { offset, ..Parked::default() }
    }

    /// Where to read on.
    pub fn read_from(&self) -> u64 {
        self.offset + self.rest.len() as u64
    }
}

/// A buffer on its way: comes back when the last event in it is gone.
struct Lent {
    buffer: Vec<u8>,
    len: usize,
    spares: Spares,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut spares = self.spares.lock().unwrap_or_else(PoisonError::into_inner);
        if self.buffer.len() == BUFFER_BYTES && spares.len() < SPARE_BUFFERS_MAX {
            spares.push(mem::take(&mut self.buffer));
        }
    }
}

/// Frames one stream.
pub struct Framer {
    max_record_bytes: usize,
    spares: Spares,
    /// Always initialised to its full length, so that it can be read into.
    buffer: Vec<u8>,
    filled: usize,
    /// Offset in the stream of the buffer's first byte.
    offset: u64,
    /// Set while the rest of a line over the limit is passed over: what is left of it, and how long it is by now.
    too_long: Option<(Bytes, u64)>,
}

impl Framer {
    /// A framer at the beginning of a stream; lines over `max_record_bytes` are faults.
    pub fn new(max_record_bytes: usize) -> Framer {
        let spares = Spares::default();
        let buffer = vec![0; BUFFER_BYTES];
        Framer { max_record_bytes, spares, buffer, filled: 0, offset: 0, too_long: None }
    }

    /// A framer that goes on where another was parked.
    pub fn resume(max_record_bytes: usize, buffers: &Buffers, parked: Parked) -> Framer {
        let Parked { offset, rest, too_long } = parked;
        let spares = Arc::clone(&buffers.0);
        let spare = spares.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut buffer = spare.unwrap_or_else(|| vec![0; BUFFER_BYTES]);
        let filled = rest.len();
        if buffer.len() <= filled {
            buffer.resize(filled + BUFFER_BYTES, 0);
        }
        if let Some(front) = buffer.get_mut(..filled) {
            front.copy_from_slice(&rest);
        }
        Framer { max_record_bytes, spares, buffer, filled, offset, too_long }
    }

    /// Gives the buffer back. The beginning of a line that is not whole is kept only if `keep` says so; else it is read
    /// again from [`Parked::offset`].
    pub fn park(self, keep: bool) -> Parked {
        let Framer { spares, buffer, filled, offset, too_long, .. } = self;
        let rest = if keep { buffer.get(..filled).unwrap_or_default().to_vec() } else { Vec::new() };
        drop(Lent { buffer, len: 0, spares });
        Parked { offset, rest, too_long }
    }

    /// Whether it is inside of a line over the limit.
    pub fn is_passing(&self) -> bool {
        self.too_long.is_some()
    }

    /// Where to read the next bytes into; never empty.
    pub fn room(&mut self) -> &mut [u8] {
        if self.filled == self.buffer.len() {
            let len = self.buffer.len() * 2;
            self.buffer.resize(len, 0);
        }
        self.buffer.get_mut(self.filled..).unwrap_or_default()
    }

    /// Takes note that `read` bytes were read into the room, and gives the lines that are whole by now.
    pub fn filled(&mut self, read: usize) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        let fresh = self.filled;
        self.filled = (self.filled + read).min(self.buffer.len());
        let new = self.buffer.get(fresh..self.filled).unwrap_or_default();
        let Some(last) = memchr::memrchr(b'\n', new).map(|newline| fresh + newline + 1) else {
            self.drop_if_too_long();
            return chunks;
        };
        let mut start = 0;
        if let Some((head, len)) = self.too_long.take() {
            let end = memchr::memchr(b'\n', new).map_or(last, |newline| fresh + newline + 1);
            let offset = self.offset.saturating_sub(len);
            chunks.push(Chunk::TooLong { head, offset, len: len + end as u64 });
            start = end;
        }
        if start < last {
            let offset = self.offset + start as u64;
            let bytes = self.take_lines(start, last);
            chunks.push(Chunk::Lines { bytes, offset });
        } else {
            self.keep_behind(last);
        }
        self.drop_if_too_long();
        chunks
    }

    /// The end of the stream: gives its last line where it lacks a newline.
    pub fn finish(&mut self) -> Option<Chunk> {
        let rest = self.buffer.get(..self.filled).unwrap_or_default();
        let (len, offset) = (self.filled as u64, self.offset);
        let chunk = match self.too_long.take() {
            Some((head, seen)) => Chunk::TooLong { head, offset: offset - seen, len: seen + len },
            None if rest.is_empty() => return None,
            None => Chunk::Lines { bytes: Bytes::copy_from_slice(rest), offset },
        };
        self.offset += len;
        self.filled = 0;
        Some(chunk)
    }

    /// Lends out the lines in `start..end`, and goes on with a buffer that begins with what stands behind them.
    fn take_lines(&mut self, start: usize, end: usize) -> Bytes {
        if end - start <= COPY_BYTES_MAX {
            let bytes = Bytes::copy_from_slice(self.buffer.get(start..end).unwrap_or_default());
            self.keep_behind(end);
            return bytes;
        }
        let spare = self.spares.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut next = spare.unwrap_or_else(|| vec![0; BUFFER_BYTES]);
        let tail = self.buffer.get(end..self.filled).unwrap_or_default();
        if next.len() <= tail.len() {
            next.resize(tail.len() + BUFFER_BYTES, 0);
        }
        if let Some(front) = next.get_mut(..tail.len()) {
            front.copy_from_slice(tail);
        }
        self.filled = tail.len();
        self.offset += end as u64;
        let buffer = mem::replace(&mut self.buffer, next);
        let lent = Lent { buffer, len: end, spares: Arc::clone(&self.spares) };
        Bytes::from_owner(lent).slice(start..)
    }

    /// Moves what stands behind `end` to the front of the buffer.
    fn keep_behind(&mut self, end: usize) {
        self.buffer.copy_within(end..self.filled, 0);
        self.filled -= end;
        self.offset += end as u64;
        if self.buffer.len() > BUFFER_BYTES && self.filled < BUFFER_BYTES {
            self.buffer.truncate(BUFFER_BYTES);
            self.buffer.shrink_to_fit();
        }
    }

    /// Forgets the line in the buffer once it is over the limit, but for its beginning.
    fn drop_if_too_long(&mut self) {
        if let Some((_, len)) = &mut self.too_long {
            *len += self.filled as u64;
        } else if self.filled > self.max_record_bytes {
            let head = self.buffer.get(..self.filled.min(TOO_LONG_KEPT_BYTES)).unwrap_or_default();
            self.too_long = Some((Bytes::copy_from_slice(head), self.filled as u64));
        } else {
            return;
        }
        self.keep_behind(self.filled);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds `stream` in reads of at most `read` bytes and shows every line with its offset.
    fn frame(stream: &[u8], read: usize, max_record_bytes: usize) -> Vec<(u64, Vec<u8>)> {
        let mut framer = Framer::new(max_record_bytes);
        let mut seen = Vec::new();
        let mut note = |chunk: Chunk| match chunk {
            Chunk::Sifted { .. } => unreachable!("a framer does not sift"),
            Chunk::TooLong { head, offset, len } => {
                assert!(stream[offset as usize..].starts_with(&head));
                seen.push((offset, format!("too long: {len}").into_bytes()));
            }
            Chunk::Lines { bytes, offset } => {
                let mut at = offset;
                for line in bytes.split_inclusive(|&b| b == b'\n') {
                    seen.push((at, line.to_vec()));
                    at += line.len() as u64;
                }
            }
        };
        let mut at = 0;
        while at < stream.len() {
            let room = framer.room();
            let len = room.len().min(read).min(stream.len() - at);
            room[..len].copy_from_slice(&stream[at..at + len]);
            framer.filled(len).into_iter().for_each(&mut note);
            at += len;
        }
        framer.finish().into_iter().for_each(&mut note);
        seen
    }

    fn lines(stream: &[u8], max: usize) -> Vec<(u64, Vec<u8>)> {
        let mut at = 0;
        let show = |line: &[u8]| {
            let shown = if line.len() > max {
                format!("too long: {}", line.len()).into_bytes()
            } else {
                line.to_vec()
            };
            at += line.len() as u64;
            (at - line.len() as u64, shown)
        };
        stream.split_inclusive(|&b| b == b'\n').map(show).collect()
    }

    #[test]
    fn a_line_over_the_limit_costs_its_neighbours_nothing_and_no_memory() {
        let long = [b"a\n", vec![b'x'; 9_000_000].as_slice(), b"\nb\n"].concat();
        let seen = frame(&long, 64 * 1024, 4_000_000);
        assert_eq!(seen, lines(&long, 4_000_000));
        let mut framer = Framer::new(1_000_000);
        for _ in 0..200 {
            let len = framer.room().len();
            framer.room().fill(b'x');
            framer.filled(len);
        }
        assert!(framer.buffer.len() <= 4_000_000);
    }

    #[test]
    fn large_reads_travel_in_their_buffer_which_comes_back() {
        let mut framer = Framer::new(1000);
        let stream = "0123456789\n".repeat(BUFFER_BYTES / 11);
        let room = framer.room();
        room[..stream.len()].copy_from_slice(stream.as_bytes());
        let chunks = framer.filled(stream.len());
        assert!(framer.spares.lock().unwrap().is_empty());
        drop(chunks);
        assert_eq!(framer.spares.lock().unwrap().len(), 1);
    }

    #[test]
    fn a_parked_framer_goes_on_with_the_line_it_stopped_in() {
        let stream = [b"one\ntw".as_slice(), b"o\n", &[b'x'; 5000], b"\nend\n"].concat();
        for (keep, turn) in [(true, 7), (false, 7), (true, 1), (false, 4000)] {
            let (buffers, mut parked, mut seen) = (Buffers::default(), Parked::default(), Vec::new());
            let mut read_to = 0;
            while read_to < stream.len() {
                let mut framer = Framer::resume(1000, &buffers, parked);
                // What is read again does not count as progress.
                let from = (framer.offset as usize) + framer.filled;
                let len = (stream.len() - from).min(turn.max(read_to + 1 - from.min(read_to)));
                framer.room()[..len].copy_from_slice(&stream[from..from + len]);
                seen.extend(framer.filled(len).iter().map(|chunk| match chunk {
                    Chunk::Lines { bytes, offset } => (*offset, bytes.to_vec()),
                    Chunk::TooLong { offset, len, .. } => (*offset, len.to_string().into_bytes()),
                    Chunk::Sifted { .. } => unreachable!("a framer does not sift"),
                }));
                read_to = read_to.max(from + len);
                parked = framer.park(keep);
            }
            let text: Vec<u8> = seen.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
            assert_eq!(text, b"one\ntwo\n5001end\n", "keep {keep}, {turn} at a time");
            assert_eq!(parked.offset, stream.len() as u64);
            assert_eq!(buffers.0.lock().unwrap().len(), 1);
        }
    }

    proptest! {
        #[test]
        fn lines_are_the_same_however_they_are_read(
            parts in proptest::collection::vec((0usize..40, any::<bool>()), 0..40),
            read in 1usize..64,
        ) {
            let stream: Vec<u8> = parts.iter().flat_map(|&(len, ends)| {
                let mut part = vec![b'x'; len];
                part.extend(ends.then_some(b'\n'));
                part
            }).collect();
            // The limit is applied where a line is seen whole too, by the decoder; only unbounded growth is ours.
            let max = 10_000;
            prop_assert_eq!(frame(&stream, read, max), lines(&stream, max));
        }
    }
}
