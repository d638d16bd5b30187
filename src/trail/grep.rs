//! Finding a text in what records hold, without reading most of them.
//!
//! A record is JSON, so what it holds may be written with escapes. The search over its raw bytes is *sound*: it passes
//! over a line only if that can't hold the text, however it was written. Of the text, the longest *piece* is taken that
//! has no character with a short escape (`"`, `\`, `/`, control characters): a line that holds it in a string holds it
//! as it is, or has a `\u` somewhere. A source that is not UTF-8 is kept in base64, by a name that says so.

use memchr::memmem::Finder;
use regex::bytes::{Regex, RegexBuilder};

/// What may hide a piece: an escape, or base64.
const HIDING: [&str; 2] = ["\\u", "base64"];

/// A text to be found.
#[derive(Debug)]
pub struct Grep {
    text: Needle,
    /// What has to stand in a line, and what else may stand in its place; none where the text has no such piece.
    raw: Option<[Ahead; 3]>,
}

/// One thing to be found.
#[derive(Debug)]
enum Needle {
    Exact(Box<Finder<'static>>),
    /// Upper and lower case are the same.
    Folded(Regex),
}

/// The next place of a needle in a page.
#[derive(Debug)]
struct Ahead {
    needle: Needle,
    next: Option<usize>,
}

impl Grep {
    /// A search for `text`, where upper and lower case may count as the same.
    ///
    /// # Errors
    ///
    /// Says for people why it can't be found.
    pub fn new(text: &str, ignores_case: bool) -> Result<Grep, String> {
        if text.is_empty() {
            return Err("an empty text is in everything: leave it out, or say what to find".to_owned());
        }
        let has_escape = |c: char| matches!(c, '"' | '\\' | '/') || c.is_ascii_control();
        let piece = text.split(has_escape).max_by_key(|piece| piece.len()).filter(|piece| !piece.is_empty());
        let ahead = |needle| Ahead { needle, next: None };
        let [escape, base64] = HIDING.map(|text| ahead(Needle::Exact(Box::new(Finder::new(text)))));
        let raw = match piece {
            Some(piece) => Some([ahead(Needle::new(piece, ignores_case)?), escape, base64]),
            None => None,
        };
        Ok(Grep { text: Needle::new(text, ignores_case)?, raw })
    }

    /// Begins with a new page.
    pub fn restart(&mut self) {
        for ahead in self.raw.iter_mut().flatten() {
            ahead.next = None;
        }
    }

    /// A place in the first line that may hold the text, at or behind `from`, or the page's length. Calls for one page
    /// have to come in ascending order.
    pub fn candidate(&mut self, page: &[u8], from: usize) -> usize {
        match &mut self.raw {
            Some(raw) => raw.iter_mut().map(|ahead| ahead.advance(page, from)).min().unwrap_or(from),
            None => from,
        }
    }

    /// Whether `text`, as it is meant, holds it.
    pub fn is_in(&self, text: &[u8]) -> bool {
        self.text.find(text).is_some()
    }
}

impl Needle {
    fn new(text: &str, ignores_case: bool) -> Result<Needle, String> {
        if !ignores_case {
            return Ok(Needle::Exact(Box::new(Finder::new(text).into_owned())));
        }
        let folded = RegexBuilder::new(&regex::escape(text)).case_insensitive(true).build();
        folded
            .map(Needle::Folded)
            .map_err(|_| "the text is too long to be found in upper and lower case".to_owned())
    }

    fn find(&self, text: &[u8]) -> Option<usize> {
        match self {
            Needle::Exact(finder) => finder.find(text),
            Needle::Folded(regex) => regex.find(text).map(|found| found.start()),
        }
    }
}

impl Ahead {
    fn advance(&mut self, page: &[u8], from: usize) -> usize {
        if let Some(known) = self.next.filter(|known| *known >= from) {
            return known;
        }
        let found = self.needle.find(page.get(from..).unwrap_or_default()).map_or(page.len(), |at| from + at);
        self.next = Some(found);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::json::string::quote_into;
    use proptest::prelude::*;

    /// JSON that stands for `text`, with the characters that `how` says as `\u`, and slashes escaped.
    fn written(text: &str, how: u32) -> String {
        let mut out = String::from("\"");
        for (at, char) in text.chars().enumerate() {
            if how >> (at % 32) & 1 == 1 {
                char.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out += &format!("\\u{unit:04x}"));
            } else if char == '/' && at.is_multiple_of(2) {
                out += "\\/";
            } else {
                let mut quoted = Vec::new();
                quote_into(char.encode_utf8(&mut [0; 4]).as_bytes(), &mut quoted);
                out += std::str::from_utf8(&quoted[1..quoted.len() - 1]).unwrap();
            }
        }
        out + "\""
    }

    proptest! {
        #[test]
        fn no_line_that_holds_it_is_passed_over(before in ".{0,9}", text in "[a-cżſK\"\\\\/\n\t é]{1,6}", behind in ".{0,9}", how in prop_oneof![Just(0), any::<u32>()], folds in any::<bool>()) {
            let line = written(&format!("{before}{text}{behind}"), how);
            let page = format!("{{\"other\":1}}\n{line}\n");
            let shown = if folds { text.to_uppercase() } else { text.clone() };
            let mut grep = Grep::new(&shown, folds).unwrap();
            // Some letters have an upper case of two letters, which do not fold back.
            prop_assume!(grep.is_in(text.as_bytes()));
            prop_assert!(grep.candidate(page.as_bytes(), 0) < page.len() - 1, "{page}");
        }
    }

    #[test]
    fn lines_that_can_not_hold_it_are_passed_over() {
        let page = b"{\"code\":\"a\\n\\\"b\"}\n{\"code\":\"System.cmd\"}\nx\n{\"code_base64\":\"\"}\n";
        let mut grep = Grep::new("\"System.cmd\\", false).unwrap();
        let first = grep.candidate(page, 0);
        assert_eq!(&page[first..first + 6], b"System");
        let second = grep.candidate(page, first + 1);
        assert_eq!(&page[second..second + 6], b"base64");
        assert_eq!(grep.candidate(page, second + 1), page.len());
        grep.restart();
        assert_eq!(grep.candidate(page, 0), first);
        assert_eq!(Grep::new("\"/\n", false).unwrap().candidate(page, 5), 5);
    }

    #[test]
    fn case_counts_or_does_not() {
        assert!(!Grep::new("abc", false).unwrap().is_in(b"xABCx"));
        assert!(Grep::new("żB.", true).unwrap().is_in("Żb.".as_bytes()));
        assert!(!Grep::new("a.c", true).unwrap().is_in(b"abc"));
        assert!(Grep::new("", false).is_err());
    }
}
