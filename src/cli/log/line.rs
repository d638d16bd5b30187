//! A line of the log: what an event says, without secrets, as text or as JSON.
//!
//! What is said may quote an address or a path that holds a password. So the credentials in addresses, and the values of
//! variables whose names are those of secrets, are taken out of every text here, whoever wrote it. What a terminal would
//! act on is escaped: a name of a file may hold anything.

use chrono::{DateTime, SecondsFormat};
use serde_json::Value;
use std::fmt::{Debug, Write};
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

/// What stands for the credentials in an address.
const HIDDEN: &str = "***";
/// Fields that tell one message from another of the same line of the program; their values are few.
const ABOUT: [&str; 5] = ["source", "transform", "sink", "reason", "status"];

/// A variable of the environment whose value is not to be shown.
#[derive(Clone, Debug)]
pub struct Secret {
    /// What is shown instead, as it stands in the config.
    pub shown: String,
    /// What it stands for.
    pub value: String,
}

/// Fields that say how many events of a pipeline a line is about.
const EVENTS: [&str; 2] = ["events", "refused"];

/// What an event is about.
#[derive(Default)]
pub struct About {
    /// See [`ABOUT`].
    pub fields: Vec<(&'static str, String)>,
    /// How many events of the pipeline.
    pub events: u64,
}

impl About {
    /// That of an event.
    pub fn of(event: &Event<'_>) -> About {
        let mut about = About::default();
        event.record(&mut about);
        about
    }
}

impl About {
    fn note(&mut self, field: &Field, value: impl FnOnce() -> String) {
        if ABOUT.contains(&field.name()) {
            self.fields.push((field.name(), value()));
        }
    }
}

impl Visit for About {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.note(field, || value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.note(field, || format!("{value:?}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match EVENTS.contains(&field.name()) {
            true => self.events += value,
            false => self.note(field, || value.to_string()),
        }
    }
}

/// The value of a field.
#[derive(Debug)]
enum Said {
    /// A string, which is quoted in text.
    Quoted(String),
    /// A number or a truth value; or a string that is not quoted.
    Plain(Value),
}

/// A line.
#[derive(Debug)]
pub struct Line {
    level: Level,
    /// What it says.
    pub message: String,
    fields: Vec<(&'static str, Said)>,
}

impl Line {
    /// That of an event.
    pub fn of(event: &Event<'_>, secrets: &[Secret]) -> Line {
        let line = Line::new(*event.metadata().level(), String::new());
        let mut reader = Reader { line, secrets };
        event.record(&mut reader);
        reader.line
    }

    /// One without fields.
    pub fn new(level: Level, message: String) -> Line {
        Line { level, message, fields: Vec::new() }
    }

    /// Adds a field.
    pub fn with(&mut self, name: &'static str, value: impl Into<Value>) {
        let said = match value.into() {
            Value::String(text) => Said::Quoted(text),
            value => Said::Plain(value),
        };
        self.fields.push((name, said));
    }

    /// For people; coloured as a terminal shows it.
    pub fn text(&self, now_ms: u64, colour: bool) -> String {
        let level = self.level.as_str();
        let time = time(now_ms);
        let text = match (colour, number(self.level)) {
            (true, number) => format!("\x1b[2m{time}\x1b[0m \x1b[{number}m{level:>5}\x1b[0m "),
            (false, _) => format!("{time} {level:>5} "),
        };
        self.said(text, colour)
    }

    /// For systemd's journal, which has a time of its own.
    pub fn journal(&self) -> String {
        let text = format!("{}{:>5} ", priority(self.level), self.level.as_str());
        self.said(text, false)
    }

    /// The message and the fields, behind `text`.
    fn said(&self, mut text: String, colour: bool) -> String {
        escape(&self.message, &mut text);
        for (name, said) in &self.fields {
            let value = match said {
                Said::Quoted(value) => format!("{value:?}"),
                Said::Plain(Value::String(value)) => value.clone(),
                Said::Plain(value) => value.to_string(),
            };
            text.push_str(if colour { " \x1b[3m" } else { " " });
            text.push_str(name);
            text.push_str(if colour { "\x1b[0m\x1b[2m=\x1b[0m" } else { "=" });
            escape(&value, &mut text);
        }
        text.push('\n');
        text
    }

    /// As [`Line::json`], with its level for the journal in front.
    pub fn journal_json(&self, now_ms: u64) -> String {
        priority(self.level).to_owned() + &self.json(now_ms)
    }

    /// For programs: one object.
    pub fn json(&self, now_ms: u64) -> String {
        let mut members = vec![
            ("timestamp", Value::from(time(now_ms))),
            ("level", Value::from(self.level.as_str())),
            ("message", Value::from(self.message.as_str())),
        ];
        for (name, said) in &self.fields {
            let value = match said {
                Said::Quoted(text) => Value::from(text.as_str()),
                Said::Plain(value) => value.clone(),
            };
            members.push((name, value));
        }
        let members: Vec<String> =
            members.iter().map(|(name, value)| format!("{}:{value}", Value::from(*name))).collect();
        format!("{{{}}}\n", members.join(","))
    }
}

/// What the journal takes off the beginning of a line, and keeps as its priority: those of syslog.
pub fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        Level::DEBUG | Level::TRACE => "<7>",
    }
}

/// Number of the colour of a level.
fn number(level: Level) -> u8 {
    match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    }
}

fn time(now_ms: u64) -> String {
    let time = i64::try_from(now_ms).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default();
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c.is_control() {
            true => out.extend(c.escape_default()),
            false => out.push(c),
        }
    }
}

struct Reader<'a> {
    line: Line,
    secrets: &'a [Secret],
}

impl Reader<'_> {
    fn plain(&mut self, field: &Field, value: Value) {
        self.line.fields.push((field.name(), Said::Plain(value)));
    }
}

impl Visit for Reader<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        let text = without_secrets(value, self.secrets);
        match field.name() {
            "message" => self.line.message = text,
            name => self.line.fields.push((name, Said::Quoted(text))),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = without_secrets(&format!("{value:?}"), self.secrets);
        match field.name() {
            "message" => self.line.message = text,
            _ => self.plain(field, text.into()),
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.plain(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.plain(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field, value.into());
    }
}

/// `text` with the names of variables in the place of their values, and without the credentials in addresses.
fn without_secrets(text: &str, secrets: &[Secret]) -> String {
    let mut text = secrets
        .iter()
        .fold(text.to_owned(), |text, secret| text.replace(secret.value.as_str(), &secret.shown));
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| rest.find("://")) {
        let start = from + at + "://".len();
        from = start;
        let rest = text.get(start..).unwrap_or_default();
        let ends = |c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '`' | '<' | '>' | ',');
        let authority = rest.find(ends).and_then(|end| rest.get(..end)).unwrap_or(rest);
        if let Some(end) = authority.rfind('@') {
            text.replace_range(start..start + end, HIDDEN);
        }
    }
    text
}

/// One count for each name, as in `3 (twin 2, fault 1)`; names behind the first `names_max` are put together.
pub fn counts<'a>(counts: impl IntoIterator<Item = (&'a str, u64)>, names_max: usize) -> String {
    let counts: Vec<(&str, u64)> = counts.into_iter().collect();
    let total: u64 = counts.iter().map(|(_, count)| count).sum();
    let mut each = String::new();
    for (at, (name, count)) in counts.iter().take(names_max).enumerate() {
        let comma = if at > 0 { ", " } else { "" };
        // Nothing can go wrong while a string is written to.
        write!(each, "{comma}{name} {count}").unwrap_or_default();
    }
    let others: u64 = counts.iter().skip(names_max).map(|(_, count)| count).sum();
    if others > 0 {
        write!(each, ", {} others {others}", counts.len() - names_max).unwrap_or_default();
    }
    if each.is_empty() { "0".to_owned() } else { format!("{total} ({each})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_taken_out_of_addresses() {
        let secrets = [Secret { shown: "${TOKEN}".to_owned(), value: "s3cr3t".to_owned() }];
        for (said, shown) in [
            ("to https://ann:p@w@host:1/a@b?c", "to https://***@host:1/a@b?c"),
            ("`http://token@host`, http://x@y, http://host", "`http://***@host`, http://***@y, http://host"),
            ("/var/s3cr3t/a.log: not found", "/var/${TOKEN}/a.log: not found"),
            ("a@b ://", "a@b ://"),
            ("", ""),
        ] {
            assert_eq!(without_secrets(said, &secrets), shown);
        }
    }

    #[test]
    fn lines_are_lines_whatever_is_said() {
        let mut line = Line::new(Level::WARN, "can't read a\nb\x1b[31m: \"é\"".to_owned());
        line.with("sink", "a \"b\"\n");
        line.with("lines", 3);
        let text = "1970-01-01T00:00:00.001Z  WARN can't read a\\nb\\u{1b}[31m: \"é\" sink=\"a \\\"b\\\"\\n\" lines=3\n";
        assert_eq!(line.text(1, false), text);
        let json: Value = serde_json::from_str(&line.json(1)).unwrap();
        assert_eq!(json["message"], "can't read a\nb\x1b[31m: \"é\"");
        assert_eq!((&json["sink"], &json["lines"]), (&Value::from("a \"b\"\n"), &Value::from(3)));
        assert!(line.json(1).starts_with("{\"timestamp\":\"1970-01-01T00:00:00.001Z\",\"level\":\"WARN\","));
        assert!(line.text(1, true).ends_with('\n') && line.text(1, true).matches('\n').count() == 1);
        let journal = text.replace("1970-01-01T00:00:00.001Z ", "<4>");
        assert_eq!(line.journal(), journal);
    }

    #[test]
    fn counts_are_put_together_where_there_are_many() {
        assert_eq!(counts([], 2), "0");
        assert_eq!(counts([("a", 1), ("b", 2)], 2), "3 (a 1, b 2)");
        assert_eq!(counts([("a", 1), ("b", 2), ("c", 3), ("d", 4)], 2), "10 (a 1, b 2, 2 others 7)");
    }
}
