//! What one record says of an evaluation, and how it is written down canonically.

use super::MessageOption;
use super::transcode::transcode;
use crate::codec::zone::parse_utc_ms;
use crate::event::json::string::{escape_into, unescape_into};
use crate::event::json::{Escapes, Json};
use crate::event::{Event, Place};
use crate::livebook::inspect::{Extent, Form, Literal, is_string_printable, read_literal};
use crate::livebook::legacy::{read_legacy, write_legacy, write_legacy_literal};
use crate::livebook::users::{Users, read_users, whole_chars};
use crate::livebook::{EVALUATE, MESSAGE};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem::Finder;
use std::borrow::Cow;
use std::sync::LazyLock;

/// Finds an absent member of a user, made once: making it costs more than one search.
static NULL: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("null"));

/// Which of the two records of an evaluation this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The one with the literal in its message.
    Legacy,
    /// The one with the metadata.
    Structured,
    /// Both at once, as Livebook wrote it for a short time.
    Combined,
}

/// A session mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A notebook session.
    Default,
    /// An app.
    App,
    /// Whatever a later version writes.
    Other(Vec<u8>),
}

impl Mode {
    fn new(name: &[u8]) -> Mode {
        match name {
            b"default" => Mode::Default,
            b"app" => Mode::App,
            other => Mode::Other(other.to_vec()),
        }
    }

    fn name(&self) -> &[u8] {
        match self {
            Mode::Default => b"default",
            Mode::App => b"app",
            Mode::Other(name) => name,
        }
    }
}

/// What a record says of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Code {
    /// All of it: `metadata.code` of the event, in canonical form.
    InPlace,
    /// All of it, as JSON text in canonical form, without quotes: one form for each source, whoever wrote it.
    Whole(Vec<u8>),
    /// All of it, where it is not UTF-8.
    WholeBytes(Vec<u8>),
    /// It begins with these bytes; and how the literal was written, which tells an ambiguous twin.
    Cut(Vec<u8>, Form),
    /// A text that is the source, or Elixir's `inspect` form of it.
    Ambiguous {
        /// The text.
        text: Vec<u8>,
        /// What it stands for, if it is an `inspect` form.
        meaning: Literal,
    },
    /// Nothing.
    Absent,
}

/// What a record says.
#[derive(Clone, Debug)]
pub struct Record {
    /// Which of the two it is.
    pub kind: Kind,
    /// The session mode, where the record has it.
    pub mode: Option<Mode>,
    /// The source.
    pub code: Code,
    /// The record's own time in milliseconds since 1970; the time of reading where it has none.
    pub time_ms: i64,
}

impl Code {
    /// All of a source.
    pub fn whole(bytes: Vec<u8>) -> Code {
        if simdutf8::basic::from_utf8(&bytes).is_err() {
            return Code::WholeBytes(bytes);
        }
        let mut text = Vec::with_capacity(bytes.len() + bytes.len() / 8);
        escape_into(&bytes, &mut text);
        Code::Whole(text)
    }

    /// Whether nothing of the source is missing or in doubt.
    pub fn is_whole(&self) -> bool {
        matches!(self, Code::InPlace | Code::Whole(_) | Code::WholeBytes(_))
    }

    /// The source's canonical JSON text, where it is whole and UTF-8; `event` is the one that says so.
    pub fn text<'a>(&'a self, event: &'a Event) -> Option<&'a [u8]> {
        match self {
            Code::InPlace => event.get(Place::Metadata, "code").and_then(Json::inner),
            Code::Whole(text) => Some(text),
            _ => None,
        }
    }

    /// The source's bytes, where all of them are known; `event` is the one that says so.
    pub fn bytes<'a>(&'a self, event: &'a Event) -> Option<Cow<'a, [u8]>> {
        if let Code::WholeBytes(bytes) = self {
            return Some(Cow::Borrowed(bytes));
        }
        let text = self.text(event)?;
        let mut bytes = Vec::with_capacity(text.len());
        unescape_into(text, &mut bytes);
        Some(Cow::Owned(bytes))
    }

    /// The same without the event that it may lie in.
    pub fn detached(self, event: &Event) -> Code {
        match self {
            Code::InPlace => self.text(event).map_or(Code::Absent, |text| Code::Whole(text.to_vec())),
            other => other,
        }
    }
}

impl Record {
    /// Whether the record needs nothing from its twin.
    pub fn is_complete(&self) -> bool {
        self.mode.is_some() && self.code.is_whole()
    }
}

/// What an event is to this transform.
#[derive(Debug)]
pub enum Examined {
    /// A record of an evaluation.
    Evaluation(Record),
    /// `Evaluating code` and nothing else: the second record where the metadata are not logged.
    Bare,
    /// Anything else.
    Other,
}

/// Looks at an event. The `users` of an evaluation are written canonically on the way.
pub fn examine(event: &mut Event, lists: &mut Lists) -> Examined {
    let is_evaluate = event.get(Place::Metadata, "event").is_some_and(|name| name.is(EVALUATE));
    let Some(said) = read_message(event, is_evaluate) else { return Examined::Other };
    canonical_users(event, lists);
    let is_raw = event.is_raw();
    let mode = event.get(Place::Metadata, "session_mode").and_then(Json::string).map(|name| Mode::new(&name));
    let own = structured_code(event, is_raw);
    let time_ms = event.get(Place::Top, "time").and_then(Json::string).and_then(|time| parse_utc_ms(&time));
    let time_ms = time_ms.unwrap_or(event.origin().received_ms() as i64);
    let Message::Legacy(legacy_mode, legacy_code) = said else {
        let is_bare =
            !is_evaluate && mode.is_none() && own == Code::Absent && !event.has(Place::Metadata, "users");
        let record = Record { kind: Kind::Structured, mode, code: own, time_ms };
        return if is_bare { Examined::Bare } else { Examined::Evaluation(record) };
    };
    let kind = if own == Code::Absent { Kind::Legacy } else { Kind::Combined };
    Examined::Evaluation(Record {
        kind,
        mode: mode.or(Some(legacy_mode)),
        code: merge(legacy_code, own),
        time_ms,
    })
}

/// What the message of an evaluation's record is.
enum Message {
    Legacy(Mode, Code),
    Short,
}

/// Reads the message; none where neither it nor the metadata call this an evaluation.
fn read_message(event: &Event, is_evaluate: bool) -> Option<Message> {
    let short = || is_evaluate.then_some(Message::Short);
    let Some(message) = event.get(Place::Top, "message") else { return short() };
    let inner = message.inner().unwrap_or_default();
    if inner == MESSAGE.as_bytes() {
        return Some(Message::Short);
    }
    if let Some((mode, text)) = transcode(inner) {
        return Some(Message::Legacy(Mode::new(mode), Code::Whole(text)));
    }
    // A collector may have written any letter as an escape.
    if !inner.starts_with(MESSAGE.as_bytes()) && message.escapes() != Escapes::Free {
        return short();
    }
    let text = message.string().unwrap_or_default();
    match read_legacy(&text) {
        Some(legacy) => Some(Message::Legacy(Mode::new(legacy.mode), legacy_code(legacy.code))),
        None if text.trim_ascii() == MESSAGE.as_bytes() => Some(Message::Short),
        None => short(),
    }
}

/// The printed list of users that was read last: twins have the same, and so have the cells of a session.
#[derive(Debug, Default)]
pub struct Lists {
    text: Vec<u8>,
    users: Option<Users>,
}

impl Lists {
    fn read(&mut self, list: Json<'_>) -> Option<&Users> {
        if self.text != list.text() {
            self.users = list.string().and_then(|text| read_users(&text));
            list.text().clone_into(&mut self.text);
        }
        self.users.as_ref()
    }
}

/// Turns a printed list of users into an array, and leaves absent members out of an array.
fn canonical_users(event: &mut Event, lists: &mut Lists) {
    let Some(users) = event.get(Place::Metadata, "users") else { return };
    if users.is_null() {
        event.remove(Place::Metadata, "users");
    } else if users.is_string() {
        if let Some(users) = lists.read(users) {
            event.set(Place::Metadata, "users", |out| out.extend_from_slice(&users.json));
            if users.incomplete {
                set_true(event, "users_incomplete");
            }
        }
    } else if NULL.find(users.text()).is_some() {
        let mut value = users.to_value();
        for user in value.as_array_mut().into_iter().flatten() {
            if let Some(members) = user.as_object_mut() {
                members.retain(|_, member| !member.is_null());
            }
        }
        event.set(Place::Metadata, "users", |out| out.extend_from_slice(value.to_string().as_bytes()));
    }
}

fn set_true(event: &mut Event, name: &str) {
    event.set(Place::Metadata, name, |out| out.extend_from_slice(b"true"));
}

fn legacy_code(literal: Literal) -> Code {
    match literal.extent {
        Extent::Whole => Code::whole(literal.bytes),
        Extent::Limited | Extent::Broken => Code::Cut(literal.bytes, literal.form),
    }
}

/// What `metadata.code` says. Livebook's JSON puts the `inspect` form of an unprintable source there, which the
/// source of another cell may be to the letter. An event that has been through here before says the same again.
fn structured_code(event: &Event, is_raw: bool) -> Code {
    let metadata = |name| event.get(Place::Metadata, name);
    if let Some(encoded) = metadata("code_base64").and_then(Json::string) {
        return STANDARD.decode(&*encoded).map_or(Code::Absent, Code::whole);
    }
    let Some(code) = metadata("code") else { return Code::Absent };
    let Some(inner) = code.inner() else { return Code::Absent };
    let is_cut = event.has(Place::Metadata, "code_incomplete");
    let is_plain = is_raw || !(inner.starts_with(b"<<") || inner.starts_with(b"\\\""));
    if is_plain && !is_cut && code.escapes() != Escapes::Free {
        return Code::InPlace;
    }
    let text = code.string().map(Cow::into_owned).unwrap_or_default();
    match read_literal(&text)
        .filter(|literal| !is_raw && literal.len == text.len() && is_logged_form(literal))
    {
        Some(meaning) => Code::Ambiguous { text, meaning },
        None if is_cut => Code::Cut(text, Form::String { chars: 0 }),
        None => Code::whole(text),
    }
}

/// Whether `logger_json` writes a source so: unprintable bytes, whole or cut at Elixir's limit (50 bytes, 200 in
/// newer versions), or the 4,096 characters before the first unprintable one.
fn is_logged_form(literal: &Literal) -> bool {
    match (literal.form, literal.extent) {
        (Form::Bytes { .. }, Extent::Whole) => !is_string_printable(&literal.bytes),
        (Form::Bytes { items }, Extent::Limited) => items == 50 || items == 200,
        (Form::String { chars }, Extent::Limited) => chars == 4096,
        _ => false,
    }
}

/// The best of what a legacy record and a structured one say of one source.
pub fn merge(legacy: Code, structured: Code) -> Code {
    match (legacy, structured) {
        (legacy, Code::Absent) => legacy,
        (Code::Absent, structured) => structured,
        (legacy, structured) if structured.is_whole() || legacy.is_whole() => {
            if structured.is_whole() {
                structured
            } else {
                legacy
            }
        }
        // The form of the legacy literal tells what the other text is.
        (Code::Cut(_, Form::String { .. }), Code::Ambiguous { text, .. }) => Code::whole(text),
        (Code::Cut(cut, form), Code::Ambiguous { meaning, .. }) => match meaning.extent {
            Extent::Whole => Code::whole(meaning.bytes),
            _ if meaning.bytes.len() > cut.len() => Code::Cut(meaning.bytes, form),
            _ => Code::Cut(cut, form),
        },
        (Code::Cut(a, form), Code::Cut(b, _)) => Code::Cut(if a.len() < b.len() { b } else { a }, form),
        (legacy, _) => legacy,
    }
}

/// Writes into `event` what is known of its evaluation.
pub fn write_canonical(event: &mut Event, record: &Record, message: MessageOption) {
    if let Code::Whole(text) = &record.code {
        event.reserve(text.len() + 128);
    }
    if let Some(mode) = &record.mode
        && !event.has(Place::Metadata, "session_mode")
    {
        event.set_string(Place::Metadata, "session_mode", mode.name());
    }
    write_code(event, &record.code);
    if !event.get(Place::Metadata, "event").is_some_and(|name| name.is(EVALUATE)) {
        event.set_string(Place::Metadata, "event", EVALUATE.as_bytes());
    }
    match message {
        MessageOption::Keep => {}
        MessageOption::Short => event.set_string(Place::Top, "message", MESSAGE.as_bytes()),
        MessageOption::Legacy => {
            if let Some(text) = legacy_text(event, record) {
                event.set_string(Place::Top, "message", &text);
            }
        }
    }
}

/// The legacy message; none where the source or the mode is not known. An ambiguous `<<...>>` is given as it stands,
/// which is what Livebook prints unless the source itself reads like that; `code_incomplete` says that it is in doubt.
fn legacy_text(event: &Event, record: &Record) -> Option<Vec<u8>> {
    let mode = record.mode.as_ref()?.name();
    let mut text = Vec::new();
    match &record.code {
        Code::Ambiguous { text: literal, meaning } if matches!(meaning.form, Form::Bytes { .. }) => {
            write_legacy_literal(mode, literal, &mut text);
        }
        code => write_legacy(mode, &code.bytes(event)?, &mut text),
    }
    Some(text)
}

fn write_code(event: &mut Event, code: &Code) {
    match code {
        Code::InPlace => event.remove(Place::Metadata, "code_incomplete"),
        Code::Whole(text) => {
            event.set(Place::Metadata, "code", |out| {
                out.push(b'"');
                out.extend_from_slice(text);
                out.push(b'"');
            });
            event.remove(Place::Metadata, "code_incomplete");
        }
        Code::WholeBytes(bytes) => {
            set_bytes(event, bytes);
            event.remove(Place::Metadata, "code_incomplete");
        }
        Code::Cut(bytes, _) => {
            let known = bytes.get(..whole_chars(bytes)).unwrap_or_default();
            match std::str::from_utf8(known) {
                Ok(text) => event.set_string(Place::Metadata, "code", text.as_bytes()),
                Err(_) => set_bytes(event, known),
            }
            set_true(event, "code_incomplete");
        }
        Code::Ambiguous { .. } | Code::Absent => set_true(event, "code_incomplete"),
    }
}

fn set_bytes(event: &mut Event, bytes: &[u8]) {
    let encoded = STANDARD.encode(bytes);
    event.set_string(Place::Metadata, "code_base64", encoded.as_bytes());
    event.remove(Place::Metadata, "code");
}
