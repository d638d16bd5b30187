//! `blackhole`: takes everything and keeps nothing. It counts, which is enough to measure what stands in front of it.
//!
//! ```toml
//! [sinks.nowhere]
//! type = "blackhole"
//! inputs = ["policy"]
//! ```

use super::SinkConfig;
use crate::delivery::{BoxFuture, Sink, Work, WriteError};
use crate::event::{Event, Invalid};
use schemars::JsonSchema;
use serde::Deserialize;

/// No options.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Blackhole {}

impl SinkConfig for Blackhole {
    fn build(&self) -> Result<Work, Invalid> {
        Ok(Work::writing(*self))
    }

    fn keeps(&self) -> bool {
        false
    }
}

impl Sink for Blackhole {
    fn write<'a>(&'a mut self, _: &'a [Event]) -> BoxFuture<'a, Result<(), WriteError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn flush(&mut self) -> BoxFuture<'_, Result<(), WriteError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
