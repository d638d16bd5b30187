//! Finds the lines that could be an evaluation, many gigabytes a second.
//!
//! Most of a log is something else, so most of it is never looked at line by line. The search is *sound*: a line
//! without any of these byte strings is no evaluation, however it was written.
//!
//! * `valuat` stands in `Evaluating code` and in `code.evaluate`: one of them is in every record of an evaluation that
//!   writes its letters as they are.
//! * `\u00`, and a digit from 2 to 7 behind it: JSON can write any of those letters as `\u00XX`, and in no other way.
//! * ` code=`: in a text record, raw source may stand between the first line and the line with `Evaluating code`.

use memchr::memmem::Finder;

/// The next candidates in one chunk of lines.
#[derive(Debug)]
pub struct Search {
    word: Finder<'static>,
    escape: Finder<'static>,
    code: Finder<'static>,
    next: [Option<usize>; 3],
}

impl Default for Search {
    fn default() -> Search {
        Search {
            word: Finder::new("valuat"),
            escape: Finder::new("\\u00"),
            code: Finder::new(" code="),
            next: [None; 3],
        }
    }
}

impl Search {
    /// Begins with a new chunk.
    pub fn restart(&mut self) {
        self.next = [None; 3];
    }

    /// Offset of the first candidate at or behind `from`, or the chunk's length. Calls for one chunk have to come in
    /// ascending order.
    pub fn next(&mut self, chunk: &[u8], from: usize) -> usize {
        let [word, escape, code] = &mut self.next;
        let word = advance(word, chunk, from, &self.word, |_| true);
        let escape =
            advance(escape, chunk, from, &self.escape, |at| matches!(chunk.get(at + 4), Some(b'2'..=b'7')));
        let code = advance(code, chunk, from, &self.code, |at| begins_with_stamp(chunk, at));
        word.min(escape).min(code)
    }
}

/// Moves `next`, the offset of a needle's next hit, to `from` or behind it.
fn advance(
    next: &mut Option<usize>,
    chunk: &[u8],
    from: usize,
    finder: &Finder<'_>,
    fits: impl Fn(usize) -> bool,
) -> usize {
    if let Some(known) = next.filter(|&known| known >= from) {
        return known;
    }
    let mut at = from;
    let hit = loop {
        match finder.find(chunk.get(at..).unwrap_or_default()) {
            None => break chunk.len(),
            Some(hit) if fits(at + hit) => break at + hit,
            Some(hit) => at += hit + 1,
        }
    };
    *next = Some(hit);
    hit
}

/// Whether the line around `at` can be the first of a text record: a digit or a colour comes first.
fn begins_with_stamp(chunk: &[u8], at: usize) -> bool {
    let start =
        chunk.get(..at).and_then(|before| memchr::memrchr(b'\n', before)).map_or(0, |newline| newline + 1);
    matches!(chunk.get(start), Some(b'0'..=b'9' | 0x1b))
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
    }

    #[test]
    fn hits_come_in_order_and_code_counts_only_behind_a_stamp() {
        let chunk = b"{\"a\":\" code=\"}\n2025 code=x\nEvaluating\n\\u0076\\u0007\n";
        let mut search = Search::default();
        let mut hits = Vec::new();
        let mut at = 0;
        while at < chunk.len() {
            let hit = search.next(chunk, at);
            hits.push(hit);
            at = hit + 1;
        }
        assert_eq!(hits, [19, 28, 38, chunk.len()]);
    }
}
