//! JSON text to the values of VRL and back.
//!
//! Ours instead of `serde_json`: the text is valid already and its strings are often shared instead of copied; numbers
//! are read exactly; and strings are written as everywhere in evaltrail.

use crate::event::json::scan::{Escapes, Scan};
use crate::event::json::string::{quote_into, unescape_into};
use bytes::Bytes;
use chrono::SecondsFormat;
use std::io::Write;
use vrl::value::{KeyString, ObjectMap, Value};

/// What is nested more deeply fits into no event: no reader of JSON goes as deep, ours (128 with the two objects of a
/// record) included.
const DEPTH_MAX: usize = 126;
/// The size of what is nested more deeply: more than a program may write.
const TOO_DEEP: usize = 1 << 30;

/// The value that `text`, one valid JSON value, stands for. A whole number that 64 bits can't hold becomes a float, as
/// everywhere in VRL.
#[cfg(test)]
pub(super) fn read(text: &[u8]) -> Value {
    read_of(text, Escapes::Free, None)
}

/// The same for a text that is a part of `whole`, where one is given: strings without escapes are then parts of it as
/// well, without a copy. They hold on to it: a value that outlives its event has to be [`alone`].
pub(super) fn read_of(text: &[u8], escapes: Escapes, whole: Option<&Bytes>) -> Value {
    match text.first() {
        Some(b'"') => Value::Bytes(string(text, escapes, whole)),
        Some(b'{' | b'[') => {
            let mut scan = Scan::new(text);
            // Scanned once before, so it is valid and not deep.
            nested(text, &mut scan, whole).unwrap_or(Value::Null)
        }
        Some(b't') => Value::Boolean(true),
        Some(b'f') => Value::Boolean(false),
        Some(b'n') | None => Value::Null,
        _ => number(text),
    }
}

/// The string that `text` with its quotes stands for.
fn string(text: &[u8], escapes: Escapes, whole: Option<&Bytes>) -> Bytes {
    let inner = text.get(1..text.len().saturating_sub(1)).unwrap_or_default();
    if escapes == Escapes::None {
        return whole.map_or_else(|| Bytes::copy_from_slice(inner), |whole| whole.slice_ref(inner));
    }
    let mut string = Vec::with_capacity(inner.len());
    unescape_into(inner, &mut string);
    string.into()
}

fn number(text: &[u8]) -> Value {
    let text = str::from_utf8(text).unwrap_or_default();
    let float = || text.parse::<f64>().unwrap_or_default();
    // JSON knows no NaN.
    text.parse::<i64>().map_or_else(|_| Value::from_f64_or_zero(float()), Value::Integer)
}

/// Takes one value from `scan`, which reads `text`.
fn nested(text: &[u8], scan: &mut Scan<'_>, whole: Option<&Bytes>) -> Option<Value> {
    match scan.next_token()? {
        b'{' => {
            scan.expect(b'{', "").ok()?;
            let mut map = ObjectMap::new();
            if scan.take(b'}') {
                return Some(Value::Object(map));
            }
            loop {
                let piece = scan.name().ok()?;
                map.insert(key(text.get(piece.start..piece.end)?, piece.escapes), nested(text, scan, whole)?);
                if !scan.take(b',') {
                    scan.expect(b'}', "").ok()?;
                    return Some(Value::Object(map));
                }
            }
        }
        b'[' => {
            scan.expect(b'[', "").ok()?;
            let mut list = Vec::new();
            if scan.take(b']') {
                return Some(Value::Array(list));
            }
            loop {
                list.push(nested(text, scan, whole)?);
                if !scan.take(b',') {
                    scan.expect(b']', "").ok()?;
                    return Some(Value::Array(list));
                }
            }
        }
        _ => {
            let piece = scan.value().ok()?;
            Some(read_of(text.get(piece.start..piece.end)?, piece.escapes, whole))
        }
    }
}

/// `value` with copies of all strings, so that it holds on to no buffer of other bytes.
pub(super) fn alone(value: Value) -> Value {
    match value {
        Value::Bytes(bytes) => Value::Bytes(Bytes::copy_from_slice(&bytes)),
        Value::Array(list) => Value::Array(list.into_iter().map(alone).collect()),
        Value::Object(map) => {
            Value::Object(map.into_iter().map(|(name, item)| (name, alone(item))).collect())
        }
        other => other,
    }
}

/// The name that `text`, which stood between quotes, stands for.
pub(super) fn key(text: &[u8], escapes: Escapes) -> KeyString {
    if escapes == Escapes::None {
        return str::from_utf8(text).unwrap_or_default().into();
    }
    let mut name = Vec::with_capacity(text.len());
    unescape_into(text, &mut name);
    String::from_utf8(name).unwrap_or_default().into()
}

/// Appends `value` as JSON. What JSON has no type for becomes a string: a time in RFC 3339, the text of a pattern,
/// bytes that are not UTF-8 with a replacement for each wrong one. Says whether the text reads as the value again.
pub fn write(value: &Value, out: &mut Vec<u8>) -> bool {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Boolean(true) => out.extend_from_slice(b"true"),
        Value::Boolean(false) => out.extend_from_slice(b"false"),
        // Writing to a Vec can't fail.
        Value::Integer(number) => write!(out, "{number}").unwrap_or_default(),
        Value::Float(number) => float(number.into_inner(), out),
        Value::Bytes(bytes) => return text(bytes, out),
        Value::Regex(pattern) => {
            quote_into(pattern.as_str().as_bytes(), out);
            return false;
        }
        Value::Timestamp(time) => {
            quote_into(time.to_rfc3339_opts(SecondsFormat::AutoSi, true).as_bytes(), out);
            return false;
        }
        Value::Array(list) => {
            out.push(b'[');
            let mut is_plain = true;
            for (at, item) in list.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                is_plain &= write(item, out);
            }
            out.push(b']');
            return is_plain;
        }
        Value::Object(map) => {
            out.push(b'{');
            let mut is_plain = true;
            for (at, (name, member)) in map.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                quote_into(name.as_bytes(), out);
                out.push(b':');
                is_plain &= write(member, out);
            }
            out.push(b'}');
            return is_plain;
        }
    }
    true
}

fn text(bytes: &[u8], out: &mut Vec<u8>) -> bool {
    let is_text = bytes.is_ascii() || simdutf8::basic::from_utf8(bytes).is_ok();
    if is_text {
        quote_into(bytes, out);
    } else {
        quote_into(String::from_utf8_lossy(bytes).as_bytes(), out);
    }
    is_text
}

/// A number that an `f64` can't hold was read as infinite, and is written as one that is read so again.
fn float(number: f64, out: &mut Vec<u8>) {
    let written = match number {
        f64::INFINITY => write!(out, "1e999"),
        f64::NEG_INFINITY => write!(out, "-1e999"),
        _ => write!(out, "{number:?}"),
    };
    written.unwrap_or_default();
}

/// Bytes of the text of `value`, roughly.
pub(super) fn size_bytes(value: &Value) -> usize {
    size_at(value, 0)
}

fn size_at(value: &Value, depth: usize) -> usize {
    match value {
        Value::Bytes(bytes) => bytes.len() + 2,
        Value::Array(_) | Value::Object(_) if depth >= DEPTH_MAX => TOO_DEEP,
        Value::Array(list) => list.iter().map(|item| size_at(item, depth + 1) + 1).sum::<usize>() + 2,
        Value::Object(map) => map.iter().map(|(name, item)| name.len() + size_at(item, depth + 1) + 4).sum(),
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn back(text: &str) -> String {
        let mut out = Vec::new();
        write(&read(text.as_bytes()), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_come_back_as_they_went_in() {
        for text in [
            "null",
            "true",
            "-7",
            "9223372036854775807",
            "1.5",
            "1e300",
            "\"a\\n\\\"é\"",
            "[]",
            "{}",
            r#"{"a":[1,{"b":null}],"é\n":""}"#,
        ] {
            assert_eq!(back(text), text);
        }
        assert_eq!(back(" {\"b\" : 1.50 , \"a\": [ 1 ,2 ]}".trim()), r#"{"a":[1,2],"b":1.5}"#);
        assert_eq!(back("18446744073709551616"), "1.8446744073709552e19");
        assert_eq!(back("[1e999,-1E999]"), "[1e999,-1e999]");
        assert_eq!(back(r#""\ud83c\udf89\/""#), "\"🎉/\"");
        assert_eq!(back(r#"{"a":1,"\u0061":2}"#), r#"{"a":2}"#, "of two of one name the last counts");
    }

    #[test]
    fn what_json_has_no_type_for_is_not_plain() {
        let is_plain = |value: &Value| write(value, &mut Vec::new());
        assert!(!is_plain(&Value::Array(vec![Value::Bytes(Bytes::from_static(b"\xff"))])));
        let time = Value::Timestamp(chrono::DateTime::from_timestamp_millis(1_760_000_000_123).unwrap());
        assert!(!is_plain(&time) && is_plain(&Value::Integer(1)));
        let mut out = Vec::new();
        write(&time, &mut out);
        assert_eq!(out, b"\"2025-10-09T08:53:20.123Z\"");
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json(text in "[\\[{]?(-?[0-9]{1,12}(\\.[0-9]{1,3})?|\"[a-z\\\\\"]{0,4}\"|,|:|null|\\]|\\}){0,9}") {
            // Of more digits serde_json reads what is next to the right number, now and then; ours does not.
            let digits = text.split(|c: char| !c.is_ascii_digit() && c != '.').map(str::len).max();
            prop_assume!(digits.is_none_or(|digits| digits <= 16));
            if let Ok(theirs) = serde_json::from_str::<serde_json::Value>(&text) {
                let ours: serde_json::Value = serde_json::from_str(&back(text.trim())).unwrap();
                let theirs: serde_json::Value = serde_json::from_str(&back(&theirs.to_string())).unwrap();
                prop_assert_eq!(ours, theirs);
            }
        }
    }
}
