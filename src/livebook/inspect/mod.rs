//! Elixir's `inspect` literals, read and written.

mod chars;
mod write;

pub use write::{is_string_printable, write_literal};
