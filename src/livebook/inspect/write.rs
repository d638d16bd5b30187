//! Writes a string as Elixir's `inspect` would, byte for byte (Elixir 1.18 to 1.20).

use super::chars::{is_confusing, is_printable, short_escape};

/// Appends `source` as a literal: in quotes where every character is printable, as `<<...>>` otherwise. Nothing is
/// cut off: Elixir's limits are no part of this.
pub fn write_literal(source: &[u8], out: &mut Vec<u8>) {
    match std::str::from_utf8(source) {
        Ok(text) if text.chars().all(is_printable) => write_string(text, out),
        _ => write_bytes(source, out),
    }
}

/// Whether `inspect` prints `source` between quotes.
pub fn is_string_printable(source: &[u8]) -> bool {
    std::str::from_utf8(source).is_ok_and(|text| text.chars().all(is_printable))
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        if let Some(letter) = short_escape(char) {
            out.extend_from_slice(&[b'\\', letter]);
        } else if char == '#' && chars.peek() == Some(&'{') {
            out.extend_from_slice(b"\\#");
        } else if is_confusing(char) {
            out.extend_from_slice(format!("\\u{:04X}", u32::from(char)).as_bytes());
        } else {
            out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    out.push(b'"');
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"<<");
    for (at, byte) in bytes.iter().enumerate() {
        let separator = if at == 0 { "" } else { ", " };
        out.extend_from_slice(format!("{separator}{byte}").as_bytes());
    }
    out.extend_from_slice(b">>");
}
