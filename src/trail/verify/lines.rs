//! The records of a file as leaves, read in large pieces: no record is ever held whole.

use crate::trail::hashes::{Node, leaf};
use crate::trail::layout;
use memchr::memchr;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// What is read at a time, in bytes.
const READ_BYTES: usize = 512 * 1024;
/// A line that is longer, in bytes, is no record that a trail was given.
pub const RECORD_BYTES_MAX: u64 = 64 << 20;

/// A line.
#[derive(Clone, Copy, Debug)]
pub struct Leaf {
    /// Its hash as a record.
    pub hash: Node,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// Its bytes without the newline.
    pub len: u64,
    /// Whether a newline ends it.
    pub is_whole: bool,
}

/// Reads the lines of a file.
pub struct Lines {
    file: File,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Of the next line, in bytes.
    offset: u64,
}

impl Lines {
    /// Reads from the beginning of the file at `path`.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn open(path: &Path) -> io::Result<Lines> {
        let file = layout::open(path)?;
        Ok(Lines { file, buffer: vec![0; READ_BYTES], start: 0, end: 0, offset: 0 })
    }

    /// Where the next line begins, in bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next line; none at the end.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn read(&mut self) -> io::Result<Option<Leaf>> {
        let mut begun: Option<Sha256> = None;
        let (offset, mut len) = (self.offset, 0);
        loop {
            let rest = self.buffer.get(self.start..self.end).unwrap_or_default();
            let found = memchr(b'\n', rest);
            let piece = rest.get(..found.unwrap_or(rest.len())).unwrap_or_default();
            len += piece.len() as u64;
            if found.is_some() || !piece.is_empty() {
                begun.get_or_insert_with(leaf).update(piece);
            }
            self.start += piece.len() + usize::from(found.is_some());
            if found.is_some() || !self.fill()? {
                let is_whole = found.is_some();
                self.offset = offset + len + u64::from(is_whole);
                let leaf = |hasher: Sha256| Leaf { hash: hasher.finalize().into(), offset, len, is_whole };
                return Ok(begun.map(leaf));
            }
        }
    }

    /// Reads more when everything is used up; whether there is some.
    fn fill(&mut self) -> io::Result<bool> {
        self.start = 0;
        self.end = loop {
            match self.file.read(&mut self.buffer) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        Ok(self.end > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_leaves_wherever_a_read_ends() {
        let path = std::env::temp_dir().join(format!("evaltrail-lines-{}", std::process::id()));
        let long = "x".repeat(READ_BYTES);
        for (text, lengths) in [
            (String::new(), vec![]),
            ("\n".into(), vec![0]),
            ("a\n\nbc".into(), vec![1, 0, 2]),
            (format!("{long}\n{long}y\nz\n"), vec![READ_BYTES, READ_BYTES + 1, 1]),
        ] {
            std::fs::write(&path, &text).unwrap();
            let mut lines = Lines::open(&path).unwrap();
            let mut offset = 0;
            for (line, len) in text.split_inclusive('\n').zip(&lengths) {
                let leaf = lines.read().unwrap().unwrap();
                assert_eq!(
                    (leaf.offset, leaf.len, leaf.is_whole),
                    (offset, *len as u64, line.ends_with('\n'))
                );
                assert_eq!(leaf.hash, tlog_tiles::record_hash(line.trim_end().as_bytes()).0);
                offset += line.len() as u64;
                assert_eq!(lines.offset(), offset);
            }
            assert!(lines.read().unwrap().is_none());
        }
        std::fs::remove_file(&path).unwrap();
    }
}
