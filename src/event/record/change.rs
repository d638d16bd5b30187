//! What a program has made of an event, and how the event takes it over.

use super::hidden::{Hidden, percent_of};
use super::notes::{Notes, Side};
use super::{Escapes, Event, IN_EXTRA, Member, Piece, Place, Span, known_name, value};
use smallvec::SmallVec;
use vrl::value::{KeyString, ObjectMap, Value};

/// The members that come first where a program has made a record, in this order.
const FIRST: [&str; 4] = ["message", "time", "metadata", "severity"];

/// As much as a program may write to one event. It needs much to go beyond that (a packed bomb), and what an event holds
/// has to fit into 31 bits even where many programs follow each other.
const CHANGE_BYTES_MAX: usize = 64 << 20;

/// What has to become of the members at one place.
#[derive(Debug, Default)]
struct Edits {
    /// New values of members by their place in the list; none where it is removed.
    kept: SmallVec<[(usize, Option<Value>); 2]>,
    added: SmallVec<[(KeyString, Value); 2]>,
}

/// Room for more than what is written needs, so that a quote or two of it find room without another allocation.
const SPARE_BYTES: usize = 32;

/// Events that a program has made.
#[derive(Debug)]
pub enum Made {
    /// The event itself, changed or not.
    Itself,
    /// It and others behind it.
    More(Vec<Event>),
    /// None at all.
    Nothing,
    /// More than an event can hold, or nested more deeply; it is as it was.
    TooLarge,
}

impl Event {
    /// The name of the member with the index `at`.
    pub(super) fn key(&self, place: Place, at: usize) -> KeyString {
        let name = self.list(place).get(at).map(|member| self.name_bytes(member.name)).unwrap_or_default();
        value::key(name, Escapes::Short)
    }

    /// The value of the member with the index `at`.
    pub(super) fn value(&self, place: Place, at: usize) -> Value {
        let Some(member) = self.list(place).get(at) else { return Value::Null };
        let typed = self.hidden.iter().flat_map(|hidden| &hidden.typed);
        let typed = typed.filter(|(span, _)| *span == member.value).map(|(_, value)| value.clone()).next();
        typed.unwrap_or_else(|| {
            let (text, in_text) = (self.bytes(member.value), member.value.start & IN_EXTRA == 0);
            value::read_of(text, member.value.escapes(), in_text.then_some(&self.text))
        })
    }

    /// Takes over what a program has made of the event. Events that it has made beside this one come back; the first
    /// of all stays here, and none stays where there are none.
    pub fn change(&mut self, notes: &mut Notes) -> Made {
        let size_bytes = notes.size_bytes();
        if size_bytes > CHANGE_BYTES_MAX {
            return Made::TooLarge;
        }
        if let Some(percent) = notes.take_percent() {
            let percent = percent.into_iter().map(|(name, member)| (name, value::alone(member)));
            self.hidden_mut().percent = Some(percent.collect());
        }
        match notes.take_root() {
            None => {
                if size_bytes > 0 {
                    self.reserve(size_bytes + SPARE_BYTES);
                }
                self.take_over(Place::Metadata, &mut notes.metadata);
                self.take_over(Place::Top, &mut notes.top);
                Made::Itself
            }
            Some(Value::Array(values)) => self.split(values),
            Some(root) => {
                self.replace(root);
                Made::Itself
            }
        }
    }

    /// All of `%`, where a program has written to it.
    pub(super) fn stored_percent(&self) -> Option<&ObjectMap> {
        self.hidden.as_ref().and_then(|hidden| hidden.percent.as_ref())
    }

    /// Whether a program has written to `%`.
    pub fn is_percent_written(&self) -> bool {
        self.stored_percent().is_some()
    }

    /// Sets a member to what a program has written to `%` under the same name, if it has.
    pub fn set_from_percent(&mut self, place: Place, name: &str) {
        if let Some(value) = self.stored_percent().and_then(|percent| percent.get(name)).cloned() {
            self.set(place, name, |out| {
                value::write(&value, out);
            });
        }
    }

    /// Sets a member of `%`.
    pub fn set_percent(&mut self, name: &str, value: Value) {
        let origin = &self.origin;
        let hidden = self.hidden.get_or_insert_with(Box::default);
        hidden.percent.get_or_insert_with(|| percent_of(origin)).insert(name.into(), value);
    }

    fn hidden_mut(&mut self) -> &mut Hidden {
        self.hidden.get_or_insert_with(Box::default)
    }

    fn split(&mut self, values: Vec<Value>) -> Made {
        let mut values = values.into_iter();
        let Some(first) = values.next() else { return Made::Nothing };
        let others = values.enumerate().map(|(at, value)| {
            let mut other = self.clone();
            other.origin = self.origin.with_part(at as u32 + 1);
            other.replace(value);
            other
        });
        let others: Vec<Event> = others.collect();
        self.replace(first);
        Made::More(others)
    }

    /// Makes the record what `root` is.
    fn replace(&mut self, root: Value) {
        // As in Vector, what is no object becomes the message of one.
        let mut map = match root {
            Value::Object(map) => map,
            other => ObjectMap::from([("message".into(), other)]),
        };
        let mut kept = None;
        if self.metadata_at.is_some() && matches!(map.get("metadata"), Some(Value::Object(_))) {
            if let Some(Value::Object(metadata)) = map.remove("metadata") {
                let edits = self.edits(Place::Metadata, metadata, None);
                self.edit(Place::Metadata, edits);
            }
            kept = self.metadata_at.map(|at| at as usize);
        }
        let edits = self.edits(Place::Top, map, kept);
        self.edit(Place::Top, edits);
    }

    /// What has to change for the members at `place`, but for that at `kept`, to be those of `map`.
    fn edits(&self, place: Place, mut map: ObjectMap, kept: Option<usize>) -> Edits {
        let mut edits = Edits::default();
        for at in (0..self.list(place).len()).filter(|at| Some(*at) != kept) {
            let is_metadata = place == Place::Top && self.metadata_at == Some(at as u32);
            let new = map.remove(&self.key(place, at));
            // What reads the same keeps its text.
            if is_metadata || new.as_ref() != Some(&self.value(place, at)) {
                edits.kept.push((at, new));
            }
        }
        for name in FIRST {
            edits.added.extend(map.remove_entry(name));
        }
        edits.added.extend(map);
        edits
    }

    fn take_over(&mut self, place: Place, side: &mut Side) {
        self.rewrite(place, side.take_written());
        self.list_mut(place).reserve(side.added_len());
        side.take_added_all().for_each(|(name, value)| self.append(place, name, value));
    }

    fn edit(&mut self, place: Place, edits: Edits) {
        self.rewrite(place, edits.kept.into_iter());
        edits.added.into_iter().for_each(|(name, value)| self.append(place, &name, value));
    }

    /// Gives members new values, or takes them away.
    fn rewrite(&mut self, place: Place, kept: impl Iterator<Item = (usize, Option<Value>)>) {
        let mut gone: SmallVec<[usize; 4]> = SmallVec::new();
        for (at, value) in kept {
            match value {
                Some(value) => self.set_value_at(place, at, value),
                None => gone.push(at),
            }
        }
        gone.into_iter().rev().for_each(|at| self.remove_at(place, at));
    }

    /// Adds a member whose name no other has.
    fn append(&mut self, place: Place, name: &str, value: Value) {
        if place == Place::Top && name == "metadata" && matches!(value, Value::Object(_)) {
            self.ensure_metadata();
            return self.set_metadata(value);
        }
        let name = self.attach_name(name.as_bytes());
        let (span, is_plain) = self.write_new(&value);
        self.put(place, None, Member { name, value: span });
        if !is_plain {
            self.remember_type(place, self.list(place).len().saturating_sub(1), value);
        }
    }

    fn set_value_at(&mut self, place: Place, at: usize, value: Value) {
        let Some(name) = self.list(place).get(at).map(|member| member.name) else { return };
        let is_metadata = place == Place::Top && name.known() == known_name(b"metadata");
        if is_metadata && matches!(value, Value::Object(_)) {
            self.ensure_metadata();
            return self.set_metadata(value);
        }
        if is_metadata {
            self.metadata.clear();
            self.metadata_at = None;
        }
        let (span, is_plain) = self.write_new(&value);
        self.put(place, Some(at), Member { name, value: span });
        if !is_plain {
            self.remember_type(place, at, value);
        }
    }

    /// Writes `value` behind the record; says whether its text tells its type.
    fn write_new(&mut self, value: &Value) -> (Span, bool) {
        let start = self.extra.len();
        let is_plain = value::write(value, &mut self.extra);
        let end = self.extra.len();
        // With its quotes, a string without escapes is as long as it was.
        let escapes = match value {
            Value::Bytes(bytes) if end - start != bytes.len() + 2 => Escapes::Short,
            Value::Regex(_) => Escapes::Short,
            _ => Escapes::None,
        };
        (Span::new(Piece { start, end, escapes }, true), is_plain)
    }

    /// Makes `value` the members of `metadata`, which is an object.
    fn set_metadata(&mut self, value: Value) {
        self.metadata.clear();
        let Value::Object(map) = value else { return };
        let edits = self.edits(Place::Metadata, map, None);
        self.edit(Place::Metadata, edits);
    }

    /// Remembers a value whose text does not tell its type.
    fn remember_type(&mut self, place: Place, at: usize, value: Value) {
        if let Some(member) = self.list(place).get(at).copied() {
            self.hidden_mut().typed.push((member.value, value::alone(value)));
        }
    }
}
