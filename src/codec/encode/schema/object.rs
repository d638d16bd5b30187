//! JSON objects, written member by member: what is mapped is mostly text that is valid JSON already, and a cell can be
//! megabytes long, so no tree is built of it.

use crate::event::json::Json;
use crate::event::json::string::quote_into;
use std::fmt::Display;
use std::io::Write;

/// An object that is being written.
pub struct Object<'o> {
    out: &'o mut Vec<u8>,
    is_empty: bool,
}

impl Object<'_> {
    /// Appends an object with the members that `fill` writes.
    pub fn write(out: &mut Vec<u8>, fill: impl FnOnce(&mut Object<'_>)) {
        out.push(b'{');
        fill(&mut Object { out, is_empty: true });
        out.push(b'}');
    }

    /// Begins a member; its value is to be appended to what this gives. `name` stands as it does between quotes.
    pub fn member(&mut self, name: &[u8]) -> &mut Vec<u8> {
        self.out.extend_from_slice(if self.is_empty { b"\"" } else { b",\"" });
        self.is_empty = false;
        self.out.extend_from_slice(name);
        self.out.extend_from_slice(b"\":");
        self.out
    }

    /// A value as it stands in the event.
    pub fn json(&mut self, name: &str, value: Json<'_>) {
        value.write_into(self.member(name.as_bytes()));
    }

    /// A string.
    pub fn string(&mut self, name: &str, text: &str) {
        quote_into(text.as_bytes(), self.member(name.as_bytes()));
    }

    /// A string, where there is one.
    pub fn string_if(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.string(name, text);
        }
    }

    /// A number or `true` or `false`: what is displayed as in JSON.
    pub fn scalar(&mut self, name: &str, value: impl Display) {
        // Writing to a Vec can't fail.
        write!(self.member(name.as_bytes()), "{value}").unwrap_or_default();
    }

    /// An array of strings; left out where there are none.
    pub fn strings(&mut self, name: &str, texts: &[&str]) {
        if texts.is_empty() {
            return;
        }
        let out = self.member(name.as_bytes());
        for (at, text) in texts.iter().enumerate() {
            out.push(if at == 0 { b'[' } else { b',' });
            quote_into(text.as_bytes(), out);
        }
        out.push(b']');
    }

    /// An object; left out where `fill` writes no member.
    pub fn object(&mut self, name: &str, fill: impl FnOnce(&mut Object<'_>)) {
        let (before, was_empty) = (self.out.len(), self.is_empty);
        self.member(name.as_bytes()).push(b'{');
        let mut inner = Object { out: self.out, is_empty: true };
        fill(&mut inner);
        if inner.is_empty {
            self.out.truncate(before);
            self.is_empty = was_empty;
        } else {
            self.out.push(b'}');
        }
    }

    /// Members as they stand in the event, below `name`; left out where there are none.
    pub fn members<'j>(&mut self, name: &str, members: impl Iterator<Item = (&'j [u8], Json<'j>)>) {
        self.object(name, |object| {
            for (name, value) in members {
                value.write_into(object.member(name));
            }
        });
    }
}
