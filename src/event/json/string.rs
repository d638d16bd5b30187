//! JSON strings to bytes and back.
//!
//! The canonical form that [`escape_into`] writes is the one of Livebook's own encoder (Jason, as `logger_json` uses
//! it): the short escapes where there is one, `\u00XX` in upper case for other control characters, everything else
//! raw. A Livebook string therefore keeps its bytes on its way through.

use super::scan::{hex4, low_surrogate, plain_run};
use memchr::memchr;

/// Appends the string that `text` (what stands between the quotes) stands for.
///
/// `text` comes from a validated record; what could not be valid is passed over as it stands.
pub fn unescape_into(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = memchr(b'\\', rest) {
        let (plain, escape) = rest.split_at(at);
        out.extend_from_slice(plain);
        let taken = unescape_one(escape, out);
        rest = escape.get(taken..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

/// Decodes the escape at the front of `escape`; gives its length.
fn unescape_one(escape: &[u8], out: &mut Vec<u8>) -> usize {
    let byte = match escape.get(1) {
        Some(b'n') => b'\n',
        Some(b't') => b'\t',
        Some(b'r') => b'\r',
        Some(b'b') => 0x08,
        Some(b'f') => 0x0C,
        Some(b'u') => return unescape_unit(escape, out),
        Some(&byte) => byte,
        None => b'\\',
    };
    out.push(byte);
    2
}

fn unescape_unit(escape: &[u8], out: &mut Vec<u8>) -> usize {
    let Some(high) = hex4(escape, 2) else {
        out.push(b'\\');
        return 1;
    };
    let (code_point, taken) = match low_surrogate(escape, 6) {
        Some(low) if (0xD800..0xDC00).contains(&high) => {
            (0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00), 12)
        }
        _ => (high, 6),
    };
    let char = char::from_u32(code_point).unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
    taken
}

/// Appends `string` as JSON text without quotes. Its bytes have to be valid UTF-8.
pub fn escape_into(string: &[u8], out: &mut Vec<u8>) {
    out.reserve(string.len() + 16);
    let mut at = 0;
    while at < string.len() {
        let end = plain_run(string, at);
        out.extend_from_slice(string.get(at..end).unwrap_or_default());
        if let Some(&byte) = string.get(end) {
            escape_byte(byte, out);
        }
        at = end + 1;
    }
}

/// Appends `string` as JSON text with its quotes. Its bytes have to be valid UTF-8.
pub fn quote_into(string: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    escape_into(string, out);
    out.push(b'"');
}

/// Appends the escape of a byte that can't stand in JSON text as it is.
fn escape_byte(byte: u8, out: &mut Vec<u8>) {
    let short = match byte {
        b'"' => b'"',
        b'\\' => b'\\',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0C => b'f',
        _ => {
            const HEX: [u8; 16] = *b"0123456789ABCDEF";
            let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_escaped_reads_back(string in any::<String>()) {
            let mut text = Vec::new();
            quote_into(string.as_bytes(), &mut text);
            prop_assert_eq!(serde_json::from_slice::<String>(&text).unwrap(), string.clone());
            let mut back = Vec::new();
            unescape_into(&text[1..text.len() - 1], &mut back);
            prop_assert_eq!(back, string.as_bytes());
        }

        #[test]
        fn other_encoders_escapes_read_as_theirs(string in any::<String>()) {
            let ascii: String = string.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            let mut back = Vec::new();
            unescape_into(ascii.as_bytes(), &mut back);
            prop_assert_eq!(back, string.as_bytes());
        }

        #[test]
        fn broken_text_neither_panics_nor_loops(text in proptest::collection::vec(any::<u8>(), 0..40)) {
            unescape_into(&text, &mut Vec::new());
        }
    }

    #[test]
    fn control_characters_are_written_as_livebook_writes_them() {
        let mut text = Vec::new();
        escape_into(b"\x00\x1f\x7f\x08\x0c\"\\\n", &mut text);
        assert_eq!(text, b"\\u0000\\u001F\x7f\\b\\f\\\"\\\\\\n");
    }
}
