//! Who: the list of users, as Elixir prints it and as we write it.
//!
//! In a notebook session these are all who are connected to it, not the one who ran the cell; nothing here or after
//! may say otherwise. Elixir prints the list as `[%{id: "1", name: "Ann", email: "a@b.c"}]` and cuts it at its
//! limits: maps that end in `...`, `%{...}`, a list that ends in `...`, a long name as `"Aaa" <> ...`.

use super::inspect::{Extent, read_literal};
use crate::event::json::string::quote_into;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Values inside each other that are passed over; a deeper list is taken for broken.
const DEPTH_MAX: u32 = 32;

/// The list, canonical.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users {
    /// A JSON array of objects with `id`, `name`, `email` (absent ones left out), or `name_base64` and the like where
    /// a member is not UTF-8.
    pub json: Vec<u8>,
    /// Whether the log itself lost a part.
    pub incomplete: bool,
}

/// Reads a printed list; none where `text` does not begin as one. A list that goes wrong half-way is kept up to
/// there and incomplete.
pub fn read_users(text: &[u8]) -> Option<Users> {
    let (users, taken) = read_users_front(text)?;
    let rest = text.get(taken..).unwrap_or_default();
    Some(Users { incomplete: users.incomplete || !rest.iter().all(u8::is_ascii_whitespace), ..users })
}

/// Length of the printed list at the front of `text`, which is not read: brackets are counted outside of strings. None
/// where it has no end.
pub fn users_len(text: &[u8]) -> Option<usize> {
    if text.first() != Some(&b'[') {
        return None;
    }
    let mut depth = 0_usize;
    let mut at = 0;
    loop {
        match text.get(at)? {
            b'[' => depth += 1,
            b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            b'"' => {
                at += 1;
                loop {
                    at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
                    if text.get(at) == Some(&b'"') {
                        break;
                    }
                    at += 2;
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// Reads the list at the front of `text` and says how many bytes it is long.
fn read_users_front(text: &[u8]) -> Option<(Users, usize)> {
    let mut reader = Reader { text, at: 0, incomplete: false };
    if !reader.take(b"[") {
        return None;
    }
    let mut json = vec![b'['];
    if !reader.take(b"]") {
        while reader.user(&mut json).is_some() && reader.take(b", ") {}
        reader.incomplete |= !reader.take(b"]");
    }
    json.push(b']');
    Some((Users { json, incomplete: reader.incomplete }, reader.at))
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    incomplete: bool,
}

impl Reader<'_> {
    fn rest(&self) -> &[u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, token: &[u8]) -> bool {
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    /// Takes letters, digits and what else stands in the names of atoms, aliases and numbers.
    fn word(&mut self) -> &[u8] {
        let is_part =
            |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'?' | b'!' | b'@' | b'-');
        let start = self.at;
        self.at += self.rest().iter().take_while(|b| is_part(b)).count();
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// Takes one user of the list; none where the list can't be read on.
    fn user(&mut self, json: &mut Vec<u8>) -> Option<()> {
        if self.take(b"...") {
            self.incomplete = true;
            return Some(());
        }
        if !self.take(b"%") {
            self.incomplete = true;
            return None;
        }
        self.word();
        let before = json.len();
        json.extend_from_slice(if before == 1 { b"{" } else { b",{" });
        let opened = json.len();
        let read = self.take(b"{").then_some(()).and_then(|()| self.members(json, opened));
        self.incomplete |= read.is_none();
        if json.len() == opened {
            json.truncate(before);
        } else {
            json.push(b'}');
        }
        read
    }

    fn members(&mut self, json: &mut Vec<u8>, opened: usize) -> Option<()> {
        if self.take(b"}") {
            return Some(());
        }
        loop {
            if self.take(b"...") {
                self.incomplete = true;
            } else {
                let key = known_key(self.word());
                self.take(b": ").then_some(())?;
                match key {
                    Some(key) => self.member(key, json, opened)?,
                    None => self.skip(0)?,
                }
            }
            if self.take(b"}") {
                return Some(());
            }
            self.take(b", ").then_some(())?;
        }
    }

    /// Takes the value of a member that is kept; one that is no literal, as `nil`, counts as absent.
    fn member(&mut self, key: &str, json: &mut Vec<u8>, opened: usize) -> Option<()> {
        if let Some(plain) = plain_string(self.rest()) {
            write_name(key, "", opened, json);
            json.extend_from_slice(plain);
            self.at += plain.len();
            return Some(());
        }
        let Some(literal) = read_literal(self.rest()) else { return self.skip(0) };
        self.at += literal.len;
        self.incomplete |= literal.extent != Extent::Whole;
        write_member(key, literal.bytes, literal.extent, opened, json);
        (literal.extent != Extent::Broken).then_some(())
    }

    /// Passes over any printed value.
    fn skip(&mut self, depth: u32) -> Option<()> {
        if depth > DEPTH_MAX {
            return None;
        }
        if let Some(literal) = read_literal(self.rest()) {
            self.at += literal.len;
            return (literal.extent != Extent::Broken).then_some(());
        }
        if self.take(b"...") {
            self.incomplete = true;
            return Some(());
        }
        self.take(b"%");
        self.take(b":");
        self.take(b"#");
        let named = !self.word().is_empty();
        let close: &[u8] = match self.rest().first() {
            Some(b'{') => b"}",
            Some(b'[') => b"]",
            Some(b'<') => b">",
            Some(b'"') => return self.skip(depth + 1),
            _ => return named.then_some(()),
        };
        self.at += 1;
        while !self.take(close) {
            if !(self.take(b", ") || self.take(b": ") || self.take(b" => ")) {
                self.skip(depth + 1)?;
            }
        }
        Some(())
    }
}

fn known_key(key: &[u8]) -> Option<&'static str> {
    match key {
        b"id" => Some("id"),
        b"name" => Some("name"),
        b"email" => Some("email"),
        _ => None,
    }
}

/// The whole string at the front of `text`, quotes included, where Elixir and JSON write it alike: without an escape.
fn plain_string(text: &[u8]) -> Option<&[u8]> {
    let inside = text.strip_prefix(b"\"")?;
    let len = inside.iter().position(|&b| b == b'"' || b == b'\\' || b < 0x20)?;
    let behind = inside.get(len..)?;
    let whole = behind.starts_with(b"\"") && !behind.starts_with(b"\" <>");
    let string = text.get(..len + 2).filter(|_| whole)?;
    simdutf8::basic::from_utf8(string).is_ok().then_some(string)
}

fn write_name(key: &str, suffix: &str, opened: usize, json: &mut Vec<u8>) {
    if json.len() > opened {
        json.push(b',');
    }
    json.push(b'"');
    json.extend_from_slice(key.as_bytes());
    json.extend_from_slice(suffix.as_bytes());
    json.extend_from_slice(b"\":");
}

/// Appends a member, as base64 where it is not UTF-8. A name that was cut loses the half of a character at its end.
fn write_member(key: &str, mut bytes: Vec<u8>, extent: Extent, opened: usize, json: &mut Vec<u8>) {
    if extent != Extent::Whole {
        bytes.truncate(whole_chars(&bytes));
    }
    if std::str::from_utf8(&bytes).is_ok() {
        write_name(key, "", opened, json);
        return quote_into(&bytes, json);
    }
    write_name(key, "_base64", opened, json);
    quote_into(STANDARD.encode(&bytes).as_bytes(), json);
}

/// How many bytes of `bytes` are left without a split character at the end; all, where anything else is wrong.
pub fn whole_chars(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(e) if e.error_len().is_none() => e.valid_up_to(),
        _ => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> (String, bool) {
        let users = read_users(text.as_bytes()).unwrap();
        (String::from_utf8(users.json).unwrap(), users.incomplete)
    }

    #[test]
    fn printed_lists_read_as_json() {
        for (text, json, incomplete) in [
            ("[]", "[]", false),
            (r#"[%{id: "1", name: "A \"q\" é"}]"#, r#"[{"id":"1","name":"A \"q\" é"}]"#, false),
            (r#"[%{id: "1", name: nil}, %{id: "2"}]"#, r#"[{"id":"1"},{"id":"2"}]"#, false),
            (r#"[%{id: "1", ...}, %{...}, ...]"#, r#"[{"id":"1"}]"#, true),
            (r#"[%{id: "1", name: "mm" <> ...}, ...]"#, r#"[{"id":"1","name":"mm"}]"#, true),
            ("[%{name: <<110, 0>>}]", r#"[{"name":"n\u0000"}]"#, false),
            ("[%{name: <<99, 233>>}]", r#"[{"name_base64":"Y+k="}]"#, false),
            ("[%{name: <<99, 195, ...>>}]", r#"[{"name":"c"}]"#, true),
            (
                r#"[%{id: "1", payload: %{"a" => [1, :b, nil, {x, #P<0.1.0>}]}, email: "e"}]"#,
                r#"[{"id":"1","email":"e"}]"#,
                false,
            ),
            (r#"[%Livebook.Users.User{id: "1"}]"#, r#"[{"id":"1"}]"#, false),
            (r#"[%{id: "1"}, %{id: "2", na"#, r#"[{"id":"1"},{"id":"2"}]"#, true),
            (r#"[%{id: "}] [info] Evaluating code"}]"#, r#"[{"id":"}] [info] Evaluating code"}]"#, false),
        ] {
            assert_eq!(read(text), (json.to_owned(), incomplete), "{text}");
        }
        assert_eq!(read_users(b"nil"), None);
    }

    #[test]
    fn the_length_of_a_list_is_told_without_reading_it() {
        for list in ["[]", r#"[%{id: "]"}, ...]"#, r#"[%{a: [1], name: "\"]\\"}]"#, "[%{name: <<1, 2>>}]"] {
            assert_eq!(users_len(format!("{list} [info] x]").as_bytes()), Some(list.len()), "{list}");
        }
        for open in ["", "[", "x]", r#"["]"#, r#"["\"#] {
            assert_eq!(users_len(open.as_bytes()), None, "{open}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic_into_json(text in r#"(\[|\]|%|\{|\}|, |: |"|<<1|>>|\.\.\.|id|name|nil|:a| => |#){0,30}"#) {
            if let Some(users) = read_users(format!("[%{{{text}").as_bytes()) {
                prop_assert!(serde_json::from_slice::<serde_json::Value>(&users.json).is_ok(), "{text}");
            }
        }
    }
}
