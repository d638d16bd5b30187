//! The body of a request: events put together, and packed.

use crate::codec::{Compression, Encoding, EncodingCodec, Schema};
use crate::delivery::Request;
use flate2::write::GzEncoder;
use schemars::JsonSchema;
use serde::Deserialize;
use std::io::{self, Write};

/// Level of `zstd`: its own default.
const ZSTD_LEVEL: i32 = 3;
/// What stands around the records of a line that is a whole export request.
const OTLP_BEFORE: &[u8] = b"{\"resourceLogs\":[";
const OTLP_BEHIND: &[u8] = b"]}";

/// The option `framing`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Framing {
    /// What stands between events.
    pub method: FramingMethod,
}

/// What stands between events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FramingMethod {
    /// Each event ends in a newline.
    NewlineDelimited,
}

/// How events become one body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joined {
    /// Lines of JSON.
    Lines,
    /// Lines of something else.
    Text,
    /// One JSON array.
    Array,
    /// One export request of OTLP.
    Otlp,
}

/// The form of a body.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    joined: Joined,
    compression: Compression,
}

impl Form {
    /// What these options ask for.
    pub fn new(framing: Option<Framing>, encoding: &Encoding, compression: Compression) -> Form {
        let joined = match (encoding.codec, framing, encoding.schema) {
            (EncodingCodec::Text | EncodingCodec::Logfmt | EncodingCodec::Pretty, _, _) => Joined::Text,
            (EncodingCodec::Json, Some(_), _) => Joined::Lines,
            (EncodingCodec::Json, None, Schema::Otel) => Joined::Otlp,
            (EncodingCodec::Json, None, _) => Joined::Array,
        };
        Form { joined, compression }
    }

    /// Bytes of encoded events that fit into a body of `max` bytes: an array has one more than its lines.
    pub fn room(&self, max: usize) -> usize {
        match self.joined {
            Joined::Lines | Joined::Text | Joined::Otlp => max,
            Joined::Array => max.saturating_sub(1),
        }
    }

    /// Whether bodies are export requests of OTLP.
    pub fn is_otlp(&self) -> bool {
        self.joined == Joined::Otlp
    }

    /// `Content-Type`.
    pub fn content_type(&self) -> &'static str {
        match self.joined {
            Joined::Lines => "application/x-ndjson",
            Joined::Text => "text/plain; charset=utf-8",
            Joined::Array | Joined::Otlp => "application/json",
        }
    }

    /// `Content-Encoding`.
    pub fn content_encoding(&self) -> Option<&'static str> {
        match self.compression {
            Compression::None => None,
            Compression::Gzip => Some("gzip"),
            Compression::Zstd => Some("zstd"),
        }
    }

    /// The body of `request`.
    pub fn body(&self, request: &Request<'_>) -> io::Result<Vec<u8>> {
        let joined = self.join(request);
        match self.compression {
            Compression::None => Ok(joined),
            Compression::Gzip => {
                let room = Vec::with_capacity(joined.len() / 4);
                let mut packer = GzEncoder::new(room, flate2::Compression::default());
                packer.write_all(&joined)?;
                packer.finish()
            }
            Compression::Zstd => zstd::bulk::compress(&joined, ZSTD_LEVEL),
        }
    }

    fn join(&self, request: &Request<'_>) -> Vec<u8> {
        let (before, behind): (&[u8], &[u8]) = match self.joined {
            Joined::Lines | Joined::Text => return request.encoded().to_vec(),
            Joined::Array => (b"[", b"]"),
            Joined::Otlp => (OTLP_BEFORE, OTLP_BEHIND),
        };
        let mut body = Vec::with_capacity(request.encoded().len() + before.len() + behind.len());
        body.extend_from_slice(before);
        for (at, event) in request.events().enumerate() {
            if at > 0 {
                body.push(b',');
            }
            body.extend_from_slice(self.element(event));
        }
        body.extend_from_slice(behind);
        body
    }

    /// What an encoded event is between two commas.
    fn element<'a>(&self, event: &'a [u8]) -> &'a [u8] {
        let event = event.strip_suffix(b"\n").unwrap_or(event);
        let inner = event.strip_prefix(OTLP_BEFORE).and_then(|rest| rest.strip_suffix(OTLP_BEHIND));
        inner.filter(|_| self.joined == Joined::Otlp).unwrap_or(event)
    }
}
