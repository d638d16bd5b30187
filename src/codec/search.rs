//! Finds the lines that could be an evaluation, many gigabytes a second.
//!
//! Most of a log is something else, so most of it is never looked at line by line. The search is *sound*: a line
//! without any of these byte strings is no evaluation, however it was written.
//!
//! * `valuat` stands in `Evaluating code` and in `code.evaluate`: one of them is in every record of an evaluation that
//!   writes its letters as they are.
//! * `\u00`, and a digit from 2 to 7 behind it: JSON can write any of those letters as `\u00XX`, and in no other way.
//!   Where a record stands in a string of another one, that is `\\u00XX`, which holds the same bytes.
//! * ` code=` in a line that can begin a text record: raw source may stand between that line and the one with
//!   `Evaluating code`.

use memchr::memmem::Finder;

/// The next candidates in one window of lines.
#[derive(Debug)]
pub struct Search {
    word: Needle,
    escape: Needle,
    code: Finder<'static>,
}

#[derive(Debug)]
struct Needle {
    finder: Finder<'static>,
    /// Offset of the next hit, once it has been looked for.
    next: Option<usize>,
}

impl Default for Search {
    fn default() -> Search {
        let needle = |bytes| Needle { finder: Finder::new(bytes), next: None };
        Search { word: needle("valuat"), escape: needle("\\u00"), code: Finder::new(" code=") }
    }
}

impl Search {
    /// Begins with a new window.
    pub fn restart(&mut self) {
        self.word.next = None;
        self.escape.next = None;
    }

    /// Offset of the first letter of an evaluation at or behind `from`, or the window's length. Calls for one window
    /// have to come in ascending order.
    pub fn next(&mut self, window: &[u8], from: usize) -> usize {
        let word = self.word.advance(window, from, |_| true);
        let is_letter = |at| matches!(window.get(at + 4), Some(b'2'..=b'7'));
        word.min(self.escape.advance(window, from, is_letter))
    }

    /// Whether raw source can begin in this line.
    #[inline]
    pub fn begins_source(&self, line: &[u8]) -> bool {
        matches!(line.first(), Some(b'0'..=b'9' | 0x1b)) && self.code.find(line).is_some()
    }
}

impl Needle {
    fn advance(&mut self, window: &[u8], from: usize, fits: impl Fn(usize) -> bool) -> usize {
        if let Some(known) = self.next.filter(|&known| known >= from) {
            return known;
        }
        let mut at = from;
        let hit = loop {
            match self.finder.find(window.get(at..).unwrap_or_default()) {
                None => break window.len(),
                Some(hit) if fits(at + hit) => break at + hit,
                Some(hit) => at += hit + 1,
            }
        };
        self.next = Some(hit);
        hit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every way JSON has to write `text`, chosen by the bits of `how`.
    fn written(text: &str, how: u32) -> String {
        text.chars()
            .enumerate()
            .map(
                |(at, c)| {
                    if how >> (at % 32) & 1 == 1 { format!("\\u{:04x}", c as u32) } else { c.to_string() }
                },
            )
            .collect()
    }

    proptest! {
        #[test]
        fn an_evaluation_is_found_however_it_is_written(how in any::<u32>(), before in "[ -~é]{0,80}", event in any::<bool>()) {
            let needle = written(if event { "code.evaluate" } else { "Evaluating code" }, how);
            let chunk = format!("{before}{needle} behind");
            let hit = Search::default().next(chunk.as_bytes(), 0);
            prop_assert!(hit < before.len() + needle.len(), "{chunk}");
        }

        #[test]
        fn an_evaluation_is_found_in_any_number_of_wrappers(how in any::<u32>(), event in any::<bool>(), again in prop::collection::vec(any::<u32>(), 0..4)) {
            let mut line = written(if event { "code.evaluate" } else { "Evaluating code" }, how);
            for how in again {
                // What has to be escaped is; of the rest, whatever a wrapper likes to.
                let text = serde_json::to_string(&line).unwrap();
                let text = &text[1..text.len() - 1];
                line = if text.contains('\\') { text.to_owned() } else { written(text, how) };
            }
            let hit = Search::default().next(line.as_bytes(), 0);
            prop_assert!(hit < line.len(), "{line}");
        }
    }

    #[test]
    fn hits_come_in_order_and_source_begins_only_behind_a_stamp() {
        let window = b"Evaluating\n\\u0076\\u0007\n";
        let mut search = Search::default();
        assert_eq!(search.next(window, 0), 1);
        assert_eq!(search.next(window, 2), 11);
        assert_eq!(search.next(window, 12), window.len());
        assert!(search.begins_source(b"2025 code=x") && search.begins_source(b"\x1b[22m2025 code="));
        assert!(!search.begins_source(b"{\"a\":\" code=\"}") && !search.begins_source(b"2025 encode=x"));
    }
}
