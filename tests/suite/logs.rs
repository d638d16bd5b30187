//! Records as Livebook writes them, put together here and not by the program under test.

use serde_json::{Value, json};

/// A team of two.
pub const TEAM: &str = r#"[%{id: "7", name: "Ada", email: "ada@example.org"}, %{id: "9", name: "Žofie"}]"#;

/// The same as it stands in JSON.
pub fn team() -> Value {
    json!([{"id": "7", "name": "Ada", "email": "ada@example.org"}, {"id": "9", "name": "Žofie"}])
}

/// The time that is `ms` after a fixed one, which is less than a minute away.
pub fn time(ms: u32) -> String {
    format!("2025-10-03T17:48:{:02}.{:03}Z", ms / 1000, ms % 1000)
}

/// Elixir's `inspect` of a printable source.
pub fn inspect(source: &str) -> String {
    let mut literal = String::from("\"");
    let mut chars = source.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => literal.push_str("\\\""),
            '\\' => literal.push_str("\\\\"),
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            '\t' => literal.push_str("\\t"),
            '\u{1b}' => literal.push_str("\\e"),
            '#' if chars.peek() == Some(&'{') => literal.push_str("\\#"),
            c => literal.push(c),
        }
    }
    literal.push('"');
    literal
}

/// The text of a legacy record.
pub fn legacy_text(mode: &str, literal: &str) -> String {
    format!("Evaluating code\n  Session mode: {mode}\n  Code: {literal}")
}

fn line(record: &Value) -> String {
    format!("{record}\n")
}

/// A legacy record in JSON: `literal` is what `inspect` made of the source.
pub fn legacy_json(ms: u32, literal: &str) -> String {
    line(&json!({"message": legacy_text("default", literal), "time": time(ms),
        "metadata": {"users": team()}, "severity": "info"}))
}

/// The structured record in JSON.
pub fn structured_json(ms: u32, code: &str) -> String {
    line(&json!({"message": "Evaluating code", "time": time(ms), "metadata": {"code": code,
        "event": "code.evaluate", "users": team(), "session_mode": "default"}, "severity": "info"}))
}

/// Both records of a printable source.
pub fn twins_json(ms: u32, code: &str) -> String {
    legacy_json(ms, &inspect(code)) + &structured_json(ms, code)
}

/// Any other record.
pub fn other_json(ms: u32) -> String {
    line(&json!({"message": "GET /public/health", "time": time(ms),
        "metadata": {"request_id": "GGsampleAAAAAAAAAAA1"}, "severity": "info"}))
}

/// The local time of a text record.
pub fn text_time(ms: u32) -> String {
    time(ms).replace('T', " ").trim_end_matches('Z').to_owned()
}

/// A legacy record in text.
pub fn legacy_line(ms: u32, literal: &str) -> String {
    format!("{} users={TEAM} [info] {}\n", text_time(ms), legacy_text("default", literal))
}

/// The structured record in text, its metadata in the order of Livebook's own default.
pub fn structured_line(ms: u32, code: &str) -> String {
    let time = text_time(ms);
    format!(
        "{time} users={TEAM} session_mode=default code={code} event=code.evaluate [info] Evaluating code\n"
    )
}

/// The structured record in text, `code` first and last but one.
pub fn structured_line_code_last(ms: u32, code: &str) -> String {
    let time = text_time(ms);
    format!(
        "{time} event=code.evaluate session_mode=default users={TEAM} code={code} [info] Evaluating code\n"
    )
}

/// Both records of a printable source in text.
pub fn twins_text(ms: u32, code: &str) -> String {
    legacy_line(ms, &inspect(code)) + &structured_line(ms, code)
}

/// Any other text record.
pub fn other_line(ms: u32) -> String {
    format!("{} request_id=GGsampleAAAAAAAAAAA1 [info] GET /public/health\n", text_time(ms))
}

/// What `metadata.code` is in each event.
pub fn codes(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["metadata"]["code"].as_str().unwrap_or_else(|| panic!("no code: {event}")))
        .collect()
}
