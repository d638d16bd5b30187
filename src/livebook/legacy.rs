//! The legacy message: `Evaluating code\n  Session mode: <mode>\n  Code: <inspect(source)>`.
//!
//! Collectors and web pages collapse its white space, so any run of it separates the parts. Livebook's text format
//! cuts a long message and marks it ` (truncated)`; the literal then has no end.

use super::MESSAGE;
use super::inspect::{Extent, Form, Literal, read_literal, write_literal};

/// How the text format marks a message that it has cut.
const TRUNCATED: &[u8] = b" (truncated)";

/// What a legacy message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Legacy<'a> {
    /// `default`, `app`, or whatever a later version writes there.
    pub mode: &'a [u8],
    /// The source, as far as the message has it.
    pub code: Literal,
}

/// Reads a message; none where it is no legacy message. One that begins as such and goes wrong behind the mode, or
/// inside the literal, is one, with what could be read and [`Extent::Broken`]: somebody evaluated something.
pub fn read_legacy(message: &[u8]) -> Option<Legacy<'_>> {
    let (mode, text) = split_legacy(message)?;
    let nothing =
        || Literal { bytes: Vec::new(), form: Form::String { chars: 0 }, extent: Extent::Broken, len: 0 };
    let mut code = read_literal(text).unwrap_or_else(nothing);
    if code.extent == Extent::Broken && text.ends_with(TRUNCATED) {
        let cut = text.len() - TRUNCATED.len();
        code = read_literal(text.get(..cut).unwrap_or_default()).unwrap_or_else(nothing);
    } else if !text.get(code.len..).unwrap_or_default().iter().all(u8::is_ascii_whitespace) {
        code.extent = Extent::Broken;
    }
    Some(Legacy { mode, code })
}

/// The mode, and the text from the literal on.
fn split_legacy(message: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = message.strip_prefix(MESSAGE.as_bytes())?;
    let rest = space(rest)?.strip_prefix(b"Session mode:")?.trim_ascii_start();
    let mode_len = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
    let (mode, rest) = rest.split_at_checked(mode_len)?;
    let ends = rest.first().is_none_or(u8::is_ascii_whitespace);
    let text = space(rest).and_then(|rest| rest.strip_prefix(b"Code:")).unwrap_or_default();
    (ends && !mode.is_empty()).then_some((mode, text.trim_ascii_start()))
}

/// Takes white space, of which there has to be some.
fn space(text: &[u8]) -> Option<&[u8]> {
    let rest = text.trim_ascii_start();
    (rest.len() < text.len()).then_some(rest)
}

/// Appends the legacy message for `source`, byte for byte as Livebook prints it in JSON (without the text format's
/// limit on length).
pub fn write_legacy(mode: &[u8], source: &[u8], out: &mut Vec<u8>) {
    write_front(mode, out);
    write_literal(source, out);
}

/// The same where the literal is at hand, as Livebook printed it.
pub fn write_legacy_literal(mode: &[u8], literal: &[u8], out: &mut Vec<u8>) {
    write_front(mode, out);
    out.extend_from_slice(literal);
}

fn write_front(mode: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(MESSAGE.as_bytes());
    out.extend_from_slice(b"\n  Session mode: ");
    out.extend_from_slice(mode);
    out.extend_from_slice(b"\n  Code: ");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn white_space_may_be_collapsed() {
        for message in [
            "Evaluating code\n  Session mode: default\n  Code: \"7 + 13\"",
            "Evaluating code\n Session mode: default\n Code: \"7 + 13\"",
            "Evaluating code Session mode: default Code: \"7 + 13\"\n",
            "Evaluating code\r\n  Session mode: default\r\n  Code: \"7 + 13\"\r",
        ] {
            let legacy = read_legacy(message.as_bytes()).unwrap();
            assert_eq!((legacy.mode, legacy.code.bytes.as_slice()), (&b"default"[..], &b"7 + 13"[..]));
            assert_eq!(legacy.code.extent, Extent::Whole);
        }
    }

    #[test]
    fn other_messages_are_not_legacy() {
        for message in [
            "Evaluating code",
            "Evaluating code\n",
            "Evaluating codes\n  Session mode: a\n  Code: \"\"",
            "Evaluating code\n  Session mode: \n  Code: \"\"",
            "x",
        ] {
            assert_eq!(read_legacy(message.as_bytes()), None, "{message}");
        }
    }

    #[test]
    fn a_message_that_was_cut_says_so() {
        for (code, read, extent) in [
            ("\"abc (truncated)", "abc", Extent::Broken),
            ("\"abc (truncated)\"", "abc (truncated)", Extent::Whole),
            ("\"abc\\ (truncated)", "abc", Extent::Broken),
            ("\"abc\\u20 (truncated)", "abc", Extent::Broken),
            ("<<97, 98, 9 (truncated)", "ab", Extent::Broken),
            ("\"abc\" and more", "abc", Extent::Broken),
            ("nil", "", Extent::Broken),
            ("", "", Extent::Broken),
        ] {
            let message = format!("Evaluating code\n  Session mode: app\n  Code: {code}");
            let legacy = read_legacy(message.as_bytes()).unwrap();
            assert_eq!(
                (legacy.code.bytes.as_slice(), legacy.code.extent),
                (read.as_bytes(), extent),
                "{code}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(mode in "default|app|later_1", source in any::<Vec<u8>>()) {
            let mut message = Vec::new();
            write_legacy(mode.as_bytes(), &source, &mut message);
            let legacy = read_legacy(&message).unwrap();
            prop_assert_eq!((legacy.mode, &legacy.code.bytes), (mode.as_bytes(), &source));
            prop_assert_eq!(legacy.code.extent, Extent::Whole);
        }
    }
}
