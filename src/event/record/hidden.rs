//! What an event holds beside its text, because a program has put it there.

use super::Span;
use super::value;
use crate::event::origin::Origin;
use chrono::DateTime;
use vrl::value::{ObjectMap, Value};

/// Bytes that a value is taken to hold on to besides its text.
const VALUE_BYTES: usize = 64;

/// Few events have any of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Hidden {
    /// Values whose text does not tell their type: times, patterns, bytes that are not UTF-8. Each with the piece of
    /// text that stands for it, which never changes: where a member has another piece, it has another value.
    pub typed: Vec<(Span, Value)>,
    /// All of `%`, once a program has written to it.
    pub percent: Option<ObjectMap>,
}

impl Hidden {
    /// Bytes of memory, roughly.
    pub fn size_bytes(&self) -> usize {
        let percent =
            self.percent.iter().flatten().map(|(name, member)| name.len() + value::size_bytes(member));
        size_of::<Hidden>() + percent.sum::<usize>() + self.typed.len() * VALUE_BYTES
    }
}

/// `%` as it is before a program writes to it: where the record was read.
pub(super) fn percent_of(origin: &Origin) -> ObjectMap {
    let stream = origin.stream();
    let mut map = ObjectMap::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            map.insert(name.into(), value);
        }
    };
    let text = |text: &Option<String>| text.as_deref().map(Value::from);
    let number = |number: u64| i64::try_from(number).map_or(Value::Null, Value::Integer);
    put("source", Some(stream.source.as_str().into()));
    put("file", text(&stream.file));
    put("container", text(&stream.container));
    put("peer", text(&stream.peer));
    put("offset", Some(number(origin.offset())));
    let received = i64::try_from(origin.received_ms()).ok().and_then(DateTime::from_timestamp_millis);
    put("received", received.map(Value::Timestamp));
    put("id", Some(origin.id().into()));
    if let Some(refusal) = &stream.refusal {
        put("reject_reason", Some(refusal.reason.as_str().into()));
        put("reject_status", refusal.status.map(|status| Value::Integer(status.into())));
        put("reject_answer", Some(refusal.answer.as_str().into()));
    }
    map
}
