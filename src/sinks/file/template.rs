//! The `path` of a file sink: text, parts of the time, and fields of the event.

use super::name;
use crate::codec::zone::parse_utc_ms;
use crate::event::json::Json;
use crate::event::{Event, Invalid, Place};
use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, Utc};
use std::fmt::Write;

/// Origin keys that can be part of a path: those that many records share.
const ORIGIN_KEYS: [&str; 4] = ["%source", "%file", "%container", "%peer"];

/// A day, an hour, a minute, a second: a path that is the same at both ends of one is the same all through it.
const STEPS_MS: [u64; 4] = [86_400_000, 3_600_000, 60_000, 1_000];
/// Of a day whose month and number have two digits.
const MIDNIGHT_MS: i64 = 1_795_305_600_000;

/// A path with parts that depend on the event.
#[derive(Clone, Debug)]
pub struct Template {
    parts: Vec<Part>,
    /// Bytes of the folder that every path is in: the text up to the last `/` in front of the first other part.
    prefix: usize,
    has_fields: bool,
    /// Times in the same step of so many milliseconds make the same path.
    step_ms: u64,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Time { items: Vec<Item<'static>>, step: Option<u64>, shown: String },
    Field(Field),
}

#[derive(Clone, Debug)]
enum Field {
    Member(Place, String),
    Source,
    File,
    Container,
    Peer,
}

impl Template {
    /// Reads the option `path`.
    pub fn parse(path: &str) -> Result<Template, Invalid> {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = path;
        while let Some(next) = rest.chars().next() {
            let taken = if let Some(inner) = rest.strip_prefix("{{") {
                let end = inner.find("}}").ok_or_else(|| {
                    Invalid::new("path", "a `{{` without its `}}`")
                        .help("write `{{ metadata.session_mode }}`")
                })?;
                let field = Field::parse(inner.get(..end).unwrap_or_default().trim())?;
                add_text(&mut parts, &mut text);
                parts.push(Part::Field(field));
                end + "{{}}".len()
            } else if rest.starts_with("%%") {
                text.push('%');
                2
            } else if next == '%' {
                let (items, taken) = time_part(rest)?;
                add_text(&mut parts, &mut text);
                parts.push(Part::Time { items, step: None, shown: String::new() });
                taken
            } else {
                text.push(next);
                next.len_utf8()
            };
            rest = rest.get(taken..).unwrap_or_default();
        }
        add_text(&mut parts, &mut text);
        let mut template = Template::of(parts);
        template.check()?;
        let fits = |step: &u64| template.shown(0) == template.shown(step - 1);
        template.step_ms = STEPS_MS.into_iter().find(fits).unwrap_or(1);
        Ok(template)
    }

    fn of(parts: Vec<Part>) -> Template {
        let prefix = match parts.as_slice() {
            [Part::Text(text), ..] => text.rfind('/').map_or(0, |at| at + 1),
            _ => 0,
        };
        let has_fields = parts.iter().any(|part| matches!(part, Part::Field(_)));
        Template { parts, prefix, has_fields, step_ms: 1 }
    }

    /// A path that an event might make.
    pub fn sample(&self) -> String {
        self.shown(0)
    }

    /// The path where every field is the word `x`, so many milliseconds after a midnight.
    fn shown(&self, ms: u64) -> String {
        let time = DateTime::from_timestamp_millis(MIDNIGHT_MS + ms.cast_signed()).unwrap_or_default();
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Time { items, .. } => formatted(time, items),
            Part::Field(_) => "x".to_owned(),
        };
        self.parts.iter().map(part).collect()
    }

    fn check(&self) -> Result<(), Invalid> {
        let shown = self.shown(0);
        let fault = |message: &str| Invalid::new("path", message);
        if shown.is_empty() {
            return Err(fault("an empty path").help("name a file: `/var/log/evaltrail/audit.jsonl`"));
        }
        let file = shown.rsplit('/').next().unwrap_or_default();
        if matches!(file, "" | "." | "..") {
            return Err(fault("the path of a folder").help("name a file in it: `audit.jsonl`"));
        }
        if shown.contains(|c: char| c.is_control()) {
            return Err(fault("a control character in the name of a file"));
        }
        let below = shown.get(self.prefix..).unwrap_or_default();
        if !self.is_plain() && below.split('/').any(|part| part == "..") {
            let help = "what a value stands for can't be left again: write the path without `..`";
            return Err(fault("`..` behind a part that changes").help(help));
        }
        if super::rotated::suffix_at(file).is_some() {
            let help = "rotation removes such files; choose another form";
            return Err(fault("a name such as rotated files have").help(help));
        }
        if shown.split('/').any(|part| part.len() > name::COMPONENT_BYTES_MAX) {
            let max = name::COMPONENT_BYTES_MAX;
            return Err(fault(&format!("a name of more than {max} bytes")));
        }
        Ok(())
    }

    /// Whether all events go into one file.
    pub fn is_plain(&self) -> bool {
        matches!(self.parts.as_slice(), [Part::Text(_)])
    }

    /// The one path of a plain template.
    pub fn plain(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The folder that no path leaves, where there are parts that change.
    pub fn prefix(&self) -> Option<&str> {
        match self.parts.first() {
            _ if self.is_plain() => None,
            Some(Part::Text(text)) => text.get(..self.prefix),
            _ => Some(""),
        }
    }

    /// Writes the path for `event` into `out`.
    pub fn render(&mut self, event: &Event, out: &mut String) {
        out.clear();
        let step_ms = self.step_ms;
        for part in &mut self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Field(field) => field.push(event, out),
                Part::Time { items, step, shown } => {
                    let ms = time_of(event);
                    if *step != Some(ms / step_ms) {
                        *step = Some(ms / step_ms);
                        let time = i64::try_from(ms).ok().and_then(DateTime::from_timestamp_millis);
                        *shown = formatted(time.unwrap_or_default(), items);
                    }
                    out.push_str(shown);
                }
            }
        }
        if self.has_fields {
            name::tidy(out, self.prefix);
        }
    }
}

fn add_text(parts: &mut Vec<Part>, text: &mut String) {
    if !text.is_empty() {
        parts.push(Part::Text(std::mem::take(text)));
    }
}

/// The event's own time, or when it was received where it has none.
fn time_of(event: &Event) -> u64 {
    let own = event.get(Place::Top, "time").and_then(Json::string).and_then(|time| parse_utc_ms(&time));
    own.and_then(|ms| u64::try_from(ms).ok()).unwrap_or_else(|| event.origin().received_ms())
}

fn formatted(time: DateTime<Utc>, items: &[Item<'static>]) -> String {
    let mut text = String::new();
    // Writing to a String can't fail, and the items were tried when they were read.
    write!(text, "{}", time.format_with_items(items.iter())).unwrap_or_default();
    text
}

/// The specifier at the front of `text`, and its length.
fn time_part(text: &str) -> Result<(Vec<Item<'static>>, usize), Invalid> {
    /// Bytes of the longest specifiers (`%::z`, `%.3f`).
    const LONGEST: usize = 4;
    for len in 2..=LONGEST {
        let parsed = text.get(..len).map(|text| StrftimeItems::new(text).parse_to_owned());
        if let Some(Ok(items)) = parsed {
            return Ok((items, len));
        }
    }
    let name = |c: char| c.is_ascii_punctuation() || c.is_ascii_digit();
    let flags = text.char_indices().skip(1).find(|(_, c)| !name(*c));
    let end = flags.map_or(text.len(), |(at, c)| at + c.len_utf8());
    let specifier = text.get(..end.min(text.len())).unwrap_or("%");
    let specifier = if specifier.contains(['/', '{']) { "%" } else { specifier };
    let help = "parts of a time are `%Y`, `%m`, `%d`, `%H` and others of strftime; a percent sign is `%%`";
    Err(Invalid::new("path", format!("`{specifier}` is no part of a time")).help(help))
}

impl Field {
    fn parse(path: &str) -> Result<Field, Invalid> {
        match path {
            "%source" => return Ok(Field::Source),
            "%file" => return Ok(Field::File),
            "%container" => return Ok(Field::Container),
            "%peer" => return Ok(Field::Peer),
            _ => {}
        }
        let help =
            "name a member of the record (`{{ severity }}`), of its metadata (`{{ metadata.session_mode }}`)";
        let help =
            format!("{help}, or one of {}", ORIGIN_KEYS.map(|key| format!("`{{{{ {key} }}}}`")).join(", "));
        let bare = path.strip_prefix('.').unwrap_or(path);
        let (place, name) = match bare.strip_prefix("metadata.") {
            Some(name) => (Place::Metadata, name),
            None => (Place::Top, bare),
        };
        if name.is_empty() || name.contains(['.', '[', ']', '"', '%', '{', '/']) || bare == "metadata" {
            return Err(Invalid::new("path", format!("`{path}` is no field of an event")).help(help));
        }
        Ok(Field::Member(place, name.to_owned()))
    }

    fn push(&self, event: &Event, out: &mut String) {
        let stream = event.origin().stream();
        match self {
            Field::Source => name::push_value(stream.source.as_bytes(), out),
            Field::File => push_if_there(stream.file.as_deref(), out),
            Field::Container => push_if_there(stream.container.as_deref(), out),
            Field::Peer => push_if_there(stream.peer.as_deref(), out),
            Field::Member(place, member) => match event.get(*place, member) {
                Some(value) if !value.is_null() => match value.string() {
                    Some(text) => name::push_value(&text, out),
                    None => name::push_value(value.text(), out),
                },
                _ => out.push_str(name::MISSING),
            },
        }
    }
}

fn push_if_there(value: Option<&str>, out: &mut String) {
    match value {
        Some(value) => name::push_value(value.as_bytes(), out),
        None => out.push_str(name::MISSING),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Origin, Stream};
    use bytes::Bytes;
    use proptest::prelude::*;
    use std::sync::Arc;

    const RECORD: &str = r#"{"message":"m","time":"2026-11-22T23:59:59.999Z","metadata":{"session_mode":"app","n":7,"list":[1,"a"],"none":null},"severity":"info"}"#;

    fn event(record: &str) -> Event {
        let stream = Stream { source: "in".into(), file: Some("/var/log/x.log".into()), ..Stream::default() };
        let origin = Origin::new(Arc::new(stream), 0, 1_795_348_800_000);
        Event::from_json(Bytes::copy_from_slice(record.as_bytes()), origin).unwrap()
    }

    fn rendered(path: &str, record: &str) -> String {
        let mut out = String::new();
        Template::parse(path).unwrap().render(&event(record), &mut out);
        out
    }

    fn refused(path: &str) -> String {
        Template::parse(path).unwrap_err().message
    }

    #[test]
    fn parts_are_filled_in() {
        for (path, expected) in [
            ("audit.jsonl", "audit.jsonl"),
            ("/a/%Y-%m-%d/%H.log", "/a/2026-11-22/23.log"),
            ("/a/%Y-%m-%dT%H%M%S%.3f", "/a/2026-11-22T235959.999"),
            ("/a/100%%", "/a/100%"),
            ("/a/{{ metadata.session_mode }}.log", "/a/app.log"),
            ("/a/{{.metadata.session_mode}}-{{severity}}", "/a/app-info"),
            ("/a/{{ metadata.n }}", "/a/7"),
            ("/a/{{ metadata.list }}", "/a/%5B1,%22a%22%5D"),
            ("/a/{{ metadata.none }}{{ gone }}", "/a/_missing_missing"),
            ("/a/{{ %source }}/{{ %file }}", "/a/in/%2Fvar%2Flog%2Fx.log"),
            ("/a/{{ %container }}", "/a/_missing"),
            ("/a/{{ %peer }}", "/a/_missing"),
            ("{{ severity }}", "info"),
        ] {
            assert_eq!(rendered(path, RECORD), expected, "{path}");
        }
    }

    #[test]
    fn an_event_without_its_own_time_goes_by_when_it_was_received() {
        for record in [r#"{"message":"m"}"#, r#"{"time":"yesterday"}"#, r#"{"time":5}"#] {
            assert_eq!(rendered("/a/%Y%m%d-%H", record), "/a/20261122-12", "{record}");
        }
    }

    #[test]
    fn a_path_that_is_remembered_changes_with_the_time() {
        let times = [
            "22T00:00:00.001",
            "22T00:00:00.002",
            "22T00:00:01.002",
            "22T00:07:01.002",
            "22T13:07:01.002",
            "23T13:07:01.002",
        ];
        for (path, step_ms) in [
            ("%S%.3f", 1),
            ("%s", 1_000),
            ("%d %H%M", 60_000),
            ("%I", 3_600_000),
            ("%p", 3_600_000),
            ("%Y-%m-%d", 86_400_000),
            ("{{ x }}", 86_400_000),
        ] {
            let mut template = Template::parse(path).unwrap();
            assert_eq!(template.step_ms, step_ms, "{path}");
            for time in times {
                let event = event(&format!(r#"{{"time":"2026-11-{time}Z"}}"#));
                let (mut one, mut other) = (String::new(), String::new());
                template.render(&event, &mut one);
                Template::parse(path).unwrap().render(&event, &mut other);
                assert_eq!(one, other, "{path}");
            }
        }
    }

    #[test]
    fn an_unknown_specifier_is_named() {
        for (path, specifier) in [
            ("/a/%Y-%Q.log", "%Q"),
            ("/a/%", "%"),
            ("/a/%-", "%-"),
            ("%5y", "%5y"),
            ("%:a", "%:a"),
            ("%/a", "%"),
        ] {
            assert_eq!(refused(path), format!("`{specifier}` is no part of a time"), "{path}");
        }
    }

    #[test]
    fn paths_that_name_no_file_are_refused() {
        for (path, why) in [
            ("", "an empty path"),
            ("/a/", "the path of a folder"),
            ("/a/..", "the path of a folder"),
            ("/a/%n.log", "a control character in the name of a file"),
            ("/a/{{ x }}/../b", "`..` behind a part that changes"),
            ("/a/{{ x", "a `{{` without its `}}`"),
            ("/a/{{ }}", "`` is no field of an event"),
            ("/a/{{ metadata.a.b }}", "`metadata.a.b` is no field of an event"),
            ("/a/{{ %offset }}", "`%offset` is no field of an event"),
            ("/a/b.%Y%m%dT%H%M%SZ", "a name such as rotated files have"),
        ] {
            assert_eq!(refused(path), why, "{path}");
        }
        assert!(Template::parse(&format!("/a/{}", "x".repeat(201))).is_err());
        assert!(Template::parse("../a/%Y.log").is_ok());
    }

    #[test]
    fn the_prefix_is_the_folder_in_front_of_what_changes() {
        for (path, prefix) in [
            ("/a/b/c.log", None),
            ("/a/b/c-{{ x }}/d.log", Some("/a/b/")),
            ("/a/%Y/{{ x }}.log", Some("/a/")),
            ("{{ x }}.log", Some("")),
            ("a-%Y.log", Some("")),
        ] {
            assert_eq!(Template::parse(path).unwrap().prefix(), prefix, "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_path_leaves_its_prefix(one in any::<String>(), other in r"[./~%a\\ -]{0,12}|\.20261122T220000Z(-1)?(\.gz)?", time in ".*") {
            let record = serde_json::json!({ "a": one, "time": time, "metadata": { "b": other } }).to_string();
            for (path, depth) in [("/p/q/{{ a }}", 1), ("/p/q/{{a}}/{{metadata.b}}", 2), ("/p/q/%Y/{{a}}.{{metadata.b}}", 2)] {
                let path = rendered(path, &record);
                let below = path.strip_prefix("/p/q/").unwrap();
                prop_assert_eq!(below.split('/').count(), depth, "{}", path);
                for part in below.split('/') {
                    prop_assert!(!part.is_empty() && !part.starts_with('.') && part.len() <= 255, "{}", path);
                    prop_assert!(!part.contains(|c: char| c.is_control()), "{}", path);
                }
                prop_assert!(super::super::rotated::suffix_at(&path).is_none(), "{}", path);
            }
        }
    }
}
