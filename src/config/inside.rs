//! From a place in a string's value to its place in the file.
//!
//! Between the two stand the escapes of TOML, the newline that a multi-line string begins with, and the replacement of
//! references to the environment. What is walked through here is held against what the parser has made of it: where
//! both do not agree, there is no exact place, and the whole string has to do.

/// For each byte of a string's value, and for its end, the offset in its token.
pub(super) struct Inside(Vec<usize>);

impl Inside {
    /// For the string whose token in the file is `token`, which reads as `written` and stands for `value`.
    pub fn new(token: &str, written: &str, value: &str) -> Option<Inside> {
        let (text, offsets) = decode(token)?;
        if text != written.as_bytes() {
            return None;
        }
        let mut kept = Vec::with_capacity(offsets.len());
        let mut read = Vec::with_capacity(text.len());
        let mut at = 0;
        while let Some(&byte) = text.get(at) {
            kept.push(*offsets.get(at)?);
            read.push(byte);
            // A dollar sign may stand for itself only as two; what else is replaced, the comparison below finds.
            at += if text.get(at..at + 2) == Some(b"$$") { 2 } else { 1 };
        }
        kept.push(*offsets.last()?);
        (read == value.as_bytes()).then_some(Inside(kept))
    }

    /// Where the byte at `at` of the value stands in the token.
    pub fn at(&self, at: usize) -> usize {
        self.0.get(at).or(self.0.last()).copied().unwrap_or_default()
    }
}

/// What a token stands for, with the offset of each byte of it, and of the end.
fn decode(token: &str) -> Option<(Vec<u8>, Vec<usize>)> {
    let (quote, is_basic) = match token {
        _ if token.starts_with("\"\"\"") => ("\"\"\"", true),
        _ if token.starts_with("'''") => ("'''", false),
        _ if token.starts_with('"') => ("\"", true),
        _ => ("'", false),
    };
    let inner = token.strip_prefix(quote)?.strip_suffix(quote)?;
    let newline = ["\r\n", "\n"].iter().find(|newline| quote.len() == 3 && inner.starts_with(**newline));
    let mut at = newline.map_or(0, |newline| newline.len());
    let (mut text, mut offsets) = (Vec::new(), Vec::new());
    while let Some(next) = inner.get(at..).and_then(|rest| rest.chars().next()) {
        let (char, length) = match next {
            '\\' if is_basic => escape(inner.get(at..)?)?,
            next => (Some(next), next.len_utf8()),
        };
        if let Some(char) = char {
            text.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            offsets.resize(text.len(), quote.len() + at);
        }
        at += length;
    }
    offsets.push(quote.len() + inner.len());
    Some((text, offsets))
}

/// The escape at the front of `text`: what it stands for, and its length.
fn escape(text: &str) -> Option<(Option<char>, usize)> {
    let hex = |digits: usize| {
        let code = u32::from_str_radix(text.get(2..2 + digits)?, 16).ok()?;
        Some((Some(char::from_u32(code)?), 2 + digits))
    };
    let short = |char| Some((Some(char), 2));
    match text.chars().nth(1)? {
        'b' => short('\u{8}'),
        't' => short('\t'),
        'n' => short('\n'),
        'f' => short('\u{c}'),
        'r' => short('\r'),
        'e' => short('\u{1b}'),
        '"' => short('"'),
        '\\' => short('\\'),
        'x' => hex(2),
        'u' => hex(4),
        'U' => hex(8),
        // The line goes on in the next one.
        space if space.is_ascii_whitespace() => {
            let rest = text.get(1..)?;
            Some((None, text.len() - rest.trim_start().len()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands at `part` of the value of `token`.
    fn shown<'t>(token: &'t str, part: &str) -> Option<&'t str> {
        let table: toml::Table = format!("a = {token}").parse().unwrap();
        let written = table["a"].as_str().unwrap().to_owned();
        let value = written.replace("$$", "$");
        let start = value.find(part).unwrap();
        let inside = Inside::new(token, &written, &value)?;
        Some(&token[inside.at(start)..inside.at(start + part.len())])
    }

    #[test]
    fn a_part_is_found_however_the_string_is_written() {
        for (token, part, expected) in [
            ("\"plain\"", "lai", "lai"),
            ("'plain'", "n", "n"),
            ("\"\"\"\nfirst\n  .x = 1\n\"\"\"", ".x", ".x"),
            ("'''\r\nfirst\n\\d\n'''", "\\d", "\\d"),
            ("\"\"\"a\\nb\\\n   c\\u00e9d\"\"\"", "d", "d"),
            ("\"\"\"a\\\"b\\\"c\"\"\"", "\"b\"", "\\\"b\\\""),
            ("\"\\\\d $$1 x\"", "x", "x"),
            ("'$$1 x'", "$1", "$$1"),
            ("\"żółć x\"", "x", "x"),
        ] {
            assert_eq!(shown(token, part), Some(expected), "{token}");
        }
    }

    #[test]
    fn what_came_from_the_environment_has_no_place_of_its_own() {
        assert!(Inside::new("\"a ${B} c\"", "a ${B} c", "a b c").is_none());
    }
}
