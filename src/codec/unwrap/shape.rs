//! Recognises a line that wraps another, and says what stands in it.
//!
//! Two things must not be confused with a wrapper. One is a record of Livebook's own: it has a `metadata` or a
//! `severity` at its top, and no wrapper that is found out has. The other is what any program may log as JSON: where
//! the members alone do not say who wrote them (`{"message":…}`, `{"log":…}`), what stands inside has to begin as a
//! record of Livebook, or such a line must have stood in the same stream before.

use super::{NESTING_MAX, Unwrap, cri};
use crate::codec::text::head::colours_len;
use crate::codec::zone::begins_with_stamp;
use crate::event::json::Json;
use crate::event::json::scan::Scan;
use memchr::memmem;
use std::borrow::Cow;

/// Which wrappers are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All.
    Any {
        /// Whether one that its members alone do not give away has been seen in this stream.
        seen_vague: bool,
    },
    /// This one, which need not be told from anything else.
    Only(Unwrap),
}

/// A line that was wrapped, or a part of one.
#[derive(Debug)]
pub struct Peeled<'a> {
    /// What stood in the wrapper; none where whoever wrote it has left it out.
    pub payload: Option<Cow<'a, [u8]>>,
    /// Whether the rest of it is still to come.
    pub rest: Rest,
    /// What all parts of one line have in common.
    pub id: Option<Cow<'a, [u8]>>,
    /// The container or unit that wrote it.
    pub container: Option<Cow<'a, [u8]>>,
    /// Whether its members alone do not give this wrapper away.
    pub is_vague: bool,
}

/// Whether the rest of a line is still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// This is all, or the last part.
    Here,
    /// It is.
    ToCome,
    /// It is, unless this ends in a newline.
    BehindNewline,
}

/// Whether this is a wrapper, as far as it says so itself; for JSON.
#[inline(never)]
pub fn is_wrapped(line: &[u8]) -> bool {
    line.first() == Some(&b'{') && peel(line, Wanted::Any { seen_vague: false }, &mut Vec::new()).is_some()
}

/// Takes a wrapper off. To `key` is added what tells its stream from others in the same log.
pub fn peel<'a>(line: &'a [u8], wanted: Wanted, key: &mut Vec<u8>) -> Option<Peeled<'a>> {
    peel_within(line, wanted, key, 0)
}

fn peel_within<'a>(line: &'a [u8], wanted: Wanted, key: &mut Vec<u8>, depth: usize) -> Option<Peeled<'a>> {
    let may_be_cri = matches!(wanted, Wanted::Any { .. } | Wanted::Only(Unwrap::Cri));
    if may_be_cri && let Some(cri) = cri::read(line) {
        key.extend_from_slice(cri.stream);
        let rest = if cri.is_part { Rest::ToCome } else { Rest::Here };
        return Some(Peeled { rest, ..Peeled::new(Cow::Borrowed(cri.payload)) });
    }
    if wanted == Wanted::Only(Unwrap::Cri) {
        return None;
    }
    let members = Members::read(line)?;
    match wanted {
        Wanted::Only(Unwrap::Docker) => members.docker(key),
        Wanted::Only(Unwrap::Journald) => members.journald(key),
        Wanted::Only(Unwrap::Fly) => members.fly(key),
        Wanted::Only(_) => None,
        Wanted::Any { .. } if members.is_livebooks => None,
        Wanted::Any { seen_vague } => {
            let docker = if members.has_others { None } else { members.docker(key) };
            let peeled = docker.or_else(|| members.journald(key)).or_else(|| members.fly(key));
            peeled.or_else(|| members.shipper(key)).filter(|peeled| {
                let inside = peeled.payload.as_deref().unwrap_or_default();
                !peeled.is_vague || seen_vague || begins_as_livebooks(inside, depth + 1)
            })
        }
    }
}

/// Whether a record of Livebook, or a wrapper around one, begins with this line.
fn begins_as_livebooks(line: &[u8], depth: usize) -> bool {
    let text = line.get(colours_len(line)..).unwrap_or_default();
    if text.first() != Some(&0x1b) && begins_with_stamp(text) || text.starts_with(b"[Livebook] ") {
        return true;
    }
    let has = |name: &[u8]| memmem::find(text, name).is_some();
    let is_json = text.starts_with(b"{") && text.trim_ascii_end().ends_with(b"}");
    let is_own = is_json && has(b"\"message\"") && (has(b"\"severity\"") || has(b"\"metadata\""));
    let wanted = Wanted::Any { seen_vague: false };
    is_own || depth < NESTING_MAX && peel_within(text, wanted, &mut Vec::new(), depth).is_some()
}

/// The members of a JSON object that wrappers have.
#[derive(Default)]
struct Members<'a> {
    /// Whether this is a record of Livebook.
    is_livebooks: bool,
    /// Whether there are members that Docker does not write.
    has_others: bool,
    log: Option<Json<'a>>,
    message: Option<Json<'a>>,
    journal: Option<Json<'a>>,
    time: Option<Json<'a>>,
    date: bool,
    source_type: bool,
    attrs: Option<Json<'a>>,
    fly: Option<Json<'a>>,
    kubernetes: Option<Json<'a>>,
    /// What tells streams apart, in any order that stays the same.
    stream: [Option<Json<'a>>; 6],
    container_name: Option<Json<'a>>,
    container_id: Option<Json<'a>>,
    unit: Option<Json<'a>>,
    user_unit: Option<Json<'a>>,
    identifier: Option<Json<'a>>,
    priority: Option<Json<'a>>,
    /// What shippers say of parts: the line's tag in containerd's manner, or members as Docker's drivers write them.
    tag: Option<Json<'a>>,
    partial: Option<Json<'a>>,
    partial_id: Option<Json<'a>>,
    partial_last: Option<Json<'a>>,
    line_break: Option<Json<'a>>,
}

impl<'a> Members<'a> {
    /// None where `line` is no JSON object.
    fn read(line: &'a [u8]) -> Option<Members<'a>> {
        let mut members = Members::default();
        each_member(line, |name, value| members.take(name, value))?;
        Some(members)
    }

    fn take(&mut self, name: &[u8], value: Json<'a>) {
        self.has_others |= !matches!(name, b"log" | b"stream" | b"time" | b"attrs");
        let [stream, source, file, host, process, tag] = &mut self.stream;
        let place = match name {
            b"metadata" | b"severity" => return self.is_livebooks = true,
            b"date" => return self.date = true,
            b"source_type" => return self.source_type = value.is_string(),
            b"log" => &mut self.log,
            b"message" => &mut self.message,
            b"MESSAGE" => &mut self.journal,
            b"time" => &mut self.time,
            b"attrs" => &mut self.attrs,
            b"fly" => &mut self.fly,
            b"kubernetes" => &mut self.kubernetes,
            b"stream" => stream,
            b"source" => source,
            b"file" | b"filename" | b"path" => file,
            b"host" | b"_HOSTNAME" => host,
            b"_STREAM_ID" => process,
            b"tag" => tag,
            b"CONTAINER_NAME" | b"container_name" => &mut self.container_name,
            b"CONTAINER_ID" | b"container_id" => &mut self.container_id,
            b"_SYSTEMD_UNIT" => &mut self.unit,
            b"_SYSTEMD_USER_UNIT" => &mut self.user_unit,
            b"SYSLOG_IDENTIFIER" => &mut self.identifier,
            b"PRIORITY" => &mut self.priority,
            b"logtag" | b"_p" => &mut self.tag,
            b"CONTAINER_PARTIAL_MESSAGE" | b"partial_message" => &mut self.partial,
            b"CONTAINER_PARTIAL_ID" | b"partial_id" => &mut self.partial_id,
            b"CONTAINER_PARTIAL_LAST" | b"partial_last" => &mut self.partial_last,
            b"_LINE_BREAK" => &mut self.line_break,
            _ => return,
        };
        *place = Some(value);
    }

    /// `{"log":"…\n","stream":"stdout","time":"…Z"}`: all but the last part of a line lack its newline.
    fn docker(&self, key: &mut Vec<u8>) -> Option<Peeled<'a>> {
        let [stream, ..] = &self.stream;
        let stream = stream.filter(|stream| stream.is_string())?;
        let payload = self.log?.string().filter(|_| self.time.is_some_and(Json::is_string))?;
        key.extend_from_slice(stream.text());
        let container = self.attrs.and_then(|attrs| member(attrs, b"tag")).and_then(Json::string);
        Some(Peeled { rest: Rest::BehindNewline, container, ..Peeled::new(payload) })
    }

    /// `{"MESSAGE":…}`: a string, the bytes of what is no text, or nothing where it is long and `--all` was not given.
    fn journald(&self, key: &mut Vec<u8>) -> Option<Peeled<'a>> {
        let message = self.journal?;
        let payload = match message.text().first() {
            Some(b'"') => message.string(),
            Some(b'[') => Some(Cow::Owned(bytes(message.text())?)),
            Some(b'n') => None,
            _ => return None,
        };
        self.add_streams(key);
        // Docker's driver tells standard error by its priority; elsewhere a priority is that of one line.
        if self.container_id.is_some() || self.container_name.is_some() {
            add(key, self.priority);
        }
        let units = [self.container_name, self.container_id, self.user_unit, self.unit, self.identifier];
        let container = units.into_iter().flatten().find_map(Json::string);
        let rest = self.rest();
        Some(Peeled { payload, rest, container, id: self.id(), is_vague: false })
    }

    /// `{"fly":{"app":{"instance","name"}},"message":"…"}`.
    fn fly(&self, key: &mut Vec<u8>) -> Option<Peeled<'a>> {
        let payload = self.message?.string()?;
        let app = member(self.fly?, b"app");
        let instance = app.and_then(|app| member(app, b"instance"));
        add(key, instance);
        let container = app.and_then(|app| member(app, b"name")).and_then(Json::string);
        Some(Peeled { container, ..Peeled::new(payload) })
    }

    /// `{"log":"…","date":…}`, `{"message":"…","source_type":…}` and what else shippers make of a line.
    fn shipper(&self, key: &mut Vec<u8>) -> Option<Peeled<'a>> {
        let log = self.log.filter(|log| log.is_string());
        let payload = log.or(self.message)?.string()?;
        self.add_streams(key);
        let pod = |name| self.kubernetes.and_then(|pod| member(pod, name));
        for name in [&b"namespace_name"[..], b"pod_namespace", b"pod_name", b"container_name"] {
            add(key, pod(name));
        }
        let [stream, ..] = self.stream;
        let is_containers = self.container_id.is_some() || self.container_name.is_some();
        let of_log = log.is_some() && (self.date || stream.is_some() || is_containers);
        let is_sure = of_log
            || self.source_type
            || self.kubernetes.is_some()
            || self.partial.is_some()
            || self.tag.is_some();
        let names = [self.container_name, pod(b"container_name"), self.container_id];
        let container = names.into_iter().flatten().find_map(Json::string);
        Some(Peeled {
            rest: self.rest(),
            id: self.id(),
            container,
            is_vague: !is_sure,
            ..Peeled::new(payload)
        })
    }

    fn add_streams(&self, key: &mut Vec<u8>) {
        let units = [self.container_name, self.container_id, self.unit, self.user_unit, self.identifier];
        for value in self.stream.iter().chain(&units) {
            add(key, *value);
        }
    }

    fn rest(&self) -> Rest {
        let is = |value: Option<Json<'a>>, wanted: &str| value.is_some_and(|value| value.is(wanted));
        let is_true =
            |value: Option<Json<'a>>| is(value, "true") || value.is_some_and(|v| v.text() == b"true");
        let of_container = is_true(self.partial) && !is_true(self.partial_last);
        let of_tag = self.tag.and_then(Json::inner).is_some_and(|tag| tag == b"P" || tag.starts_with(b"P:"));
        if of_container || of_tag || is(self.line_break, "line-max") { Rest::ToCome } else { Rest::Here }
    }

    fn id(&self) -> Option<Cow<'a, [u8]>> {
        self.partial_id.and_then(Json::string)
    }
}

impl<'a> Peeled<'a> {
    fn new(payload: Cow<'a, [u8]>) -> Peeled<'a> {
        Peeled { payload: Some(payload), rest: Rest::Here, id: None, container: None, is_vague: false }
    }
}

/// Adds a value to a key, or that there is none.
fn add(key: &mut Vec<u8>, value: Option<Json<'_>>) {
    key.extend_from_slice(value.map(Json::text).unwrap_or_default());
    key.push(0);
}

/// Goes through the members of an object; none where `text` is no JSON object. Names are as they stand, escapes and
/// all: no wrapper's name has any.
fn each_member<'a>(text: &'a [u8], mut each: impl FnMut(&'a [u8], Json<'a>)) -> Option<()> {
    let mut scan = Scan::new(text);
    scan.expect(b'{', "`{`").ok()?;
    if scan.take(b'}') {
        return scan.end().ok();
    }
    loop {
        let name = scan.name().ok()?;
        let value = scan.value().ok()?;
        each(text.get(name.start..name.end)?, Json::new(text.get(value.start..value.end)?, value.escapes));
        if !scan.take(b',') {
            scan.expect(b'}', "`,` or `}`").ok()?;
            return scan.end().ok();
        }
    }
}

/// A member of an object, if this is one and has it.
fn member<'a>(object: Json<'a>, wanted: &[u8]) -> Option<Json<'a>> {
    let mut found = None;
    each_member(object.text(), |name, value| {
        if name == wanted {
            found = Some(value);
        }
    })?;
    found
}

/// The bytes of `[72,105]`; none where these are no bytes.
fn bytes(array: &[u8]) -> Option<Vec<u8>> {
    let inside = array.strip_prefix(b"[")?.strip_suffix(b"]")?;
    if inside.trim_ascii().is_empty() {
        return Some(Vec::new());
    }
    let byte = |digits: &[u8]| std::str::from_utf8(digits.trim_ascii()).ok()?.parse::<u8>().ok();
    inside.split(|&b| b == b',').map(byte).collect()
}
