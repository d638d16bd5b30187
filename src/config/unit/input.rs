//! What a test inserts.

use super::options::{Ids, RECEIVED_MS};
use super::placed;
use crate::codec::unwrap::Unwrap;
use crate::codec::zone::Zone;
use crate::codec::{Chunk, Codec, Decoded, Decoder, Decoding, Settings};
use crate::event::{Event, Invalid, Made, Mark, Notes, Origin, Stream, Tree};
use crate::language::{Field, Program, timezone};
use bytes::Bytes;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::json;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use vrl::value::Value;

/// The zone of times that have none: the same on every machine.
const ZONE: &str = "UTC";

/// One of the `inputs` of a test.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = by_kind)]
pub(super) struct Input {
    /// The transform that gets it: one id, or a list of them.
    #[schemars(extend("minItems" = 1))]
    pub insert_at: Ids,
    /// How the event is written: `raw` (as `value`), `log` (as `log_fields`) or `vrl` (as `source`).
    #[serde(default, rename = "type")]
    #[schemars(extend("default" = Kind::default().name()))]
    kind: Kind,
    /// The text of a line, or of a record of several.
    value: Option<String>,
    /// A program that makes the event.
    source: Option<String>,
    /// The members of the event by their paths.
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    log_fields: Option<Fields>,
    #[schemars(skip)]
    metric: Option<IgnoredAny>,
}

/// How the event is written.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Raw,
    Log,
    Vrl,
}

impl Kind {
    const NAMES: [&'static str; 3] = ["raw", "log", "vrl"];

    fn name(self) -> &'static str {
        match self {
            Kind::Raw => "raw",
            Kind::Log => "log",
            Kind::Vrl => "vrl",
        }
    }

    /// The option that it takes the event from.
    fn key(self) -> &'static str {
        match self {
            Kind::Raw => "value",
            Kind::Log => "log_fields",
            Kind::Vrl => "source",
        }
    }
}

/// Says in the schema which options do not belong to which type.
fn by_kind(input: &mut Schema) {
    let all = [Kind::Raw, Kind::Log, Kind::Vrl];
    let mut rest = json!({});
    for kind in all {
        // What is not given is the default.
        let needed: &[&str] = if kind == Kind::default() { &[] } else { &["type"] };
        let others = all.into_iter().filter(|other| *other != kind);
        let others: serde_json::Map<_, _> =
            others.map(|other| (other.key().to_owned(), false.into())).collect();
        rest = json!({
            "if": {"required": needed, "properties": {"type": {"const": kind.name()}}},
            "then": {"properties": others},
            "else": rest,
        });
    }
    if let serde_json::Value::Object(rest) = rest {
        rest.into_iter().for_each(|(keyword, value)| drop(input.insert(keyword, value)));
    }
}

impl JsonSchema for Kind {
    fn schema_name() -> Cow<'static, str> {
        "InputKind".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "enum": Kind::NAMES})
    }
}

impl Input {
    /// The events; `key` is the option that this stands in. `offset` is where the next record would stand if all inputs
    /// of the test were one log.
    pub fn events(&self, key: &str, stream: &Arc<Stream>, offset: &mut u64) -> Result<Vec<Event>, Invalid> {
        let of = |name: &str| format!("{key}.{name}");
        if self.metric.is_some() {
            return Err(Invalid::new(&of("metric"), NO_METRICS));
        }
        let given = [("value", self.value.is_some()), ("log_fields", self.log_fields.is_some())];
        let given = given.into_iter().chain([("source", self.source.is_some())]);
        let (name, wanted) = (self.kind.name(), self.kind.key());
        let mut given = given.filter(|(other, is_there)| *is_there && *other != wanted);
        if let Some((other, _)) = given.next() {
            let message = format!("an input of the type `{name}` has no `{other}`");
            let right = [Kind::Raw, Kind::Log, Kind::Vrl].into_iter().find(|kind| kind.key() == other);
            let right = right.map(Kind::name).unwrap_or_default();
            return Err(Invalid::new(&of(other), message)
                .help(format!("write it as `{wanted}`, or give the input `type = \"{right}\"`")));
        }
        let origin = Origin::new(Arc::clone(stream), *offset, RECEIVED_MS);
        let missing = || Invalid::new(key, format!("an input of the type `{name}` needs `{wanted}`"));
        match self.kind {
            Kind::Raw => raw(self.value.as_ref().ok_or_else(missing)?, &of("value"), stream, offset),
            Kind::Log => {
                *offset += 1;
                self.log_fields
                    .as_ref()
                    .ok_or_else(missing)?
                    .event(&of("log_fields"), origin)
                    .map(|one| vec![one])
            }
            Kind::Vrl => {
                *offset += 1;
                program(self.source.as_ref().ok_or_else(missing)?, &of("source"), origin)
            }
        }
    }
}

/// What a source would make of `text`.
fn raw(text: &str, key: &str, stream: &Arc<Stream>, offset: &mut u64) -> Result<Vec<Event>, Invalid> {
    let timezone = Zone::try_from(ZONE.to_owned()).map_err(|why| Invalid::new(key, why))?;
    let decoding = Decoding { codec: Codec::Livebook, unwrap: Unwrap::default(), timezone };
    let mut decoder = Decoder::new(Settings::new(decoding));
    let mut decoded = Decoded::new(Arc::clone(stream), RECEIVED_MS);
    let line = if text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") };
    let len = line.len() as u64;
    decoder.decode(Chunk::Lines { bytes: Bytes::from(line), offset: *offset }, &mut decoded);
    decoder.complete(&mut decoded);
    *offset += len;
    if let Some(fault) = decoded.faults.first() {
        let message = format!("no source could decode this ({}): {}", fault.kind.name(), fault.detail);
        return Err(
            Invalid::new(key, message).help("what can't be decoded leaves its source by the port `faults`")
        );
    }
    if decoded.events.is_empty() {
        return Err(Invalid::new(key, "there is no record in it"));
    }
    Ok(decoded.events)
}

/// The events that a program makes of one without members.
fn program(source: &str, key: &str, origin: Origin) -> Result<Vec<Event>, Invalid> {
    let mut program = Program::new(key, source, timezone(Some(ZONE))?)?;
    let mut event = Event::new(origin);
    let mut notes = Notes::default();
    if let Err(failure) = program.run(&mut Tree::new(&event, &mut notes)) {
        let (span, message) = placed(&failure.message);
        let marks = span.map(|span| Mark { span, label: message.to_owned() });
        return Err(match marks {
            None => Invalid::new(key, format!("the program fails: {message}")),
            Some(mark) => Invalid { marks: vec![mark], ..Invalid::new(key, "the program fails") },
        });
    }
    match event.change(&mut notes) {
        Made::Itself => Ok(vec![event]),
        Made::More(others) => Ok([event].into_iter().chain(others).collect()),
        Made::Nothing => Err(Invalid::new(key, "the program makes no event")),
        Made::TooLarge => Err(Invalid::new(key, "the program makes more than an event can hold")),
    }
}

/// Members by their paths, in the order of the file.
struct Fields(Vec<(String, Value)>);

impl Fields {
    fn event(&self, key: &str, origin: Origin) -> Result<Event, Invalid> {
        let mut event = Event::new(origin);
        let mut notes = Notes::default();
        let mut tree = Tree::new(&event, &mut notes);
        for (path, value) in &self.0 {
            let field = Field::parse(key, path)?;
            // `"metadata.code"` and a table `metadata` may stand side by side.
            let value = match field.get(&tree) {
                Some(before) => merged(before.clone(), value.clone()),
                None => value.clone(),
            };
            field.set(&mut tree, value);
        }
        event.change(&mut notes);
        Ok(event)
    }
}

/// The members of both objects; what is no object gives way.
fn merged(before: Value, value: Value) -> Value {
    let (Value::Object(mut members), Value::Object(others)) = (before, value.clone()) else { return value };
    for (name, other) in others {
        let other = match members.remove(&name) {
            Some(before) => merged(before, other),
            None => other,
        };
        members.insert(name, other);
    }
    Value::Object(members)
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fields, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of members")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

const NO_METRICS: &str = "there are no metrics here: a test inserts log records";

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Kind, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "raw" => Ok(Kind::Raw),
            "log" => Ok(Kind::Log),
            "vrl" => Ok(Kind::Vrl),
            "metric" => Err(D::Error::custom(NO_METRICS)),
            other => Err(D::Error::unknown_variant(other, &Kind::NAMES)),
        }
    }
}
