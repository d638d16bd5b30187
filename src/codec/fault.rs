//! What could not be decoded, as an event of its own: nothing is dropped unseen.

use super::boot;
use crate::event::json::Json;
use crate::event::json::string::quote_into;
use crate::event::{Event, Origin, Place};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Bytes of a record that a fault keeps; more is cut off, which the fault says.
pub const RAW_BYTES_MAX: usize = 64 * 1024;

/// Why a record could not be decoded; the name is the fault's `reason` and the label of its counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// It begins as a JSON object and is none.
    BrokenJson,
    /// Its bytes are not UTF-8.
    InvalidUtf8,
    /// It is longer than `max_record_bytes`.
    TooLong,
    /// It stands in a compressed file or body, behind a place that can't be unpacked.
    BrokenCompression,
    /// It came in parts, and the last of them did not come.
    Incomplete,
}

impl FaultKind {
    /// The name that users see.
    pub fn name(self) -> &'static str {
        match self {
            FaultKind::BrokenJson => "broken_json",
            FaultKind::InvalidUtf8 => "invalid_utf8",
            FaultKind::TooLong => "record_too_long",
            FaultKind::BrokenCompression => "broken_compression",
            FaultKind::Incomplete => "incomplete_record",
        }
    }
}

/// A record that could not be decoded.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Why.
    pub kind: FaultKind,
    /// Why exactly, for a person.
    pub detail: String,
    /// `reason`, `detail`, `raw` or `raw_base64`, and `truncated`; its origin says where it stood.
    pub event: Event,
}

impl Fault {
    /// A fault about `raw`, of which more may have been lost already.
    pub fn new(kind: FaultKind, detail: String, raw: &[u8], lost: bool, origin: Origin) -> Fault {
        let kept = raw.get(..RAW_BYTES_MAX).unwrap_or(raw);
        let kept = kept.strip_suffix(b"\n").unwrap_or(kept);
        let hidden = boot::hide(kept);
        let kept = hidden.as_deref().unwrap_or(kept);
        let truncated = lost || raw.len() > RAW_BYTES_MAX;
        let mut event = Event::new(origin);
        event.set_string(Place::Top, "reason", kind.name().as_bytes());
        event.set_string(Place::Top, "detail", detail.as_bytes());
        // A cut may have split a character; that alone makes no base64 of a text.
        let whole = if truncated { crate::livebook::users::whole_chars(kept) } else { kept.len() };
        match kept.get(..whole).filter(|text| simdutf8::basic::from_utf8(text).is_ok()) {
            Some(text) => event.set_string(Place::Top, "raw", text),
            None => {
                let encoded = STANDARD.encode(kept);
                event.set(Place::Top, "raw_base64", |out| quote_into(encoded.as_bytes(), out));
            }
        }
        event.set(Place::Top, "truncated", |out| out.extend_from_slice(truncated.to_string().as_bytes()));
        Fault { kind, detail, event }
    }
}

/// Whether `event` is what [`Fault::new`] makes: it has left its source by the port `faults`.
pub fn is_fault(event: &Event) -> bool {
    let is_string = |name: &str| event.get(Place::Top, name).is_some_and(Json::is_string);
    is_string("reason")
        && is_string("detail")
        && (is_string("raw") || is_string("raw_base64"))
        && event.has(Place::Top, "truncated")
        && !event.has(Place::Top, "message")
        && !event.has(Place::Top, "metadata")
}
