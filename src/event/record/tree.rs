//! An event as a program in VRL sees it.
//!
//! The text stays what it is while a program runs. A member becomes a value when the program first asks for it, and
//! what the program writes is noted beside the text: a program that fails has changed nothing, and of a long record
//! only what is asked for is ever parsed. Only a program that takes the record as a whole (`.`, `.metadata`) makes a
//! tree of all of it.
//!
//! Afterwards [`Event::change`] sets the members that are different now. So all others keep their bytes: the order of
//! their names, the digits of their numbers.

use super::change::{Changes, Edits};
use super::hidden::percent_of;
use super::{Event, Place};
use smallvec::SmallVec;
use std::cell::OnceCell;
use vrl::compiler::{SecretTarget, Target};
use vrl::path::{OwnedSegment, OwnedTargetPath, PathPrefix};
use vrl::value::{KeyString, ObjectMap, Value};

/// What is known of a member.
#[derive(Debug)]
enum Slot {
    /// As it stands in the text.
    Read(Value),
    /// As the program wrote it.
    Written(Value),
    /// The program took it away.
    Removed,
}

impl Slot {
    fn value(&self) -> Option<&Value> {
        match self {
            Slot::Read(value) | Slot::Written(value) => Some(value),
            Slot::Removed => None,
        }
    }

    fn into_value(self) -> Option<Value> {
        match self {
            Slot::Read(value) | Slot::Written(value) => Some(value),
            Slot::Removed => None,
        }
    }
}

/// The members at one place.
#[derive(Debug, Default)]
struct Side {
    /// One for each member of the text.
    slots: OnceCell<Box<[OnceCell<Slot>]>>,
    /// Members that the text does not have.
    added: SmallVec<[(KeyString, Value); 2]>,
}

/// An event on which a program runs.
#[derive(Debug)]
pub struct Tree<'a> {
    event: &'a Event,
    top: Side,
    metadata: Side,
    /// The whole record, from the moment when a program has asked for it.
    root: OnceCell<Value>,
    /// Whether the program has written to the whole; if so, the sides count no more.
    root_written: bool,
    percent: OnceCell<Value>,
    percent_written: bool,
}

/// Where a path leads.
enum Way<'p> {
    Member(Place, &'p str, &'p [OwnedSegment]),
    Whole,
}

impl<'a> Tree<'a> {
    /// A program's view of `event`.
    pub fn new(event: &'a Event) -> Tree<'a> {
        Tree {
            event,
            top: Side::default(),
            metadata: Side::default(),
            root: OnceCell::new(),
            root_written: false,
            percent: OnceCell::new(),
            percent_written: false,
        }
    }

    /// What has been written so far.
    pub fn into_changes(self) -> Changes {
        let Tree { top, metadata, root, root_written, percent, percent_written, .. } = self;
        let percent = match percent.into_inner() {
            Some(Value::Object(map)) if percent_written => Some(map),
            Some(other) if percent_written => Some(ObjectMap::from([("value".into(), other)])),
            _ => None,
        };
        match root.into_inner().filter(|_| root_written) {
            Some(root) => Changes { root: Some(root), percent, ..Changes::default() },
            None => Changes { top: top.into_edits(), metadata: metadata.into_edits(), root: None, percent },
        }
    }

    /// The value at `path`.
    pub fn get(&self, path: &OwnedTargetPath) -> Option<&Value> {
        if path.prefix == PathPrefix::Metadata {
            return self.percent().get(&path.path);
        }
        if self.root.get().is_none()
            && let Way::Member(place, name, rest) = self.way(&path.path.segments)
        {
            return self.member(place, name)?.get(rest);
        }
        self.whole().get(&path.path)
    }

    /// The whole record, as its own value.
    pub fn record(self) -> Value {
        self.whole();
        self.root.into_inner().unwrap_or(Value::Null)
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
            Place::Top => &self.top,
            Place::Metadata => &self.metadata,
        }
    }

    fn side_mut(&mut self, place: Place) -> &mut Side {
        match place {
            Place::Top => &mut self.top,
            Place::Metadata => &mut self.metadata,
        }
    }

    fn slots(&self, place: Place) -> &[OnceCell<Slot>] {
        let count = self.event.list(place).len();
        self.side(place).slots.get_or_init(|| (0..count).map(|_| OnceCell::new()).collect())
    }

    fn member(&self, place: Place, name: &str) -> Option<&Value> {
        let Some(at) = self.event.position(place, name) else {
            return self.side(place).added.iter().find(|(added, _)| added.as_str() == name).map(|(_, v)| v);
        };
        self.member_at(place, at)
    }

    fn member_at(&self, place: Place, at: usize) -> Option<&Value> {
        self.slots(place).get(at)?.get_or_init(|| Slot::Read(self.event.value(place, at))).value()
    }

    /// Takes the slot of a member out, to be put back by [`Tree::put`].
    fn take(&mut self, place: Place, name: &str) -> Option<Value> {
        let Some(at) = self.event.position(place, name) else {
            let added = &mut self.side_mut(place).added;
            let at = added.iter().position(|(added, _)| added.as_str() == name)?;
            return Some(added.remove(at).1);
        };
        self.slots(place);
        let event = self.event;
        let slot = self.side_mut(place).slots.get_mut()?.get_mut(at)?;
        let taken = slot.take().unwrap_or_else(|| Slot::Read(event.value(place, at)));
        drop(slot.set(Slot::Removed));
        taken.into_value()
    }

    fn put(&mut self, place: Place, name: &str, value: Value) {
        let Some(at) = self.event.position(place, name) else {
            let added = &mut self.side_mut(place).added;
            match added.iter_mut().find(|(added, _)| added.as_str() == name) {
                Some((_, old)) => *old = value,
                None => added.push((name.into(), value)),
            }
            return;
        };
        self.slots(place);
        if let Some(slot) = self.side_mut(place).slots.get_mut().and_then(|slots| slots.get_mut(at)) {
            *slot = OnceCell::from(Slot::Written(value));
        }
    }

    /// The whole record as one value.
    fn whole(&self) -> &Value {
        self.root.get_or_init(|| {
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
        self.root_written = true;
        let mut root = self.root.take().unwrap_or(Value::Null);
        let result = change(&mut root);
        self.root = OnceCell::from(root);
        result
    }

    fn all(&self, place: Place, except: Option<usize>) -> ObjectMap {
        let kept = (0..self.event.list(place).len()).filter(|at| Some(*at) != except);
        let kept =
            kept.filter_map(|at| Some((self.event.key(place, at), self.member_at(place, at)?.clone())));
        kept.chain(self.side(place).added.iter().cloned()).collect()
    }

    fn percent(&self) -> &Value {
        let stored = || self.event.hidden.as_ref().and_then(|hidden| hidden.percent.clone());
        self.percent
            .get_or_init(|| Value::Object(stored().unwrap_or_else(|| percent_of(self.event.origin()))))
    }

    /// Changes `%`.
    fn change_percent<T>(&mut self, change: impl FnOnce(&mut Value) -> T) -> T {
        self.percent();
        let mut percent = self.percent.take().unwrap_or(Value::Null);
        let result = change(&mut percent);
        self.percent = OnceCell::from(percent);
        self.percent_written = true;
        result
    }

    /// Writes `value` to `path`.
    pub fn set(&mut self, path: &OwnedTargetPath, value: Value) {
        let segments = path.path.segments.as_slice();
        if path.prefix == PathPrefix::Metadata {
            self.change_percent(|percent| insert(percent, segments, value));
        } else if segments.is_empty() {
            self.root = OnceCell::from(value);
            self.root_written = true;
        } else if self.root.get().is_none()
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
        // What is not there must not have its surroundings written anew.
        self.get(path)?;
        // What goes with the last that was in it may be anything above.
        if self.root.get().is_none()
            && !compact
            && let Way::Member(place, name, rest) = self.way(segments)
        {
            let mut member = self.take(place, name)?;
            if rest.is_empty() {
                return Some(member);
            }
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

impl Side {
    fn into_edits(self) -> Edits {
        let slots = self.slots.into_inner().unwrap_or_default();
        let edit = |(at, slot): (usize, OnceCell<Slot>)| match slot.into_inner()? {
            Slot::Read(_) => None,
            Slot::Written(value) => Some((at, Some(value))),
            Slot::Removed => Some((at, None)),
        };
        Edits { kept: slots.into_iter().enumerate().filter_map(edit).collect(), added: self.added }
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
                self.percent_written = true;
                self.percent.get_mut().and_then(|percent| percent.get_mut(&path.path))
            }
            PathPrefix::Event => {
                self.whole();
                self.root_written = true;
                self.root.get_mut().and_then(|root| root.get_mut(&path.path))
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
