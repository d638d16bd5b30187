//! One pass over a JSON text: is it valid, and where do its members stand.
//!
//! A log pipeline spends most of its time building trees that nobody asks for. This scanner builds none: it
//! validates the whole text once and hands out the spans of the members at the top and inside `metadata`. Everything
//! after it may rely on a span being one valid JSON value, whose strings decode to UTF-8.
//!
//! It accepts exactly RFC 8259 with two limits of our own: [`DEPTH_MAX`] levels of nesting (the scanner keeps its
//! place in the bits of one integer and never recurses), and no unpaired surrogate in a string, since no UTF-8 text
//! could stand for it.

use super::Flaw;
use super::block::{BLOCK, special};

/// Levels of arrays and objects inside each other; a deeper text is a [`Flaw::TooDeep`]. `serde_json` stops there too.
pub const DEPTH_MAX: u32 = 128;

/// What stands between two quotes, or a whole value: a piece of the scanned text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset after the last byte.
    pub end: usize,
    /// What is known of the escapes in it, where it is a string.
    pub escapes: Escapes,
}

/// How a string's text differs from the string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Escapes {
    /// Not at all: text and string are the same bytes.
    None,
    /// In the one way that [`string`](super::string) writes: where the text came from outside, by the short escapes
    /// alone (`\"`, `\\`, `\n`, ...), which every encoder writes alike.
    Short,
    /// By `\u` or `\/`, which encoders write differently.
    Free,
}

/// Reads one JSON text from the front.
pub struct Scan<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    /// Starts at the first byte of `text`, which has to be valid UTF-8 (the scanner looks at ASCII only).
    pub fn new(text: &'a [u8]) -> Self {
        Scan { text, at: 0 }
    }

    /// Offset of the next byte: where a flaw was found.
    pub fn offset(&self) -> usize {
        self.at
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Passes over white space and gives the byte that follows it.
    pub fn next_token(&mut self) -> Option<u8> {
        loop {
            match self.peek()? {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                byte => return Some(byte),
            }
        }
    }

    /// Takes `byte`, after white space.
    #[inline(always)]
    pub fn expect(&mut self, byte: u8, wanted: &'static str) -> Result<(), Flaw> {
        if self.next_token() == Some(byte) {
            self.at += 1;
            return Ok(());
        }
        Err(Flaw::Syntax { at: self.at, wanted })
    }

    /// Takes `byte` where it comes next, after white space.
    #[inline(always)]
    pub fn take(&mut self, byte: u8) -> bool {
        let found = self.next_token() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Takes the end of the text, after white space.
    pub fn end(&mut self) -> Result<(), Flaw> {
        match self.next_token() {
            None => Ok(()),
            Some(_) => Err(Flaw::Syntax { at: self.at, wanted: "the end of the record" }),
        }
    }

    /// Takes a member's name and its colon; the piece is what stands between the quotes. Inlined like
    /// [`Scan::value`]: since values are read here as well, the compiler does not do it by itself.
    #[inline(always)]
    pub fn name(&mut self) -> Result<Piece, Flaw> {
        self.expect(b'"', "a member's name in quotes")?;
        let name = self.string()?;
        self.expect(b':', "`:` after a member's name")?;
        Ok(name)
    }

    /// Takes one value of any kind, quotes and brackets included. Inlined where records are indexed, which is where
    /// the time goes; elsewhere it does no harm.
    #[inline(always)]
    pub fn value(&mut self) -> Result<Piece, Flaw> {
        let first = self.next_token();
        let start = self.at;
        let mut escapes = Escapes::None;
        match first {
            Some(b'"') => {
                self.at += 1;
                escapes = self.string()?.escapes;
            }
            Some(b'{' | b'[') => self.container()?,
            _ => self.scalar()?,
        }
        Ok(Piece { start, end: self.at, escapes })
    }

    /// Takes an array or object by walking its tokens; `inside` holds a bit for each open one, set for an object.
    fn container(&mut self) -> Result<(), Flaw> {
        let mut inside: u128 = 0;
        let mut depth: u32 = 0;
        loop {
            match self.next_token() {
                Some(open @ (b'{' | b'[')) => {
                    self.at += 1;
                    depth += 1;
                    if depth > DEPTH_MAX - 2 {
                        return Err(Flaw::TooDeep { at: self.at });
                    }
                    inside = (inside << 1) | u128::from(open == b'{');
                    if self.take(if open == b'{' { b'}' } else { b']' }) {
                        inside >>= 1;
                        depth -= 1;
                    } else {
                        if open == b'{' {
                            self.name()?;
                        }
                        continue;
                    }
                }
                Some(b'"') => {
                    self.at += 1;
                    self.string()?;
                }
                _ => self.scalar()?,
            }
            // A value is complete: close what ends here, or go to the next member.
            loop {
                if depth == 0 {
                    return Ok(());
                }
                let object = inside & 1 == 1;
                if self.take(b',') {
                    if object {
                        self.name()?;
                    }
                    break;
                }
                let (close, wanted) = if object { (b'}', "`,` or `}`") } else { (b']', "`,` or `]`") };
                self.expect(close, wanted)?;
                inside >>= 1;
                depth -= 1;
            }
        }
    }

    fn scalar(&mut self) -> Result<(), Flaw> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        for word in [&b"true"[..], b"false", b"null"] {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(());
            }
        }
        self.number()
    }

    fn number(&mut self) -> Result<(), Flaw> {
        let start = self.at;
        let wrong = |at| Err(Flaw::Syntax { at, wanted: "a value" });
        self.at += usize::from(self.peek() == Some(b'-'));
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return wrong(start),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if !self.peek().is_some_and(|b| b.is_ascii_digit()) {
                return wrong(self.at);
            }
            self.digits();
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            if !self.peek().is_some_and(|b| b.is_ascii_digit()) {
                return wrong(self.at);
            }
            self.digits();
        }
        Ok(())
    }

    fn digits(&mut self) {
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
    }

    /// Takes the rest of a string whose opening quote is behind us, and its closing quote.
    fn string(&mut self) -> Result<Piece, Flaw> {
        let (text, start) = (self.text, self.at);
        let mut escapes = Escapes::None;
        let mut at = start;
        while let Some(block) = text.get(at..).and_then(|rest| rest.first_chunk::<BLOCK>()) {
            let mut hits = special(block);
            let mut next = BLOCK;
            while hits != 0 {
                let bit = hits.trailing_zeros() as usize;
                match text.get(at + bit..) {
                    Some([b'\\', b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't', ..]) => {
                        escapes = escapes.max(Escapes::Short);
                        next = bit + 2;
                    }
                    Some([b'"', ..]) => {
                        self.at = at + bit + 1;
                        return Ok(Piece { start, end: at + bit, escapes });
                    }
                    Some([b'\\', ..]) => {
                        escapes = Escapes::Free;
                        next = bit + self.free_escape(at + bit)?;
                    }
                    _ => return Err(Flaw::Control { at: at + bit }),
                }
                // What an escape has taken may reach into the next block.
                hits = if next < BLOCK { hits & (u32::MAX << next) } else { 0 };
            }
            at += next.max(BLOCK);
        }
        self.string_tail(start, at, escapes)
    }

    /// The rest of a string that ends less than a block in front of the end of the text.
    fn string_tail(&mut self, start: usize, mut at: usize, mut escapes: Escapes) -> Result<Piece, Flaw> {
        loop {
            match self.text.get(at..) {
                Some([b'"', ..]) => {
                    self.at = at + 1;
                    return Ok(Piece { start, end: at, escapes });
                }
                Some([b'\\', b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't', ..]) => {
                    escapes = escapes.max(Escapes::Short);
                    at += 2;
                }
                Some([b'\\', ..]) => {
                    escapes = Escapes::Free;
                    at += self.free_escape(at)?;
                }
                Some([0..0x20, ..]) => return Err(Flaw::Control { at }),
                Some([_, ..]) => at += 1,
                _ => {
                    return Err(Flaw::Syntax {
                        at: self.text.len(),
                        wanted: "the closing quote of a string",
                    });
                }
            }
        }
    }

    /// Length of `\/` or `\uHHHH` at `at`, which encoders write differently.
    fn free_escape(&self, at: usize) -> Result<usize, Flaw> {
        match self.text.get(at + 1) {
            Some(b'/') => Ok(2),
            Some(b'u') => match hex4(self.text, at + 2).ok_or(Flaw::Escape { at })? {
                0xD800..=0xDBFF => match low_surrogate(self.text, at + 6) {
                    Some(_) => Ok(12),
                    None => Err(Flaw::Surrogate { at }),
                },
                0xDC00..=0xDFFF => Err(Flaw::Surrogate { at }),
                _ => Ok(6),
            },
            _ => Err(Flaw::Escape { at }),
        }
    }
}

/// The unit of a `\uDC00`-`\uDFFF` escape that stands at `at`.
pub(super) fn low_surrogate(text: &[u8], at: usize) -> Option<u32> {
    let escape = text.get(at..at + 2)?;
    if escape != b"\\u" {
        return None;
    }
    hex4(text, at + 2).filter(|unit| (0xDC00..=0xDFFF).contains(unit))
}

/// Four hexadecimal digits at `at`, in either case.
pub(super) fn hex4(text: &[u8], at: usize) -> Option<u32> {
    let mut unit = 0;
    for &digit in text.get(at..at + 4)? {
        unit = (unit << 4) | char::from(digit).to_digit(16)?;
    }
    Some(unit)
}

/// Offset of the first quote, backslash or control character from `at` on, or of the end.
#[inline]
pub fn plain_run(text: &[u8], mut at: usize) -> usize {
    while let Some(block) = text.get(at..).and_then(|rest| rest.first_chunk::<BLOCK>()) {
        let hits = special(block);
        if hits != 0 {
            return at + hits.trailing_zeros() as usize;
        }
        at += BLOCK;
    }
    at + plain_words(text.get(at..).unwrap_or_default())
}

/// The same for less than a block: names and short strings are as frequent as long ones.
fn plain_words(text: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    // The lowest bit that is set is exact; above it, a borrow may have set more.
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & (ONES * 0x80);
    let equals = |word: u64, byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    let mut at = 0;
    while let Some(word) = text.get(at..).and_then(|rest| rest.first_chunk()) {
        let word = u64::from_le_bytes(*word);
        let hits = below(word, 0x20) | equals(word, b'"') | equals(word, b'\\');
        if hits != 0 {
            return at + hits.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().position(|&b| b == b'"' || b == b'\\' || b < 0x20).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(text: &[u8]) -> Result<(), Flaw> {
        let mut scan = Scan::new(text);
        scan.value()?;
        scan.end()
    }

    #[test]
    fn accepts_and_refuses_as_the_standard_says() {
        for good in [
            "{}",
            "[]",
            " [ 1 , -0.5e+3 , true , null ] ",
            r#""\u00e9\/\b""#,
            r#""\ud83c\udf89""#,
            "0",
            "-0",
            r#"{"a":{"b":[{}]}}"#,
            "\"\u{7f}\u{2028}\"",
        ] {
            assert_eq!(whole(good.as_bytes()), Ok(()), "{good}");
        }
        for bad in [
            "",
            "{",
            "[1,]",
            "{,}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            "01",
            "1.",
            "1e",
            "+1",
            "nul",
            "\"\n\"",
            r#""\x""#,
            r#""\ud800""#,
            r#""\udc00""#,
            r#""\ud800\u0041""#,
            r#""\u12g4""#,
            "[1}",
            "1 2",
            "{\"a\":1,}",
            "\"",
        ] {
            assert!(whole(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_hundred_thousand_levels_are_a_flaw_and_no_overflow() {
        let deep = "[".repeat(100_000);
        assert!(matches!(whole(deep.as_bytes()), Err(Flaw::TooDeep { .. })));
        let fits = format!("{}{}", "[".repeat(126), "]".repeat(126));
        assert_eq!(whole(fits.as_bytes()), Ok(()));
    }

    proptest! {
        #[test]
        fn a_plain_run_ends_at_the_first_special_byte(bytes in proptest::collection::vec(
            prop_oneof![Just(b'"'), Just(b'\\'), 0x1E..0x23_u8, 0x5A..0x5F_u8, 0x7E..0x82_u8, any::<u8>()], 0..80), at in 0..9_usize) {
            let at = at.min(bytes.len());
            let special = |&b: &u8| b == b'"' || b == b'\\' || b < 0x20;
            let end = bytes[at..].iter().position(special).map_or(bytes.len(), |len| at + len);
            prop_assert_eq!(plain_run(&bytes, at), end);
        }

        #[test]
        fn agrees_with_serde_json(text in r#"([\[\]{}:,"\\0-9a-fntu.eE+\- ]|\\u[dD][89abAB][0-9]{2}|"a":){0,24}"#) {
            // serde_json refuses numbers that overflow an f64; that is no matter of grammar.
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            let range = theirs.as_ref().is_err_and(|e| e.to_string().contains("out of range"));
            prop_assert!(range || whole(text.as_bytes()).is_ok() == theirs.is_ok(), "{text}: {theirs:?}");
        }

        #[test]
        fn finds_the_first_special_byte(text in proptest::collection::vec(any::<u8>(), 0..100)) {
            let slow = text.iter().position(|&b| b == b'"' || b == b'\\' || b < 0x20).unwrap_or(text.len());
            prop_assert_eq!(plain_run(&text, 0), slow);
        }
    }
}
