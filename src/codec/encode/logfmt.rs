//! Events as `key=value` on a line, for programs that read [logfmt](https://brandur.org/logfmt).
//!
//! There is no standard. What stands in a member that holds others is written by its path, as Vector does
//! (`metadata.users.0.name=Tove`), so that nothing is left out; what a reader could take for something else stands in
//! quotes, with the escapes of JSON; and no line end is ever raw, so that an event is one line.

use crate::event::Event;
use crate::event::json::scan::{Piece, Scan};
use crate::event::json::string::{quote_into, unescape_into};

/// Appends `event` without its newline.
pub fn write(event: &Event, out: &mut Vec<u8>) {
    let mut record = Vec::new();
    event.write_json(&mut record);
    let mut writer = Writer { out, path: Vec::new(), is_first: true };
    writer.members(&record, b'}');
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
    /// The key of what is being written.
    path: Vec<u8>,
    is_first: bool,
}

impl Writer<'_> {
    /// Writes a JSON value, which is valid and not nested deeper than any event.
    fn value(&mut self, text: &[u8]) {
        match text.first() {
            Some(b'{') if has_members(text) => self.members(text, b'}'),
            Some(b'[') if has_members(text) => self.members(text, b']'),
            Some(b'{') => self.pair(b"{}"),
            Some(b'[') => self.pair(b"[]"),
            Some(b'"') => {
                let inner = text.get(1..text.len().saturating_sub(1)).unwrap_or_default();
                let mut string = Vec::with_capacity(inner.len());
                unescape_into(inner, &mut string);
                self.pair(&string);
            }
            // A number keeps its digits.
            _ => self.pair(text),
        }
    }

    /// Writes what is in an object or array.
    fn members(&mut self, text: &[u8], end: u8) {
        let mut scan = Scan::new(text);
        scan.take(if end == b'}' { b'{' } else { b'[' });
        let len = self.path.len();
        let piece = |piece: Piece| text.get(piece.start..piece.end).unwrap_or_default();
        for nth in 0.. {
            if len > 0 {
                self.path.push(b'.');
            }
            if end == b'}' {
                let Ok(name) = scan.name() else { break };
                unescape_into(piece(name), &mut self.path);
                if self.path.is_empty() {
                    // No reader takes a key of no letters.
                    self.path.push(b'_');
                }
            } else {
                self.path.extend_from_slice(format!("{nth}").as_bytes());
            }
            let Ok(value) = scan.value() else { break };
            self.value(piece(value));
            self.path.truncate(len);
            if !scan.take(b',') {
                break;
            }
        }
        self.path.truncate(len);
    }

    fn pair(&mut self, value: &[u8]) {
        if !std::mem::replace(&mut self.is_first, false) {
            self.out.push(b' ');
        }
        word(&self.path, self.out);
        self.out.push(b'=');
        word(value, self.out);
    }
}

/// Whether there is anything in an object or array.
fn has_members(text: &[u8]) -> bool {
    text.iter().skip(1).find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| !b"]}".contains(byte))
}

/// Appends a key or a value, in quotes where it would not be one word.
fn word(text: &[u8], out: &mut Vec<u8>) {
    let is_plain = |byte: &u8| *byte > b' ' && *byte != 0x7F && !b"=\"\\'".contains(byte);
    // A reader may take a space of another script for one, and a letter of it for none.
    let is_word = std::str::from_utf8(text).is_ok_and(|text| text.chars().all(char::is_alphanumeric));
    if !text.is_empty() && text.iter().all(is_plain) && (text.is_ascii() || is_word) {
        return out.extend_from_slice(text);
    }
    quote_into(text, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Origin;
    use bytes::Bytes;

    fn written(record: &str) -> String {
        let event = Event::from_json(Bytes::copy_from_slice(record.as_bytes()), Origin::nowhere()).unwrap();
        let mut out = Vec::new();
        write(&event, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn members_are_written_by_their_paths() {
        let record = r#"{"message":"a b","metadata":{"users":[{"id":"8","name":"Tove"},{"id":"9"}],"code":"1 =\n\"x\\"},"n":1.50,"none":null,"yes":true}"#;
        let expected = r#"message="a b" metadata.users.0.id=8 metadata.users.0.name=Tove metadata.users.1.id=9 metadata.code="1 =\n\"x\\" n=1.50 none=null yes=true"#;
        assert_eq!(written(record), expected);
    }

    #[test]
    fn what_is_empty_or_odd_is_there_too() {
        assert_eq!(
            written(r#"{"a":"","b":{},"c":[ ],"d e":{"=":"ü"},"f":"\u0000\u007f"}"#),
            "a=\"\" b={} c=[] \"d e.=\"=ü f=\"\\u0000\u{7f}\""
        );
        assert_eq!(written("{}"), "");
    }

    #[test]
    fn an_event_is_one_line_however_deep_it_is() {
        let deep = format!("{{\"a\":{}\"x\\r\\n\"{}}}", "[".repeat(100), "]".repeat(100));
        let line = written(&deep);
        assert!(
            line.starts_with("a.0.0.") && line.ends_with("=\"x\\r\\n\"") && !line.contains('\n'),
            "{line}"
        );
    }
}
