//! Bytes to events for whoever just reads a stream to its end, without a pipeline behind it.

use super::decode::{Chunk, Decoded, Decoder, Settings};
use super::framing::Framer;
use crate::event::Stream;
use bytes::Bytes;
use std::sync::Arc;

/// One stream on its way to events.
pub struct Feed {
    framer: Framer,
    decoder: Decoder,
    stream: Arc<Stream>,
    places: [Piece; 2],
}

/// A piece of the stream that was decoded, kept for the numbers of its lines.
#[derive(Clone, Debug, Default)]
struct Piece {
    bytes: Bytes,
    offset: u64,
    /// How many lines stand in front of it.
    lines_before: u64,
}

impl Feed {
    /// For a stream that begins.
    pub fn new(settings: Settings, stream: Stream) -> Feed {
        let framer = Framer::new(settings.max_record_bytes);
        Feed { framer, decoder: Decoder::new(settings), stream: Arc::new(stream), places: Default::default() }
    }

    /// Takes the next bytes of the stream, read at `now_ms`; no bytes are its end. Gives what is whole by now.
    pub fn take(&mut self, mut bytes: &[u8], now_ms: u64) -> Decoded {
        let mut decoded = Decoded::new(Arc::clone(&self.stream), now_ms);
        if bytes.is_empty() {
            let last = self.framer.finish();
            self.decode(last, &mut decoded);
            self.decoder.complete(&mut decoded);
        }
        while !bytes.is_empty() {
            let room = self.framer.room();
            let len = room.len().min(bytes.len());
            let (now, later) = bytes.split_at(len);
            if let Some(room) = room.get_mut(..len) {
                room.copy_from_slice(now);
            }
            bytes = later;
            let chunks = self.framer.filled(len);
            self.decode(chunks, &mut decoded);
        }
        decoded
    }

    /// When [`Feed::silence`] is due although the stream goes on, in milliseconds since 1970.
    pub fn deadline_ms(&self) -> Option<u64> {
        self.decoder.deadline_ms()
    }

    /// Nothing has come for a while, as it is at `now_ms`: a record that may be complete is.
    pub fn silence(&mut self, now_ms: u64) -> Decoded {
        let mut decoded = Decoded::new(Arc::clone(&self.stream), now_ms);
        self.decoder.silence(&mut decoded);
        decoded
    }

    fn decode(&mut self, chunks: impl IntoIterator<Item = Chunk>, decoded: &mut Decoded) {
        for chunk in chunks {
            self.remember(&chunk);
            self.decoder.decode(chunk, decoded);
        }
    }

    /// Number of the line that begins at `offset`, counted from one; none where that is long past.
    pub fn line(&self, offset: u64) -> Option<u64> {
        let line_in = |piece: &Piece| {
            let within = usize::try_from(offset.checked_sub(piece.offset)?).ok()?;
            let before = piece.bytes.get(..within)?;
            Some(piece.lines_before + 1 + memchr::memchr_iter(b'\n', before).count() as u64)
        };
        self.places.iter().rev().find_map(line_in)
    }

    fn remember(&mut self, chunk: &Chunk) {
        let [_, last] = &self.places;
        let lines = memchr::memchr_iter(b'\n', &last.bytes).count() as u64;
        let lines_before = last.lines_before + lines;
        let piece = match chunk {
            Chunk::Lines { bytes, offset } => Piece { bytes: bytes.clone(), offset: *offset, lines_before },
            Chunk::Sifted { .. } => return,
            // All that counts of it is its end.
            Chunk::TooLong { offset, .. } => {
                Piece { bytes: Bytes::from_static(b"\n"), offset: *offset, lines_before }
            }
        };
        let last = std::mem::replace(&mut self.places[1], piece);
        self.places[0] = last;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Codec, Decoding, Unwrap};

    #[test]
    fn records_know_their_lines() {
        let decoding = Decoding { codec: Codec::Json, unwrap: Unwrap::None, ..Decoding::default() };
        let mut feed = Feed::new(Settings::new(decoding), Stream::default());
        let mut lines = Vec::new();
        for text in ["{\"a\":1}\n\n{\"a\"", ":2}\nno\n{\"a\":3}\n{\"a\":4}", ""] {
            let decoded = feed.take(text.as_bytes(), 0);
            let offsets = decoded.events.iter().map(|event| event.origin().offset());
            lines.extend(offsets.map(|offset| feed.line(offset).unwrap()));
            let faults = decoded.faults.iter().map(|fault| fault.event.origin().offset());
            lines.extend(faults.map(|offset| 100 + feed.line(offset).unwrap()));
        }
        assert_eq!(lines, [1, 3, 5, 104, 6]);
        assert_eq!(feed.line(1000), None);
    }
}
