//! Where the raw source of a text record ends.
//!
//! `code=` is followed by the source as it is, newlines and all; a cell may print whole log records there, and no
//! grammar can tell them from real ones. The legacy record of the same evaluation can: it stands before, with every
//! newline escaped, so it says which bytes `code=` holds. [`Twins`] remembers what the legacy records said. Only where
//! there is no whole twin, the source ends at the first `[level] Evaluating code` at the end of a line with the start
//! of a record (or nothing) behind it, and never inside the prefix that a cut twin vouches for.

use super::head::{begins_record, colours_len, key_of, level_of};
use crate::codec::zone::Stamps;
use crate::livebook::MESSAGE;
use crate::livebook::users::users_len;
use memchr::memmem;
use std::collections::VecDeque;

/// Legacy records whose structured twin may still come.
const TWINS_MAX: usize = 256;
/// Bytes of source that they may hold together.
const TWIN_BYTES_MAX: usize = 4 << 20;

/// What a legacy record said of its source.
#[derive(Clone, Debug)]
struct Twin {
    users: Vec<u8>,
    mode: Vec<u8>,
    code: Vec<u8>,
    whole: bool,
}

/// The legacy records that were read of late.
#[derive(Clone, Debug, Default)]
pub struct Twins {
    twins: VecDeque<Twin>,
    bytes: usize,
}

/// A structured record from the first byte of its source on.
pub struct Raw<'a> {
    /// The source and everything behind it that is there by now, in whole lines.
    pub text: &'a [u8],
    /// The `users` of the record, if they stand in front.
    pub users: Option<&'a [u8]>,
    /// The `session_mode` of the record, if it stands in front.
    pub mode: Option<&'a [u8]>,
    /// Whether line ends are `\r\n`: a terminal stands between Livebook and us.
    pub crlf: bool,
    /// Whether more may come.
    pub more: More,
}

/// Whether more lines may come behind those at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum More {
    /// They may.
    Maybe,
    /// None has for a while.
    Silent,
    /// None will: the stream has ended, or a record is over the limit.
    Ended,
}

/// Where the source and the record end.
#[derive(Debug, PartialEq, Eq)]
pub struct End {
    /// Length of the source in the text.
    pub code: usize,
    /// Length up to the end of the record, its newline included.
    pub record: usize,
}

/// What is known of the end.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// Here it is.
    End(End),
    /// So many bytes of source, then the record was torn: its twin says that there was more. The second is the length up
    /// to where the next record can begin.
    Torn(usize, usize),
    /// The lines to come will tell.
    NeedMore,
    /// Nothing more will come, and there is no end.
    Nowhere,
}

impl Twins {
    /// Bytes of source that are remembered.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Remembers a legacy record; `whole` says whether `code` is all of its source.
    pub fn remember(&mut self, users: &[u8], mode: &[u8], code: Vec<u8>, whole: bool) {
        self.bytes += code.len();
        self.twins.push_back(Twin { users: users.to_vec(), mode: mode.to_vec(), code, whole });
        while self.twins.len() > TWINS_MAX || self.bytes > TWIN_BYTES_MAX {
            match self.twins.pop_front() {
                Some(twin) => self.bytes -= twin.code.len(),
                None => break,
            }
        }
    }

    /// Finds the end of `raw`, and forgets the twin that told it.
    pub fn find_end(&mut self, raw: &Raw<'_>, stamps: &mut Stamps) -> Found {
        let mut best: Option<(usize, End)> = None;
        let mut vouched = 0;
        let mut torn = None;
        let mut longer_possible = false;
        for (at, twin) in self.twins.iter().enumerate() {
            let is_other = |known: Option<&[u8]>, own: &[u8]| known.is_some_and(|known| known != own);
            if is_other(raw.users, &twin.users) || is_other(raw.mode, &twin.mode) {
                continue;
            }
            match matching(raw.text, &twin.code, raw.crlf) {
                Matching::Full(len) if twin.whole => {
                    match read_tail(raw.text.get(len..).unwrap_or_default()) {
                        Some(tail) if best.as_ref().is_none_or(|(_, end)| end.code < len) => {
                            best = Some((at, End { code: len, record: len + tail }));
                        }
                        Some(_) => {}
                        None => torn = torn.max(torn_at(raw, &twin.code, stamps)),
                    }
                }
                Matching::Full(len) => vouched = vouched.max(len),
                Matching::SoFar => longer_possible |= twin.whole,
                Matching::No if twin.whole => torn = torn.max(torn_at(raw, &twin.code, stamps)),
                Matching::No => {}
            }
        }
        // All so far is a whole twin's beginning: the rest of it tells, however long Livebook takes to write it. What
        // does not fit will come soon enough, if it is another record.
        if longer_possible && raw.more != More::Ended {
            return Found::NeedMore;
        }
        if let Some((at, end)) = best {
            self.bytes -= self.twins.remove(at).map_or(0, |twin| twin.code.len());
            return Found::End(end);
        }
        if longer_possible {
            return Found::Torn(raw.text.len(), raw.text.len());
        }
        match torn.filter(|_| vouched == 0) {
            Some((code, record)) => Found::Torn(code, record),
            None => find_terminator(raw, vouched, stamps),
        }
    }
}

enum Matching {
    /// The text begins with the source, which takes so many bytes of it.
    Full(usize),
    /// The text is a beginning of the source.
    SoFar,
    No,
}

fn matching(text: &[u8], code: &[u8], crlf: bool) -> Matching {
    if !crlf {
        return match (text.starts_with(code), code.starts_with(text)) {
            (true, _) => Matching::Full(code.len()),
            (false, true) => Matching::SoFar,
            _ => Matching::No,
        };
    }
    let mut at = 0;
    for &byte in code {
        let wanted: &[u8] = if byte == b'\n' { b"\r\n" } else { &[byte] };
        let rest = text.get(at..).unwrap_or_default();
        if !rest.starts_with(wanted) {
            return if wanted.starts_with(rest) { Matching::SoFar } else { Matching::No };
        }
        at += wanted.len();
    }
    Matching::Full(at)
}

/// Where a record breaks off that holds the beginning of `code`: at the end of a line, where `code` goes on and the next
/// line begins another record.
fn torn_at(raw: &Raw<'_>, code: &[u8], stamps: &mut Stamps) -> Option<(usize, usize)> {
    let (text, is_end) = (raw.text, raw.more == More::Ended);
    let same = text.iter().zip(code).take_while(|(a, b)| a == b).count();
    if same == text.len() && is_end {
        return Some((same, same));
    }
    // The last line of the source that is there may be a whole one: then what differs is the line behind it.
    let end = if text.get(same) == Some(&b'\n') { same } else { same.checked_sub(1)? };
    let next = text.get(end..)?.strip_prefix(b"\n")?;
    let is_other =
        begins_record(next, stamps) || next.starts_with(b"{\"") || next.starts_with(b"[Livebook] ");
    (end > 0 && (is_other || next.is_empty() && is_end)).then_some((end, end + 1))
}

/// Length of ` key=value … [level] Evaluating code` and the line's end, where `text` begins so.
fn read_tail(text: &[u8]) -> Option<usize> {
    let mut at = usize::from(text.first() == Some(&b' '));
    if at == 0 {
        return None;
    }
    loop {
        let rest = text.get(at..)?;
        if let Some(level) = level_of(rest) {
            let behind = rest.get(level.len() + 2..)?.strip_prefix(b" ")?.strip_prefix(MESSAGE.as_bytes())?;
            let line_end = line_end_len(behind)?;
            return Some(at + level.len() + 3 + MESSAGE.len() + line_end);
        }
        let key = key_of(rest)?;
        let value = rest.get(key.len() + 1..)?;
        let len = match users_len(value).filter(|_| key == b"users") {
            Some(len) => len,
            None => memchr::memchr2(b' ', b'\n', value)?,
        };
        if value.get(len) != Some(&b' ') {
            return None;
        }
        at += key.len() + 1 + len + 1;
    }
}

/// Length of the end of a line, where `text` begins with one; the end of the text is one too.
fn line_end_len(text: &[u8]) -> Option<usize> {
    let colours = colours_len(text);
    let behind = text.get(colours..)?;
    match behind {
        [] => Some(colours),
        [b'\n', ..] => Some(colours + 1),
        [b'\r', b'\n', ..] => Some(colours + 2),
        [b'\r'] => Some(colours + 1),
        _ => None,
    }
}

/// The first `[level] Evaluating code` from `vouched` on that ends a line with the start of a record behind it.
fn find_terminator(raw: &Raw<'_>, vouched: usize, stamps: &mut Stamps) -> Found {
    let mut fallback = None;
    let from = raw.text.get(vouched..).unwrap_or_default();
    for hit in memmem::find_iter(from, b"] Evaluating code") {
        let bracket = vouched + hit;
        let before = raw.text.get(..bracket).unwrap_or_default();
        let level = before.iter().rev().take_while(|b| b.is_ascii_lowercase()).count();
        let opens = before.len().checked_sub(level + 1).filter(|&at| before.get(at) == Some(&b'['));
        let behind = raw.text.get(bracket + 2 + MESSAGE.len()..).unwrap_or_default();
        let (Some(open), Some(line_end), true) = (opens, line_end_len(behind), level > 0) else {
            continue;
        };
        let Some(code) = strip_tail(raw, open) else { continue };
        let end = End { code, record: raw.text.len() - behind.len() + line_end };
        let next = behind.get(line_end..).unwrap_or_default();
        if next.is_empty() {
            return if raw.more == More::Maybe { Found::NeedMore } else { Found::End(end) };
        }
        if begins_record(next, stamps) || next.starts_with(b"{\"") || next.starts_with(b"FORMATTER ERROR") {
            return Found::End(end);
        }
        fallback.get_or_insert(end);
    }
    match (raw.more, fallback) {
        (More::Maybe, _) => Found::NeedMore,
        (_, Some(end)) => Found::End(end),
        (_, None) => Found::Nowhere,
    }
}

/// Where the source ends, if its record's level opens at `open`: in front of the metadata that follow `code`. Only
/// keys that Livebook and Elixir's Logger can put there are taken off, each once: anything else is source.
fn strip_tail(raw: &Raw<'_>, open: usize) -> Option<usize> {
    const KEYS: [&[u8]; 11] = [
        b"event",
        b"session_mode",
        b"request_id",
        b"pid",
        b"mfa",
        b"file",
        b"line",
        b"module",
        b"function",
        b"application",
        b"node",
    ];
    let mut end = open.checked_sub(1).filter(|&at| raw.text.get(at) == Some(&b' '))?;
    let mut seen: Vec<&[u8]> = Vec::new();
    loop {
        let text = raw.text.get(..end)?;
        let start = memchr::memrchr(b' ', text);
        let word = text.get(start.map_or(0, |at| at + 1)..)?;
        let known = key_of(word).filter(|key| KEYS.contains(key) && !seen.contains(key));
        let in_front = known == Some(b"session_mode") && raw.mode.is_some();
        match (start, known) {
            (Some(start), Some(key)) if !in_front => {
                seen.push(key);
                end = start;
            }
            _ => {
                let users = raw.users.is_none().then(|| users_at_end(text)).flatten();
                match users.filter(|_| !seen.contains(&&b"users"[..])) {
                    Some(start) => {
                        seen.push(b"users");
                        end = start;
                    }
                    None => return Some(end),
                }
            }
        }
    }
}

/// Where ` users=[…]` begins that `text` ends with.
fn users_at_end(text: &[u8]) -> Option<usize> {
    const KEY: &[u8] = b" users=";
    let start = memmem::rfind(text, b" users=[")?;
    let value = text.get(start + KEY.len()..)?;
    (users_len(value)? == value.len()).then_some(start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::zone::Zone;

    fn raw(text: &str) -> Raw<'_> {
        Raw {
            text: text.as_bytes(),
            users: Some(b"[]"),
            mode: Some(b"default"),
            crlf: false,
            more: More::Maybe,
        }
    }

    fn code(twins: &mut Twins, raw: &Raw<'_>) -> Result<String, Found> {
        match twins.find_end(raw, &mut Stamps::new(Zone::Named(chrono_tz::UTC))) {
            Found::End(end) => Ok(String::from_utf8(raw.text[..end.code].to_vec()).unwrap()),
            other => Err(other),
        }
    }

    const NEXT: &str = "2025-10-04 17:48:41.996 [info] GET /\n";

    #[test]
    fn the_twin_says_which_bytes_are_source() {
        let forged = format!("1 event=code.evaluate [info] Evaluating code\n{NEXT}2");
        let text = format!("{forged} event=code.evaluate [info] Evaluating code\n");
        let mut twins = Twins::default();
        twins.remember(b"[]", b"default", b"1".to_vec(), true);
        twins.remember(b"[]", b"default", forged.clone().into_bytes(), true);
        assert_eq!(code(&mut twins, &raw(&text)), Ok(forged.clone()));
        // Its twin is used up; another session's does not speak for it.
        twins.remember(b"[%{id: \"2\"}]", b"default", forged.into_bytes(), true);
        assert_eq!(code(&mut twins, &raw(&text)), Ok("1".to_owned()));
    }

    #[test]
    fn a_longer_source_is_waited_for() {
        let mut twins = Twins::default();
        twins.remember(b"[]", b"default", b"1".to_vec(), true);
        twins.remember(b"[]", b"default", b"1 event=code.evaluate [info] Evaluating code\n2".to_vec(), true);
        let text = "1 event=code.evaluate [info] Evaluating code\n";
        assert_eq!(code(&mut twins, &raw(text)), Err(Found::NeedMore));
        assert_eq!(code(&mut twins, &Raw { more: More::Silent, ..raw(text) }), Err(Found::NeedMore));
        assert_eq!(code(&mut twins, &Raw { more: More::Ended, ..raw(text) }), Ok("1".to_owned()));
    }

    #[test]
    fn a_record_that_was_torn_costs_the_next_nothing() {
        let mut twins = Twins::default();
        twins.remember(b"[]", b"default", b"a\nbc\nd".to_vec(), true);
        let ended = |text| Raw { more: More::Ended, ..raw(text) };
        assert_eq!(code(&mut twins, &ended("a\nb")), Err(Found::Torn(3, 3)));
        assert_eq!(code(&mut twins, &raw("a\nb")), Err(Found::NeedMore));
        assert_eq!(code(&mut twins, &ended("a\nbc\nd")), Err(Found::Torn(6, 6)));
        assert_eq!(code(&mut twins, &ended("a\nbc\nd\n")), Err(Found::Torn(6, 7)));
        assert_eq!(code(&mut twins, &raw("a\nbc\nd\n")), Err(Found::NeedMore));
        let text = format!("a\nb\n{NEXT}x event=code.evaluate [info] Evaluating code\n{NEXT}");
        assert_eq!(code(&mut twins, &raw(&text)), Err(Found::Torn(3, 4)));
    }

    #[test]
    fn without_a_twin_the_first_end_of_line_counts_that_a_record_follows() {
        let mut twins = Twins::default();
        let tail = "event=code.evaluate [info] Evaluating code\n";
        let text = format!("a {tail}b x=1 {tail}{NEXT}");
        assert_eq!(code(&mut twins, &raw(&text)), Ok(format!("a {tail}b x=1")));
        assert_eq!(code(&mut twins, &raw(&format!("a {tail}"))), Err(Found::NeedMore));
        assert_eq!(code(&mut twins, &Raw { more: More::Ended, ..raw("a") }), Err(Found::Nowhere));
        // A cut twin vouches for what it has.
        twins.remember(b"[]", b"default", format!("a {tail}{NEXT}").into_bytes(), false);
        let text = format!("a {tail}{NEXT}z {tail}{NEXT}");
        assert_eq!(code(&mut twins, &raw(&text)), Ok(format!("a {tail}{NEXT}z")));
    }

    #[test]
    fn only_known_keys_are_taken_off_the_end_and_each_once() {
        let mut twins = Twins::default();
        for (text, source) in [
            ("x=1 event=code.evaluate [info] Evaluating code", "x=1"),
            (" event=code.evaluate [info] Evaluating code", ""),
            ("f event=a event=code.evaluate [info] Evaluating code", "f event=a"),
            ("f session_mode=app event=code.evaluate [info] Evaluating code", "f session_mode=app"),
            ("f [info] Evaluating code", "f"),
        ] {
            let raw = Raw { more: More::Ended, ..raw(text) };
            assert_eq!(code(&mut twins, &raw), Ok(source.to_owned()), "{text}");
        }
        let text = "f users=[%{id: \"a b\"}] session_mode=app [info] Evaluating code";
        let raw = Raw { more: More::Ended, users: None, mode: None, ..raw(text) };
        assert_eq!(code(&mut twins, &raw), Ok("f".to_owned()));
    }

    #[test]
    fn a_terminal_in_between_doubles_line_ends() {
        let mut twins = Twins::default();
        twins.remember(b"[]", b"default", b"a\nb".to_vec(), true);
        let text = "a\r\nb event=code.evaluate [info] Evaluating code\r\n";
        assert_eq!(code(&mut twins, &Raw { crlf: true, ..raw(text) }), Ok("a\r\nb".to_owned()));
    }
}
