//! Tells lines of a JSON log that are Livebook's own without reading them.
//!
//! A record that has a `metadata` or a `severity` at its top is Livebook's own and never a wrapper. Most records say so
//! at their front or at their end, where looking costs next to nothing. A name between bare quotes is never part of a
//! string (its quotes would be escaped there), and what stands next to the record's outer braces is at its top.

use crate::codec::text::head::colours_len;

/// `,"severity":"`, which stands in front of a level's name.
const SEVERITY: &[u8] = b",\"severity\":\"";
/// Lengths of the names of levels.
const LEVELS: [usize; 6] = [4, 5, 6, 7, 8, 9];

/// Whether `line`, if it is a JSON object, is certain to be Livebook's own.
#[inline(always)]
pub fn is_own(line: &[u8]) -> bool {
    // Nearly all records are of these levels: one comparison for each is all that they may cost.
    line.ends_with(b",\"severity\":\"info\"}\n")
        || line.ends_with(b",\"severity\":\"debug\"}\n")
        || looks_own(line)
}

#[inline(never)]
fn looks_own(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    ends_in_severity(line)
        || line.starts_with(b"{\"metadata\":")
        || line.starts_with(b"{\"severity\":")
        || ends_in_metadata(line)
}

/// The line without what may stand in front of JSON: white space, the end of a colour, a byte order mark.
pub fn without_front(line: &[u8]) -> &[u8] {
    let line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
    line.get(colours_len(line)..).unwrap_or_default().trim_ascii_start()
}

fn ends_in_severity(line: &[u8]) -> bool {
    let Some(rest) = line.strip_suffix(b"\"}") else { return false };
    LEVELS.iter().any(|&len| {
        let front = rest.len().checked_sub(len).and_then(|end| rest.get(..end));
        front.is_some_and(|front| front.ends_with(SEVERITY))
    })
}

/// The object that the last `{` opens is closed by the last `}` but one, and is a member of what the last one closes.
fn ends_in_metadata(line: &[u8]) -> bool {
    let Some(inside) = line.strip_suffix(b"}}") else { return false };
    let Some((front, behind)) = memchr::memrchr(b'{', inside).map(|open| inside.split_at(open)) else {
        return false;
    };
    front.ends_with(b",\"metadata\":") && memchr::memchr(b'}', behind).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Origin, Place};
    use proptest::prelude::*;

    #[test]
    fn livebooks_own_records_are_told_in_most_orders_of_their_members() {
        for line in [
            r#"{"message":"m","time":"t","metadata":{},"severity":"info"}"#,
            "{\"message\":\"m\",\"severity\":\"emergency\"}\r\n",
            r#"{"severity":"info","message":"m","metadata":{"a":1},"time":"t"}"#,
            r#"{"metadata":{"a":{"b":1}},"message":"m","time":"t"}"#,
            "{\"message\":\"m\",\"severity\":\"info\",\"metadata\":{\"request_id\":\"x\"}}\n",
        ] {
            assert!(is_own(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn what_stands_inside_a_wrapper_does_not_count() {
        for line in [
            r#"{"message":"{\"message\":\"m\",\"severity\":\"info\"}"}"#,
            r#"{"message":"m","kubernetes":{"metadata":{"a":1}}}"#,
            r#"{"message":"m","x":{"severity":"info"}}"#,
            r#"{"message":"m","x":{"y":1,"metadata":{"a":1},"b":2}}"#,
            r#"{"message":",\"severity\":\"info"}"#,
            r#"{"log":"{\"severity\":\"info\"}\n","stream":"stdout","time":"t"}"#,
            r#"{"message":"m","x":{"metadata":{"a":"{"}}}"#,
        ] {
            assert!(!is_own(line.as_bytes()), "{line}");
        }
    }

    proptest! {
        #[test]
        fn it_is_never_wrong_about_a_valid_record(
            line in r#"\{("(a|metadata|severity)":("(\\"|[{},:a]|info|,\\"severity\\":\\"info){0,4}"|\{("(metadata|severity|a)":(1|\{\}|\{"a":"[{}]"\}|"info"))?\}),){0,3}"(a|metadata|severity)":("info"|"a"|\{\}|\{"a":"[{}"]?"\}|\{"metadata":\{"a":"x"\}\}|\{"severity":"info"\})\}"#,
        ) {
            let event = Event::from_json(line.clone().into_bytes().into(), Origin::nowhere());
            if let Ok(event) = event && is_own(line.as_bytes()) {
                prop_assert!(event.has(Place::Top, "metadata") || event.has(Place::Top, "severity"), "{line}");
            }
        }
    }
}
