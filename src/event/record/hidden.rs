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

/// As many of [`PERCENT`] belong to one record, the others to its stream.
pub(super) const PERCENT_OF_RECORD: usize = 3;

/// The members of `%`.
pub(super) const PERCENT: [&str; 10] = [
    "offset",
    "received",
    "id",
    "source",
    "file",
    "container",
    "peer",
    "reject_reason",
    "reject_status",
    "reject_answer",
];

/// `%` as it is before a program writes to it: where the record was read.
pub(super) fn percent_of(origin: &Origin) -> ObjectMap {
    PERCENT.iter().filter_map(|name| Some(((*name).into(), percent_member(origin, name)?))).collect()
}

/// One member of it.
pub(super) fn percent_member(origin: &Origin, name: &str) -> Option<Value> {
    let stream = origin.stream();
    let text = |text: &Option<String>| text.as_deref().map(Value::from);
    let refusal = stream.refusal.as_ref();
    match name {
        "source" => Some(stream.source.as_str().into()),
        "file" => text(&stream.file),
        "container" => text(&stream.container),
        "peer" => text(&stream.peer),
        "offset" => Some(i64::try_from(origin.offset()).map_or(Value::Null, Value::Integer)),
        "received" => {
            let received = i64::try_from(origin.received_ms()).ok();
            received.and_then(DateTime::from_timestamp_millis).map(Value::Timestamp)
        }
        "id" => Some(origin.id().into()),
        "reject_reason" => refusal.map(|refusal| refusal.reason.as_str().into()),
        "reject_status" => refusal?.status.map(|status| Value::Integer(status.into())),
        "reject_answer" => refusal.map(|refusal| refusal.answer.as_str().into()),
        _ => None,
    }
}
