//! A JSON array, taken apart into lines while it comes: each element becomes a line of the same length, so that
//! offsets stay what they are. What is no object is a fault, and costs the other elements nothing.

use super::scan::Scan;
use super::split::{Piece, What};
use crate::codec::{Chunk, FaultKind};
use bytes::Bytes;

/// Elements are handed on when there are so many bytes of them, or nothing more has come.
const HANDED_ON_BYTES: usize = 128 * 1024;
/// How much is kept of an element over the limit.
const TOO_LONG_KEPT_BYTES: usize = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In front of an array, or behind one.
    Outside,
    Inside,
}

/// Takes one body apart.
pub struct Array {
    max_record_bytes: usize,
    place: Place,
    scan: Scan,
    /// What has come of the element, up to a little more than the limit.
    element: Vec<u8>,
    element_at: u64,
    /// Its length so far.
    element_len: u64,
    /// Elements seen so far, faults included.
    elements: u64,
    /// Whether this array has any.
    is_empty: bool,
    lines: Vec<u8>,
    lines_at: u64,
    lines_first: u64,
    pieces: Vec<Piece>,
}

impl Array {
    /// For a body that begins with an array at offset 0, or white space in front of it.
    pub fn new(max_record_bytes: usize) -> Array {
        Array {
            max_record_bytes,
            place: Place::Outside,
            scan: Scan::default(),
            element: Vec::new(),
            element_at: 0,
            element_len: 0,
            elements: 0,
            is_empty: true,
            lines: Vec::new(),
            lines_at: 0,
            lines_first: 1,
            pieces: Vec::new(),
        }
    }

    /// Takes in the next bytes; gives what is whole.
    pub fn push(&mut self, mut text: &[u8]) -> Vec<Piece> {
        while !text.is_empty() {
            let taken = match self.place {
                Place::Outside => self.outside(text),
                Place::Inside => self.inside(text),
            };
            text = text.get(taken..).unwrap_or_default();
        }
        self.flush();
        std::mem::take(&mut self.pieces)
    }

    /// The end of the body.
    pub fn finish(&mut self) -> Vec<Piece> {
        let open = self.place == Place::Inside;
        let is_blank = self.element.trim_ascii().is_empty();
        if !is_blank {
            let is_torn = open && self.scan.element_len(b",").is_none();
            let detail = if is_torn { "the array ends in the middle of this element" } else { "" };
            self.end_element(open && !is_torn, detail);
        }
        if open && (is_blank || self.pieces.is_empty()) {
            self.elements += 1;
            self.element_at += self.element_len;
            self.fault("the array has no end".to_owned(), Vec::new());
        }
        self.flush();
        std::mem::take(&mut self.pieces)
    }

    /// Looks for the beginning of an array; anything else there is no record.
    fn outside(&mut self, text: &[u8]) -> usize {
        let start = memchr::memchr(b'[', text);
        let before = text.get(..start.unwrap_or(text.len())).unwrap_or_default();
        self.keep(before);
        if start.is_none() {
            return before.len();
        }
        let strange = super::shape::without_mark(&self.element).trim_ascii();
        if strange.is_empty() {
            self.skip_element(1);
        } else {
            self.end_element(false, "this is no part of an array");
            self.skip_element(1);
        }
        self.place = Place::Inside;
        self.is_empty = true;
        self.scan = Scan::default();
        before.len() + 1
    }

    fn inside(&mut self, text: &[u8]) -> usize {
        let Some(len) = self.scan.element_len(text) else {
            self.keep(text);
            return text.len();
        };
        self.keep(text.get(..len).unwrap_or_default());
        let is_last = text.get(len) == Some(&b']');
        let is_blank = self.element_len <= self.element.len() as u64 && self.element.trim_ascii().is_empty();
        if is_last && is_blank && self.is_empty {
            self.skip_element(1);
        } else {
            self.end_element(true, "");
            self.skip_element(1);
        }
        self.is_empty = false;
        self.scan = Scan::default();
        if is_last {
            self.place = Place::Outside;
        }
        len + 1
    }

    fn keep(&mut self, text: &[u8]) {
        let room = (self.max_record_bytes + 1).saturating_sub(self.element.len());
        self.element.extend_from_slice(text.get(..room).unwrap_or(text));
        self.element_len += text.len() as u64;
        if self.element_len > self.max_record_bytes as u64 {
            self.element.truncate(TOO_LONG_KEPT_BYTES);
            self.element.shrink_to_fit();
        }
    }

    /// Goes on behind the element, and so many bytes more.
    fn skip_element(&mut self, more: u64) {
        self.element_at += self.element_len + more;
        self.element.clear();
        self.element_len = 0;
    }

    /// The element is whole: it becomes a line where it `may_be_record`, and a fault where it is none.
    fn end_element(&mut self, may_be_record: bool, detail: &str) {
        self.elements += 1;
        if self.element_len > self.max_record_bytes as u64 {
            let (offset, len) = (self.element_at, self.element_len);
            let head = Bytes::copy_from_slice(&self.element);
            self.flush();
            let what = What::Chunk(Chunk::TooLong { head, offset, len });
            return self.pieces.push(Piece { line: self.elements, what });
        }
        let inside = self.element.trim_ascii_start().strip_prefix(b"{").map(<[u8]>::trim_ascii_start);
        let is_object = inside.is_some_and(|inside| matches!(inside.first(), Some(b'"' | b'}')));
        if !(may_be_record && is_object) {
            let detail = if detail.is_empty() { "an element of the array is no JSON object" } else { detail };
            let raw = self.element.clone();
            return self.fault(detail.to_owned(), raw);
        }
        let end = self.lines_at + self.lines.len() as u64;
        if end != self.element_at || self.lines.len() >= HANDED_ON_BYTES {
            self.flush();
        }
        if self.lines.is_empty() {
            self.lines_at = self.element_at;
            self.lines_first = self.elements;
        }
        // White space only, or no JSON: in a string, no such byte may stand.
        let is_sound = one_line(&self.element, &mut self.lines);
        if is_sound {
            self.lines.push(b'\n');
        } else {
            self.lines.truncate(self.lines.len() - self.element.len());
            let raw = self.element.clone();
            self.fault("a line ends within a string".to_owned(), raw);
        }
    }

    fn fault(&mut self, detail: String, raw: Vec<u8>) {
        self.flush();
        let offset = self.element_at;
        let what = What::Fault { kind: FaultKind::BrokenJson, detail, raw, offset };
        self.pieces.push(Piece { line: self.elements, what });
    }

    fn flush(&mut self) {
        if !self.lines.is_empty() {
            let bytes = Bytes::from(std::mem::take(&mut self.lines));
            let what = What::Chunk(Chunk::Lines { bytes, offset: self.lines_at });
            self.pieces.push(Piece { line: self.lines_first, what });
        }
    }
}

/// Adds JSON text to `out` with spaces for its line ends; whether none of those stood in a string.
pub fn one_line(text: &[u8], out: &mut Vec<u8>) -> bool {
    let (mut in_string, mut escaped, mut is_sound) = (false, false, true);
    if memchr::memchr2(b'\n', b'\r', text).is_none() {
        out.extend_from_slice(text);
        return true;
    }
    out.extend(text.iter().map(|&byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'\n' | b'\r' => {
                is_sound &= !in_string;
                return b' ';
            }
            _ => {}
        }
        byte
    }));
    is_sound
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What comes out: each line or fault as `number@offset text`.
    fn take_apart(text: &[u8], step: usize, max: usize) -> Vec<String> {
        let mut array = Array::new(max);
        let mut pieces: Vec<Piece> = text.chunks(step).flat_map(|part| array.push(part)).collect();
        pieces.extend(array.finish());
        let mut shown = Vec::new();
        for Piece { line, what } in pieces {
            match what {
                What::Fault { detail, raw, offset, .. } => {
                    shown.push(format!("{line}@{offset} {detail}: {}", String::from_utf8_lossy(&raw)));
                }
                What::Chunk(Chunk::Lines { bytes, mut offset }) => {
                    for (at, element) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
                        let text = std::str::from_utf8(element).unwrap().trim();
                        shown.push(format!("{}@{offset} {text}", line + at as u64));
                        offset += element.len() as u64;
                    }
                }
                What::Chunk(Chunk::TooLong { offset, len, .. }) => {
                    shown.push(format!("{line}@{offset} too long: {len}"))
                }
                What::Chunk(Chunk::Sifted { .. }) => unreachable!(),
            }
        }
        shown
    }

    #[test]
    fn elements_become_lines_and_the_others_faults() {
        let none = "an element of the array is no JSON object";
        for (text, expected) in [
            ("[]", vec![]),
            (" [ \n ] ", vec![]),
            (r#"[{"a":1},{"b":2}]"#, vec![r#"1@1 {"a":1}"#.to_owned(), r#"2@9 {"b":2}"#.to_owned()]),
            ("[\n {\n\"a\":1}\n]\n[{}]", vec![r#"1@1 { "a":1}"#.to_owned(), "2@15 {}".to_owned()]),
            (
                r#"[{"a":1},7,{"b":2},]"#,
                vec![
                    r#"1@1 {"a":1}"#.to_owned(),
                    format!("2@9 {none}: 7"),
                    r#"3@11 {"b":2}"#.to_owned(),
                    format!("4@19 {none}: "),
                ],
            ),
            ("[{:ok},{}]", vec![format!("1@1 {none}: {{:ok}}"), "2@7 {}".to_owned()]),
            (
                "[{\"a\":\"x\ny\"},{}]",
                vec!["1@1 a line ends within a string: {\"a\":\"x\ny\"}".to_owned(), "2@13 {}".to_owned()],
            ),
            (
                "[{},{\"a\":",
                vec![
                    "1@1 {}".to_owned(),
                    "2@4 the array ends in the middle of this element: {\"a\":".to_owned(),
                ],
            ),
            ("[{}, ", vec!["1@1 {}".to_owned(), "2@5 the array has no end: ".to_owned()]),
            ("[{}", vec!["1@1 {}".to_owned(), "2@3 the array has no end: ".to_owned()]),
            ("[{}]]", vec!["1@1 {}".to_owned(), format!("2@4 {none}: ]")]),
            (
                "[{}] x [{}]",
                vec![
                    "1@1 {}".to_owned(),
                    "2@4 this is no part of an array:  x ".to_owned(),
                    "3@8 {}".to_owned(),
                ],
            ),
        ] {
            for step in [1, 2, 3, 100] {
                assert_eq!(take_apart(text.as_bytes(), step, 1000), expected, "{text} by {step}");
            }
        }
    }

    #[test]
    fn an_element_over_the_limit_costs_the_others_nothing_and_no_memory() {
        let long = format!("[{{\"a\":1}},{{\"a\":\"{}\"}},{{\"b\":2}}]", "x".repeat(100_000));
        let shown = take_apart(long.as_bytes(), 777, 2000);
        assert_eq!(shown, [r#"1@1 {"a":1}"#, "2@9 too long: 100008", r#"3@100018 {"b":2}"#]);
        let mut array = Array::new(2000);
        array.push(b"[{\"a\":\"");
        for _ in 0..1000 {
            array.push(&[b'x'; 1000]);
            assert!(array.element.capacity() <= 5000);
        }
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_text_comes(text in r#"\[([\[\]{}",\\a: \n]|\{"a":1\},){0,30}"#, step in 1usize..20) {
            let text = text.as_bytes();
            prop_assert_eq!(take_apart(text, step, 20), take_apart(text, 1000, 20));
        }
    }
}
