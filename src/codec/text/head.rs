//! The first line of a text record: `$date $time $metadata[$level] $message`.
//!
//! Metadata are `key=value` with a space behind each, in the order of `LIVEBOOK_LOG_METADATA`. Values are not quoted,
//! so a value ends where a next key or the level can begin, except for two: `users` is an `inspect` list and is read
//! as one, and `code` is raw source, which no grammar can end (see [`super::raw`]).

use crate::codec::zone::{STAMP_LEN, Stamp, Stamps};
use crate::livebook::users::users_len;
use smallvec::SmallVec;

/// A key and its value.
pub type Pair<'a> = (&'a [u8], &'a [u8]);

/// What the first line of a record says.
#[derive(Debug)]
pub struct Head<'a> {
    /// When.
    pub stamp: Stamp,
    /// The metadata, in their order; up to `code` where there is one.
    pub pairs: SmallVec<[Pair<'a>; 6]>,
    /// What follows.
    pub rest: Rest<'a>,
}

/// What follows the metadata.
#[derive(Debug, PartialEq, Eq)]
pub enum Rest<'a> {
    /// The level, and where the message begins in the line.
    Message {
        /// `info`, `error`, ...
        level: &'a [u8],
        /// Offset in the line.
        at: usize,
    },
    /// The raw source begins here, at this offset in the line.
    Code(usize),
}

impl<'a> Head<'a> {
    /// The value of `key`, if it stands in front of `code`.
    pub fn value(&self, key: &[u8]) -> Option<&'a [u8]> {
        self.pairs.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
    }
}

/// Length of the colour sequences (`ESC[...m`) at the front of `line`.
pub fn colours_len(line: &[u8]) -> usize {
    let mut at = 0;
    while let Some(rest) = line.get(at..)
        && rest.starts_with(b"\x1b[")
    {
        let digits = rest.iter().skip(2).take_while(|b| b.is_ascii_digit() || **b == b';').count();
        match rest.get(2 + digits) {
            Some(b'm') => at += digits + 3,
            _ => break,
        }
    }
    at
}

/// The line without its end: newline, carriage return, and the sequence that ends a colour.
pub fn trim_line(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line.strip_suffix(b"\x1b[0m").unwrap_or(line)
}

/// Whether a record can begin with this line: for lines that are looked at only to find where another record ends.
pub fn begins_record(line: &[u8], stamps: &mut Stamps) -> bool {
    let line = line.get(colours_len(line)..).unwrap_or_default();
    stamps.read(line).is_some() && line.get(STAMP_LEN) == Some(&b' ')
}

/// Reads the first line of a record; none where the line is none.
pub fn read_head<'a>(line: &'a [u8], stamps: &mut Stamps) -> Option<Head<'a>> {
    let start = colours_len(line);
    let stamp = stamps.read(line.get(start..)?)?;
    let text = trim_line(line);
    let mut at = start + STAMP_LEN;
    let mut pairs = SmallVec::new();
    if text.get(at) != Some(&b' ') {
        return None;
    }
    at += 1;
    loop {
        let rest = text.get(at..)?;
        if let Some(level) = level_of(rest) {
            // The space behind the level stands even before an empty message, unless somebody trimmed the line.
            let at = (at + level.len() + 3).min(text.len());
            return Some(Head { stamp, pairs, rest: Rest::Message { level, at } });
        }
        let key = key_of(rest)?;
        let value_at = at + key.len() + 1;
        if key == b"code" {
            return Some(Head { stamp, pairs, rest: Rest::Code(value_at) });
        }
        let value_len = value_len(key, text.get(value_at..)?)?;
        pairs.push((key, text.get(value_at..value_at + value_len)?));
        at = value_at + value_len + 1;
    }
}

/// The level's name, where `text` begins with `[level]`.
pub fn level_of(text: &[u8]) -> Option<&[u8]> {
    let name = text.strip_prefix(b"[")?;
    let len = name.iter().take_while(|b| b.is_ascii_lowercase()).count();
    let level = name.get(..len)?;
    let behind = name.get(len..)?;
    (len > 0 && (behind == b"]" || behind.starts_with(b"] "))).then_some(level)
}

/// The key's name, where `text` begins with `key=`.
pub fn key_of(text: &[u8]) -> Option<&[u8]> {
    let len = text.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
    (len > 0 && text.get(len) == Some(&b'=')).then(|| text.get(..len)).flatten()
}

/// Length of the value at the front of `text`, up to the space that ends it.
fn value_len(key: &[u8], text: &[u8]) -> Option<usize> {
    if key == b"users"
        && let Some(len) = users_len(text)
        && text.get(len) == Some(&b' ')
    {
        return Some(len);
    }
    memchr::memchr_iter(b' ', text).find(|&space| {
        let behind = text.get(space + 1..).unwrap_or_default();
        level_of(behind).is_some() || key_of(behind).is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::zone::Zone;
    use proptest::prelude::*;

    fn stamps() -> Stamps {
        Stamps::new(Zone::Named(chrono_tz::UTC))
    }

    fn show(line: &str) -> String {
        let mut stamps = stamps();
        let Some(head) = read_head(line.as_bytes(), &mut stamps) else { return "no head".into() };
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let pairs: Vec<String> = head.pairs.iter().map(|(k, v)| format!("{}={}", text(k), text(v))).collect();
        let rest = match head.rest {
            Rest::Message { level, at } => format!("[{}] {}", text(level), &line[at..]),
            Rest::Code(at) => format!("code {}", &line[at..]),
        };
        format!("{} | {rest}", pairs.join("|"))
    }

    #[test]
    fn heads_are_read() {
        let at = "2025-10-04 17:48:41.996";
        for (line, shown) in [
            (format!("{at} [info] GET /"), " | [info] GET /"),
            (format!("{at} request_id=Gf users=[] [info] Sent"), "request_id=Gf|users=[] | [info] Sent"),
            (
                format!("{at} users=[%{{id: \"] [info] x\"}}] [info] y"),
                "users=[%{id: \"] [info] x\"}] | [info] y",
            ),
            (format!("{at} users=[] session_mode=app code=a = 1"), "users=[]|session_mode=app | code a = 1"),
            (
                format!("{at} mfa=A.b/1 file=a b c line=3 [error] x"),
                "mfa=A.b/1|file=a b c|line=3 | [error] x",
            ),
            (format!("\x1b[22m{at} [info] GET /"), " | [info] GET /"),
            (format!("\x1b[0m\x1b[36m{at} [debug] GET /"), " | [debug] GET /"),
            (format!("{at} [info]"), " | [info] "),
            (format!("{at}[info] x"), "no head"),
            (format!("{at} text"), "no head"),
            ("  Session mode: app".to_owned(), "no head"),
        ] {
            assert_eq!(show(&line), shown, "{line}");
        }
    }

    #[test]
    fn line_ends_and_colours_are_no_part_of_a_line() {
        for line in ["x", "x\n", "x\r\n", "x\x1b[0m\n", "x\x1b[0m\r\n"] {
            assert_eq!(trim_line(line.as_bytes()), b"x");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_read_without_panic(line in any::<Vec<u8>>()) {
            read_head(&line, &mut stamps());
            let with_stamp = [b"2025-10-04 17:48:41.996 users=[", &line[..]].concat();
            read_head(&with_stamp, &mut stamps());
        }
    }
}
