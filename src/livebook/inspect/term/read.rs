//! Reads terms. Elixir's limits cut them with `...`, and whoever cut the text did so anywhere: both are a fault, unless
//! what is certain is asked for.

use super::scalar::{BROKEN, at_end_of_bytes, at_end_of_string, number, operator_len, time};
use super::{DEPTH_MAX, TermFault};
use crate::livebook::inspect::{Extent, Form, Literal, read_literal};
use crate::livebook::users::whole_chars;
use vrl::value::{KeyString, ObjectMap, Value};

/// How the text format of Livebook's log marks a message that it has cut.
const TRUNCATED: &[u8] = b" (truncated)";

/// Why reading has stopped.
enum Stop {
    Wrong(TermFault),
    /// The text ends here, in the middle of something.
    End(usize),
}

type Read<T> = Result<T, Stop>;

/// Reads `text`, which is one term and white space around it. With `is_partial`, a term that was cut is what is certain
/// of it: whole members, and the beginnings of strings.
pub fn read_term(text: &[u8], is_partial: bool) -> Result<Value, TermFault> {
    let read = |text| Reader { text, at: 0, is_partial, has_ended: false }.all();
    match text.trim_ascii_end().strip_suffix(TRUNCATED) {
        // Where it is no mark but the end of a string, the whole text reads.
        Some(before) if is_partial => read_term(text, false).or_else(|_| read(before)),
        _ => read(text),
    }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    is_partial: bool,
    /// Whether the text has ended in the middle of something, of which the rest is given up.
    has_ended: bool,
}

impl Reader<'_> {
    fn all(mut self) -> Result<Value, TermFault> {
        let value = self.value(0).map_err(|stop| match stop {
            Stop::Wrong(fault) => fault,
            Stop::End(at) => TermFault::new(at, "the text ends before the term does"),
        })?;
        self.space();
        if self.rest().is_empty() {
            return Ok(value);
        }
        Err(TermFault::new(self.at, "something stands behind the term"))
    }

    fn rest(&self) -> &[u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn space(&mut self) {
        self.at += self.rest().iter().take_while(|b| b.is_ascii_whitespace()).count();
    }

    fn take(&mut self, token: &[u8]) -> bool {
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    fn wrong<T>(&self, what: &'static str) -> Read<T> {
        Err(Stop::Wrong(TermFault::new(self.at, what)))
    }

    /// What was found in the place of a token: another one, or the end of the text.
    fn missing<T>(&self, what: &'static str) -> Read<T> {
        if self.rest().is_empty() { Err(Stop::End(self.at)) } else { self.wrong(what) }
    }

    /// A part that Elixir has left out.
    fn left_out(&self) -> Read<()> {
        if self.is_partial { Ok(()) } else { self.wrong("Elixir has left out the rest of the term (`...`)") }
    }

    fn value(&mut self, depth: u32) -> Read<Value> {
        self.space();
        if depth > DEPTH_MAX {
            return self.wrong("the term is nested too deep");
        }
        let rest = self.rest();
        match rest {
            [] => Err(Stop::End(self.at)),
            [b'"', ..] => self.literal().map(bytes),
            [b'<', b'<', ..] => self.literal().map(bytes),
            [b'%', ..] => self.map(depth),
            [b'[', ..] => self.list(depth),
            [b'{', ..] => self.tuple(depth),
            [b':', ..] => self.atom(depth),
            [b'~', ..] => self.sigil(),
            [b'\'', ..] => self.quoted_chars().map(bytes),
            [b'#', ..] | [b'&', ..] => self.as_printed(self.at, depth),
            [b'<'] => Err(Stop::End(self.at)),
            [b'-' | b'0'..=b'9', ..] => self.number(depth),
            _ => self.word(depth),
        }
    }

    /// A string or a binary, as its bytes.
    fn literal(&mut self) -> Read<Vec<u8>> {
        let Some(literal) = read_literal(self.rest()) else { return self.wrong("no term stands here") };
        let Literal { mut bytes, form, extent, len } = literal;
        let start = self.at;
        self.at += len;
        match extent {
            // What follows may be the beginning of ` <> ...`.
            Extent::Whole if self.rest().len() > 1 && b" <> ...".starts_with(self.rest()) => {
                if !self.is_partial {
                    return Err(Stop::End(self.text.len()));
                }
                self.at = self.text.len();
                self.has_ended = true;
            }
            Extent::Whole => return Ok(bytes),
            Extent::Limited => self.left_out()?,
            Extent::Broken => {
                let is_end = match form {
                    Form::String { .. } => at_end_of_string(self.rest()),
                    Form::Bytes { .. } => at_end_of_bytes(self.rest()),
                };
                if !is_end {
                    return self.wrong(BROKEN);
                }
                if !self.is_partial {
                    return Err(Stop::End(self.text.len()));
                }
                if bytes.is_empty() && len < 2 {
                    return Err(Stop::End(start));
                }
                self.at = self.text.len();
                self.has_ended = true;
            }
        }
        bytes.truncate(whole_chars(&bytes));
        Ok(bytes)
    }

    /// What stands between `open` and `close`: `one` reads each part.
    fn parts(&mut self, close: u8, mut one: impl FnMut(&mut Self) -> Read<()>) -> Read<()> {
        loop {
            self.space();
            if self.take(&[close]) {
                return Ok(());
            }
            let read = if self.take(b"...") { self.left_out() } else { one(self) };
            match read {
                Err(Stop::End(_)) if self.is_partial => self.has_ended = true,
                other => other?,
            }
            if self.has_ended {
                self.at = self.text.len();
                return Ok(());
            }
            self.space();
            if !self.take(b",") && self.rest().first() != Some(&close) {
                match self.missing("a `,` or the closing bracket should stand here") {
                    Err(Stop::End(_)) if self.is_partial => self.has_ended = true,
                    other => other?,
                }
                return Ok(());
            }
        }
    }

    fn map(&mut self, depth: u32) -> Read<Value> {
        self.at += 1;
        let mut map = ObjectMap::new();
        let name = self.name_len(b"._");
        if name > 0 {
            map.insert("__struct__".into(), bytes(self.rest().get(..name).unwrap_or_default().to_vec()));
            self.at += name;
        }
        if !self.take(b"{") {
            return self.missing("a map should begin here");
        }
        self.parts(b'}', |reader| {
            let start = reader.at;
            let key = reader.key(depth)?;
            let value = reader.value(depth + 1)?;
            if map.contains_key(&key) {
                let what = "two keys of the map would have the same name in an object";
                return Err(Stop::Wrong(TermFault::new(start, what)));
            }
            map.insert(key, value);
            Ok(())
        })?;
        Ok(Value::Object(map))
    }

    /// The key of a map with what follows it: a string or an atom by its text, anything else as printed.
    fn key(&mut self, depth: u32) -> Read<KeyString> {
        if let Some(name) = self.keyword() {
            return Ok(name);
        }
        let start = self.at;
        let value = self.value(depth + 1)?;
        let printed = self.text.get(start..self.at).unwrap_or_default().to_vec();
        self.space();
        if self.has_ended {
            return Err(Stop::End(self.at));
        }
        if !self.take(b"=>") {
            if self.rest() == b"=" {
                return Err(Stop::End(self.text.len()));
            }
            return self.missing("a `=>` should stand here");
        }
        match value {
            Value::Bytes(text) if std::str::from_utf8(&text).is_ok() => Ok(name(text.to_vec())),
            _ => Ok(name(printed)),
        }
    }

    /// A name in front of a colon, as in `id: 1` and `"two words": 1`.
    fn keyword(&mut self) -> Option<KeyString> {
        let start = self.at;
        let text = match self.rest().first()? {
            b'"' => {
                let literal = read_literal(self.rest()).filter(|literal| literal.extent == Extent::Whole)?;
                self.at += literal.len;
                literal.bytes
            }
            _ => {
                let len = self.name_len(b"_@?!");
                let text = self.rest().get(..len)?.to_vec();
                self.at += len;
                text
            }
        };
        let is_keyword = !text.is_empty()
            && self.rest().first() == Some(&b':')
            && self.rest().get(1).is_some_and(u8::is_ascii_whitespace);
        self.at = if is_keyword { self.at + 1 } else { start };
        is_keyword.then(|| name(text))
    }

    fn list(&mut self, depth: u32) -> Read<Value> {
        self.at += 1;
        let mut items = Vec::new();
        let mut members = ObjectMap::new();
        self.parts(b']', |reader| {
            match reader.keyword() {
                Some(name) => {
                    let value = reader.value(depth + 1)?;
                    // Of two of one name the first counts, as for `Keyword.get`.
                    members.entry(name).or_insert(value);
                }
                None => items.push(reader.value(depth + 1)?),
            }
            Ok(())
        })?;
        if members.is_empty() {
            return Ok(Value::Array(items));
        }
        if !items.is_empty() {
            return self.wrong("a list with members that have names and others that have none");
        }
        Ok(Value::Object(members))
    }

    fn tuple(&mut self, depth: u32) -> Read<Value> {
        self.at += 1;
        let mut items = Vec::new();
        self.parts(b'}', |reader| {
            items.push(reader.value(depth + 1)?);
            Ok(())
        })?;
        Ok(Value::Array(items))
    }

    fn atom(&mut self, depth: u32) -> Read<Value> {
        self.at += 1;
        if self.rest().first() == Some(&b'"') {
            return self.literal().map(bytes);
        }
        let len = match self.name_len(b"_@?!") {
            0 => operator_len(self.rest()),
            len => len,
        };
        let name = self.rest().get(..len).unwrap_or_default().to_vec();
        self.at += len;
        if name.is_empty() {
            return self.missing("an atom should stand here");
        }
        self.certain(depth, bytes(name))
    }

    /// Length of the name at the front: letters, digits and those signs.
    fn name_len(&self, signs: &[u8]) -> usize {
        let is_part = |b: &&u8| b.is_ascii_alphanumeric() || !b.is_ascii() || signs.contains(b);
        self.rest().iter().take_while(is_part).count()
    }

    fn sigil(&mut self) -> Read<Value> {
        let start = self.at;
        let letter = self.rest().get(1).copied().unwrap_or_default();
        let open = self.rest().get(2).copied();
        let Some(open) = open else { return Err(Stop::End(self.at)) };
        if matches!(letter, b'c' | b's') && open == b'"' {
            self.at += 2;
            return self.literal().map(bytes);
        }
        let close = match open {
            b'[' => b']',
            b'(' => b')',
            b'{' => b'}',
            b'<' => b'>',
            other => other,
        };
        self.at += 3;
        let inside = self.at;
        loop {
            match self.rest() {
                [] => return Err(Stop::End(self.at)),
                [b'\\', _, ..] => self.at += 2,
                [b, ..] if *b == close => break,
                _ => self.at += 1,
            }
        }
        let content = self.text.get(inside..self.at).unwrap_or_default();
        self.at += 1;
        if matches!(letter, b'D' | b'T' | b'N' | b'U') {
            return Ok(time(letter, content).unwrap_or_else(|| bytes(content.to_vec())));
        }
        self.at += self.rest().iter().take_while(|b| b.is_ascii_lowercase()).count();
        Ok(bytes(self.text.get(start..self.at).unwrap_or_default().to_vec()))
    }

    /// A charlist as versions of Elixir before 1.15 print it.
    fn quoted_chars(&mut self) -> Read<Vec<u8>> {
        let mut text = vec![b'"'];
        let mut at = self.at + 1;
        loop {
            match self.text.get(at..).unwrap_or_default() {
                [] | [b'\\'] => return Err(Stop::End(at)),
                [b'\\', b'\'', ..] => {
                    text.push(b'\'');
                    at += 2;
                }
                [b'\\', letter, ..] => {
                    text.extend_from_slice(&[b'\\', *letter]);
                    at += 2;
                }
                [b'\'', ..] => break,
                [b'"', ..] => {
                    text.extend_from_slice(b"\\\"");
                    at += 1;
                }
                [other, ..] => {
                    text.push(*other);
                    at += 1;
                }
            }
        }
        text.push(b'"');
        match read_literal(&text).filter(|literal| literal.extent == Extent::Whole) {
            Some(literal) => {
                self.at = at + 1;
                Ok(literal.bytes)
            }
            None => self.wrong(BROKEN),
        }
    }

    fn number(&mut self, depth: u32) -> Read<Value> {
        let start = self.at;
        let Some((value, len)) = number(self.rest()) else {
            let is_end = self.rest() == b"-";
            return if is_end {
                Err(Stop::End(self.text.len()))
            } else {
                self.wrong("a number should stand here")
            };
        };
        self.at += len;
        let goes_on = |b: &u8| matches!(b, b'.' | b'e' | b'-' | b'+');
        if !self.rest().is_empty() && self.rest().iter().all(goes_on) && !self.rest().starts_with(b"...") {
            return Err(Stop::End(self.text.len()));
        }
        if self.rest().starts_with(b"..") && !self.rest().starts_with(b"...") {
            return self.as_printed(start, depth);
        }
        self.certain(depth, value)
    }

    /// What stands at the end of a text that was cut may have been longer.
    fn certain(&self, depth: u32, value: Value) -> Read<Value> {
        if depth > 0 && self.rest().is_empty() { Err(Stop::End(self.at)) } else { Ok(value) }
    }

    /// `nil`, `true`, `false`, the name of a module, or a call that prints data (`MapSet.new([1])`).
    fn word(&mut self, depth: u32) -> Read<Value> {
        let start = self.at;
        let len = self.name_len(b"._?!");
        let word = self.rest().get(..len).unwrap_or_default().to_vec();
        self.at += len;
        if self.rest().first() == Some(&b'(') {
            return self.as_printed(start, depth);
        }
        let value = match word.as_slice() {
            b"nil" => Value::Null,
            b"true" => Value::Boolean(true),
            b"false" => Value::Boolean(false),
            [b'A'..=b'Z', ..] => bytes(word),
            [] => return self.wrong("no term stands here"),
            _ if self.rest().is_empty() => return Err(Stop::End(self.at)),
            _ => {
                self.at = start;
                return self.wrong("no term stands here");
            }
        };
        self.certain(depth, value)
    }

    /// What is no data, from `start` on: up to what closes or follows it, with brackets counted outside of strings.
    fn as_printed(&mut self, start: usize, depth: u32) -> Read<Value> {
        let mut open = 0_usize;
        loop {
            match self.rest() {
                [] if open > 0 => return Err(Stop::End(self.at)),
                [] => break,
                [b'"', ..] => {
                    let string = read_literal(self.rest()).filter(|one| one.extent != Extent::Broken);
                    let Some(string) = string else { return Err(Stop::End(self.text.len())) };
                    self.at += string.len;
                    continue;
                }
                [b'-' | b'=', b'>', ..] => self.at += 1,
                [b'(' | b'[' | b'{' | b'<', ..] => open += 1,
                [b')' | b']' | b'}' | b'>', ..] if open > 0 => open -= 1,
                [b')' | b']' | b'}' | b',', ..] if open == 0 => break,
                [b, ..] if b.is_ascii_whitespace() && open == 0 => break,
                _ => {}
            }
            self.at += 1;
        }
        let printed = self.text.get(start..self.at).unwrap_or_default().to_vec();
        self.certain(depth, bytes(printed))
    }
}

fn bytes(text: Vec<u8>) -> Value {
    Value::Bytes(text.into())
}

fn name(text: Vec<u8>) -> KeyString {
    String::from_utf8_lossy(&text).into_owned().into()
}
