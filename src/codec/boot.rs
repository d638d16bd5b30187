//! The token in Livebook's start-up line: whoever has it can run code, so no pipeline passes it on.
//!
//! ```text
//! [Livebook] Application running at http://localhost:8080/?token=…
//! ```
//!
//! Only that line is looked for. The code of an evaluation may hold the like of it, and stays what it is.

use crate::event::{Event, Place};
use crate::livebook::EVALUATE;
use memchr::memmem;

const LINE: &[u8] = b"Application running at ";
const TOKEN: &[u8] = b"token=";
/// What stands in the place of a token.
const MARK: &[u8] = b"[REDACTED:livebook-token]";

/// Whether there may be such a line in `text`, however it is wrapped.
pub fn may_be_in(text: &[u8]) -> bool {
    memmem::find(text, LINE).is_some()
}

/// Takes the token out of start-up lines among `events`.
pub fn hide_in(events: &mut [Event]) {
    for event in events {
        if event.get(Place::Metadata, "event").is_some_and(|name| name.is(EVALUATE)) {
            continue;
        }
        for place in [Place::Top, Place::Metadata] {
            // The members of `metadata` come by themselves.
            let is_whole =
                |name: &[u8], is_string: bool| place == Place::Top && name == b"metadata" && !is_string;
            let lines = event.members(place).filter(|(name, value)| {
                memmem::find(value.text(), LINE).is_some() && !is_whole(name, value.is_string())
            });
            let hidden = lines.filter_map(|(name, value)| {
                // In what is no string, the address ends where the string around it does, as JSON or not.
                let hidden = if value.is_string() { hide(&value.string()?)? } else { hide(value.text())? };
                Some((String::from_utf8_lossy(name).into_owned(), value.is_string(), hidden))
            });
            let hidden: Vec<(String, bool, Vec<u8>)> = hidden.collect();
            for (name, is_string, text) in hidden {
                match is_string {
                    true => event.set_string(place, &name, &text),
                    false => event.set(place, &name, |out| out.extend_from_slice(&text)),
                }
            }
        }
    }
}

/// `text` without the tokens of start-up lines; none where there are none.
pub fn hide(text: &[u8]) -> Option<Vec<u8>> {
    let mut hidden = Vec::new();
    let mut rest = text;
    while let Some(line) = memmem::find(rest, LINE) {
        let (before, address) = rest.split_at(line + LINE.len());
        hidden.extend_from_slice(before);
        rest = address;
        // The address ends where a white space does, or a quote around all of it.
        let ends =
            |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\\' | b'<' | b'>' | 0x1b);
        let len = address.iter().position(ends).unwrap_or(address.len());
        let (address, behind) = address.split_at(len);
        if let Some(at) = memmem::find(address, TOKEN) {
            let (before, token) = address.split_at(at + TOKEN.len());
            hidden.extend_from_slice(before);
            hidden.extend_from_slice(MARK);
            let len = token.iter().position(|byte| *byte == b'&').unwrap_or(token.len());
            hidden.extend_from_slice(token.get(len..).unwrap_or_default());
            rest = behind;
        }
    }
    let is_changed = hidden.len() + rest.len() != text.len() || !text.starts_with(&hidden);
    hidden.extend_from_slice(rest);
    is_changed.then_some(hidden)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Origin;
    use bytes::Bytes;

    #[test]
    fn a_start_up_line_has_no_token() {
        let hidden = |text: &str| hide(text.as_bytes()).map(|text| String::from_utf8(text).unwrap());
        let line = "[Livebook] Application running at http://0.0.0.0:8080/";
        for (rest, expected) in [
            ("?token=abc123", Some("?token=[REDACTED:livebook-token]")),
            ("?token=abc&x=1\nmore", Some("?token=[REDACTED:livebook-token]&x=1\nmore")),
            ("?a=1&token=abc\\n\"}", Some("?a=1&token=[REDACTED:livebook-token]\\n\"}")),
            ("?token=", Some("?token=[REDACTED:livebook-token]")),
            ("", None),
            ("apps\n?token=abc", None),
        ] {
            assert_eq!(hidden(&format!("{line}{rest}")), expected.map(|rest| format!("{line}{rest}")));
        }
        assert_eq!(hidden("see http://x/?token=abc"), None);
        let twice = hidden(&format!("{line}?token=a {line}?token=b")).unwrap();
        assert!(!twice.contains("=a") && !twice.contains("=b"), "{twice}");
    }

    #[test]
    fn the_code_of_an_evaluation_stays() {
        let text = "Application running at http://x/?token=abc";
        let event = |json: String| Event::from_json(Bytes::from(json), Origin::nowhere()).unwrap();
        let mut events = [
            event(format!(r#"{{"message":"{text}","n":1,"metadata":{{"line":"{text}"}}}}"#)),
            event(format!(r#"{{"metadata":{{"event":"code.evaluate","code":"{text}"}}}}"#)),
            event(format!(r#"{{"message":{{"report":["{text}"]}},"metadata":{{"a":{{"b":"{text}"}}}}}}"#)),
        ];
        hide_in(&mut events);
        let json = events.each_ref().map(|event| {
            let mut out = Vec::new();
            event.write_json(&mut out);
            String::from_utf8(out).unwrap()
        });
        assert!(!json[0].contains("abc") && json[0].matches("livebook-token").count() == 2, "{}", json[0]);
        assert!(json[1].contains("abc"), "{}", json[1]);
        assert!(!json[2].contains("abc") && json[2].matches("livebook-token").count() == 2, "{}", json[2]);
        assert!(serde_json::from_str::<serde_json::Value>(&json[2]).is_ok());
    }
}
