//! `console`: writes to standard output, one line for each event.
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `target` | `stdout` or `stderr` | `stdout` |
//! | `encoding.codec` | `json`: one object per line; `text`: the message alone; `pretty`: time, users, mode, and the code as written, coloured on a terminal | `json` |
//! | `encoding.only_fields` | the members that are written, by path: `message`, `metadata.code` | all |
//! | `encoding.except_fields` | members that are not written | none |
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
use crate::delivery::{BoxFuture, Sink, WriteError};
use crate::event::{Event, Invalid};
use serde::Deserialize;
use std::io::{self, ErrorKind, IsTerminal, Write};

/// Encoded bytes that are written at once.
const WRITE_BYTES: usize = 256 * 1024;

/// Which of the two streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Standard output.
    #[default]
    Stdout,
    /// Standard error.
    Stderr,
}

/// The options; see the [module](self).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Console {
    /// Which stream.
    pub target: Target,
    /// How events are written.
    pub encoding: Encoding,
}

impl SinkConfig for Console {
    fn build(&self) -> Result<Box<dyn Sink>, Invalid> {
        let terminal = match self.target {
            Target::Stdout => io::stdout().is_terminal(),
            Target::Stderr => io::stderr().is_terminal(),
        };
        // See https://no-color.org: any value but the empty one asks for none.
        let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let encoder = Encoder::new(&self.encoding, colour)?;
        Ok(Box::new(Writer { target: self.target, encoder, encoded: Vec::new(), written: 0 }))
    }
}

struct Writer {
    target: Target,
    encoder: Encoder,
    encoded: Vec<u8>,
    /// How much of `encoded` is out: a write that is tried again goes on from here.
    written: usize,
}

impl Sink for Writer {
    fn write<'a>(&'a mut self, events: &'a [Event]) -> BoxFuture<'a, Result<(), WriteError>> {
        Box::pin(async move {
            // A write that failed is repeated with the same events: nothing of them may be in the buffer then.
            if self.encoded.len() >= WRITE_BYTES {
                self.flush().await?;
            }
            for event in events {
                self.encoder.encode(event, &mut self.encoded);
            }
            Ok(())
        })
    }

    fn flush(&mut self) -> BoxFuture<'_, Result<(), WriteError>> {
        Box::pin(async move {
            let (encoded, written, target) = (std::mem::take(&mut self.encoded), self.written, self.target);
            // Standard output may block for as long as its reader likes: not on a thread that others need.
            let done = tokio::task::spawn_blocking(move || write_out(target, encoded, written)).await;
            let (encoded, written, result) = done.map_err(|e| WriteError::Permanent(e.to_string()))?;
            self.encoded = encoded;
            self.written = written;
            match result {
                Ok(()) => {
                    self.encoded.clear();
                    self.written = 0;
                    Ok(())
                }
                Err(e) if e.kind() == ErrorKind::BrokenPipe => Err(WriteError::Gone),
                Err(e) => Err(WriteError::Transient(e.to_string())),
            }
        })
    }
}

/// Writes from `written` on; gives back the buffer, and how much of it is out by now.
fn write_out(target: Target, encoded: Vec<u8>, mut written: usize) -> (Vec<u8>, usize, io::Result<()>) {
    let mut stream: Box<dyn Write> = match target {
        Target::Stdout => Box::new(io::stdout().lock()),
        Target::Stderr => Box::new(io::stderr().lock()),
    };
    while let Some(rest) = encoded.get(written..).filter(|rest| !rest.is_empty()) {
        match stream.write(rest) {
            Ok(0) => return (encoded, written, Err(ErrorKind::WriteZero.into())),
            Ok(len) => written += len,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return (encoded, written, Err(e)),
        }
    }
    let flushed = stream.flush();
    (encoded, written, flushed)
}
