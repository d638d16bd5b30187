//! Events for people: when, who, and the code as written.
//!
//! What a cell holds is somebody else's text. Characters that a terminal would act on, or that would show the code in
//! another order than it runs, are written as visible escapes.

use super::text_of;
use crate::event::json::Json;
use crate::event::{Event, Place};
use crate::livebook::EVALUATE;

const DIM: &str = "\x1b[2m";
const BOLD: &str = "\x1b[1m";
const CYAN: &str = "\x1b[36m";
const YELLOW: &str = "\x1b[33m";
const RESET: &str = "\x1b[0m";

/// Appends `event` without its last newline.
pub fn write(event: &Event, colour: bool, out: &mut Vec<u8>) {
    let mut page = Page { out, colour };
    let time = text_of(event, Place::Top, "time").unwrap_or_default().replace('T', " ");
    if !time.is_empty() {
        page.styled(DIM, &time);
        page.plain("  ");
    }
    if event.get(Place::Metadata, "event").is_some_and(|name| name.is(EVALUATE)) {
        evaluation(event, &mut page);
    } else {
        other(event, &mut page);
    }
}

struct Page<'a> {
    out: &'a mut Vec<u8>,
    colour: bool,
}

impl Page<'_> {
    fn plain(&mut self, text: &str) {
        for char in text.chars() {
            if is_safe(char) {
                self.out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                self.out.extend_from_slice(format!("\\u{{{:X}}}", u32::from(char)).as_bytes());
            }
        }
    }

    fn styled(&mut self, style: &str, text: &str) {
        if !self.colour {
            return self.plain(text);
        }
        self.out.extend_from_slice(style.as_bytes());
        self.plain(text);
        self.out.extend_from_slice(RESET.as_bytes());
    }

    fn indented(&mut self, text: &str) {
        for line in text.split('\n') {
            self.plain("\n    ");
            self.plain(line);
        }
    }
}

/// Whether a terminal only shows it.
fn is_safe(char: char) -> bool {
    let turns = matches!(char, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    char == '\n' || char == '\t' || !(char.is_control() || turns)
}

fn evaluation(event: &Event, page: &mut Page<'_>) {
    let mode = text_of(event, Place::Metadata, "session_mode").unwrap_or_else(|| "unknown mode".to_owned());
    page.styled(CYAN, &mode);
    // In a notebook session the log names everybody who is connected, not the one who ran the cell.
    let role = if mode == "app" { "deployed by " } else { "connected: " };
    match users(event) {
        Some(users) if users.is_empty() => page.plain("  nobody named"),
        Some(users) => {
            page.plain("  ");
            page.styled(DIM, role);
            page.styled(BOLD, &users.join(", "));
        }
        None => {}
    }
    if event.has(Place::Metadata, "users_incomplete") {
        page.styled(YELLOW, " (and more that the log has lost)");
    }
    if let Some(code) = text_of(event, Place::Metadata, "code") {
        page.indented(&code);
    } else if let Some(code) = text_of(event, Place::Metadata, "code_base64") {
        page.styled(YELLOW, "\n    (not UTF-8, in base64)");
        page.indented(&code);
    } else if let Some(digest) = text_of(event, Place::Metadata, "code_sha256") {
        page.styled(DIM, &format!("\n    code not recorded, SHA-256 {digest}"));
    }
    if event.has(Place::Metadata, "code_incomplete") {
        page.styled(YELLOW, "\n    (the log has lost the rest)");
    }
}

fn other(event: &Event, page: &mut Page<'_>) {
    if let Some(severity) = text_of(event, Place::Top, "severity") {
        page.styled(CYAN, &severity);
        page.plain("  ");
    }
    let message = event.get(Place::Top, "message");
    match text_of(event, Place::Top, "message") {
        Some(text) => {
            let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
            page.plain(first);
            if !rest.is_empty() {
                page.indented(rest);
            }
        }
        None => {
            let mut json = Vec::new();
            match message {
                Some(message) => json.extend_from_slice(message.text()),
                None => event.write_json(&mut json),
            }
            page.plain(&String::from_utf8_lossy(&json));
        }
    }
}

/// The users by what they are called.
fn users(event: &Event) -> Option<Vec<String>> {
    let list = event.get(Place::Metadata, "users").map(Json::to_value)?;
    let show = |user: &serde_json::Value| {
        let member =
            |name: &str| user.get(name).and_then(|value| value.as_str()).filter(|text| !text.is_empty());
        match (member("name"), member("email"), member("id")) {
            (Some(name), Some(email), _) => format!("{name} <{email}>"),
            (Some(only), None, None) | (None, Some(only), _) => only.to_owned(),
            (Some(name), None, Some(id)) => format!("{name} ({id})"),
            (None, None, Some(id)) => format!("user {id}"),
            (None, None, None) => user.to_string(),
        }
    };
    Some(list.as_array()?.iter().map(show).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Origin;
    use bytes::Bytes;
    use expect_test::expect;

    fn shown(record: &str, colour: bool) -> String {
        let event = Event::from_json(Bytes::copy_from_slice(record.as_bytes()), Origin::nowhere()).unwrap();
        let mut out = Vec::new();
        write(&event, colour, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_evaluation_shows_when_who_and_what() {
        let record = r#"{"message":"m","time":"2025-10-03T17:48:22.238Z","metadata":{"event":"code.evaluate","session_mode":"default","users":[{"id":"1","name":"Ann","email":"a@b.c"},{"id":"2"}],"code":"x = 1\n\ty"}}"#;
        expect![[r#"
            2025-10-03 17:48:22.238Z  default  connected: Ann <a@b.c>, user 2
                x = 1
                	y"#]]
        .assert_eq(&shown(record, false));
        assert!(shown(record, true).contains("\x1b[1mAnn <a@b.c>, user 2\x1b[0m"));
    }

    #[test]
    fn what_a_terminal_would_act_on_is_shown_instead() {
        let record = r#"{"metadata":{"event":"code.evaluate","code":"a\u001b[2J\u202Eb\r","users":[{"name":"\u0007"}]}}"#;
        let text = shown(record, false);
        assert!(text.contains("a\\u{1B}[2J\\u{202E}b\\u{D}") && text.contains("\\u{7}"), "{text}");
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn other_events_show_their_message() {
        assert_eq!(shown(r#"{"message":"a\nb","severity":"error"}"#, false), "error  a\n    b");
        assert_eq!(shown(r#"{"reason":"broken_json"}"#, false), r#"{"reason":"broken_json"}"#);
    }
}
