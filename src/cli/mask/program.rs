//! Blots secrets out of a program before a line of it is shown.
//!
//! Of a program only the insides of strings can be secrets, so all else stays: what is wrong with it can be seen. A
//! string is blotted where anything in its line sounds like the name of a secret, or where it is a URL with
//! credentials. The text keeps its length in bytes and its lines.

use crate::config::is_secret_key;
use std::ops::Range;

/// `text`, a program in VRL, with a `*` for each byte of what may be a secret.
pub fn mask_program(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for inside in strings(text.as_bytes()) {
        let value = text.get(inside.clone()).unwrap_or_default();
        let behind = text.get(inside.end + 1..).unwrap_or_default().trim_start();
        // The name of a member is none.
        let is_name = behind.starts_with(':');
        let has_credentials = value.contains("://") && value.contains('@');
        if !is_name && (has_credentials || sounds_secret(around(text, &inside))) {
            let kept = |byte: &u8| matches!(byte, b'\n' | b'\r');
            let blotted = bytes.get_mut(inside).unwrap_or_default().iter_mut();
            blotted.filter(|byte| !kept(byte)).for_each(|byte| *byte = b'*');
        }
    }
    // Strings begin and end at ASCII, so the rest is text. Were it not, nothing of it should be shown.
    String::from_utf8(bytes).unwrap_or_else(|_| "*".repeat(text.len()))
}

/// The insides of the strings, in order.
fn strings(text: &[u8]) -> Vec<Range<usize>> {
    let mut strings = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let is_letter = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
        let quote = match byte {
            b'#' => {
                at += text.iter().skip(at).take_while(|b| **b != b'\n').count();
                continue;
            }
            b'"' => b'"',
            // `s'...'` and the like, not the end of a name.
            b'\'' if at > 0 && !text.get(at.wrapping_sub(2)).is_some_and(is_letter) => b'\'',
            _ => {
                at += 1;
                continue;
            }
        };
        let start = at + 1;
        at = start;
        while text.get(at).is_some_and(|b| *b != quote) {
            at += if text.get(at) == Some(&b'\\') { 2 } else { 1 };
        }
        strings.push(start..at.min(text.len()));
        at += 1;
    }
    strings
}

/// The lines that `inside` stands in, and the one before where that leads to it.
fn around<'a>(text: &'a str, inside: &Range<usize>) -> &'a str {
    let before = text.get(..inside.start).unwrap_or_default();
    let line = |before: &str| before.rfind('\n').map_or(0, |newline| newline + 1);
    let mut start = line(before);
    let above = before.get(..start.saturating_sub(1)).unwrap_or_default();
    if above.trim_end().ends_with(['=', ':', '(', '+', '?']) {
        start = line(above);
    }
    let behind = text.get(inside.end..).unwrap_or_default();
    let end = inside.end + behind.find('\n').unwrap_or(behind.len());
    text.get(start..end).unwrap_or_default()
}

/// Whether anything but a function that is called sounds like the name of a secret.
fn sounds_secret(line: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let mut rest = line;
    while let Some(start) = rest.find(is_part) {
        rest = rest.get(start..).unwrap_or_default();
        let len = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (word, behind) = rest.split_at_checked(len).unwrap_or((rest, ""));
        let is_call = behind.starts_with('(') || behind.starts_with("!(");
        if !is_call && is_secret_key(word) {
            return true;
        }
        rest = behind;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn strings_that_may_be_secrets_are_blotted_and_nothing_else_is() {
        for (program, shown) in [
            (".password = upcas(.x)", ".password = upcas(.x)"),
            (".password = \"hunter2\" + nope()", ".password = \"*******\" + nope()"),
            ("x = {\"token\": \"a\\\"b\", \"n\": 1}", "x = {\"token\": \"****\", \"n\": 1}"),
            (".auth.token =\n  s'hunter2'\n.a = \"b\"", ".auth.token =\n  s'*******'\n.a = \"b\""),
            ("parse_key_value!(.a, \"=\", \"|\")", "parse_key_value!(.a, \"=\", \"|\")"),
            (".a = \"https://ann:pw@h\" # it's", ".a = \"****************\" # it's"),
            ("hmac(.a, key: \"é", "hmac(.a, key: \"**"),
            (".a == \"plain\"", ".a == \"plain\""),
        ] {
            assert_eq!(mask_program(program), shown);
        }
    }

    proptest! {
        #[test]
        fn places_stay_where_they_were(text in "([a-z\"'#\\\\\n =:(é]|token){0,40}") {
            let masked = mask_program(&text);
            prop_assert_eq!(masked.len(), text.len());
            prop_assert_eq!(masked.matches('\n').count(), text.matches('\n').count());
        }
    }
}
