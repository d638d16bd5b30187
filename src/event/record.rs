//! The event: one log record as JSON text with a shallow index over it.
//!
//! A record keeps the bytes it came in (shared with its batch) and the spans of its members at the top and inside
//! `metadata`; those are all that the transforms of the mission look at. A member that is set gets its text attached
//! behind, in `extra`; the line itself is never rewritten. Encoding is concatenation of spans.
//!
//! VRL works on values. A program sees an event through a [`Tree`], which reads the members that the program asks for
//! and keeps what it writes until it has come to its end; only then the text of those members changes.

mod change;
mod hidden;
mod notes;
mod parts;
mod tree;
mod value;

pub use change::Made;
pub use notes::Notes;
pub use parts::Names;
pub use tree::Tree;
pub use value::write as write_value;

use super::json::scan::{self, Piece, Scan};
use super::json::{Escapes, Flaw, Json, string};
use super::origin::Origin;
use bytes::Bytes;
use hidden::Hidden;
use parts::{ESCAPES_SHIFT, IN_EXTRA, KNOWN_SHIFT, Member, Members, Name, Span, known_name};
use smallvec::SmallVec;

/// Where a member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At the top of the record: `message`, `time`, `severity`, ...
    Top,
    /// Inside `metadata`.
    Metadata,
}

/// One log record: its text, and where in it the members stand.
#[derive(Clone, Debug)]
pub struct Event {
    text: Bytes,
    extra: Vec<u8>,
    top: Members,
    metadata: Members,
    /// A bit for each known name that may be there, by place: most questions are for members that are not.
    present: [u32; 2],
    /// Where `metadata` stands among the members at the top, if it is an object; its own span is not used.
    metadata_at: Option<u32>,
    /// See [`Event::is_raw`].
    is_raw: bool,
    origin: Origin,
    /// What programs have put there, where any has.
    hidden: Option<Box<Hidden>>,
}

impl Event {
    /// An event without members.
    pub fn new(origin: Origin) -> Event {
        let (top, metadata) = (Members::new(), Members::new());
        Event {
            text: Bytes::new(),
            extra: Vec::new(),
            top,
            metadata,
            present: [0; 2],
            metadata_at: None,
            is_raw: false,
            origin,
            hidden: None,
        }
    }

    /// Indexes `text`, which has to be UTF-8 and one JSON object, white space around it allowed.
    ///
    /// Of two members of one name the last counts, as in every common parser: what we judge by is what a reader of
    /// our output sees.
    pub fn from_json(text: Bytes, origin: Origin) -> Result<Event, Flaw> {
        let mut event = Event::new(origin);
        event.read_json(text)?;
        Ok(event)
    }

    /// The same for an event that is where it will stay: it is a few hundred bytes, and moving it costs.
    pub(crate) fn read_json(&mut self, text: Bytes) -> Result<(), Flaw> {
        self.text = text.clone();
        let mut scan = Scan::new(&text);
        scan.expect(b'{', "`{`")?;
        self.scan_members(&mut scan, Place::Top)?;
        scan.end()
    }

    /// Takes the members of an object whose `{` is behind us, and its `}`.
    fn scan_members(&mut self, scan: &mut Scan<'_>, place: Place) -> Result<(), Flaw> {
        if scan.take(b'}') {
            return Ok(());
        }
        loop {
            let piece = scan.name()?;
            if piece.end - piece.start >= 1 << KNOWN_SHIFT {
                return Err(Flaw::Syntax { at: piece.start, wanted: "a name of less than 16 MiB" });
            }
            let name = self.canonical_name(piece);
            let known = self.position_of(place, name);
            let is_metadata = place == Place::Top && name.known() == known_name(b"metadata");
            if is_metadata {
                self.metadata.clear();
                self.metadata_at = None;
            }
            let value = if is_metadata && scan.next_token() == Some(b'{') {
                scan.expect(b'{', "`{`")?;
                let start = scan.offset() - 1;
                self.scan_members(scan, Place::Metadata)?;
                self.metadata_at = Some(known.unwrap_or(self.top.len()) as u32);
                Piece { start, end: scan.offset(), escapes: Escapes::None }
            } else {
                scan.value()?
            };
            self.put(place, known, Member { name, value: Span::new(value, false) });
            if !scan.take(b',') {
                return scan.expect(b'}', "`,` or `}`");
            }
        }
    }

    /// A name that came with escapes is written anew in canonical form, behind the record.
    fn canonical_name(&mut self, piece: Piece) -> Name {
        let text = self.text.get(piece.start..piece.end).unwrap_or_default();
        if piece.escapes == Escapes::None {
            let known = u32::from(known_name(text));
            return Name {
                start: piece.start as u32,
                len: (piece.end - piece.start) as u32 | known << KNOWN_SHIFT,
            };
        }
        let mut name = Vec::with_capacity(text.len());
        string::unescape_into(text, &mut name);
        self.attach_name(&name)
    }

    fn attach_name(&mut self, name: &[u8]) -> Name {
        let start = self.extra.len();
        let known = u32::from(known_name(name));
        if known == 0 {
            string::escape_into(name, &mut self.extra);
        } else {
            self.extra.extend_from_slice(name);
        }
        let len = (self.extra.len() - start) as u32;
        Name { start: start as u32 | IN_EXTRA, len: len | known << KNOWN_SHIFT }
    }

    #[inline]
    fn slice(&self, start: u32, len: u32) -> &[u8] {
        let buffer = if start & IN_EXTRA == 0 { &self.text[..] } else { &self.extra[..] };
        let start = (start & !IN_EXTRA) as usize;
        buffer.get(start..start + len as usize).unwrap_or_default()
    }

    #[inline]
    fn bytes(&self, span: Span) -> &[u8] {
        self.slice(span.start, span.len & ((1 << ESCAPES_SHIFT) - 1))
    }

    #[inline]
    fn name_bytes(&self, name: Name) -> &[u8] {
        self.slice(name.start, name.len & ((1 << KNOWN_SHIFT) - 1))
    }

    fn list(&self, place: Place) -> &Members {
        match place {
            Place::Top => &self.top,
            Place::Metadata => &self.metadata,
        }
    }

    fn list_mut(&mut self, place: Place) -> &mut Members {
        match place {
            Place::Top => &mut self.top,
            Place::Metadata => &mut self.metadata,
        }
    }

    /// Inlined, so that the known name of a name that stands in the code is found by the compiler.
    #[inline(always)]
    fn position(&self, place: Place, name: &str) -> Option<usize> {
        self.position_named(place, known_name(name.as_bytes()), name.as_bytes())
    }

    /// `name` is the name itself, not its text in JSON.
    #[inline(always)]
    fn position_named(&self, place: Place, known: u8, name: &[u8]) -> Option<usize> {
        if known != 0 {
            return self.position_canonical(place, known, name);
        }
        self.position_unknown(place, name)
    }

    fn position_unknown(&self, place: Place, name: &[u8]) -> Option<usize> {
        if scan::plain_run(name, 0) == name.len() {
            return self.position_canonical(place, 0, name);
        }
        let mut canonical = Vec::new();
        string::escape_into(name, &mut canonical);
        self.position_canonical(place, 0, &canonical)
    }

    fn position_canonical(&self, place: Place, known: u8, name: &[u8]) -> Option<usize> {
        if known == 0 {
            // The length first: it is at hand, and that of a known name is never equal.
            let len = name.len() as u32;
            return self
                .list(place)
                .iter()
                .position(|member| member.name.len == len && self.name_bytes(member.name) == name);
        }
        if self.present_at(place) & (1 << known) == 0 {
            return None;
        }
        self.list(place).iter().position(|member| member.name.known() == known)
    }

    fn position_of(&self, place: Place, name: Name) -> Option<usize> {
        self.position_canonical(place, name.known(), self.name_bytes(name))
    }

    fn present_at(&self, place: Place) -> u32 {
        let [top, metadata] = self.present;
        if place == Place::Top { top } else { metadata }
    }

    fn note_present(&mut self, place: Place, name: Name) {
        let [top, metadata] = &mut self.present;
        *(if place == Place::Top { top } else { metadata }) |= 1 << name.known();
    }

    fn put(&mut self, place: Place, known: Option<usize>, member: Member) {
        self.note_present(place, member.name);
        let list = self.list_mut(place);
        match known.and_then(|at| list.get_mut(at)) {
            Some(old) => *old = member,
            None => list.push(member),
        }
    }

    /// The value of a member. `metadata` itself is reached through its members only.
    #[inline(always)]
    pub fn get(&self, place: Place, name: &str) -> Option<Json<'_>> {
        self.value_at(place, self.position(place, name)?)
    }

    fn value_at(&self, place: Place, at: usize) -> Option<Json<'_>> {
        if place == Place::Top && self.metadata_at == Some(at as u32) {
            return None;
        }
        let value = self.list(place).get(at)?.value;
        Some(Json::new(self.bytes(value), value.escapes()))
    }

    /// Whether there is such a member.
    #[inline(always)]
    pub fn has(&self, place: Place, name: &str) -> bool {
        self.position(place, name).is_some()
    }

    /// Names and values in the order of the record; at the top without `metadata`.
    pub fn members(&self, place: Place) -> impl Iterator<Item = (&[u8], Json<'_>)> {
        let skipped = if place == Place::Top { self.metadata_at.map(|at| at as usize) } else { None };
        self.list(place).iter().enumerate().filter(move |(at, _)| Some(*at) != skipped).map(|(_, member)| {
            (self.name_bytes(member.name), Json::new(self.bytes(member.value), member.value.escapes()))
        })
    }

    /// Sets a member to the JSON value that `write` appends: in the place of the old one, or behind the others.
    ///
    /// What is written has to be one valid JSON value in canonical form (see [`string`]). A `metadata` that is no
    /// object becomes one, with the old value under its own name.
    pub fn set(&mut self, place: Place, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        if place == Place::Metadata {
            self.ensure_metadata();
        }
        let known = self.position(place, name);
        let name = self.attach_name(name.as_bytes());
        let value = self.write_value(write);
        if place == Place::Top && known.is_some() && known == self.metadata_at.map(|at| at as usize) {
            self.metadata.clear();
            self.metadata_at = None;
        }
        self.put(place, known, Member { name, value });
    }

    fn write_value(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Span {
        let start = self.extra.len();
        write(&mut self.extra);
        let value = self.extra.get(start..).unwrap_or_default();
        // What is set is in canonical form, which is what `Short` promises.
        let escaped = value.first() == Some(&b'"') && memchr::memchr(b'\\', value).is_some();
        let escapes = if escaped { Escapes::Short } else { Escapes::None };
        Span::new(Piece { start, end: self.extra.len(), escapes }, true)
    }

    /// Sets a member to a string, given as UTF-8.
    pub fn set_string(&mut self, place: Place, name: &str, string: &[u8]) {
        self.set(place, name, |out| string::quote_into(string, out));
    }

    /// Makes sure that there is a `metadata` object, be it an empty one.
    pub fn ensure_metadata(&mut self) {
        if self.metadata_at.is_some() {
            return;
        }
        let name = self.attach_name(b"metadata");
        let known = self.position_of(Place::Top, name);
        if let Some(old) = known.and_then(|at| self.top.get(at)).copied() {
            self.put(Place::Metadata, None, old);
        }
        self.metadata_at = Some(known.unwrap_or(self.top.len()) as u32);
        self.put(Place::Top, known, Member { name, value: Span { start: 0, len: 0 } });
    }

    /// Takes a member away.
    #[inline(always)]
    pub fn remove(&mut self, place: Place, name: &str) {
        if let Some(at) = self.position(place, name) {
            self.remove_at(place, at);
        }
    }

    fn remove_at(&mut self, place: Place, at: usize) {
        self.keep_positions(place, |list| {
            list.remove(at);
        });
    }

    /// Keeps the members that are named, in the order of `names`.
    pub fn select(&mut self, place: Place, names: &Names) {
        let found = |(known, name): &(u8, String)| self.position_named(place, *known, name.as_bytes());
        let order: SmallVec<[usize; 12]> = names.0.iter().filter_map(found).collect();
        if order.len() == self.list(place).len() && order.iter().enumerate().all(|(wanted, &at)| wanted == at)
        {
            return;
        }
        self.keep_positions(place, |list| {
            *list = order.iter().filter_map(|&at| list.get(at)).copied().collect()
        });
    }

    /// Puts the members that are named in front, in the order of `names`; the others follow as they stood.
    pub fn bring_forward(&mut self, place: Place, names: &[&str]) {
        let mut order: SmallVec<[usize; 12]> =
            names.iter().filter_map(|name| self.position(place, name)).collect();
        if order.iter().enumerate().all(|(wanted, &at)| wanted == at) {
            return;
        }
        order.extend(
            (0..self.list(place).len()).filter(|at| !order.contains(at)).collect::<SmallVec<[usize; 12]>>(),
        );
        self.keep_positions(place, |list| {
            *list = order.iter().filter_map(|&at| list.get(at)).copied().collect()
        });
    }

    /// Gives a member another name; one that had it before goes.
    pub fn rename(&mut self, place: Place, from: &str, to: &str) {
        if from == to || !self.has(place, from) {
            return;
        }
        self.remove(place, to);
        let name = self.attach_name(to.as_bytes());
        if let Some(at) = self.position(place, from)
            && let Some(member) = self.list_mut(place).get_mut(at)
        {
            member.name = name;
            self.note_present(place, name);
        }
    }

    /// Changes a list of members and finds `metadata` again afterwards.
    fn keep_positions(&mut self, place: Place, change: impl FnOnce(&mut Members)) {
        let was_object = self.metadata_at.is_some();
        change(self.list_mut(place));
        if place == Place::Top && was_object {
            self.metadata_at = self.position(Place::Top, "metadata").map(|at| at as u32);
            if self.metadata_at.is_none() {
                self.metadata.clear();
            }
        }
    }

    /// Appends the record as one line of JSON, without a newline at its end.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        for (at, member) in self.top.iter().enumerate() {
            self.push_name(at, member, out);
            if self.metadata_at != Some(at as u32) {
                self.push_value(member, out);
                continue;
            }
            out.push(b'{');
            for (at, member) in self.metadata.iter().enumerate() {
                self.push_name(at, member, out);
                self.push_value(member, out);
            }
            out.push(b'}');
        }
        out.push(b'}');
    }

    fn push_name(&self, at: usize, member: &Member, out: &mut Vec<u8>) {
        out.extend_from_slice(if at == 0 { b"\"" } else { b",\"" });
        out.extend_from_slice(self.name_bytes(member.name));
        out.extend_from_slice(b"\":");
    }

    fn push_value(&self, member: &Member, out: &mut Vec<u8>) {
        Json::new(self.bytes(member.value), member.value.escapes()).write_into(out);
    }

    /// Says that [`Event::is_raw`] holds.
    pub fn mark_raw(&mut self) {
        self.is_raw = true;
    }

    /// Whether `metadata.code` was printed raw: it is the source, never an `inspect` form of it.
    pub fn is_raw(&self) -> bool {
        self.is_raw
    }

    /// Where the record was read.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Says that it was read elsewhere.
    pub fn set_origin(&mut self, origin: Origin) {
        if let Some(percent) = self.hidden.as_mut().and_then(|hidden| hidden.percent.as_mut()) {
            percent.extend(hidden::percent_of(&origin));
        }
        self.origin = origin;
    }

    /// A copy that shares no buffer with others, and so keeps none in memory; without what programs have put into `%`.
    pub fn alone(&self) -> Event {
        let (text, extra) = (Bytes::copy_from_slice(&self.text), self.extra.clone());
        let (top, metadata, origin) = (self.top.clone(), self.metadata.clone(), self.origin.clone());
        let Event { present, metadata_at, is_raw, .. } = *self;
        Event { text, extra, top, metadata, present, metadata_at, is_raw, origin, hidden: None }
    }

    /// Bytes that this event holds on to, for limits on memory.
    pub fn size_bytes(&self) -> usize {
        let hidden = self.hidden.as_ref().map_or(0, |hidden| hidden.size_bytes());
        self.text.len() + self.extra.len() + size_of::<Event>() + hidden
    }

    /// Makes room for `bytes` of members that are about to be set.
    pub fn reserve(&mut self, bytes: usize) {
        self.extra.reserve(bytes);
    }

    /// Lets go of the buffer that the record came in, by a copy of the record alone: for events that are held back.
    pub fn detach(&mut self) {
        self.text = Bytes::copy_from_slice(&self.text);
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tree_tests;
