//! An event as a program in VRL sees it.
//!
//! The text stays what it is while a program runs. A member becomes a value when the program first asks for it, and
//! what the program writes is noted beside the text: a program that fails has changed nothing, and of a long record
//! only what is asked for is ever parsed. Only a program that takes the record as a whole (`.`, `.metadata`) makes a
//! tree of all of it.
//!
//! Afterwards [`Event::change`] sets the members that are different now. So all others keep their bytes: the order of
//! their names, the digits of their numbers.

use super::hidden::percent_of;
use super::notes::{Notes, Side};
use super::{Event, Place};
use std::cell::OnceCell;
use vrl::compiler::{SecretTarget, Target};
use vrl::path::{OwnedSegment, OwnedTargetPath, PathPrefix};
use vrl::value::{ObjectMap, Value};

/// An event on which a program runs.
#[derive(Debug)]
pub struct Tree<'a> {
    event: &'a Event,
    notes: &'a mut Notes,
}

/// Where a path leads.
enum Way<'p> {
    Member(Place, &'p str, &'p [OwnedSegment]),
    Whole,
}

impl<'a> Tree<'a> {
    /// A program's view of `event`. What it reads and writes is noted in `notes`, for [`Event::change`].
    pub fn new(event: &'a Event, notes: &'a mut Notes) -> Tree<'a> {
        notes.begin(event);
        Tree { event, notes }
    }

    /// The value at `path`.
    pub fn get(&self, path: &OwnedTargetPath) -> Option<&Value> {
        if path.prefix == PathPrefix::Metadata {
            return self.percent_at(&path.path.segments);
        }
        if self.notes.root.get().is_none()
            && let Way::Member(place, name, rest) = self.way(&path.path.segments)
        {
            return self.member(place, name)?.get(rest);
        }
        self.whole().get(&path.path)
    }

    /// The whole record, as its own value.
    pub fn record(self) -> Value {
        self.whole();
        self.notes.root.take().unwrap_or(Value::Null)
    }

    fn way<'p>(&self, segments: &'p [OwnedSegment]) -> Way<'p> {
        let [OwnedSegment::Field(name), rest @ ..] = segments else { return Way::Whole };
        if name.as_str() != "metadata" || self.event.metadata_at.is_none() {
            return Way::Member(Place::Top, name, rest);
        }
        match rest {
            [OwnedSegment::Field(name), rest @ ..] => Way::Member(Place::Metadata, name, rest),
            _ => Way::Whole,
        }
    }

    fn side(&self, place: Place) -> &Side {
        match place {
            Place::Top => &self.notes.top,
            Place::Metadata => &self.notes.metadata,
        }
    }

    fn side_mut(&mut self, place: Place) -> &mut Side {
        match place {
            Place::Top => &mut self.notes.top,
            Place::Metadata => &mut self.notes.metadata,
        }
    }

    fn member(&self, place: Place, name: &str) -> Option<&Value> {
        match self.event.position(place, name) {
            Some(at) => self.member_at(place, at),
            None => self.side(place).added(name),
        }
    }

    fn member_at(&self, place: Place, at: usize) -> Option<&Value> {
        self.side(place).read(at, || self.event.value(place, at))
    }

    /// Takes a member out.
    fn take(&mut self, place: Place, name: &str) -> Option<Value> {
        let event = self.event;
        match event.position(place, name) {
            Some(at) => self.side_mut(place).take(at, || event.value(place, at)),
            None => self.side_mut(place).take_added(name),
        }
    }

    fn put(&mut self, place: Place, name: &str, value: Value) {
        match self.event.position(place, name) {
            Some(at) => self.side_mut(place).write(at, value),
            None => self.side_mut(place).add(name, value),
        }
    }

    /// The whole record as one value.
    fn whole(&self) -> &Value {
        self.notes.root.get_or_init(|| {
            let metadata_at = self.event.metadata_at.map(|at| at as usize);
            let mut map = self.all(Place::Top, metadata_at);
            if metadata_at.is_some() {
                map.insert("metadata".into(), Value::Object(self.all(Place::Metadata, None)));
            }
            Value::Object(map)
        })
    }

    /// Changes the whole record.
    fn change_whole<T>(&mut self, change: impl FnOnce(&mut Value) -> T) -> T {
        self.whole();
        let notes = &mut *self.notes;
        notes.root_written = true;
        let mut root = notes.root.take().unwrap_or(Value::Null);
        let result = change(&mut root);
        notes.root = OnceCell::from(root);
        result
    }

    fn all(&self, place: Place, except: Option<usize>) -> ObjectMap {
        let kept = (0..self.event.list(place).len()).filter(|at| Some(*at) != except);
        let kept =
            kept.filter_map(|at| Some((self.event.key(place, at), self.member_at(place, at)?.clone())));
        let added = self.side(place).all_added();
        kept.chain(added.map(|(name, value)| (name.into(), value.clone()))).collect()
    }

    /// A member of `%` is read alone, where it can be: `%id` is a hash.
    fn percent_at(&self, segments: &[OwnedSegment]) -> Option<&Value> {
        let percent = &self.notes.percent;
        if let [OwnedSegment::Field(name), rest @ ..] = segments
            && percent.whole.get().is_none()
            && self.event.stored_percent().is_none()
        {
            return percent.member(self.event.origin(), name)?.get(rest);
        }
        self.percent().get(segments)
    }

    fn percent(&self) -> &Value {
        let event = self.event;
        self.notes.percent.whole.get_or_init(|| {
            Value::Object(event.stored_percent().cloned().unwrap_or_else(|| percent_of(event.origin())))
        })
    }

    /// Changes `%`.
    fn change_percent<T>(&mut self, change: impl FnOnce(&mut Value) -> T) -> T {
        self.percent();
        let percent = &mut self.notes.percent;
        let mut whole = percent.whole.take().unwrap_or(Value::Null);
        let result = change(&mut whole);
        percent.whole = OnceCell::from(whole);
        percent.written = true;
        result
    }

    /// Writes `value` to `path`.
    pub fn set(&mut self, path: &OwnedTargetPath, value: Value) {
        let segments = path.path.segments.as_slice();
        if path.prefix == PathPrefix::Metadata {
            self.change_percent(|percent| insert(percent, segments, value));
        } else if segments.is_empty() {
            self.notes.root = OnceCell::from(value);
            self.notes.root_written = true;
        } else if self.notes.root.get().is_none()
            && let Way::Member(place, name, rest) = self.way(segments)
        {
            if rest.is_empty() {
                return self.put(place, name, value);
            }
            let mut member = self.take(place, name).unwrap_or(Value::Null);
            insert(&mut member, rest, value);
            self.put(place, name, member);
        } else {
            self.change_whole(|root| insert(root, segments, value));
        }
    }

    /// Takes the value at `path` away; with `compact` what is empty then, too.
    pub fn remove(&mut self, path: &OwnedTargetPath, compact: bool) -> Option<Value> {
        let segments = path.path.segments.as_slice();
        if path.prefix == PathPrefix::Metadata {
            return self.change_percent(|percent| percent.remove(segments, compact));
        }
        // What goes with the last that was in it may be anything above.
        let way = if compact || self.notes.root.get().is_some() { Way::Whole } else { self.way(segments) };
        if let Way::Member(place, name, []) = way {
            return self.take(place, name);
        }
        // What is not there must not have its surroundings written anew.
        self.get(path)?;
        if let Way::Member(place, name, rest) = way {
            let mut member = self.take(place, name)?;
            let removed = member.remove(rest, false);
            self.put(place, name, member);
            return removed;
        }
        self.change_whole(|root| root.remove(segments, compact))
    }
}

fn insert(target: &mut Value, segments: &[OwnedSegment], value: Value) {
    if segments.is_empty() {
        *target = value;
    } else {
        target.insert(segments, value);
    }
}

impl Target for Tree<'_> {
    fn target_insert(&mut self, path: &OwnedTargetPath, value: Value) -> Result<(), String> {
        self.set(path, value);
        Ok(())
    }

    fn target_get(&self, path: &OwnedTargetPath) -> Result<Option<&Value>, String> {
        Ok(self.get(path))
    }

    fn target_get_mut(&mut self, path: &OwnedTargetPath) -> Result<Option<&mut Value>, String> {
        // Who asks for this is about to write, and no function of VRL does so on a hot path.
        Ok(match path.prefix {
            PathPrefix::Metadata => {
                self.percent();
                let percent = &mut self.notes.percent;
                percent.written = true;
                percent.whole.get_mut().and_then(|whole| whole.get_mut(&path.path))
            }
            PathPrefix::Event => {
                self.whole();
                self.notes.root_written = true;
                self.notes.root.get_mut().and_then(|root| root.get_mut(&path.path))
            }
        })
    }

    fn target_remove(&mut self, path: &OwnedTargetPath, compact: bool) -> Result<Option<Value>, String> {
        Ok(self.remove(path, compact))
    }
}

/// Vector's events may carry secrets for a sink. Ours do not: there is nothing to read, and what is written is gone.
impl SecretTarget for Tree<'_> {
    fn get_secret(&self, _: &str) -> Option<&str> {
        None
    }

    fn insert_secret(&mut self, _: &str, _: &str) {}

    fn remove_secret(&mut self, _: &str) {}
}
