//! Elixir's `inspect` literals, read and written.

mod chars;
mod read;
mod term;
mod write;

pub use read::{Extent, Form, Literal, read_literal};
pub use term::{TermFault, read_term, write_term};
pub use write::{is_string_printable, write_literal};
