//! Blots out parts of a text, byte by byte.

use super::sight::Sight;
use crate::config::{is_secret_key, is_strategy};
use std::ops::Range;

/// Longer words are the names of nothing.
const WORD_CHARS_MAX: usize = 64;

/// What a value is written in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Inside of quotes.
    String,
    /// Without any: then what else there is may be the structure of a file.
    Bare,
}

/// A text, and what is to be shown of it.
pub(super) struct Sheet<'a> {
    text: &'a str,
    shown: Vec<u8>,
}

impl<'a> Sheet<'a> {
    /// All of `text`, so far.
    pub(super) fn new(text: &'a str) -> Sheet<'a> {
        Sheet { text, shown: text.as_bytes().to_vec() }
    }

    /// What is to be shown.
    pub(super) fn into_shown(self) -> Vec<u8> {
        self.shown
    }

    /// Blots what may not be seen of the value at `range`. Whether what follows is a secret, too, since it ends on
    /// the name of one.
    pub(super) fn show(&mut self, range: Range<usize>, sight: Sight, form: Form) -> bool {
        let text = self.text.get(range.clone()).unwrap_or_default();
        match sight {
            Sight::Secret | Sight::Auth => self.hide(range, form),
            Sight::Strategy if is_strategy(text.trim()) => {}
            Sight::Strategy => self.hide(range, form),
            // It may be a password that stands in the wrong place.
            Sight::User if text.trim().contains(char::is_whitespace) => self.hide(range, form),
            Sight::User => match text.find(':') {
                Some(_) if text.contains("${") => self.hide(range, form),
                Some(colon) => self.hide(range.start + colon + 1..range.end, form),
                None => return self.plain(range, false, form),
            },
            Sight::Address => return self.plain(range, true, form),
            Sight::Plain | Sight::Wary => return self.plain(range, false, form),
        }
        false
    }

    /// Line by line, as one shows a value that goes over several.
    pub(super) fn show_lines(&mut self, range: Range<usize>, sight: Sight) {
        if sight != Sight::Plain && sight != Sight::Wary {
            self.show(range, sight, Form::String);
            return;
        }
        let mut start = range.start;
        for line in self.text.get(range).unwrap_or_default().split_inclusive('\n') {
            self.plain(start..start + line.len(), false, Form::String);
            start += line.len();
        }
    }

    /// Blots the user and the query of an address, and what is behind the name of a secret.
    fn plain(&mut self, range: Range<usize>, is_address: bool, form: Form) -> bool {
        let text = self.text.get(range.clone()).unwrap_or_default();
        let assigned = assigned(text, form);
        if is_address && text.contains('\\') {
            // Its parts may be written as escapes.
            self.hide(range.clone(), form);
        }
        let scheme = text.find("://").map(|at| at + 3);
        let is_address = is_address || scheme.is_some();
        let start = scheme.unwrap_or(0);
        if let Some(user) = text.get(start..).and_then(|rest| rest.rfind('@').and_then(|end| rest.get(..end)))
        {
            // A password may have a slash in it, and a path may have an `@`.
            let is_user = user.contains(':') || is_address && !user.contains(['/', '?', '#']);
            if is_user {
                self.hide(range.start + start..range.start + start + user.len(), form);
            }
        }
        // Without an address around it, a mark of a question may be a part of a pattern.
        let behind = |mark: char, is_enough: bool| {
            let at = text.find(mark)? + 1;
            (is_enough || text.get(at..)?.contains('=')).then_some(at)
        };
        let tails = [assigned, credentials(text), behind('?', is_address), behind('#', false)];
        if let Some(tail) = tails.into_iter().flatten().min() {
            self.hide(range.start + tail..range.end, form);
        }
        assigned.is_some()
    }

    /// Blots a secret, but for the names of variables in it.
    pub(super) fn hide(&mut self, range: Range<usize>, form: Form) {
        let mut at = range.start;
        while let Some(rest) = self.text.get(at..range.end).filter(|rest| !rest.is_empty()) {
            let plain = rest.find('$').unwrap_or(rest.len());
            self.blot(at..at + plain, form);
            at += plain;
            let Some(rest) = rest.get(plain..).filter(|rest| !rest.is_empty()) else { return };
            let (length, default) = reference(rest);
            match default {
                Some(default) => self.blot(at + default.start..at + default.end, form),
                None if length == 0 => {
                    // A dollar sign, or two of them that stand for one.
                    let dollars = if rest.starts_with("$$") { 2 } else { 1 };
                    self.blot(at..at + dollars, form);
                    at += dollars;
                }
                None => {}
            }
            at += length;
        }
    }

    fn blot(&mut self, range: Range<usize>, form: Form) {
        for byte in self.shown.get_mut(range).unwrap_or_default() {
            let is_mark = form == Form::Bare && b" \t\"'[]{},".contains(byte);
            if !is_mark && !matches!(byte, b'\n' | b'\r') {
                *byte = b'*';
            }
        }
    }
}

/// Length of the reference that `text` begins with, 0 where it is none, and where its default stands.
fn reference(text: &str) -> (usize, Option<Range<usize>>) {
    let Some(inner) = text.strip_prefix("${") else { return (0, None) };
    let name = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
    let behind = inner.get(name..).unwrap_or_default();
    let at = 2 + name;
    if name == 0 {
        return (0, None);
    }
    if behind.starts_with('}') {
        return (at + 1, None);
    }
    // A message is there to be read; the default is the secret, even where its operator is not quite right.
    let operator = if behind.starts_with(":-") { 2 } else { 0 };
    match behind.find('}') {
        Some(end) if behind.starts_with(":?") => (at + end + 1, None),
        Some(end) => (at + end + 1, Some(at + operator..at + end)),
        // Without an end it may be no reference, but a part of the secret.
        None => (text.len(), Some(0..text.len())),
    }
}

/// Where in `text` a value begins that a name of a secret stands in front of (`password=`).
fn assigned(text: &str, form: Form) -> Option<usize> {
    let is_separator = |c: char| match form {
        Form::String => matches!(c, '=' | ':'),
        Form::Bare => matches!(c, '=' | ':' | ' ' | '\t' | '"' | '\''),
    };
    let found = text.match_indices(is_separator).find(|(at, mark)| {
        let before = text.get(..*at).unwrap_or_default();
        // White space behind white space separates nothing new.
        let is_end = matches!(*mark, "=" | ":") || before.ends_with(is_letter);
        is_end && is_name(before)
    });
    let end = (form == Form::Bare && text.ends_with(is_letter) && is_name(text)).then_some(text.len());
    let start = found.map(|(at, mark)| at + mark.len()).or(end)?;
    // The sign behind it is no part of the secret.
    let rest = text.get(start..).unwrap_or_default();
    let signs = rest.len() - rest.trim_start().trim_start_matches(['=', ':']).len();
    Some(start + signs)
}

/// Whether `text` ends on the name of a secret.
fn is_name(text: &str) -> bool {
    let end = text.chars().rev().take(WORD_CHARS_MAX);
    let end = end.skip_while(|c| matches!(c, ' ' | '\t' | '"' | '\'' | '\\'));
    let word: Vec<char> = end.take_while(|c| is_letter(*c)).collect();
    !word.is_empty() && is_secret_key(&word.into_iter().rev().collect::<String>())
}

fn is_letter(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-')
}

/// Where the secret of the value of an `Authorization` begins.
fn credentials(text: &str) -> Option<usize> {
    let start = text.len() - text.trim_start().len();
    ["bearer ", "basic "].iter().map(|scheme| (scheme, start + scheme.len())).find_map(|(scheme, end)| {
        text.get(start..end).filter(|found| found.eq_ignore_ascii_case(scheme)).map(|_| end)
    })
}
