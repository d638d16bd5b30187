//! Blots secrets out of a config before a line of it is shown.
//!
//! Whoever reads a diagnostic on a screen, in a ticket or in the log of a build need not see the token that stands in
//! the line at fault. The text keeps its length in bytes, so that places in it stay true.

/// Keys whose strings are secrets. The values of all `headers` are, too.
const SECRET_KEYS: [&str; 4] = ["token", "password", "secret", "digest_key"];

/// `text` with a `*` for each byte of a secret.
pub fn mask(text: &str) -> String {
    let mut masked = Vec::with_capacity(text.len());
    let mut is_headers_table = false;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim_start();
        if trimmed.starts_with('[') {
            is_headers_table = trimmed.trim_end_matches([']', '\n', '\r', ' ']).ends_with(".headers");
        }
        mask_line(line, is_headers_table && !trimmed.starts_with('['), &mut masked);
    }
    // Only bytes inside of strings have changed, and those to ASCII: each string as a whole.
    String::from_utf8(masked).unwrap_or_default()
}

/// A line, string by string; `all` says that every one of them that is a value is a secret.
fn mask_line(line: &str, all: bool, out: &mut Vec<u8>) {
    let mut rest = line;
    // The part in front of a string tells what the string is.
    let mut before = String::new();
    while let Some(start) = rest.find(['"', '\'']) {
        let (head, tail) = rest.split_at(start);
        before.push_str(head);
        out.extend_from_slice(head.as_bytes());
        let quote = tail.as_bytes().first().copied().unwrap_or_default();
        let length = string_length(tail, quote);
        let (string, behind) = tail.split_at(length);
        let is_value = before.trim_end().ends_with(['=', '[', ',']) && !before.trim_start().starts_with('#');
        let key = before.trim_end().trim_end_matches('=').trim_end().trim_end_matches(['"', '\'']);
        let is_secret = SECRET_KEYS.iter().any(|name| key.to_ascii_lowercase().ends_with(name));
        let in_headers = all || before.contains("headers");
        if is_value && (is_secret || in_headers) && !string.contains("${") {
            blot(string, 0..string.len(), out);
        } else {
            blot_address(string, out);
        }
        before.push_str(string);
        rest = behind;
    }
    out.extend_from_slice(rest.as_bytes());
}

/// Length of the string that `text` begins with, up to its closing quote or the end of the line.
fn string_length(text: &str, quote: u8) -> usize {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            b'\n' => return at,
            _ if is_escaped => is_escaped = false,
            b'\\' if quote == b'"' => is_escaped = true,
            _ if byte == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Appends `string` with the bytes of `range` blotted out, but for its quotes.
fn blot(string: &str, range: std::ops::Range<usize>, out: &mut Vec<u8>) {
    let last = string.len().saturating_sub(1);
    out.extend(string.bytes().enumerate().map(|(at, byte)| {
        let is_quote = (at == 0 || at == last) && matches!(byte, b'"' | b'\'');
        if range.contains(&at) && !is_quote { b'*' } else { byte }
    }));
}

/// Appends a string; where it is an address, its user and its query are blotted out.
fn blot_address(string: &str, out: &mut Vec<u8>) {
    let Some(start) = string.find("://").map(|at| at + 3) else {
        return out.extend_from_slice(string.as_bytes());
    };
    let host = string.get(start..).unwrap_or_default();
    let host = host.split(['/', '?', '#']).next().unwrap_or_default();
    let user = host.rfind('@').map_or(0, |at| at);
    let mut bytes = Vec::with_capacity(string.len());
    blot(string, start..start + user, &mut bytes);
    let query = string.find('?').map_or(string.len(), |at| at + 1);
    // Cut at ASCII, so both parts are text.
    let (front, query) = bytes.split_at(query.min(bytes.len()));
    out.extend_from_slice(front);
    let last = query.len().saturating_sub(1);
    out.extend(query.iter().enumerate().map(|(at, byte)| {
        let stays = at == last && matches!(byte, b'"' | b'\'');
        if stays { *byte } else { b'*' }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn secrets_are_blotted_out_and_nothing_else_is() {
        for (line, shown) in [
            (
                "auth = { strategy = \"bearer\", token = \"s3cret\" }\n",
                "auth = { strategy = \"bearer\", token = \"******\" }\n",
            ),
            ("auth.password='p\"w'", "auth.password='***'"),
            ("\"token\" = \"a\\\"b\" # x", "\"token\" = \"****\" # x"),
            ("token = \"zażółć\"", "token = \"**********\""),
            ("token = \"${TOKEN}\"", "token = \"${TOKEN}\""),
            (
                "uri = \"https://ann:pw@h.example/x?token=1&a=2\"",
                "uri = \"https://******@h.example/x?***********\"",
            ),
            ("uri = \"https://h.example/a@b\"", "uri = \"https://h.example/a@b\""),
            ("headers = { x-key = \"abc\", y = 'd' }", "headers = { x-key = \"***\", y = '*' }"),
            ("headers.x-key = \"abc\"", "headers.x-key = \"***\""),
            (
                "[sinks.a.headers]\nx-key = \"abc\"\n[sinks.b]\nuri = \"abc\"",
                "[sinks.a.headers]\nx-key = \"***\"\n[sinks.b]\nuri = \"abc\"",
            ),
            ("path = \"token\"", "path = \"token\""),
            ("token = \"open", "token = \"****"),
            ("keys = [\"token\", \"a\"]", "keys = [\"token\", \"a\"]"),
        ] {
            assert_eq!(mask(line), shown);
        }
    }

    proptest! {
        #[test]
        fn the_length_stays_whatever_the_text(text in "([a-z\"'=. \\\\\n\\[\\]{}#é?:/@]|token|headers|://){0,60}") {
            let masked = mask(&text);
            prop_assert_eq!(masked.len(), text.len());
            prop_assert_eq!(masked.matches('\n').count(), text.matches('\n').count());
        }
    }
}
