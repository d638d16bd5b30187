//! From the JSON text of a legacy message straight to the JSON text of its source.
//!
//! A legacy message is a source escaped twice, by `inspect` and by JSON. Undoing both and escaping for JSON again is
//! four passes over the bytes; here it is one, for the form that Livebook writes. Anything else (a cut literal,
//! collapsed white space, another encoder's escapes, bytes) is left to the general way, which gives the same.

use crate::event::json::block::{BLOCK, backslashes};

/// What stands in front of the mode, as Livebook's encoder writes it.
const HEAD: &[u8] = b"Evaluating code\\n  Session mode: ";
/// What stands between the mode and the literal's opening quote.
const MIDDLE: &[u8] = b"\\n  Code: \\\"";

/// The mode, and the source as JSON text without quotes, of the legacy message whose JSON text is `inner`.
pub fn transcode(inner: &[u8]) -> Option<(&[u8], Vec<u8>)> {
    let rest = inner.strip_prefix(HEAD)?;
    let mode_len = rest.iter().take_while(|b| b.is_ascii_lowercase()).count();
    let (mode, rest) = rest.split_at_checked(mode_len)?;
    let literal = rest.strip_prefix(MIDDLE)?.strip_suffix(b"\\\"")?;
    let source = collapse(literal)?;
    (!mode.is_empty()).then_some((mode, source))
}

/// Takes away one level of escapes, from the JSON text of an `inspect` literal's inside to the JSON text of the
/// string that it stands for.
fn collapse(literal: &[u8]) -> Option<Vec<u8>> {
    // The text only gets shorter, but for `\v` and its like (3 bytes to 6); a block is always written whole.
    let mut out = vec![0; literal.len() * 2 + BLOCK];
    let (mut from, mut to) = (0, 0);
    loop {
        while let Some(block) = literal.get(from..).and_then(|rest| rest.first_chunk::<BLOCK>()) {
            out.get_mut(to..)?.first_chunk_mut::<BLOCK>()?.copy_from_slice(block);
            let plain = backslashes(block).trailing_zeros() as usize;
            from += plain;
            to += plain;
            if plain < BLOCK {
                break;
            }
        }
        let Some(&byte) = literal.get(from) else { break };
        if byte != b'\\' {
            *out.get_mut(to)? = byte;
            from += 1;
            to += 1;
            continue;
        }
        let (taken, written) = escape(literal.get(from..)?, out.get_mut(to..)?)?;
        from += taken;
        to += written;
    }
    out.truncate(to);
    Some(out)
}

/// Reads one doubly escaped character; gives the length of what was read and written.
fn escape(text: &[u8], out: &mut [u8]) -> Option<(usize, usize)> {
    // A quote that JSON alone escapes ends the literal, and `strip_suffix` has taken that one off.
    let rest = text.strip_prefix(b"\\\\")?;
    let (taken, written): (usize, &[u8]) = match rest {
        [b'n', ..] => (3, b"\\n"),
        [b'\\', b'"', ..] => (4, b"\\\""),
        [b'\\', b'\\', ..] => (4, b"\\\\"),
        [b'#', ..] => (3, b"#"),
        [b't', ..] => (3, b"\\t"),
        [b'r', ..] => (3, b"\\r"),
        [b'b', ..] => (3, b"\\b"),
        [b'f', ..] => (3, b"\\f"),
        [b'v', ..] => (3, b"\\u000B"),
        [b'e', ..] => (3, b"\\u001B"),
        [b'a', ..] => (3, b"\\u0007"),
        [b'd', ..] => (3, b"\x7f"),
        _ => return None,
    };
    out.get_mut(..written.len())?.copy_from_slice(written);
    Some((taken, written.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::json::string::escape_into;
    use crate::livebook::legacy::{read_legacy, write_legacy};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn one_pass_gives_what_four_give(source in "[a-d\"\\\\#{}\n\t\r\u{b}\u{1b}\u{7f}\u{7}\u{8}\u{c}é🎉\u{200d}]{0,60}") {
            let mut message = Vec::new();
            write_legacy(b"default", source.as_bytes(), &mut message);
            let (mut inner, mut expected) = (Vec::new(), Vec::new());
            escape_into(&message, &mut inner);
            escape_into(source.as_bytes(), &mut expected);
            match transcode(&inner) {
                Some(found) => prop_assert_eq!(found, (&b"default"[..], expected)),
                None => prop_assert!(source.contains('\u{200d}'), "{source}"),
            }
        }

        #[test]
        fn what_it_accepts_is_what_the_general_way_reads(literal in r#"([a-c]|\\\\n|\\\\\\"|\\\\\\\\|\\"|\\n|\\\\|#|é){0,30}"#) {
            let inner = format!("Evaluating code\\n  Session mode: app\\n  Code: \\\"{literal}\\\"");
            let message: Result<String, _> = serde_json::from_str(&format!("\"{inner}\""));
            if let (Some((_, found)), Ok(message)) = (transcode(inner.as_bytes()), message) {
                let legacy = read_legacy(message.as_bytes()).unwrap();
                let mut expected = Vec::new();
                escape_into(&legacy.code.bytes, &mut expected);
                prop_assert_eq!(found, expected);
                prop_assert_eq!(legacy.code.extent, crate::livebook::inspect::Extent::Whole);
            }
        }
    }
}
