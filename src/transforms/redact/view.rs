//! A source as it reads: its string escapes undone, with the place that each byte came from.
//!
//! A secret may be spelt with escapes (`"gh\u{70}_…"`, a key with `\n` for its line ends), and a cell may hold a JSON
//! document in a string literal. Nobody parses four languages for that: the escapes of Elixir, Erlang, Python, R and
//! JSON are near enough to each other, and what stands outside of literals hardly has any. Where one means something
//! else (a regex), the view reads wrong; the source itself is searched as well, so nothing is missed by it.

/// Bytes, and where in the source each of them stands.
#[derive(Debug)]
pub struct View {
    /// What the source reads as.
    pub bytes: Vec<u8>,
    /// For each byte the offset of what it stands for; one more for the end.
    starts: Vec<u32>,
}

impl View {
    /// Undoes one level of escapes in `text`; none where there is no backslash.
    pub fn of(text: &[u8]) -> Option<View> {
        memchr::memchr(b'\\', text)?;
        let (mut bytes, mut starts) = (Vec::with_capacity(text.len()), Vec::with_capacity(text.len() + 1));
        let mut at = 0;
        while let Some(&byte) = text.get(at) {
            let before = bytes.len();
            let taken = match byte {
                b'\\' => unescape(text.get(at..).unwrap_or_default(), &mut bytes),
                _ => {
                    bytes.push(byte);
                    1
                }
            };
            starts.resize(starts.len() + bytes.len() - before, at as u32);
            at += taken;
        }
        starts.push(text.len() as u32);
        Some(View { bytes, starts })
    }

    /// Undoes another level; places still are those of the first source.
    pub fn deeper(&self) -> Option<View> {
        let mut deeper = View::of(&self.bytes)?;
        for start in &mut deeper.starts {
            *start = self.starts.get(*start as usize).copied().unwrap_or(*start);
        }
        Some(deeper)
    }

    /// Where `start..end` of the view stands in the source.
    pub fn place(&self, start: usize, end: usize) -> (usize, usize) {
        let at = |offset: usize| self.starts.get(offset).copied().unwrap_or_default() as usize;
        (at(start), at(end))
    }
}

/// Undoes the escape at the front of `text`; gives its length. A backslash at the end stands for itself.
fn unescape(text: &[u8], out: &mut Vec<u8>) -> usize {
    let Some(&letter) = text.get(1) else {
        out.push(b'\\');
        return 1;
    };
    match letter {
        b'x' | b'u' | b'U' => return unescape_number(text, letter, out),
        b'0'..=b'7' => {
            let digits = text.iter().skip(1).take(3).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
            let value =
                text.iter().skip(1).take(digits).fold(0, |sum, byte| sum * 8 + u32::from(byte - b'0'));
            push(value, out);
            return 1 + digits;
        }
        // The line goes on: nothing stands for it.
        b'\n' => return 2,
        _ => {}
    }
    out.push(match letter {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b's' => b' ',
        b'a' => 0x07,
        b'b' => 0x08,
        b'v' => 0x0B,
        b'f' => 0x0C,
        b'e' => 0x1B,
        b'd' => 0x7F,
        other => other,
    });
    2
}

/// `\xHH`, `\x{H…}`, `\uHHHH`, `\u{H…}`, `\UHHHHHHHH`.
fn unescape_number(text: &[u8], letter: u8, out: &mut Vec<u8>) -> usize {
    let is_braced = text.get(2) == Some(&b'{');
    let (from, most) = match (is_braced, letter) {
        (true, _) => (3, 8),
        (false, b'x') => (2, 2),
        (false, b'u') => (2, 4),
        (false, _) => (2, 8),
    };
    let digits = text.iter().skip(from).take(most).take_while(|byte| byte.is_ascii_hexdigit()).count();
    let closed = !is_braced || text.get(from + digits) == Some(&b'}');
    let hex = text.get(from..from + digits).and_then(|digits| std::str::from_utf8(digits).ok());
    let value = hex.and_then(|hex| u32::from_str_radix(hex, 16).ok());
    match value {
        Some(value) if closed && digits > 0 => {
            push(value, out);
            from + digits + usize::from(is_braced)
        }
        _ => {
            out.push(letter);
            2
        }
    }
}

fn push(code_point: u32, out: &mut Vec<u8>) {
    let char = char::from_u32(code_point).unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::livebook::inspect::{read_literal, write_literal};
    use proptest::prelude::*;

    fn read(text: &str) -> String {
        String::from_utf8(View::of(text.as_bytes()).unwrap().bytes).unwrap()
    }

    #[test]
    fn escapes_of_four_languages_are_undone() {
        assert_eq!(read(r#"a\"b\\c\n\s\x41\x{1F389}\u0042\u{43}\U00000044\105\/"#), "a\"b\\c\n A🎉BCDE/");
        assert_eq!(read("a\\\nb\\x{zz}\\u\\"), "abx{zz}u\\");
        assert!(View::of(b"plain").is_none());
    }

    #[test]
    fn places_lead_back_through_two_levels() {
        let text = br#"x\\u{41}\"y"#;
        let view = View::of(text).unwrap().deeper().unwrap();
        assert_eq!(view.bytes, b"xA\"y");
        assert_eq!(view.place(1, 2), (1, 8));
        assert_eq!(view.place(1, 4), (1, text.len()));
    }

    proptest! {
        #[test]
        fn a_printed_literal_reads_as_its_source(source in "[a-d\"\\\\#{}\n\t\r\u{b}\u{1b}\u{7f}\u{7}\u{8}\u{c}é🎉\u{200d}]{0,60}") {
            let mut literal = Vec::new();
            write_literal(source.as_bytes(), &mut literal);
            let inner = &literal[1..literal.len() - 1];
            let view = View::of(inner).map_or(inner.to_vec(), |view| view.bytes);
            prop_assert_eq!(&view, &read_literal(&literal).unwrap().bytes);
        }

        #[test]
        fn any_text_has_a_view_whose_places_are_in_it(text in proptest::collection::vec(prop_oneof![Just(b'\\'), any::<u8>()], 0..60)) {
            let mut view = View::of(&text);
            while let Some(now) = view {
                prop_assert_eq!(now.starts.len(), now.bytes.len() + 1);
                prop_assert!(now.starts.is_sorted());
                prop_assert_eq!(now.place(0, now.bytes.len()).1, text.len());
                view = now.deeper();
                prop_assert!(view.as_ref().is_none_or(|deeper| deeper.bytes.len() < now.bytes.len() || deeper.bytes.contains(&b'\\')));
                if view.as_ref().is_some_and(|deeper| deeper.bytes == now.bytes) { break; }
            }
        }
    }
}
