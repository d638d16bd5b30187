//! What is kept of each user: the members that were chosen, in the order that was chosen.
//!
//! Livebook writes what most configs choose, so most lists are walked once and left as they are. Others are written anew
//! from pieces of their text, which keeps every digit of a number.

use crate::event::json::scan::Scan;
use crate::event::json::{Escapes, Flaw, Json, string};
use crate::event::{Event, Invalid, Place};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A member of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserField {
    /// What the identity provider calls them.
    Id,
    /// What they call themselves.
    Name,
    /// Their address.
    Email,
}

impl UserField {
    /// As it is, and where it is not UTF-8.
    fn names(self) -> [&'static str; 2] {
        match self {
            UserField::Id => ["id", "id_base64"],
            UserField::Name => ["name", "name_base64"],
            UserField::Email => ["email", "email_base64"],
        }
    }
}

/// All that Livebook tells of a user.
pub const ALL_FIELDS: [UserField; 3] = [UserField::Id, UserField::Name, UserField::Email];

/// Narrows lists of users to chosen members.
pub struct Narrow {
    names: Vec<&'static str>,
    /// Whether nothing of what Livebook tells is to be left out: then what is no user at all stays as well.
    keeps_all: bool,
}

impl Narrow {
    /// # Errors
    ///
    /// One field that stands twice.
    pub fn new(fields: &[UserField]) -> Result<Narrow, Invalid> {
        let is_repeat =
            |(index, field): &(usize, &UserField)| fields.iter().take(*index).any(|one| one == *field);
        if let Some((index, field)) = fields.iter().enumerate().find(is_repeat) {
            let [name, _] = field.names();
            let message = format!("`{name}` stands twice");
            return Err(
                Invalid::new(&format!("user_fields[{index}]"), message).help("leave one of the two out")
            );
        }
        let keeps_all = ALL_FIELDS.iter().all(|field| fields.contains(field));
        Ok(Narrow { names: fields.iter().flat_map(|field| field.names()).collect(), keeps_all })
    }

    /// Narrows the users of an event. What is no list (an `inspect` form that nobody could read) can't be narrowed: where
    /// something is to be left out, all of it is.
    pub fn apply(&self, event: &mut Event) {
        let Some(users) = event.get(Place::Metadata, "users") else { return };
        if !users.is_array() {
            if !self.keeps_all && !users.is_null() {
                event.remove(Place::Metadata, "users");
                event.set(Place::Metadata, "users_incomplete", |out| out.extend_from_slice(b"true"));
            }
            return;
        }
        if self.is_narrow(users.text()).unwrap_or_default() {
            return;
        }
        let mut narrowed = Vec::with_capacity(users.text().len());
        if self.write(users.text(), &mut narrowed).is_ok() {
            event.set(Place::Metadata, "users", |out| out.extend_from_slice(&narrowed));
        }
    }

    /// Whether each user has only what was chosen, in that order.
    fn is_narrow(&self, users: &[u8]) -> Result<bool, Flaw> {
        let mut scan = Scan::new(users);
        scan.expect(b'[', "`[`")?;
        if scan.take(b']') {
            return Ok(true);
        }
        loop {
            if !scan.take(b'{') {
                return Ok(false);
            }
            let mut to_come = self.names.iter();
            while !scan.take(b'}') {
                let name = scan.name()?;
                let name = users.get(name.start..name.end).unwrap_or_default();
                if !to_come.any(|chosen| chosen.as_bytes() == name) {
                    return Ok(false);
                }
                scan.value()?;
                scan.take(b',');
            }
            if !scan.take(b',') {
                return Ok(true);
            }
        }
    }

    /// Appends the list with what was chosen.
    fn write(&self, users: &[u8], out: &mut Vec<u8>) -> Result<(), Flaw> {
        let mut scan = Scan::new(users);
        scan.expect(b'[', "`[`")?;
        out.push(b'[');
        while !scan.take(b']') {
            if scan.next_token() == Some(b'{') {
                self.write_user(users, &mut scan, out)?;
            } else {
                let value = scan.value()?;
                let value = users.get(value.start..value.end).unwrap_or_default();
                let kept = if self.keeps_all { value } else { b"{}" };
                Json::new(kept, Escapes::None).write_into(out);
            }
            if scan.take(b',') {
                out.push(b',');
            }
        }
        out.push(b']');
        Ok(())
    }

    fn write_user(&self, users: &[u8], scan: &mut Scan<'_>, out: &mut Vec<u8>) -> Result<(), Flaw> {
        // Of two members of one name the last counts.
        let mut found: Vec<Option<&[u8]>> = vec![None; self.names.len()];
        scan.expect(b'{', "`{`")?;
        while !scan.take(b'}') {
            let name = scan.name()?;
            let text = users.get(name.start..name.end).unwrap_or_default();
            let name = match name.escapes {
                Escapes::None => Cow::Borrowed(text),
                Escapes::Short | Escapes::Free => {
                    let mut name = Vec::with_capacity(text.len());
                    string::unescape_into(text, &mut name);
                    Cow::Owned(name)
                }
            };
            let value = scan.value()?;
            let at = self.names.iter().position(|chosen| chosen.as_bytes() == &*name);
            if let Some(place) = at.and_then(|at| found.get_mut(at)) {
                *place = users.get(value.start..value.end);
            }
            scan.take(b',');
        }
        out.push(b'{');
        let mut is_first = true;
        for (name, value) in self.names.iter().zip(found) {
            let Some(value) = value else { continue };
            out.extend_from_slice(if is_first { b"\"" } else { b",\"" });
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            Json::new(value, Escapes::None).write_into(out);
            is_first = false;
        }
        out.push(b'}');
        Ok(())
    }
}
