//! Who is meant: patterns over what is known of a user.
//!
//! Rules of a policy and whoever reads a trail name people in the same way, so that what one of them fits, the other
//! fits as well.

use glob::{MatchOptions, Pattern};
use serde_json::Value;
use std::borrow::Cow;

/// Who somebody is does not depend on how it is written.
const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: false,
    require_literal_separator: false,
    require_literal_leading_dot: false,
};

/// What helps somebody whose pattern is none.
pub const GLOB_HELP: &str = "`*` stands for any characters, `?` for one, `[…]` for one of some";

/// A text whose upper and lower case are the same, as far as the library does not see to that: it knows only ASCII's. Each
/// letter stays one letter, and none becomes one of ASCII (the Kelvin sign a `k`): an address that looks like another one
/// is another one.
fn fold(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let lower = |letter: char| {
        let mut small = letter.to_lowercase();
        match (small.next(), small.next()) {
            _ if letter == 'ς' => 'σ',
            (Some(small), None) if letter.is_ascii() == small.is_ascii() => small,
            _ => letter,
        }
    };
    Cow::Owned(text.chars().map(lower).collect())
}

/// Patterns of which one has to fit the whole text, in upper or lower case.
#[derive(Clone, Debug)]
pub struct Globs(Vec<Pattern>);

impl Globs {
    /// Reads patterns.
    ///
    /// # Errors
    ///
    /// The place of the first that is none in the list, and why.
    pub fn read(texts: &[String]) -> Result<Globs, (usize, &'static str)> {
        let numbered = texts.iter().enumerate();
        let read = |(at, text): (usize, &String)| Pattern::new(&fold(text)).map_err(|e| (at, e.msg));
        numbered.map(read).collect::<Result<_, _>>().map(Globs)
    }

    /// Whether one of them fits.
    pub fn fit(&self, text: &str) -> bool {
        let text = fold(text);
        self.0.iter().any(|pattern| pattern.matches_with(&text, OPTIONS))
    }
}

/// What a pattern of users is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The id, the name or the email.
    Any,
    /// The id alone.
    Id,
    /// The email alone.
    Email,
}

/// What is known of a user, to be compared.
#[derive(Debug, Default)]
pub struct User {
    id: Option<Value>,
    name: Option<Value>,
    email: Option<Value>,
}

impl User {
    /// A user as it stands in a list; one of whom nothing is known, where it is no object.
    pub fn read(user: &Value) -> User {
        let member = |name: &str| user.get(name).cloned();
        User { id: member("id"), name: member("name"), email: member("email") }
    }

    /// Whether one of the patterns fits what is compared.
    pub fn fits(&self, patterns: &Globs, by: By) -> bool {
        let members = match by {
            By::Any => [&self.id, &self.name, &self.email],
            By::Id => [&self.id, &None, &None],
            By::Email => [&self.email, &None, &None],
        };
        let mut texts = members.into_iter().flatten().filter_map(|member| match member {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        });
        texts.any(|text| patterns.fit(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_user_is_known_by_any_of_three() {
        let globs = |text: &str| Globs::read(&[text.to_owned()]).unwrap();
        let user = User::read(&json!({"id": 7, "name": "Ann Lee", "email": "Ann@B.example", "x": "hidden"}));
        for text in ["7", "ann*", "*@b.EXAMPLE", "?nn lee"] {
            assert!(user.fits(&globs(text), By::Any), "{text}");
        }
        for text in ["ann", "hidden", "77", ""] {
            assert!(!user.fits(&globs(text), By::Any), "{text}");
        }
        for (name, text) in
            [("Žofie Nová", "žofie*"), ("žofie", "ŽOFIE"), ("ΟΔΥΣΣΕΥΣ", "οδυσ*ς"), ("Ärö Ö", "[ä]rÖ ?")]
        {
            assert!(User::read(&json!({"name": name})).fits(&globs(text), By::Any), "{name}: {text}");
        }
        for (text, by) in [("7", By::Id), ("ann@*", By::Email)] {
            assert!(user.fits(&globs(text), by), "{text}");
        }
        for (text, by) in [("ann@*", By::Id), ("7", By::Email), ("ann lee", By::Id), ("ann lee", By::Email)] {
            assert!(!user.fits(&globs(text), by), "{text}");
        }
        for (name, text) in [("ban\u{131}ing", "baniing"), ("\u{212a}im", "kim"), ("straße", "strasse")] {
            assert!(!User::read(&json!({"name": name})).fits(&globs(text), By::Any), "{name}: {text}");
        }
        assert!(!User::read(&json!({"name": "Zofie"})).fits(&globs("žofie"), By::Any));
        assert!(!User::read(&json!("ann")).fits(&globs("*"), By::Any));
        assert_eq!(Globs::read(&["a".into(), "[".into()]).unwrap_err().0, 1);
    }
}
