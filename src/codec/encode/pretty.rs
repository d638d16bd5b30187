//! Events for people: when, who, and the code as written.
//!
//! What a cell holds is somebody else's text. Characters that a terminal would act on, or that would show the code in
//! another order than it runs, are written as visible escapes.

use super::text_of;
use crate::event::json::Json;
use crate::event::{Event, Place};
use crate::livebook::{EVALUATE, MESSAGE};

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
        harmless_into(text, self.out);
    }

    fn styled(&mut self, style: &str, text: &str) {
        if !self.colour {
            return self.plain(text);
        }
        self.out.extend_from_slice(style.as_bytes());
        self.plain(text);
        self.out.extend_from_slice(RESET.as_bytes());
    }

    /// A word of ours, on a line of its own.
    fn remark(&mut self, style: &str, text: &str) {
        self.out.extend_from_slice(b"\n    ");
        self.styled(style, text);
    }

    fn indented(&mut self, text: &str) {
        for line in text.split('\n') {
            self.out.extend_from_slice(b"\n    ");
            self.plain(line);
        }
    }
}

/// Appends `text` so that a terminal only shows it, on one line.
pub fn harmless_into(text: &str, out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some((at, char)) = rest.char_indices().find(|(_, char)| !is_harmless(*char)) {
        let (plain, behind) = rest.split_at(at);
        out.extend_from_slice(plain.as_bytes());
        out.extend_from_slice(format!("\\u{{{:X}}}", u32::from(char)).as_bytes());
        rest = behind.get(char.len_utf8()..).unwrap_or_default();
    }
    out.extend_from_slice(rest.as_bytes());
}

/// Whether a terminal only shows it. A line end in a name would begin a line that looks like another record.
fn is_harmless(char: char) -> bool {
    if char.is_ascii() {
        return char == '\t' || !char.is_ascii_control();
    }
    !(char.is_control() || is_unseen(char))
}

/// Whether it shows nothing by itself: it turns the direction of text, ends a line, joins, or is simply not seen. Of the
/// signs that choose how the one in front looks, the two that are in everyday use (U+FE0E, U+FE0F) stay.
fn is_unseen(char: char) -> bool {
    matches!(char,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}'
        | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}'
        | '\u{FE00}'..='\u{FE0D}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}'
        | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
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
        page.remark(YELLOW, "(not UTF-8, in base64)");
        page.indented(&code);
    } else if let Some(digest) = text_of(event, Place::Metadata, "code_sha256") {
        page.remark(DIM, &format!("code not recorded, SHA-256 or HMAC-SHA-256 {digest}"));
    } else if let Some(message) = text_of(event, Place::Top, "message").filter(|message| message != MESSAGE) {
        // The legacy form holds the code as well.
        page.indented(&message);
    }
    if event.has(Place::Metadata, "code_incomplete") {
        page.remark(YELLOW, "(the log has lost a part of it, or does not say which of two sources it is)");
    }
}

fn other(event: &Event, page: &mut Page<'_>) {
    if let Some(severity) = text_of(event, Place::Top, "severity") {
        page.styled(CYAN, &severity);
        page.plain("  ");
    }
    if let Some(users) = users(event).filter(|users| !users.is_empty()) {
        page.styled(DIM, "users: ");
        page.styled(BOLD, &users.join(", "));
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
    fn nothing_of_a_name_begins_a_line() {
        let record = r#"{"time":"a\nb","metadata":{"event":"code.evaluate","session_mode":"c\nd","users":[{"name":"e\nf"},{"id":"g\u2028h"}],"code_sha256":"i\nj"}}"#;
        let text = shown(record, false);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains("e\\u{A}f") && text.contains("user g\\u{2028}h"), "{text}");
    }

    #[test]
    fn a_message_stands_in_for_the_code() {
        let record = r#"{"message":"Evaluating code\n  Code: \"1\"","metadata":{"event":"code.evaluate"}}"#;
        assert_eq!(shown(record, false), "unknown mode\n    Evaluating code\n      Code: \"1\"");
        let record =
            r#"{"message":"Evaluating code","metadata":{"event":"code.evaluate","users":[{"id":"1"}]}}"#;
        assert_eq!(shown(record, false), "unknown mode  connected: user 1");
    }

    #[test]
    fn other_events_show_their_message() {
        assert_eq!(shown(r#"{"message":"a\nb","severity":"error"}"#, false), "error  a\n    b");
        let named = r#"{"message":"a","metadata":{"users":[{"id":"7"}]}}"#;
        assert_eq!(shown(named, false), "users: user 7  a");
        assert_eq!(shown(r#"{"reason":"broken_json"}"#, false), r#"{"reason":"broken_json"}"#);
    }
}
