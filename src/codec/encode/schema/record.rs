//! An event on its way to other names: which members have got one, and which are left.

use super::object::Object;
use crate::codec::fault::is_fault;
use crate::event::json::Json;
use crate::event::json::string::quote_into;
use crate::event::{Event, Place};
use crate::livebook::EVALUATE;
use chrono::{DateTime, SecondsFormat};
use serde_json::Value;
use std::collections::HashSet;

/// What an event tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A cell was evaluated.
    Evaluation,
    /// A record could not be decoded.
    Fault,
    /// Anything else that was logged.
    Other,
}

impl Kind {
    /// The kind of `event`, to be asked before any of its members is left out.
    pub fn of(event: &Event) -> Kind {
        if event.get(Place::Metadata, "event").is_some_and(|name| name.is(EVALUATE)) {
            Kind::Evaluation
        } else if is_fault(event) {
            Kind::Fault
        } else {
            Kind::Other
        }
    }
}

/// Whether a value has the type that its member always has.
type Is = fn(Json<'_>) -> bool;

/// The metadata that evaltrail knows. Stores that index by type refuse a record whose member has another type than
/// before; so these get a name of their own only where the type is right, and else stay with what is not known.
const OWN: [(&str, Is); 9] = [
    ("users", is_list_of_objects),
    ("users_incomplete", is_flag),
    ("session_mode", is_string),
    ("app_permanent", is_flag),
    ("code", is_string),
    ("code_base64", is_string),
    ("code_incomplete", is_flag),
    ("code_sha256", is_string),
    ("code_bytes", is_count),
];

fn is_string(value: Json<'_>) -> bool {
    value.is_string()
}

fn is_flag(value: Json<'_>) -> bool {
    matches!(value.text(), b"true" | b"false")
}

fn is_count(value: Json<'_>) -> bool {
    value.text().iter().all(u8::is_ascii_digit) && value.text().len() <= 18
}

fn is_list_of_objects(value: Json<'_>) -> bool {
    // An array of objects begins so, whatever the white space; only then is it worth a tree.
    value.is_array() && value.to_value().as_array().is_some_and(|list| list.iter().all(Value::is_object))
}

/// An event, and which of its members have been given a name of the schema: nothing that is not taken is lost.
pub struct Record<'a> {
    event: &'a Event,
    kind: Kind,
    taken: Vec<(Place, &'static str)>,
}

impl<'a> Record<'a> {
    /// Of which nothing is taken yet.
    pub fn new(event: &'a Event, kind: Kind) -> Record<'a> {
        Record { event, kind, taken: Vec::with_capacity(16) }
    }

    /// What it tells of.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// A member, left where it is.
    pub fn see(&self, place: Place, name: &str) -> Option<Json<'a>> {
        self.event.get(place, name)
    }

    /// Takes a member that `is` what the schema can hold.
    fn take(&mut self, place: Place, name: &'static str, is: Is) -> Option<Json<'a>> {
        let value = self.event.get(place, name).filter(|value| is(*value))?;
        self.taken.push((place, name));
        Some(value)
    }

    /// Takes a string.
    pub fn take_string(&mut self, place: Place, name: &'static str) -> Option<Json<'a>> {
        self.take(place, name, is_string)
    }

    /// Takes a number of bytes.
    pub fn take_count(&mut self, place: Place, name: &'static str) -> Option<Json<'a>> {
        self.take(place, name, is_count)
    }

    /// Takes a member whose value stands elsewhere already.
    pub fn pass_over(&mut self, place: Place, name: &'static str) {
        self.taken.push((place, name));
    }

    fn is_taken(&self, place: Place, name: &[u8]) -> bool {
        self.taken.iter().any(|(other, taken)| *other == place && taken.as_bytes() == name)
    }

    /// Takes the metadata that evaltrail knows, as far as they are left and of their type.
    pub fn take_own(&mut self) -> Vec<(&'static str, Json<'a>)> {
        let left = |record: &Self, name: &str| !record.is_taken(Place::Metadata, name.as_bytes());
        let mut own = Vec::new();
        for (name, is) in OWN {
            if left(self, name)
                && let Some(value) = self.take(Place::Metadata, name, is)
            {
                own.push((name, value));
            }
        }
        own
    }

    /// What nobody has taken; names as they stand between quotes.
    pub fn rest(&self, place: Place) -> impl Iterator<Item = (&'a [u8], Json<'a>)> {
        self.event.members(place).filter(move |(name, _)| !self.is_taken(place, name))
    }

    /// Writes all that is left: known metadata by their names, then `metadata` and `record` with the rest.
    pub fn write_rest(&mut self, object: &mut Object<'_>) {
        for (name, value) in self.take_own() {
            object.json(name, value);
        }
        object.members("metadata", self.rest(Place::Metadata));
        object.members("record", self.rest(Place::Top));
    }

    /// Writes `message`: of a fault its detail; of a structured report its JSON text, and the report itself stays.
    pub fn write_message(&mut self, object: &mut Object<'_>) {
        let name = if self.kind == Kind::Fault { "detail" } else { "message" };
        if let Some(text) = self.take_string(Place::Top, name) {
            object.json("message", text);
        } else if let Some(report) = self.see(Place::Top, name).filter(|report| !report.is_null()) {
            quote_into(report.text(), object.member(b"message"));
        }
    }

    /// When it happened, in nanoseconds since 1970; none where `time` is missing, odd, or out of what 64 bits hold.
    pub fn time_ns(&self) -> Option<i64> {
        let text = self.see(Place::Top, "time")?.string()?;
        let time = DateTime::parse_from_rfc3339(std::str::from_utf8(&text).ok()?).ok()?;
        time.timestamp_nanos_opt().filter(|ns| *ns >= 0)
    }

    /// When it was received, in nanoseconds since 1970.
    pub fn received_ns(&self) -> i64 {
        i64::try_from(self.event.origin().received_ms()).unwrap_or(i64::MAX).saturating_mul(1_000_000)
    }

    /// Takes `time` where it reads just as `ns` is written: then it needs not be kept as it was.
    pub fn take_time(&mut self, ns: i64) {
        if self.see(Place::Top, "time").is_some_and(|time| time.is(&rfc3339(ns))) {
            self.pass_over(Place::Top, "time");
        }
    }

    /// An id that a store may use to drop repeats; none where the event comes from no source.
    pub fn id(&self) -> Option<String> {
        let origin = self.event.origin();
        (origin.stream().fingerprint != 0).then(|| origin.id())
    }

    /// The file that it stood in.
    pub fn file(&self) -> Option<&'a str> {
        self.event.origin().stream().file.as_deref()
    }

    /// The id of the source component.
    pub fn source(&self) -> &'a str {
        &self.event.origin().stream().source
    }

    /// Who is named, whether or not it is taken.
    pub fn users(&self) -> Users {
        let list = self.see(Place::Metadata, "users").filter(|users| is_list_of_objects(*users));
        let Some(Value::Array(list)) = list.map(Json::to_value) else { return Users::default() };
        let is_complete =
            self.see(Place::Metadata, "users_incomplete").is_none_or(|flag| flag.text() == b"false");
        Users { list: list.iter().map(User::read).collect(), is_complete }
    }
}

/// A moment as RFC 3339 in UTC, with as many digits as it needs.
pub fn rfc3339(ns: i64) -> String {
    DateTime::from_timestamp_nanos(ns).to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// Everyone that an event names. In a notebook session these are all who are connected, not who ran the cell.
#[derive(Default)]
pub struct Users {
    list: Vec<User>,
    is_complete: bool,
}

/// What is known of one of them.
pub struct User {
    /// What the identity provider calls them.
    pub id: Option<String>,
    /// What they call themselves.
    pub name: Option<String>,
    /// Their address.
    pub email: Option<String>,
}

impl User {
    fn read(user: &Value) -> User {
        let member = |name: &str| match user.get(name) {
            Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        User { id: member("id"), name: member("name"), email: member("email") }
    }

    fn words(&self) -> impl Iterator<Item = &str> {
        [&self.id, &self.name, &self.email].into_iter().filter_map(|word| word.as_deref())
    }
}

impl Users {
    /// The one user, where there is one and the log has lost no other.
    pub fn sole(&self) -> Option<&User> {
        match self.list.as_slice() {
            [user] if self.is_complete && user.words().next().is_some() => Some(user),
            _ => None,
        }
    }

    /// The ids, names and addresses of all, each once.
    pub fn words(&self) -> Vec<&str> {
        let mut seen = HashSet::new();
        self.list.iter().flat_map(User::words).filter(|word| seen.insert(*word)).collect()
    }
}
