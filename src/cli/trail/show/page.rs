//! What is shown of a record.
//!
//! Nothing that stands in a trail may act on the terminal, or look like a record that is none: whatever is not ours goes
//! through the same functions as in the codec `pretty`.

use super::pager::has_colour;
use crate::codec::{Encoder, Encoding, EncodingCodec, harmless_into};
use crate::event::{Event, Place};
use crate::livebook::EVALUATE;
use crate::trail::query::{Hit, time_of};
use chrono::SecondsFormat;

const YELLOW: &str = "\x1b[33m";
const RESET: &str = "\x1b[0m";
/// What an evaluation has kept of its source, one or the other.
const SOURCES: [&str; 3] = ["code", "code_base64", "code_sha256"];

/// Writes records for people, or as they are.
pub struct Pages {
    /// None where they are written as they are.
    pretty: Option<Encoder>,
    colour: bool,
}

impl Pages {
    /// With colours, where standard output is a terminal that has them.
    pub fn new(json: bool) -> Pages {
        let colour = has_colour();
        let options = Encoding { codec: EncodingCodec::Pretty, ..Encoding::default() };
        // Only a schema beside it could be wrong.
        let pretty = if json { None } else { Encoder::new(&options, colour).ok() };
        Pages { pretty, colour }
    }

    /// Appends a record; an empty line stands in front of all but the first.
    pub fn write(&self, hit: Hit, is_first: bool, out: &mut Vec<u8>) {
        let Some(pretty) = &self.pretty else {
            out.extend_from_slice(&hit.line);
            return out.push(b'\n');
        };
        if !is_first {
            out.push(b'\n');
        }
        self.remark(&hit.index.to_string(), out);
        out.extend_from_slice(b"  ");
        match hit.record {
            Some(record) => pretty.encode(&prepared(record), out),
            None => {
                self.remark("(no JSON object)", out);
                out.extend_from_slice(b"\n    ");
                raw_into(&hit.line, out);
                out.push(b'\n');
            }
        }
    }

    fn remark(&self, text: &str, out: &mut Vec<u8>) {
        let (before, behind) = if self.colour { (YELLOW, RESET) } else { ("", "") };
        out.extend_from_slice(format!("{before}{text}{behind}").as_bytes());
    }
}

/// The record as it is shown: its time in UTC, and as an evaluation whatever has a source.
fn prepared(mut record: Event) -> Event {
    if let Some(time) = time_of(&record) {
        let text = time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        let is_utc = record
            .get(Place::Top, "time")
            .and_then(|time| time.inner())
            .is_some_and(|text| text.ends_with(b"Z"));
        if !is_utc {
            record.set_string(Place::Top, "time", text.as_bytes());
        }
    }
    if SOURCES.iter().any(|name| record.has(Place::Metadata, name)) {
        record.set_string(Place::Metadata, "event", EVALUATE.as_bytes());
    }
    record
}

/// Appends bytes that may be no text.
fn raw_into(line: &[u8], out: &mut Vec<u8>) {
    for chunk in line.utf8_chunks() {
        harmless_into(chunk.valid(), out);
        for byte in chunk.invalid() {
            out.extend_from_slice(format!("\\x{byte:02X}").as_bytes());
        }
    }
}
