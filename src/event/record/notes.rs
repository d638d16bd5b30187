//! What a program has read and written of an event.
//!
//! Kept from one event to the next for its memory alone: each begins with empty notes.

use super::hidden::{PERCENT, PERCENT_OF_RECORD, percent_member};
use super::value::size_bytes;
use super::{Event, Place};
use crate::event::origin::Origin;
use std::cell::OnceCell;
use vrl::value::{ObjectMap, Value};

/// More slots than this are given back: few records have as many members.
const SLOTS_KEPT_MAX: usize = 1024;

/// What a program has read and written of an event, see [`Tree`](super::Tree).
#[derive(Debug, Default)]
pub struct Notes {
    pub(super) top: Side,
    pub(super) metadata: Side,
    /// The whole record, from the moment when a program has asked for it.
    pub(super) root: OnceCell<Value>,
    /// Whether the program has written to the whole; if so, the sides count no more.
    pub(super) root_written: bool,
    pub(super) percent: Percent,
}

/// What is known of a member.
#[derive(Debug)]
pub(super) enum Slot {
    /// As it stands in the text.
    Read(Value),
    /// As the program wrote it.
    Written(Value),
    /// The program took it away.
    Removed,
}

/// The members at one place.
#[derive(Debug, Default)]
pub(super) struct Side {
    /// One for each member of the text.
    slots: Vec<OnceCell<Slot>>,
    /// Members that the text does not have; behind the first `added_len` stand names whose memory is used again. A
    /// program adds the same ones to each event.
    added: Vec<(String, Value)>,
    added_len: usize,
}

/// `%`.
#[derive(Debug, Default)]
pub(super) struct Percent {
    /// All of it, from the moment when a program has asked for that, or written to it.
    pub whole: OnceCell<Value>,
    pub written: bool,
    /// Whose members these are.
    origin: Option<Origin>,
    /// In the order of [`PERCENT`].
    members: [OnceCell<Option<Value>>; PERCENT.len()],
}

impl Notes {
    /// Forgets what was noted: values may hold on to the buffer that their event came in.
    pub fn clear(&mut self) {
        self.top.begin(0);
        self.metadata.begin(0);
        self.root.take();
        self.root_written = false;
        self.percent.whole.take();
        self.percent.written = false;
    }

    pub(super) fn begin(&mut self, event: &Event) {
        self.top.begin(event.list(Place::Top).len());
        self.metadata.begin(event.list(Place::Metadata).len());
        self.root.take();
        self.root_written = false;
        self.percent.begin(&event.origin);
    }

    /// Bytes of what was written, roughly.
    pub(super) fn size_bytes(&self) -> usize {
        let percent = self.percent.whole.get().filter(|_| self.percent.written).map_or(0, size_bytes);
        percent
            + match self.root.get().filter(|_| self.root_written) {
                Some(root) => size_bytes(root),
                None => self.top.size_bytes() + self.metadata.size_bytes(),
            }
    }

    /// The whole record, where it was written as one.
    pub(super) fn take_root(&mut self) -> Option<Value> {
        self.root.take().filter(|_| self.root_written)
    }

    /// All of `%`, where it was written to.
    pub(super) fn take_percent(&mut self) -> Option<ObjectMap> {
        match self.percent.whole.take().filter(|_| self.percent.written)? {
            Value::Object(map) => Some(map),
            other => Some(ObjectMap::from([("value".into(), other)])),
        }
    }
}

impl Side {
    fn begin(&mut self, members: usize) {
        self.slots.clear();
        if members < SLOTS_KEPT_MAX {
            self.slots.shrink_to(SLOTS_KEPT_MAX);
        }
        self.slots.resize_with(members, OnceCell::new);
        self.added.iter_mut().take(self.added_len).for_each(|(_, value)| *value = Value::Null);
        self.added_len = 0;
    }

    /// The member with the index `at`, which `read` reads where it was not touched yet.
    pub fn read(&self, at: usize, read: impl FnOnce() -> Value) -> Option<&Value> {
        match self.slots.get(at)?.get_or_init(|| Slot::Read(read())) {
            Slot::Read(value) | Slot::Written(value) => Some(value),
            Slot::Removed => None,
        }
    }

    pub fn write(&mut self, at: usize, value: Value) {
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = OnceCell::from(Slot::Written(value));
        }
    }

    /// Removes the member with the index `at`.
    pub fn take(&mut self, at: usize, read: impl FnOnce() -> Value) -> Option<Value> {
        let slot = self.slots.get_mut(at)?;
        let taken = slot.take();
        *slot = OnceCell::from(Slot::Removed);
        match taken {
            Some(Slot::Read(value) | Slot::Written(value)) => Some(value),
            Some(Slot::Removed) => None,
            None => Some(read()),
        }
    }

    /// How many members were set that the text does not have.
    pub fn added_len(&self) -> usize {
        self.added_len
    }

    pub fn all_added(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.added.iter().take(self.added_len).map(|(name, value)| (name.as_str(), value))
    }

    /// A member that the text does not have.
    pub fn added(&self, name: &str) -> Option<&Value> {
        self.all_added().find(|(added, _)| *added == name).map(|(_, value)| value)
    }

    /// Sets a member that the text does not have.
    pub fn add(&mut self, name: &str, value: Value) {
        if let Some((_, old)) = self.added.iter_mut().take(self.added_len).find(|(added, _)| added == name) {
            *old = value;
            return;
        }
        match self.added.get_mut(self.added_len) {
            Some((spare, old)) => {
                name.clone_into(spare);
                *old = value;
            }
            None => self.added.push((name.to_owned(), value)),
        }
        self.added_len += 1;
    }

    /// Takes out a member that the text does not have.
    pub fn take_added(&mut self, name: &str) -> Option<Value> {
        let at = self.all_added().position(|(added, _)| added == name)?;
        let behind = self.added.get_mut(at..self.added_len)?;
        behind.rotate_left(1);
        self.added_len -= 1;
        self.added.get_mut(self.added_len).map(|(_, value)| std::mem::replace(value, Value::Null))
    }

    /// Whether anything was written, and how many bytes, roughly.
    fn size_bytes(&self) -> usize {
        let written = self.slots.iter().filter_map(OnceCell::get).map(|slot| match slot {
            Slot::Written(value) => size_bytes(value),
            Slot::Read(_) | Slot::Removed => 0,
        });
        let added = self.all_added().map(|(name, value)| name.len() + size_bytes(value));
        written.sum::<usize>() + added.sum::<usize>()
    }

    /// What the program has made of the members of the text, by their index: a new value, or none where it is removed.
    pub fn take_written(&mut self) -> impl Iterator<Item = (usize, Option<Value>)> {
        self.slots.iter_mut().enumerate().filter_map(|(at, slot)| match slot.take()? {
            Slot::Read(_) => None,
            Slot::Written(value) => Some((at, Some(value))),
            Slot::Removed => Some((at, None)),
        })
    }

    /// Members that the text does not have, in the order in which they came.
    pub fn take_added_all(&mut self) -> impl Iterator<Item = (&str, Value)> {
        let added = self.added.iter_mut().take(std::mem::take(&mut self.added_len));
        added.map(|(name, value)| (name.as_str(), std::mem::replace(value, Value::Null)))
    }
}

impl Percent {
    fn begin(&mut self, origin: &Origin) {
        self.whole.take();
        self.written = false;
        let same = self.origin.as_ref().is_some_and(|before| before.is_beside(origin));
        // What follows the record's own is that of its stream.
        let kept_from = if same { PERCENT_OF_RECORD } else { PERCENT.len() };
        self.members.iter_mut().take(kept_from).for_each(|member| drop(member.take()));
        if !same {
            self.origin = Some(origin.clone());
        }
    }

    /// A member of `%` as it is before a program writes to it.
    pub fn member(&self, origin: &Origin, name: &str) -> Option<&Value> {
        let at = PERCENT.iter().position(|known| *known == name)?;
        self.members.get(at)?.get_or_init(|| percent_member(origin, name)).as_ref()
    }
}
