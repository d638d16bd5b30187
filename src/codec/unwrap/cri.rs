//! The lines of containerd and CRI-O: `2016-10-06T00:17:09.669794202Z stdout F line`, where `P` stands in the place of
//! `F` in all but the last part of a line over 16 KiB. Tags may follow: `F:x`.

/// A line of a container.
#[derive(Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// `stdout` or `stderr`.
    pub stream: &'a [u8],
    /// Whether the rest of it is still to come.
    pub is_part: bool,
    /// The line, without a newline.
    pub payload: &'a [u8],
}

/// Whether a line has this shape.
#[inline(never)]
pub fn is_wrapped(line: &[u8]) -> bool {
    line.get(10) == Some(&b'T') && read(line).is_some()
}

/// Reads a line of this shape.
pub fn read(line: &[u8]) -> Option<Line<'_>> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let rest = line.get(stamp_len(line)?..)?.strip_prefix(b" ")?;
    let (stream, rest) = rest.split_at_checked(6)?;
    if !matches!(stream, b"stdout" | b"stderr") {
        return None;
    }
    let rest = rest.strip_prefix(b" ")?;
    let (tags, payload) = match memchr::memchr(b' ', rest) {
        Some(space) => (rest.get(..space)?, rest.get(space + 1..)?),
        None => (rest, &b""[..]),
    };
    let is_part = match tags {
        [b'P'] | [b'P', b':', ..] => true,
        [b'F'] | [b'F', b':', ..] => false,
        _ => return None,
    };
    Some(Line { stream, is_part, payload })
}

/// Length of a time in RFC 3339, with a zone and with or without a fraction.
fn stamp_len(line: &[u8]) -> Option<usize> {
    let shape = b"dddd-dd-ddTdd:dd:dd";
    let fits = |text: &[u8], shape: &[u8]| {
        text.len() == shape.len()
            && text.iter().zip(shape).all(|(b, s)| if *s == b'd' { b.is_ascii_digit() } else { b == s })
    };
    if !fits(line.get(..shape.len())?, shape) {
        return None;
    }
    let mut at = shape.len();
    if line.get(at) == Some(&b'.') {
        at += 1 + line.get(at + 1..)?.iter().take_while(|b| b.is_ascii_digit()).count();
    }
    match line.get(at)? {
        b'Z' => Some(at + 1),
        b'+' | b'-' => fits(line.get(at + 1..at + 6)?, b"dd:dd").then_some(at + 6),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_are_read() {
        let at = "2016-10-06T00:17:09.669794202Z";
        for (line, expected) in [
            (format!("{at} stdout F a b\n"), Some(("stdout", false, "a b"))),
            (format!("{at} stderr P a\r\n"), Some(("stderr", true, "a\r"))),
            (format!("{at} stdout F:x a"), Some(("stdout", false, "a"))),
            (format!("{at} stdout P:x:y  a"), Some(("stdout", true, " a"))),
            (format!("{at} stdout F \n"), Some(("stdout", false, ""))),
            (format!("{at} stdout F"), Some(("stdout", false, ""))),
            ("2016-10-06T00:17:09Z stdout F a".into(), Some(("stdout", false, "a"))),
            ("2016-10-06T00:17:09.1+02:00 stdout F a".into(), Some(("stdout", false, "a"))),
            (format!("{at} stdin F a"), None),
            (format!("{at} stdout X a"), None),
            (format!("{at} stdout Fx a"), None),
            (at.to_owned(), None),
            ("2016-10-06 00:17:09.669 stdout F a".into(), None),
            ("2016-10-06T00:17:09.669 stdout F a".into(), None),
        ] {
            let read = read(line.as_bytes());
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let shown = read.map(|read| (text(read.stream), read.is_part, text(read.payload)));
            let expected =
                expected.map(|(stream, is_part, payload)| (stream.into(), is_part, payload.into()));
            assert_eq!(shown, expected, "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_read_without_panic(line in any::<Vec<u8>>()) {
            read(&line);
            read(&[b"2016-10-06T00:17:09", &line[..]].concat());
        }
    }
}
