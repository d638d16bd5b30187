//! What an event's index is made of: pieces of text, names and members, as small as they can be.

use crate::event::json::Escapes;
use crate::event::json::scan::Piece;
use smallvec::SmallVec;

/// A piece of `text` or `extra` of at most 512 MiB. The top bit of `start` says which of the two, the two top bits
/// of `len` hold the [`Escapes`]: a member is 16 bytes, and an event has a dozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub start: u32,
    pub len: u32,
}

pub(super) const IN_EXTRA: u32 = 1 << 31;
pub(super) const ESCAPES_SHIFT: u32 = 30;

impl Span {
    pub fn new(piece: Piece, in_extra: bool) -> Span {
        let escapes = match piece.escapes {
            Escapes::None => 0,
            Escapes::Short => 1,
            Escapes::Free => 2,
        };
        let flag = if in_extra { IN_EXTRA } else { 0 };
        Span {
            start: piece.start as u32 | flag,
            len: (piece.end - piece.start) as u32 | escapes << ESCAPES_SHIFT,
        }
    }

    pub fn escapes(self) -> Escapes {
        match self.len >> ESCAPES_SHIFT {
            0 => Escapes::None,
            1 => Escapes::Short,
            _ => Escapes::Free,
        }
    }
}

/// A member's name as JSON text without its quotes. Always in canonical form, so that names compare as bytes; and most
/// compare as one byte, by [`known_name`] in the top bits of `len`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    pub start: u32,
    pub len: u32,
}

pub(super) const KNOWN_SHIFT: u32 = 24;

impl Name {
    pub fn known(self) -> u8 {
        (self.len >> KNOWN_SHIFT) as u8
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub name: Name,
    pub value: Span,
}

pub(super) type Members = SmallVec<[Member; 5]>;

/// Names to select members by, looked up once.
#[derive(Clone, Debug, Default)]
pub struct Names(pub(super) Vec<(u8, String)>);

impl FromIterator<String> for Names {
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Names {
        Names(names.into_iter().map(|name| (known_name(name.as_bytes()), name)).collect())
    }
}

/// The place of `name` in the list of names that every Livebook record is made of, or none of them. A member's name
/// is looked up once, when it is indexed; after that most questions for a member compare one byte.
#[inline]
pub(super) const fn known_name(name: &[u8]) -> u8 {
    match name {
        b"message" => 1,
        b"time" => 2,
        b"metadata" => 3,
        b"severity" => 4,
        b"users" => 5,
        b"session_mode" => 6,
        b"code" => 7,
        b"event" => 8,
        b"request_id" => 9,
        b"code_base64" => 10,
        b"code_incomplete" => 11,
        b"code_sha256" => 12,
        b"code_bytes" => 13,
        b"users_incomplete" => 14,
        b"app_permanent" => 15,
        _ => 0,
    }
}
