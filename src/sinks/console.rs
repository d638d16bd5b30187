//! `console`: writes to standard output, one line for each event.
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `target` | `stdout` or `stderr` | `stdout` |
//! | `encoding.codec` | `json`: one object per line; `text`: the message alone; `logfmt`: `key=value` on a line, by path (`metadata.users.0.name=Tove`); `pretty`: time, users, mode, and the code as written, coloured on a terminal | `json` |
//! | `encoding.schema` | whose names an event is written with, in `json`: `livebook`, `ecs` (Elastic Common Schema), `ocsf` (Script Activity), `otel` (OTLP/JSON); the book (`docs/schemas.md`) has a table for each | `livebook` |
//! | `encoding.only_fields` | the members that are written, by path: `message`, `metadata.code` | all |
//! | `encoding.except_fields` | members that are not written | none |
//!
//! The paths of `only_fields` and `except_fields` are those of Livebook's event, whatever the schema: members are left
//! out before the rest gets its new names.
//!
//! Where the reader goes away, as `head` does when it has seen enough, the run ends quietly.
//!
//! ```toml
//! [sinks.out]
//! type = "console"
//! inputs = ["project"]
//! encoding.codec = "pretty"
//! ```

use super::SinkConfig;
use crate::codec::{Encoder, Encoding};
use crate::delivery::{BoxFuture, Sink, Work, WriteError};
use crate::event::{Event, Invalid};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::io::{self, ErrorKind, IsTerminal, Write};

/// Encoded bytes that are written at once.
const WRITE_BYTES: usize = 256 * 1024;

/// Which of the two streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Standard output.
    #[default]
    Stdout,
    /// Standard error.
    Stderr,
}

/// The options; see the [module](self).
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Console {
    /// Which stream.
    pub target: Target,
    /// How events are written.
    pub encoding: Encoding,
}

impl SinkConfig for Console {
    fn build(&self) -> Result<Work, Invalid> {
        // See https://no-color.org: any value but the empty one asks for none.
        let colour = self.shows() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let encoder = Encoder::new(&self.encoding, colour)?;
        Ok(Work::writing(Writer { target: self.target, encoder, encoded: Vec::new(), written: 0, bytes: 0 }))
    }

    fn shows(&self) -> bool {
        match self.target {
            Target::Stdout => io::stdout().is_terminal(),
            Target::Stderr => io::stderr().is_terminal(),
        }
    }
}

struct Writer {
    target: Target,
    encoder: Encoder,
    encoded: Vec<u8>,
    /// How much of `encoded` is out: a write that is tried again goes on from here.
    written: usize,
    /// How much was encoded in all.
    bytes: u64,
}

impl Sink for Writer {
    fn blocks(&self) -> bool {
        true
    }

    fn write<'a>(&'a mut self, events: &'a [Event]) -> BoxFuture<'a, Result<(), WriteError>> {
        Box::pin(std::future::ready(self.encode(events)))
    }

    fn flush(&mut self) -> BoxFuture<'_, Result<(), WriteError>> {
        Box::pin(std::future::ready(self.write_out()))
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Writer {
    fn encode(&mut self, events: &[Event]) -> Result<(), WriteError> {
        // A write that failed is repeated with the same events: nothing of them may be in the buffer then.
        if self.encoded.len() >= WRITE_BYTES {
            self.write_out()?;
        }
        let before = self.encoded.len();
        for event in events {
            self.encoder.encode(event, &mut self.encoded);
        }
        self.bytes += (self.encoded.len() - before) as u64;
        Ok(())
    }

    fn write_out(&mut self) -> Result<(), WriteError> {
        let mut stream: Box<dyn Write> = match self.target {
            Target::Stdout => Box::new(io::stdout().lock()),
            Target::Stderr => Box::new(io::stderr().lock()),
        };
        while let Some(rest) = self.encoded.get(self.written..).filter(|rest| !rest.is_empty()) {
            match stream.write(rest) {
                Ok(0) => return Err(failure(&ErrorKind::WriteZero.into())),
                Ok(len) => self.written += len,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(failure(&e)),
            }
        }
        stream.flush().map_err(|e| failure(&e))?;
        self.encoded.clear();
        self.written = 0;
        Ok(())
    }
}

fn failure(e: &io::Error) -> WriteError {
    match e.kind() {
        ErrorKind::BrokenPipe => WriteError::Gone,
        _ => WriteError::Transient(e.to_string()),
    }
}
