//! Hands on what was read: to whom, and what they have to be shown first.

use super::Piece;
use super::input::Input;
use super::reader::{Reader, Stopped};
use super::tail::Turn;
use crate::codec::Chunk;
use crate::event::Stream;
use std::sync::Arc;

impl Reader {
    /// Hands on what a turn has read.
    pub(super) fn hand_on(&mut self, key: u64, turn: Turn) -> Result<(), Stopped> {
        if turn.pieces.is_empty() {
            // It is shown when there is something that it could matter to.
            if let (Some(Chunk::Lines { offset, .. }), Some(file)) = (turn.context, self.files.get_mut(&key))
            {
                file.tail.replay_from = Some(offset);
            }
            return Ok(());
        }
        self.tell_of(key)?;
        if let Some(chunk) = turn.context {
            self.send(Piece::Context(key, chunk))?;
        }
        let last = turn.pieces.len() - 1;
        for (at, (chunk, end)) in turn.pieces.into_iter().enumerate() {
            if let Some(fingerprint) = turn.cut.filter(|_| at == last) {
                self.send(Piece::Cut(key, fingerprint))?;
            }
            self.send(Piece::Lines(key, chunk, end))?;
        }
        Ok(())
    }

    /// Makes a file known to whoever decodes it.
    pub(super) fn tell_of(&mut self, key: u64) -> Result<(), Stopped> {
        let Some(file) = self.files.get_mut(&key).filter(|file| !file.told) else { return Ok(()) };
        (file.told, file.is_claimed) = (true, false);
        let (family, begins) = (file.family, file.progress.position().delivered == 0);
        let older = self.files.range(..key).rev().find(|(_, other)| other.family == family);
        let older = older.map(|(key, file)| (*key, file.told, file.is_claimed));
        match older {
            Some((older, true, _)) => self.open_decoder(key, Some(older)),
            Some((older, false, true)) if begins => {
                let shown = self.show(older)?;
                self.open_decoder(key, Some(older).filter(|_| shown))?;
                if shown { self.send(Piece::Close(older)) } else { Ok(()) }
            }
            _ => self.open_decoder(key, None),
        }
    }

    fn open_decoder(&mut self, key: u64, after: Option<u64>) -> Result<(), Stopped> {
        let Some(file) = self.files.get(&key) else { return Ok(()) };
        let stream = Stream {
            source: self.id.clone(),
            file: Some(file.path.to_string_lossy().into_owned()),
            fingerprint: file.tail.fingerprint,
            ..Stream::default()
        };
        let progress = Arc::clone(&file.progress);
        self.send(Piece::Open { key, stream, progress, after })
    }

    /// Shows the end of a file that has nothing new since a restart: its log goes on in another one, which may begin with
    /// the second record of an evaluation.
    fn show(&mut self, key: u64) -> Result<bool, Stopped> {
        let Some(file) = self.files.get_mut(&key) else { return Ok(false) };
        file.is_claimed = false;
        let Ok(mut input) = Input::open(&file.path) else { return Ok(false) };
        if !file.tail.is_in(&mut input).unwrap_or(false) {
            return Ok(false);
        }
        let from = file.tail.replay_from;
        let context = file.tail.context(&mut input).ok().flatten();
        file.tail.replay_from = from;
        let Some(context) = context else { return Ok(false) };
        self.open_decoder(key, None)?;
        self.send(Piece::Context(key, context))?;
        Ok(true)
    }
}
