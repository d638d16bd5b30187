//! Reads string literals as Elixir's `inspect` prints them, whole or cut.
//!
//! Three things cut a literal: Elixir's limit on strings (`"..." <> ...`), its limit on bytes (`<<1, 2, ...>>`), and
//! whoever cut the text itself, anywhere, even inside an escape or a number. What is certain up to the cut is kept,
//! nothing is guessed.

use super::chars::unescape;
use crate::event::json::scan::plain_run;

/// A literal that was read from the front of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Literal {
    /// The bytes that it stands for, up to the cut where there is one.
    pub bytes: Vec<u8>,
    /// How it is written.
    pub form: Form,
    /// Whether it ends where the source did.
    pub extent: Extent,
    /// Length in bytes of the literal's text.
    pub len: usize,
}

/// How a literal is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `"..."`; so many characters, as Elixir counts them for its limit (`\#{` is one).
    String {
        /// The count.
        chars: usize,
    },
    /// `<<...>>`; so many bytes.
    Bytes {
        /// The count.
        items: usize,
    },
}

/// Whether a literal is all of its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// It is.
    Whole,
    /// Elixir cut it at a limit, and said so by `...`.
    Limited,
    /// The text ends, or goes wrong, before the literal does.
    Broken,
}

/// Reads the literal at the front of `text`; none where there is no literal at all.
pub fn read_literal(text: &[u8]) -> Option<Literal> {
    match text {
        [b'"', ..] => Some(read_string(text)),
        [b'<', b'<', ..] => Some(read_bytes(text)),
        _ => None,
    }
}

fn read_string(text: &[u8]) -> Literal {
    const LIMITED: &[u8] = b" <> ...";
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 1;
    let mut escapes_over = 0;
    let extent = loop {
        let end = plain_run(text, at);
        bytes.extend_from_slice(text.get(at..end).unwrap_or_default());
        at = end;
        match text.get(at) {
            None => break Extent::Broken,
            Some(b'"' | b'\\') => {}
            Some(&control) => {
                bytes.push(control);
                at += 1;
                continue;
            }
        }
        if text.get(at) == Some(&b'"') {
            at += 1;
            let limited = text.get(at..).is_some_and(|rest| rest.starts_with(LIMITED));
            at += if limited { LIMITED.len() } else { 0 };
            break if limited { Extent::Limited } else { Extent::Whole };
        }
        let Some(taken) = read_escape(text.get(at..).unwrap_or_default(), &mut bytes) else {
            break Extent::Broken;
        };
        // `\#` and the `{` behind it are one character to Elixir's limit.
        escapes_over += usize::from(text.get(at + 1..at + 3) == Some(b"#{"));
        at += taken;
    };
    let chars = bytes.iter().filter(|&&b| b & 0xC0 != 0x80).count() - escapes_over;
    Literal { bytes, form: Form::String { chars }, extent, len: at }
}

/// Decodes the escape at the front of `text`; gives its length, or none where it is no whole escape.
fn read_escape(text: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let letter = *text.get(1)?;
    if let Some(byte) = unescape(letter) {
        out.push(byte);
        return Some(2);
    }
    let (digits, taken) = match (letter, text.get(2)) {
        (b'0', _) => (&b"0"[..], 2),
        // An output without UTF-8 writes what it can't print as `\x{1F389}`.
        (b'x' | b'u', Some(b'{')) => {
            let digits = text.get(3..)?;
            let len = digits.iter().take(7).position(|&b| b == b'}')?;
            (digits.get(..len)?, len + 4)
        }
        (b'u', _) => (text.get(2..6)?, 6),
        _ => return None,
    };
    let code_point = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    out.extend_from_slice(char::from_u32(code_point)?.encode_utf8(&mut [0; 4]).as_bytes());
    Some(taken)
}

fn read_bytes(text: &[u8]) -> Literal {
    let mut bytes = Vec::new();
    let mut at = 2;
    let extent = loop {
        let rest = text.get(at..).unwrap_or_default();
        if rest.starts_with(b">>") && (bytes.is_empty() || at > 2) {
            at += 2;
            break Extent::Whole;
        }
        if rest.starts_with(b"...>>") {
            at += 5;
            break Extent::Limited;
        }
        let digits = rest.iter().take(4).take_while(|b| b.is_ascii_digit()).count();
        let number =
            rest.get(..digits).and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u8>().ok());
        let behind = rest.get(digits..).unwrap_or_default();
        // A number counts only with what follows it: `<<82, 10` may have been `<<82, 101`.
        match number {
            Some(number) if behind.starts_with(b", ") => {
                bytes.push(number);
                at += digits + 2;
            }
            Some(number) if behind.starts_with(b">>") => {
                bytes.push(number);
                at += digits;
            }
            _ => break Extent::Broken,
        }
    };
    let items = bytes.len();
    Literal { bytes, form: Form::Bytes { items }, extent, len: at }
}

#[cfg(test)]
mod tests {
    use super::super::write::write_literal;
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> (Vec<u8>, Extent, usize) {
        let literal = read_literal(text.as_bytes()).unwrap();
        (literal.bytes, literal.extent, literal.len)
    }

    #[test]
    fn literals_read_as_elixir_means_them() {
        for (text, source) in [
            (r#""""#, ""),
            (r#""a\"b\\\#{c} # #{""#, "a\"b\\#{c} # #{"),
            (r#""\n\r\t\v\b\f\e\d\a""#, "\n\r\t\u{b}\u{8}\u{c}\u{1b}\u{7f}\u{7}"),
            (r#""\u200D\uFEFF""#, "\u{200D}\u{FEFF}"),
            (r#""\x{5C71} é""#, "\u{5C71} é"),
            ("<<0>>", "\0"),
            ("<<>>", ""),
            ("<<104, 105>>", "hi"),
        ] {
            assert_eq!(read(text), (source.as_bytes().to_vec(), Extent::Whole, text.len()), "{text}");
        }
        assert_eq!(read(r#""ab" rest"#), (b"ab".to_vec(), Extent::Whole, 4));
        assert_eq!(read_literal(b"nil"), None);
    }

    #[test]
    fn a_cut_literal_keeps_what_is_certain() {
        for (text, source, extent) in [
            (r#""abc" <> ..."#, "abc", Extent::Limited),
            ("<<97, 98, ...>>", "ab", Extent::Limited),
            (r#""abc\"#, "abc", Extent::Broken),
            (r#""abc\u20"#, "abc", Extent::Broken),
            (r#""abc (truncated)"#, "abc (truncated)", Extent::Broken),
            ("<<97, 98, 9", "ab", Extent::Broken),
            ("<<97, 98,", "a", Extent::Broken),
            ("<<97, 300>>", "a", Extent::Broken),
        ] {
            let (bytes, found, _) = read(text);
            assert_eq!((bytes.as_slice(), found), (source.as_bytes(), extent), "{text}");
        }
    }

    #[test]
    fn interpolation_is_one_character_to_the_limit() {
        let literal = read_literal(br#""\#{x} #{""#).unwrap();
        assert_eq!(literal.form, Form::String { chars: 6 });
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(source in any::<Vec<u8>>()) {
            let mut text = Vec::new();
            write_literal(&source, &mut text);
            let literal = read_literal(&text).unwrap();
            prop_assert_eq!((literal.bytes, literal.extent, literal.len), (source, Extent::Whole, text.len()));
        }

        #[test]
        fn printable_text_reads_back_and_every_cut_of_it_is_a_prefix(source in "[a-c\"\\\\#{\n\u{200D}\u{7f}é🎉]{0,12}", cut in 0usize..40) {
            let mut text = Vec::new();
            write_literal(source.as_bytes(), &mut text);
            prop_assert_eq!(&read_literal(&text).unwrap().bytes, source.as_bytes());
            if cut > 0 && cut < text.len() {
                let part = read_literal(&text[..cut]).unwrap();
                prop_assert_eq!(part.extent, Extent::Broken);
                prop_assert!(source.as_bytes().starts_with(&part.bytes));
            }
        }

        #[test]
        fn any_text_is_read_without_panic(text in any::<Vec<u8>>()) {
            read_literal(&text);
            read_literal(&[b"\"", &text[..]].concat());
            read_literal(&[b"<<", &text[..]].concat());
        }
    }
}
