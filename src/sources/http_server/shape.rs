//! What kind of text a body is: lines, an array, or an object that takes several lines.

use super::scan::Scan;
use hyper::header::{CONTENT_TYPE, HeaderMap};

/// How far to look for the end of the first line.
pub const LOOK_BYTES_MAX: usize = 64 * 1024;

/// What a sender says of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declared {
    /// Lines of any kind: nothing to find out.
    Lines,
    /// JSON: objects or arrays.
    Json,
    /// Nothing that helps.
    Nothing,
}

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A record a line.
    Lines,
    /// A JSON array of records.
    Array,
    /// One JSON object over several lines, by all that its first line says.
    Object,
}

/// Reads `Content-Type`; gives why it is refused where it can't hold records.
pub fn declared(headers: &HeaderMap) -> Result<Declared, String> {
    let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(Declared::Nothing) };
    let value = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
    let essence = value.split(';').next().unwrap_or_default().trim();
    match essence {
        "application/json" | "text/json" => Ok(Declared::Json),
        "application/x-ndjson"
        | "application/ndjson"
        | "application/jsonl"
        | "application/x-jsonlines"
        | "application/jsonlines"
        | "application/json-lines"
        | "text/plain" => Ok(Declared::Lines),
        other if other.starts_with("multipart/") => {
            Err("send the records as the body itself, not as a form (curl: `--data-binary @file`)".to_owned())
        }
        other if other.ends_with("+json") => Ok(Declared::Json),
        _ => Ok(Declared::Nothing),
    }
}

/// Looks at the beginning of a body, which is all of it where `is_all`; none where more has to be seen.
pub fn shape(start: &[u8], is_all: bool, declared: Declared) -> Option<Shape> {
    if declared == Declared::Lines {
        return Some(Shape::Lines);
    }
    let is_enough = is_all || start.len() >= LOOK_BYTES_MAX;
    let undecided = || is_enough.then_some(Shape::Lines);
    let text = without_mark(start).trim_ascii_start();
    match text.split_first() {
        None => undecided(),
        Some((b'[', _)) if declared == Declared::Json => Some(Shape::Array),
        // A line of a log may well begin with a bracket; an array of records goes on like this.
        Some((b'[', rest)) => match rest.trim_ascii_start().first() {
            None => undecided(),
            Some(b'{' | b']') => Some(Shape::Array),
            Some(_) => Some(Shape::Lines),
        },
        Some((b'{', _)) => {
            let Some(end) = memchr::memchr(b'\n', text) else { return undecided() };
            let mut scan = Scan::default();
            let is_whole = scan.value_len(text.get(..end).unwrap_or_default()).is_some();
            let inside = text.get(1..end).unwrap_or_default().trim_ascii_start();
            let is_meant = matches!(inside.first(), None | Some(b'"'));
            Some(if is_whole || !is_meant || scan.is_in_string() { Shape::Lines } else { Shape::Object })
        }
        Some(_) => Some(Shape::Lines),
    }
}

/// The text without its byte order mark.
pub fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    #[test]
    fn a_sender_may_say_what_it_is() {
        let read = |value: &'static str| {
            declared(&HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(value))]))
        };
        assert_eq!(read("application/json; charset=utf-8"), Ok(Declared::Json));
        assert_eq!(read("Application/Vnd.x+JSON"), Ok(Declared::Json));
        assert_eq!(read("application/x-ndjson"), Ok(Declared::Lines));
        assert_eq!(read("text/plain;charset=utf-8"), Ok(Declared::Lines));
        assert_eq!(read("application/x-www-form-urlencoded"), Ok(Declared::Nothing));
        assert!(read("multipart/form-data; boundary=x").is_err());
        assert_eq!(declared(&HeaderMap::new()), Ok(Declared::Nothing));
    }

    #[test]
    fn the_first_bytes_tell_the_rest() {
        let look = |text: &str| shape(text.as_bytes(), false, Declared::Nothing);
        for (text, expected) in [
            ("", None),
            (" \n", None),
            ("x", Some(Shape::Lines)),
            ("{", None),
            ("{\"a\":1", None),
            ("{\"a\":1}\n", Some(Shape::Lines)),
            ("{\"a\":1} \r\n{", Some(Shape::Lines)),
            ("{\"a\":\"x\n{\"b\":2}\n", Some(Shape::Lines)),
            ("{:ok,\n", Some(Shape::Lines)),
            ("{\n", Some(Shape::Object)),
            ("\u{feff}\n { \"a\": {\n", Some(Shape::Object)),
            ("[", None),
            ("[ \n", None),
            ("[{", Some(Shape::Array)),
            ("\n[\n]", Some(Shape::Array)),
            ("[info] Evaluating code", Some(Shape::Lines)),
            ("[1, 2]", Some(Shape::Lines)),
            ("12:00:00.000 [info] x", Some(Shape::Lines)),
        ] {
            assert_eq!(look(text), expected, "{text:?}");
        }
        assert_eq!(shape(b"{\"a\":1", true, Declared::Nothing), Some(Shape::Lines));
        assert_eq!(shape(b"[1, 2]", false, Declared::Json), Some(Shape::Array));
        assert_eq!(shape(b"[1, 2]", false, Declared::Lines), Some(Shape::Lines));
        let long = [b"{".as_slice(), &[b' '; LOOK_BYTES_MAX]].concat();
        assert_eq!(shape(&long, false, Declared::Json), Some(Shape::Lines));
    }
}
