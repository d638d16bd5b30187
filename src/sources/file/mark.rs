//! Marks: what stands at a place of a file, as a hash. By them a file is known again.

use crate::event::fingerprint;
use serde::{Deserialize, Serialize};
use std::io;

/// Bytes of a file's first line that tell it from others, at most.
pub const HEAD_BYTES: usize = 1024;
/// Bytes in front of a position that tell whether it is still what it was: a line or more, since in many logs lines are
/// of one length, and their ends alike.
pub const TAIL_BYTES: usize = 1024;

/// The hash of some bytes of a file, with their place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Offset of the first of them.
    pub at: u64,
    /// How many they are.
    pub bytes: u64,
    /// The first eight bytes of their SHA-256.
    #[serde(with = "hexadecimal")]
    pub hash: u64,
}

impl Mark {
    /// The mark of `bytes` at the offset `at`.
    pub fn of(at: u64, bytes: &[u8]) -> Mark {
        Mark { at, bytes: bytes.len() as u64, hash: fingerprint(&[bytes]) }
    }

    /// Offset of the first byte behind it.
    pub fn end(&self) -> u64 {
        self.at + self.bytes
    }

    /// Whether a file has these bytes at this place. `read` fills a buffer from an offset on, as far as there is
    /// something.
    pub fn fits(&self, read: impl FnOnce(&mut [u8], u64) -> io::Result<usize>) -> io::Result<bool> {
        let mut bytes = vec![0; usize::try_from(self.bytes).unwrap_or(0).min(HEAD_BYTES)];
        let len = read(&mut bytes, self.at)?;
        Ok(len == bytes.len() && Mark::of(self.at, &bytes) == *self)
    }
}

/// Numbers of 64 bits as text: not every reader of JSON keeps them whole.
pub mod hexadecimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Sixteen digits.
    pub fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{number:016x}"))
    }

    /// The number that the digits stand for.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map_err(D::Error::custom)
    }
}
