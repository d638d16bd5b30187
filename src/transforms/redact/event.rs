//! Where secrets stand in an event, and how they are taken out of it.

use super::allow::MARK;
use super::set::{Found, RuleSet};
use super::view::View;
use crate::event::json::string::{quote_into, unescape_into};
use crate::event::{Event, Place};
use crate::livebook::MESSAGE;
use crate::livebook::inspect::{Extent, Form, Literal, read_literal};
use crate::livebook::legacy::{read_legacy, write_legacy_literal};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

/// Members that hold no source: who and when, and what has been put in its place.
const OTHERS: [(Place, &str); 10] = [
    (Place::Top, "time"),
    (Place::Top, "severity"),
    (Place::Metadata, "time"),
    (Place::Metadata, "users"),
    (Place::Metadata, "session_mode"),
    (Place::Metadata, "event"),
    (Place::Metadata, "request_id"),
    (Place::Metadata, "code_sha256"),
    (Place::Metadata, "code_bytes"),
    (Place::Metadata, "redacted"),
];

/// The secrets of an event, each once: the rule, and the secret itself.
pub type Secrets = BTreeSet<(u16, Vec<u8>)>;

/// The source of an evaluation, and what was found in it.
struct Source {
    bytes: Vec<u8>,
    found: Vec<Found>,
}

/// Takes the secrets out of `event`, and tells them.
pub fn redact(event: &mut Event, rules: &RuleSet) -> Secrets {
    let mut secrets = Secrets::new();
    let mut changes: Vec<(Place, Vec<u8>, Vec<u8>)> = Vec::new();
    let source = source_of(event, rules);
    for place in [Place::Metadata, Place::Top] {
        for (name, value) in event.members(place) {
            if OTHERS.iter().any(|(at, other)| *at == place && other.as_bytes() == name) {
                continue;
            }
            let is_composite = matches!(value.text().first(), Some(b'[' | b'{'));
            let changed = if is_composite {
                composite(value.text(), rules, &mut secrets)
            } else if let Some(text) = value.string() {
                string(name, &text, source.as_ref(), rules, &mut secrets).map(|text| {
                    let mut json = Vec::with_capacity(text.len() + 2);
                    quote_into(&text, &mut json);
                    json
                })
            } else {
                None
            };
            changes.extend(changed.map(|json| (place, name.to_vec(), json)));
        }
    }
    for (place, name, json) in changes {
        put(event, place, &name, &json);
    }
    secrets
}

/// Sets a member whose name is given as JSON text.
fn put(event: &mut Event, place: Place, name: &[u8], json: &[u8]) {
    let written = String::from_utf8_lossy(name).into_owned();
    let mut plain = Vec::with_capacity(name.len());
    unescape_into(name, &mut plain);
    let plain = String::from_utf8_lossy(&plain).into_owned();
    // A name with an escape is known by its text, and set by what it stands for.
    if plain != written {
        event.remove(place, &written);
    }
    event.set(place, &plain, |out| out.extend_from_slice(json));
}

/// The source, searched once: what it says also holds for the message.
fn source_of(event: &Event, rules: &RuleSet) -> Option<Source> {
    let encoded = event.get(Place::Metadata, "code_base64").and_then(|text| text.string());
    let decoded = encoded.and_then(|text| STANDARD.decode(&*text).ok());
    let code = || event.get(Place::Metadata, "code").and_then(|code| code.string()).map(Cow::into_owned);
    let bytes = decoded.or_else(code)?;
    let is_cut = event.has(Place::Metadata, "code_incomplete");
    let found = if is_cut { find_cut(&bytes, rules) } else { rules.find(&bytes) };
    Some(Source { bytes, found })
}

/// The secrets in a source whose end is lost: a string that was open there is taken as closed.
fn find_cut(bytes: &[u8], rules: &RuleSet) -> Vec<Found> {
    let mut found = rules.find(bytes);
    for quote in [b'"', b'\''] {
        let closed = [bytes, &[quote]].concat();
        let mut more = rules.find(&closed);
        more.retain(|one| one.start < bytes.len());
        let reach = |found: &[Found]| found.last().map_or(0, |one| one.end);
        if reach(&more) > reach(&found) {
            found = more;
        }
    }
    found
}

/// What becomes of a string; none where it stays.
fn string(
    name: &[u8],
    text: &[u8],
    source: Option<&Source>,
    rules: &RuleSet,
    secrets: &mut Secrets,
) -> Option<Vec<u8>> {
    // What Elixir prints of a source that is no text; it may stand in `code` as well.
    if text.starts_with(b"<<")
        && let Some(printed) = read_literal(text)
        && printed.len == text.len()
    {
        let changed = replaced(&printed.bytes, &rules.find(&printed.bytes), rules, secrets);
        return changed.map(|bytes| list_of(&bytes, printed.extent));
    }
    if let Some(source) = source.filter(|source| *source.bytes == *text) {
        return replaced(text, &source.found, rules, secrets);
    }
    if name.ends_with(b"_base64") {
        let bytes = STANDARD.decode(text).ok()?;
        let known = source.filter(|source| source.bytes == bytes);
        let changed = match known {
            Some(source) => replaced(&bytes, &source.found, rules, secrets),
            None => replaced(&bytes, &rules.find(&bytes), rules, secrets),
        };
        return changed.map(|bytes| STANDARD.encode(bytes).into_bytes());
    }
    if text.starts_with(MESSAGE.as_bytes())
        && let Some(legacy) = read_legacy(text)
        && legacy.code.len > 0
    {
        let changed = message(text, legacy.mode, &legacy.code, source, rules, secrets);
        if legacy.code.extent != Extent::Broken {
            return changed;
        }
        // Behind a literal that is none to its end may stand anything.
        let text = changed.as_deref().unwrap_or(text);
        return replaced(text, &rules.find(text), rules, secrets).or(changed);
    }
    replaced(text, &rules.find(text), rules, secrets)
}

/// What becomes of a legacy message. Its literal is searched as the source that it stands for, and keeps its own
/// escapes outside of the secrets.
fn message(
    text: &[u8],
    mode: &[u8],
    code: &Literal,
    source: Option<&Source>,
    rules: &RuleSet,
    secrets: &mut Secrets,
) -> Option<Vec<u8>> {
    // A message that was cut shows the beginning of a secret that only the source has whole.
    let known = source.filter(|source| source.bytes.starts_with(&code.bytes));
    let own;
    let found: &[Found] = match known {
        Some(source) => &source.found,
        None => {
            let is_cut = code.extent != Extent::Whole;
            own = if is_cut { find_cut(&code.bytes, rules) } else { rules.find(&code.bytes) };
            &own
        }
    };
    let found: Vec<&Found> = found.iter().filter(|one| one.start < code.bytes.len()).collect();
    if found.is_empty() {
        return None;
    }
    if let Form::Bytes { .. } = code.form {
        let bytes = replaced(&code.bytes, found, rules, secrets)?;
        let mut out = Vec::with_capacity(text.len());
        write_legacy_literal(mode, &list_of(&bytes, code.extent), &mut out);
        return Some(out);
    }
    let start = literal_start(text)?;
    let inner = text.get(start + 1..)?;
    let view = View::of(inner);
    let place = |offset: usize| match &view {
        Some(view) => view.place(offset, offset).0,
        None => offset,
    };
    let spans = found.iter().map(|one| {
        let end = one.end.min(code.bytes.len());
        (start + 1 + place(one.start)..start + 1 + place(end), one.rule)
    });
    secrets.extend(found.iter().map(|one| (one.rule, one.secret.clone())));
    Some(marked(text, spans, rules))
}

/// Where the literal of a legacy message begins.
fn literal_start(text: &[u8]) -> Option<usize> {
    let code = memchr::memmem::find(text, b"Code:")?;
    memchr::memchr(b'"', text.get(code..)?).map(|at| code + at)
}

/// Bytes as Elixir prints a binary that is no text.
fn list_of(bytes: &[u8], extent: Extent) -> Vec<u8> {
    let mut numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
    if extent != Extent::Whole {
        numbers.push("...".to_owned());
    }
    format!("<<{}>>", numbers.join(", ")).into_bytes()
}

/// `text` without what was found in it; none where nothing was.
fn replaced<'a>(
    text: &[u8],
    found: impl IntoIterator<Item = &'a Found>,
    rules: &RuleSet,
    secrets: &mut Secrets,
) -> Option<Vec<u8>> {
    let mut found = found.into_iter().peekable();
    found.peek()?;
    let spans = found.map(|one| {
        secrets.insert((one.rule, one.secret.clone()));
        (one.start..one.end.min(text.len()), one.rule)
    });
    Some(marked(text, spans, rules))
}

/// `text` with a mark in the place of each span.
fn marked(text: &[u8], spans: impl Iterator<Item = (Range<usize>, u16)>, rules: &RuleSet) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    for (span, rule) in spans {
        let span = span.start..span.end.min(text.len());
        out.extend_from_slice(text.get(at..span.start).unwrap_or_default());
        write_mark(rule, rules, &mut out);
        at = span.end;
    }
    out.extend_from_slice(text.get(at..).unwrap_or_default());
    out
}

/// The name of a rule may come from anywhere: in a mark it must not end the string that it stands in.
fn write_mark(rule: u16, rules: &RuleSet, out: &mut Vec<u8>) {
    out.extend_from_slice(MARK);
    let id = rules.id(rule).map(|id| id.as_bytes()).unwrap_or_default();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    out.extend(id.iter().map(|&byte| if is_plain(byte) { byte } else { b'-' }));
    out.push(b']');
}

/// What becomes of an object or an array: names tell what a value is, so it is searched as one text. Only what stands
/// in strings is replaced.
fn composite(json: &[u8], rules: &RuleSet, secrets: &mut Secrets) -> Option<Vec<u8>> {
    let found = rules.find(json);
    if found.is_empty() {
        return None;
    }
    let mut spans: Vec<(Range<usize>, u16)> = Vec::new();
    for string in strings(json) {
        for one in found.iter().filter(|one| one.start < string.end && string.start < one.end) {
            secrets.insert((one.rule, one.secret.clone()));
            let (start, end) = (one.start.max(string.start), one.end.min(string.end));
            let span = whole_escapes(json, string.clone(), start..end);
            if spans.last().is_none_or(|(last, _)| last.end <= span.start) {
                spans.push((span, one.rule));
            }
        }
    }
    Some(marked(json, spans.into_iter(), rules))
}

/// What stands between the quotes of each string of a JSON text.
fn strings(json: &[u8]) -> Vec<Range<usize>> {
    let mut strings = Vec::new();
    let mut at = 0;
    while let Some(open) = memchr::memchr(b'"', json.get(at..).unwrap_or_default()) {
        let start = at + open + 1;
        let mut end = start;
        while let Some(&byte) = json.get(end).filter(|byte| **byte != b'"') {
            end += if byte == b'\\' { 2 } else { 1 };
        }
        strings.push(start..end.min(json.len()));
        at = end + 1;
    }
    strings
}

/// Widens a span inside a string of a JSON text until it cuts no escape.
fn whole_escapes(json: &[u8], string: Range<usize>, span: Range<usize>) -> Range<usize> {
    let (mut start, mut end, mut at) = (span.start, span.end, string.start);
    while at < string.end {
        let len = match (json.get(at), json.get(at + 1)) {
            (Some(b'\\'), Some(b'u')) => 6,
            (Some(b'\\'), _) => 2,
            _ => 1,
        };
        let unit = at..(at + len).min(string.end);
        if unit.contains(&start) {
            start = unit.start;
        }
        if unit.start < end && end < unit.end {
            end = unit.end;
        }
        at += len;
    }
    start..end
}
