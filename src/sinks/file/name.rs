//! Values of events as parts of file names.
//!
//! A value is somebody else's text. In a name it keeps ASCII letters, digits and `-_.@+=,`; every other byte, a dot
//! at the front included, becomes `%` and two hexadecimal digits, so that no value leaves its folder, hides its file,
//! or takes the name of another value.

use super::rotated;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// Stands for a field that the event does not have.
pub const MISSING: &str = "_missing";
/// Stands for a field that is empty text.
const EMPTY: &str = "_empty";

/// Bytes that a part of a path may have. File systems end at 255, and rotation adds its own ending.
pub const COMPONENT_BYTES_MAX: usize = 200;
/// Of a longer value, this much is shown.
const VALUE_BYTES_MAX: usize = 400;
/// A `~` stands in no value, and sixteen digits tell two long names apart.
const DIGEST_DIGITS: usize = 16;

/// Appends `value`.
pub fn push_value(value: &[u8], out: &mut String) {
    if value.is_empty() {
        return out.push_str(EMPTY);
    }
    let shown = value.get(..VALUE_BYTES_MAX).unwrap_or(value);
    let mimics = value == MISSING.as_bytes() || value == EMPTY.as_bytes();
    for (at, &byte) in shown.iter().enumerate() {
        let is_plain = byte.is_ascii_alphanumeric() || b"-_.@+=,".contains(&byte);
        if is_plain && (at > 0 || (byte != b'.' && !mimics)) {
            out.push(char::from(byte));
        } else {
            push_escaped(byte, out);
        }
    }
    if shown.len() < value.len() {
        push_digest(value, out);
    }
}

fn push_escaped(byte: u8, out: &mut String) {
    // Writing to a String can't fail.
    write!(out, "%{byte:02X}").unwrap_or_default();
}

fn push_digest(of: &[u8], out: &mut String) {
    out.push('~');
    for byte in Sha256::digest(of).iter().take(DIGEST_DIGITS / 2) {
        write!(out, "{byte:02x}").unwrap_or_default();
    }
}

/// Makes the parts of `path` behind byte `from` fit to be names: none too long, the last none that a rotated file
/// could have, which would make it one of the files that rotation removes.
pub fn tidy(path: &mut String, from: usize) {
    let below = path.get(from..).unwrap_or_default();
    let name = below.rsplit('/').next().unwrap_or_default();
    let mimics = rotated::suffix_at(name);
    if below.len() <= COMPONENT_BYTES_MAX && mimics.is_none() {
        return;
    }
    let mut parts: Vec<String> = below.split('/').map(str::to_owned).collect();
    if let (Some(at), Some(last)) = (mimics, parts.last_mut()) {
        last.replace_range(at..=at, "%2E");
    }
    parts.iter_mut().for_each(shorten);
    path.truncate(from);
    path.push_str(&parts.join("/"));
}

/// Cuts a name that is too long; what it was is in the digest at its end.
fn shorten(part: &mut String) {
    if part.len() <= COMPONENT_BYTES_MAX {
        return;
    }
    let mut end = COMPONENT_BYTES_MAX - DIGEST_DIGITS - 1;
    while !part.is_char_boundary(end) {
        end -= 1;
    }
    let whole = std::mem::take(part);
    part.push_str(whole.get(..end).unwrap_or_default());
    push_digest(whole.as_bytes(), part);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn named(value: &str) -> String {
        let mut out = String::new();
        push_value(value.as_bytes(), &mut out);
        out
    }

    #[test]
    fn values_are_names() {
        for (value, name) in [
            ("default", "default"),
            ("ann@example.org", "ann@example.org"),
            ("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd"),
            (".", "%2E"),
            ("..", "%2E."),
            (".bashrc", "%2Ebashrc"),
            ("a..b", "a..b"),
            ("", "_empty"),
            ("_missing", "%5Fmissing"),
            ("_empty", "%5Fempty"),
            ("_other", "_other"),
            ("50%", "50%25"),
            ("a\0b\nc", "a%00b%0Ac"),
            ("Åsa", "%C3%85sa"),
            ("a~b", "a%7Eb"),
        ] {
            assert_eq!(named(value), name, "{value:?}");
        }
    }

    #[test]
    fn long_names_are_cut_and_still_differ() {
        let (one, other) = ("a".repeat(5_000), "a".repeat(5_001));
        let tidied = |value: &str| {
            let mut path = format!("/var/{}/x.log", named(value));
            tidy(&mut path, 5);
            path
        };
        assert_ne!(tidied(&one), tidied(&other));
        assert!(tidied(&one).starts_with("/var/aaaa") && tidied(&one).ends_with("/x.log"));
        assert!(tidied(&one).split('/').all(|part| part.len() <= COMPONENT_BYTES_MAX));
    }

    #[test]
    fn no_value_takes_the_name_of_a_rotated_file() {
        for (before, after) in [
            ("a.20261122T220000Z", "a%2E20261122T220000Z"),
            ("a.20261122T220000Z-7.gz", "a%2E20261122T220000Z-7.gz"),
            ("a.20261122T220000Z.zst.tmp", "a%2E20261122T220000Z.zst.tmp"),
            ("a.20261122T220000Z.log", "a.20261122T220000Z.log"),
        ] {
            let mut path = format!("/v/{before}");
            tidy(&mut path, 3);
            assert_eq!(path, format!("/v/{after}"));
        }
    }

    proptest! {
        #[test]
        fn no_value_leaves_its_folder_or_hides(value in any::<String>()) {
            let mut path = named(&value);
            tidy(&mut path, 0);
            prop_assert!(!path.is_empty() && !path.starts_with('.') && path.len() <= COMPONENT_BYTES_MAX);
            prop_assert!(path.bytes().all(|b| b.is_ascii_graphic() && b != b'/'), "{}", path);
        }

        #[test]
        fn two_values_never_share_a_name(one in ".{0,12}|[_.]?(missing|empty)?", other in ".{0,12}|[_.]?(missing|empty)?") {
            prop_assert_eq!(one == other, named(&one) == named(&other));
        }
    }
}
