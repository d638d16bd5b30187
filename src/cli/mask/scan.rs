//! Reads a config as far as it takes to tell keys from values, whatever is wrong with it.
//!
//! Every byte is looked at a bounded number of times: a config may be large, and may come from anyone.

use super::blot::{Form, Sheet};
use super::sight::{Sight, is_known, is_section, of_path};

/// A reading of a text.
pub(super) struct Scan<'a> {
    text: &'a str,
    at: usize,
    /// Where the line ends that was looked at last.
    line_end: usize,
    sheet: Sheet<'a>,
    /// Sights of the tables and arrays around the one that is being read.
    around: Vec<Sight>,
    /// The sight of the table or array that is being read.
    container: Sight,
    /// The sight of the value that comes.
    value: Sight,
    /// Whether that value has not been seen to its end: it may go on in the next line.
    is_open: bool,
    /// Whether a key may come.
    wants_key: bool,
    is_line_start: bool,
    /// Whether no header has come yet.
    is_root: bool,
    /// Whether the line has a secret: then a comment may have an old one.
    is_secret_line: bool,
    /// Quotes of strings over several lines that are known to be closed nowhere.
    unclosed: Vec<u8>,
}

impl<'a> Scan<'a> {
    pub(super) fn new(text: &'a str) -> Scan<'a> {
        Scan {
            text,
            at: 0,
            line_end: 0,
            sheet: Sheet::new(text),
            around: Vec::new(),
            container: Sight::Plain,
            value: Sight::Plain,
            is_open: false,
            wants_key: true,
            is_line_start: true,
            is_root: true,
            is_secret_line: false,
            unclosed: Vec::new(),
        }
    }

    /// The text with its secrets blotted out.
    pub(super) fn run(mut self) -> Vec<u8> {
        while let Some(byte) = self.text.as_bytes().get(self.at).copied() {
            match byte {
                b'\n' => self.newline(),
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'#' => self.comment(),
                _ if self.is_line_start && byte == b'[' && self.header() => {}
                _ if self.wants_key && self.key() => {}
                _ => self.token(byte),
            }
        }
        self.sheet.into_shown()
    }

    fn token(&mut self, byte: u8) {
        (self.is_line_start, self.wants_key) = (false, false);
        match byte {
            b'{' | b'[' => {
                self.around.push(self.container);
                self.container = self.value;
                (self.is_open, self.wants_key) = (false, true);
                self.at += 1;
            }
            b'}' | b']' => {
                if let Some(container) = self.around.pop() {
                    self.value = self.container;
                    self.container = container;
                }
                self.is_open = false;
                self.at += 1;
            }
            b',' => {
                // Outside of brackets it separates nothing: a secret may have one in it.
                if !self.around.is_empty() {
                    self.value = self.container;
                    (self.is_open, self.wants_key) = (false, true);
                }
                self.at += 1;
            }
            b'"' | b'\'' => self.string(byte),
            _ => self.bare(),
        }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The text up to the end of the line, which is looked for once.
    fn line(&mut self) -> &'a str {
        if self.at >= self.line_end {
            let rest = self.rest();
            self.line_end = self.at + rest.find('\n').unwrap_or(rest.len());
        }
        self.text.get(self.at..self.line_end).unwrap_or_default()
    }

    fn newline(&mut self) {
        self.at += 1;
        (self.is_line_start, self.wants_key, self.is_secret_line) = (true, true, false);
        if !self.is_open {
            self.value = self.container;
        }
    }

    fn comment(&mut self) {
        let range = self.at + 1..self.at + self.line().len().max(1);
        let is_secret = self.is_secret_line || self.value.hides() || self.container.hides();
        self.sheet.show(range.clone(), if is_secret { Sight::Secret } else { Sight::Plain }, Form::Bare);
        self.at = range.end;
    }

    /// Reads a header; false where the bracket begins something else.
    fn header(&mut self) -> bool {
        let line = self.line();
        let start = line.len() - line.trim_start_matches('[').len();
        let (keys, length) = path(line.get(start..).unwrap_or_default());
        let Some(first) = keys.first() else { return false };
        let end = start + length;
        let behind = line.get(end..).unwrap_or_default().trim_start();
        // Something is left open in front of it: then it has to look like a header to be one.
        if (self.is_open || !self.around.is_empty()) && !(is_section(first) && behind.starts_with(']')) {
            return false;
        }
        self.around.clear();
        self.container = of_path(&keys);
        self.value = self.container;
        (self.is_open, self.wants_key, self.is_line_start, self.is_root) = (false, true, false, false);
        self.at += line.len() - behind.trim_start_matches(']').len();
        true
    }

    /// Reads a key and the sign behind it; false where none comes.
    fn key(&mut self) -> bool {
        let line = self.line();
        let (keys, length) = path(line);
        let behind = line.get(length..).unwrap_or_default();
        let sign = behind.trim_start();
        let Some(first) = keys.first().filter(|_| sign.starts_with(['=', ':'])) else { return false };
        // A secret that goes on in the next line may look like a key.
        if self.is_open && self.value.hides() && !is_known(first) {
            return false;
        }
        self.value = if self.is_root && self.around.is_empty() {
            of_path(&keys)
        } else {
            keys.iter().fold(self.container, |sight, key| sight.below(key))
        };
        self.is_secret_line |= self.value.hides();
        (self.is_open, self.wants_key, self.is_line_start) = (true, false, false);
        self.at += line.len() - sign.len() + 1;
        true
    }

    fn string(&mut self, quote: u8) {
        let bytes = self.rest().as_bytes();
        if bytes.starts_with(&[quote; 3]) {
            return self.long_string(quote);
        }
        let end = closing(bytes, 1, quote, 1);
        let content = self.at + 1..self.at + end.unwrap_or(self.line().len());
        self.at = content.end + usize::from(end.is_some());
        self.show(content, Form::String);
        self.is_open = end.is_none();
    }

    /// A string over several lines, or what begins like one.
    fn long_string(&mut self, quote: u8) {
        let start = self.at + 3;
        let is_unclosed = self.unclosed.contains(&quote);
        let end = if is_unclosed { None } else { closing(self.rest().as_bytes(), 3, quote, 3) };
        match end {
            Some(end) => {
                self.sheet.show_lines(start..self.at + end, self.value);
                self.at += end + 3;
                // The last quotes of its content touch those that close it.
                let more = self.rest().bytes().take(2).take_while(|byte| *byte == quote).count();
                self.at += more;
                self.is_open = false;
            }
            None => {
                if !is_unclosed {
                    self.unclosed.push(quote);
                }
                let end = if self.value.hides() { self.text.len() } else { self.at + self.line().len() };
                self.at = end;
                self.show(start..end, Form::String);
                self.is_open = true;
            }
        }
    }

    /// A value without quotes, or whatever else there is.
    fn bare(&mut self) {
        let line = self.line();
        let is_alone = self.around.is_empty();
        let is_address = self.value == Sight::Address;
        let mut before = ' ';
        let end = line.char_indices().skip(1).find(|(_, c)| {
            let is_end = match c {
                '#' => before.is_whitespace() || !is_alone,
                '{' | '}' | '[' | ']' => !is_alone || !is_address,
                ',' | '"' | '\'' => !is_alone,
                _ => false,
            };
            before = *c;
            is_end
        });
        let range = self.at..self.at + end.map_or(line.len(), |(at, _)| at);
        self.at = range.end;
        self.is_open = self.show(range, Form::Bare);
    }

    /// Shows a value; what follows it may be a secret then, which is given back.
    fn show(&mut self, content: std::ops::Range<usize>, form: Form) -> bool {
        let goes_on = self.sheet.show(content, self.value, form);
        if goes_on {
            self.value = Sight::Secret;
            self.is_secret_line = true;
        }
        goes_on
    }
}

/// Where the `count` quotes stand that close a string, whose content begins at `start`. One quote closes in its own
/// line or not at all.
fn closing(bytes: &[u8], start: usize, quote: u8, count: usize) -> Option<usize> {
    let mut is_escaped = false;
    let mut quotes = 0;
    for (at, byte) in bytes.iter().copied().enumerate().skip(start) {
        if byte == b'\n' && count == 1 {
            return None;
        }
        quotes = if byte == quote && !is_escaped { quotes + 1 } else { 0 };
        if quotes == count {
            return Some(at + 1 - count);
        }
        is_escaped = byte == b'\\' && quote == b'"' && !is_escaped;
    }
    None
}

/// The dotted keys that `line` begins with, and their length.
fn path(line: &str) -> (Vec<&str>, usize) {
    let mut keys = Vec::new();
    let mut end = 0;
    let mut at = 0;
    while let Some(rest) = line.get(at..) {
        let word = rest.trim_start_matches([' ', '\t']);
        at += rest.len() - word.len();
        let (key, length) = match word.bytes().next() {
            Some(quote @ (b'"' | b'\'')) => match closing(word.as_bytes(), 1, quote, 1) {
                Some(end) => (word.get(1..end).unwrap_or_default(), end + 1),
                None => break,
            },
            _ => {
                let is_end = |c: char| c.is_whitespace() || "=:.,{}[]\"'#".contains(c);
                let length = word.find(is_end).unwrap_or(word.len());
                (word.get(..length).unwrap_or_default(), length)
            }
        };
        if length == 0 {
            break;
        }
        keys.push(key);
        end = at + length;
        let behind = line.get(end..).unwrap_or_default().trim_start_matches([' ', '\t']);
        if !behind.starts_with('.') {
            break;
        }
        at = line.len() - behind.len() + 1;
    }
    (keys, end)
}
