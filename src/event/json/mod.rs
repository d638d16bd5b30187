//! JSON as text: scanned once, decoded where somebody asks, never a tree.

pub mod block;
pub mod scan;
pub mod string;

use std::borrow::Cow;
use std::fmt;

pub use scan::Escapes;

/// Why a text is not one JSON value that we can pass on. Every offset counts bytes from the start of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Something else should stand here.
    Syntax {
        /// Offset in bytes.
        at: usize,
        /// What should stand there, for a person.
        wanted: &'static str,
    },
    /// A raw control character inside a string.
    Control {
        /// Offset in bytes.
        at: usize,
    },
    /// A backslash that begins no escape.
    Escape {
        /// Offset in bytes.
        at: usize,
    },
    /// Half of a surrogate pair, which no text can hold.
    Surrogate {
        /// Offset in bytes.
        at: usize,
    },
    /// More than [`scan::DEPTH_MAX`] levels.
    TooDeep {
        /// Offset in bytes.
        at: usize,
    },
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Flaw::Syntax { at, wanted } => write!(f, "byte {at}: expected {wanted}"),
            Flaw::Control { at } => write!(f, "byte {at}: a raw control character inside a string"),
            Flaw::Escape { at } => write!(f, "byte {at}: an unknown escape"),
            Flaw::Surrogate { at } => write!(f, "byte {at}: half of a surrogate pair"),
            Flaw::TooDeep { at } => write!(f, "byte {at}: nested more than {} levels deep", scan::DEPTH_MAX),
        }
    }
}

/// One valid JSON value, as its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Json<'a> {
    text: &'a [u8],
    escapes: Escapes,
}

impl<'a> Json<'a> {
    /// `text` has to be one valid JSON value without white space around it.
    pub(crate) fn new(text: &'a [u8], escapes: Escapes) -> Self {
        Json { text, escapes }
    }

    /// The text as it stands in the record, in UTF-8.
    pub fn text(self) -> &'a [u8] {
        self.text
    }

    /// How the text differs from the string, where this is one.
    pub fn escapes(self) -> Escapes {
        self.escapes
    }

    /// Appends the value on one line.
    pub fn write_into(self, out: &mut Vec<u8>) {
        // White space between tokens may hold line ends where the record was no single line (an HTTP body).
        let text = self.text;
        if !matches!(text.first(), Some(b'{' | b'[')) || memchr::memchr2(b'\n', b'\r', text).is_none() {
            return out.extend_from_slice(text);
        }
        out.extend(text.iter().map(|&b| if matches!(b, b'\n' | b'\r') { b' ' } else { b }));
    }

    /// Whether this is a string.
    pub fn is_string(self) -> bool {
        self.text.first() == Some(&b'"')
    }

    /// Whether this is an array.
    pub fn is_array(self) -> bool {
        self.text.first() == Some(&b'[')
    }

    /// Whether this is `null`.
    pub fn is_null(self) -> bool {
        self.text == b"null"
    }

    /// What stands between a string's quotes, escapes and all.
    pub fn inner(self) -> Option<&'a [u8]> {
        match self.text {
            [b'"', inner @ .., b'"'] => Some(inner),
            _ => None,
        }
    }

    /// The string's bytes, which are UTF-8; borrowed where the text holds no escape.
    pub fn string(self) -> Option<Cow<'a, [u8]>> {
        let inner = self.inner()?;
        if self.escapes == Escapes::None {
            return Some(Cow::Borrowed(inner));
        }
        let mut string = Vec::with_capacity(inner.len());
        string::unescape_into(inner, &mut string);
        Some(Cow::Owned(string))
    }

    /// Whether this is the string `wanted`.
    pub fn is(self, wanted: &str) -> bool {
        self.string().is_some_and(|string| *string == *wanted.as_bytes())
    }

    /// The value as a tree; for code that is not hot.
    pub fn to_value(self) -> serde_json::Value {
        serde_json::from_slice(self.text).unwrap_or_default()
    }
}
