//! Logs of a Livebook that does not exist: for a first look at a pipeline, for its tests, and for benchmarks.
//!
//! What Livebook writes is reproduced with what makes it hard to read: every evaluation twice, other processes'
//! records between the two, `inspect` literals, raw newlines in text records, messages cut at Logger's limit. The
//! people, their notebooks and their requests are invented.
//!
//! The same seed gives the same log, byte for byte, so a benchmark can name its input by four settings.

mod cells;
mod evaluation;
mod generate;
mod holes;
mod noise;
mod people;
mod prng;
mod record;
mod template;

pub use generate::{Generator, Settings};

use serde::Deserialize;

/// The shape of the log: what `LIVEBOOK_LOG_FORMAT` says, with
/// `LIVEBOOK_LOG_METADATA=users,session_mode,code,event,request_id`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Format {
    /// One JSON object per line.
    #[default]
    #[serde(rename = "livebook_json")]
    LivebookJson,
    /// Elixir's default text format: a record may be several lines, and its times are in UTC.
    #[serde(rename = "livebook_text")]
    LivebookText,
}
