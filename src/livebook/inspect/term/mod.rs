//! Whole Elixir terms as `inspect` prints them, read into values and written from them.
//!
//! Read: maps, structs (with `__struct__`), lists, tuples (as arrays), keyword lists (as objects), strings, binaries,
//! charlists, atoms (as strings), numbers, dates (as strings, `~U[...]` as a time). What is no data (pids, functions,
//! patterns, `#Name<...>`, `MapSet.new(...)`, ranges) is a string, as printed. Written: what a value of VRL can be, so
//! that it reads back as the same value.

mod read;
mod scalar;
mod write;

use std::fmt;

pub use read::read_term;
pub use write::write_term;

/// Terms inside each other that are read; what is deeper is refused.
const DEPTH_MAX: u32 = 64;

/// Why a text does not read as a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TermFault {
    /// Where, in bytes from the start of the text.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}

impl TermFault {
    fn new(at: usize, what: &'static str) -> TermFault {
        TermFault { at, what }
    }
}

impl fmt::Display for TermFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: {}", self.at, self.what)
    }
}

#[cfg(test)]
mod tests;
