//! The error of our deserializer: what serde found, where, and in words for people.
//!
//! Serde tells what is wrong but not where. The deserializer knows the place: it fills it in while the error passes
//! by on its way up. That is also where values out of the environment are taken out of it, so that none can reach a
//! screen.

use super::environment::Text;
use super::secret::is_quotable;
use super::tree::Item;
use crate::event::{Invalid, Mark};
use serde::de::{Expected, Unexpected};
use std::fmt;
use std::ops::Range;

/// Letters in a row that a message must share with a secret to be held back.
const QUOTE_CHARS_MIN: usize = 4;

/// What serde found.
pub(super) enum Kind {
    /// A component's own words.
    Custom(String),
    /// What a component says of options that could all be read.
    Refused { message: String, help: Option<String>, marks: Vec<Mark> },
    /// A value of another type.
    Type { found: &'static str, expected: String },
    /// A value of the right type that does not do; `found` is none where it must not be shown.
    Value { found: Option<String>, expected: String },
    /// A word that is none of `valid`.
    Variant { found: Option<String>, valid: &'static [&'static str] },
    /// A key that is none of `valid`.
    Field { name: String, valid: &'static [&'static str] },
    /// A key that is needed.
    Missing(&'static str),
    /// Two keys that mean the same.
    Repeated(&'static str),
}

/// The place of a fault.
pub(super) struct At {
    /// The item at fault.
    pub number: usize,
    /// The token to underline: a key, or a value.
    pub span: Range<usize>,
    /// Whether the item is unknown, so that nothing found at it counts.
    pub opaque: bool,
    /// What is written there, where the environment has a part in it.
    pub reference: Option<String>,
}

struct Inner {
    kind: Kind,
    at: Option<At>,
    /// Keys that lead to it, the innermost first.
    path: Vec<String>,
    /// What else is wrong at the same place.
    others: Vec<Fault>,
}

/// A fault of a component's options.
pub(super) struct Fault(Box<Inner>);

impl Fault {
    fn new(kind: Kind) -> Fault {
        Fault(Box::new(Inner { kind, at: None, path: Vec::new(), others: Vec::new() }))
    }

    /// What a component has to say against its options `table`: at the item that it names, where the table has it.
    pub fn refused(invalid: Invalid, table: &Item) -> Fault {
        let Invalid { key, message, help, marks, others } = invalid;
        let others = others.into_iter().map(|other| Fault::refused(other, table)).collect();
        // A list may be written as one string: then it stands for its items.
        let list = key.strip_suffix(']').and_then(|key| key.rsplit_once('['));
        let key = match list {
            Some((list, _)) if table.at_path(&key).is_none() => list.to_owned(),
            _ => key,
        };
        let found = table.at_path(&key).filter(|_| !key.is_empty());
        let mut fault = Fault::new(Kind::Refused { message, help, marks });
        fault.0.others = others;
        // It may quote any of its options, not just the one that it blames.
        let fault = fault.at_value(found.unwrap_or(table)).without(&secrets(table));
        if found.is_some() { fault.below(&key) } else { fault }
    }

    fn without(mut self, secrets: &[&Text]) -> Fault {
        self.0.kind = without(std::mem::replace(&mut self.0.kind, Kind::Missing("")), secrets);
        self
    }

    /// Places it at a value, unless something further in has already.
    pub fn at_value(mut self, item: &Item) -> Fault {
        if self.0.at.is_none() {
            let secrets = secrets(item);
            let reference = secrets.first().map(|text| text.written.clone());
            self = self.without(&secrets);
            let span = item.span.clone();
            self.0.at = Some(At { number: item.number, span, opaque: item.is_opaque(), reference });
        }
        self
    }

    /// Places it at the key of `item`, unless something further in has a place already.
    pub fn at_key(mut self, key: Range<usize>, item: &Item) -> Fault {
        if self.0.at.is_none() {
            self.0.at = Some(At { number: item.number, span: key, opaque: false, reference: None });
        }
        self
    }

    /// Says that it was found below `key`.
    pub fn below(mut self, key: &str) -> Fault {
        self.0.path.push(key.to_owned());
        self
    }

    /// Leaves the numbers of items out of the path: they are those of a table that something may have been taken out of.
    pub fn without_numbers(mut self) -> Fault {
        let plain =
            |key: &String| key.split('[').map(|part| part.rsplit(']').next().unwrap_or(part)).collect();
        self.0.path = self.0.path.iter().map(plain).collect();
        self
    }

    /// What serde found.
    pub fn kind(&self) -> &Kind {
        &self.0.kind
    }

    /// What else is wrong at the same place.
    pub fn others(&self) -> &[Fault] {
        &self.0.others
    }

    /// Where; none only for a fault that never passed the deserializer.
    pub fn at(&self) -> Option<&At> {
        self.0.at.as_ref()
    }

    /// The dotted path of keys to it.
    pub fn path(&self) -> String {
        let keys: Vec<&str> = self.0.path.iter().rev().map(String::as_str).collect();
        keys.join(".")
    }
}

/// `kind` with nothing in it of the values of variables.
fn without(kind: Kind, secrets: &[&Text]) -> Kind {
    if secrets.is_empty() {
        return kind;
    }
    match kind {
        Kind::Value { expected, .. } => Kind::Value { found: None, expected },
        Kind::Variant { valid, .. } => Kind::Variant { found: None, valid },
        Kind::Custom(message) => Kind::Custom(discreet(message, secrets)),
        Kind::Refused { message, help, marks } => {
            let help = help.filter(|help| !is_quoted(help, secrets));
            let mark = |mark: Mark| Mark { label: discreet(mark.label, secrets), ..mark };
            let marks = marks.into_iter().map(mark).collect();
            Kind::Refused { message: discreet(message, secrets), help, marks }
        }
        other => other,
    }
}

/// `message`, or vague words in its place where it may quote the value of a variable.
fn discreet(message: String, secrets: &[&Text]) -> String {
    if is_quoted(&message, secrets) {
        "what comes from the environment here is not valid".to_owned()
    } else {
        message
    }
}

fn is_quoted(message: &str, secrets: &[&Text]) -> bool {
    secrets.iter().flat_map(|text| text.secrets.iter().chain([&text.value])).any(|one| quotes(message, one))
}

fn secrets(item: &Item) -> Vec<&Text> {
    item.texts().into_iter().filter(|text| text.is_secret()).collect()
}

/// Whether `message` has some letters in a row from `secret`, or the same number in another notation.
fn quotes(message: &str, secret: &str) -> bool {
    let message = message.to_lowercase();
    let secret: Vec<char> = secret.to_lowercase().chars().collect();
    let length = secret.len().clamp(1, QUOTE_CHARS_MIN);
    let mut pieces = secret.windows(length);
    if pieces.any(|piece| message.contains(&String::from_iter(piece))) {
        return true;
    }
    let secret: String = secret.into_iter().filter(|c| *c != '_').collect();
    let Ok(number) = secret.trim().parse::<f64>() else {
        return false;
    };
    let words = message.split(|c: char| !c.is_ascii_digit() && !".+-e".contains(c));
    words.filter_map(|word| word.trim_matches(['.', 'e']).parse::<f64>().ok()).any(|other| other == number)
}

/// The highest number of a type that has one worth naming.
fn highest(name: &str) -> Option<u64> {
    match name {
        "u8" => Some(u8::MAX.into()),
        "u16" => Some(u16::MAX.into()),
        "u32" => Some(u32::MAX.into()),
        _ => None,
    }
}

/// How serde's words for what it expected read to people; `expected` is the text of an [`Expected`].
pub(super) fn in_words(expected: &str, with_bounds: bool) -> String {
    let whole = |min: &str, max: &str| match (with_bounds, max) {
        (false, _) => "a whole number".to_owned(),
        (true, "") => format!("a whole number, {min} or more"),
        (true, max) => format!("a whole number from {min} to {max}"),
    };
    match expected {
        "u8" => whole("0", "255"),
        "u16" => whole("0", "65535"),
        "u32" => whole("0", "4294967295"),
        "u64" | "u128" | "usize" => whole("0", ""),
        "i8" => whole("-128", "127"),
        "i16" => whole("-32768", "32767"),
        "i32" => whole("-2147483648", "2147483647"),
        "i64" | "i128" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "an array".to_owned(),
        "a map" => "a table".to_owned(),
        "any valid JSON value" => "a value that JSON has (times are strings)".to_owned(),
        "path string" | "variant identifier" | "field identifier" => "a string".to_owned(),
        _ if expected.starts_with("a nonzero ") => whole("1", ""),
        _ if expected.starts_with("struct ") => "a table".to_owned(),
        _ if expected.starts_with("enum ") => "a string".to_owned(),
        other => other.to_owned(),
    }
}

fn noun(unexpected: &Unexpected<'_>) -> &'static str {
    match unexpected {
        Unexpected::Bool(true) => "`true`",
        Unexpected::Bool(false) => "`false`",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "a whole number",
        Unexpected::Float(_) => "a number with a fraction",
        Unexpected::Char(_) | Unexpected::Str(_) => "a string",
        Unexpected::Seq => "an array",
        Unexpected::Map => "a table",
        _ => "something else",
    }
}

/// The deserializer's own fault: a value `found` of another type than a field of type `expected` takes.
pub(super) fn wrong_type(found: &'static str, expected: &dyn Expected) -> Fault {
    Fault::new(Kind::Type { found, expected: in_words(&expected.to_string(), false) })
}

impl serde::de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Fault {
        Fault::new(Kind::Custom(message.to_string()))
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Fault {
        wrong_type(noun(&unexpected), expected)
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Fault {
        let found = match unexpected {
            Unexpected::Unsigned(value) => Some(value.to_string()),
            Unexpected::Signed(value) => Some(value.to_string()),
            Unexpected::Float(value) => Some(value.to_string()),
            Unexpected::Bool(value) => Some(value.to_string()),
            Unexpected::Str(value) => is_quotable(value).then(|| format!("{value:?}")),
            Unexpected::Other(words) => Some(words.to_owned()),
            _ => None,
        };
        let expected = expected.to_string();
        let high = match unexpected {
            Unexpected::Unsigned(1..) | Unexpected::Signed(1..) => {
                expected.strip_prefix("a nonzero ").and_then(highest)
            }
            _ => None,
        };
        let expected =
            high.map_or_else(|| in_words(&expected, true), |high| format!("a whole number from 1 to {high}"));
        Fault::new(Kind::Value { found, expected })
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Fault {
        Fault::new(Kind::Custom(format!("expected {expected}, found {length}")))
    }

    fn unknown_variant(variant: &str, valid: &'static [&'static str]) -> Fault {
        Fault::new(Kind::Variant { found: Some(variant.to_owned()), valid })
    }

    fn unknown_field(field: &str, valid: &'static [&'static str]) -> Fault {
        Fault::new(Kind::Field { name: field.to_owned(), valid })
    }

    fn missing_field(field: &'static str) -> Fault {
        Fault::new(Kind::Missing(field))
    }

    fn duplicate_field(field: &'static str) -> Fault {
        Fault::new(Kind::Repeated(field))
    }
}

impl std::error::Error for Fault {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid options")
    }
}

/// Before it is placed, a fault may hold the value of a variable: it tells nothing.
impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fault(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_secret_is_noticed() {
        for (message, secret) in [
            ("can't use \"hunter2\"", "hunter2"),
            ("starts with HUNT", "hunter2"),
            ("50 is too much", "5e1"),
            ("at most 1, not 7.", "7"),
            ("at most 100, not 1000", " 1_000"),
            ("7s is too long", "007"),
            ("bad: x", "x"),
        ] {
            assert!(quotes(message, secret), "{message} {secret}");
        }
        for (message, secret) in [("must be from 0 to 1", "7"), ("not a time zone", "hunter2")] {
            assert!(!quotes(message, secret), "{message} {secret}");
        }
    }

    #[test]
    fn serde_s_words_become_words_for_people() {
        for (expected, words) in [
            ("u16", "a whole number from 0 to 65535"),
            ("a nonzero u32", "a whole number, 1 or more"),
            ("struct Decoding", "a table"),
            ("a list of keys", "a list of keys"),
        ] {
            assert_eq!(in_words(expected, true), words);
        }
        assert_eq!(in_words("u16", false), "a whole number");
    }
}
