//! `${NAME}` in string values.
//!
//! References are replaced after the TOML has been parsed and inside string values only, so a variable can never
//! change the structure of a file, whatever it holds. What came out of the environment may be a secret: [`Text`]
//! remembers it, shows the string as it was written instead, and has no `Debug` that tells.

use std::fmt;
use std::ops::Range;

/// Where the values of variables come from.
#[derive(Clone, Copy)]
pub enum Environment<'a> {
    /// The value of a variable by its name; none where it is not set.
    Of(&'a dyn Fn(&str) -> Option<String>),
    /// There are none, and that is no error: a reference without a default stands for any value that fits. Such a
    /// config can be checked, not run.
    Absent,
}

/// A string value after replacement.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Text {
    /// What it stands for. Never shown where [`Text::is_secret`].
    pub value: String,
    /// What is written in the file.
    pub written: String,
    /// Values of variables in it, none of them empty.
    pub secrets: Vec<String>,
    /// Whether it is one reference and nothing else, and so takes the type that its field wants.
    pub whole: bool,
    /// Whether a part of it is unknown, because there is no environment.
    pub opaque: bool,
}

impl Text {
    /// A string that nothing is known of.
    pub fn unknown() -> Text {
        Text { opaque: true, ..Text::default() }
    }

    /// The string, or what is written in the file where its value must not be shown.
    pub fn shown(&self) -> &str {
        if self.is_secret() || self.opaque { &self.written } else { &self.value }
    }

    /// Whether a part of it came out of the environment.
    pub fn is_secret(&self) -> bool {
        !self.secrets.is_empty()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.shown())
    }
}

/// What is wrong with a reference.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// Bytes of the string.
    pub span: Range<usize>,
    pub title: String,
    pub label: String,
    pub help: Option<String>,
}

/// What a reference does without its variable.
enum Otherwise<'a> {
    Fail,
    Default(&'a str),
    Message(&'a str),
}

struct Reference<'a> {
    name: &'a str,
    otherwise: Otherwise<'a>,
}

/// Replaces the references of `written`; finds all that is wrong.
pub(super) fn resolve(written: &str, environment: Environment<'_>) -> Result<Text, Vec<Trouble>> {
    let mut text = Text { written: written.to_owned(), ..Text::default() };
    let mut troubles = Vec::new();
    let mut rest = written;
    while let Some((before, found)) = rest.split_once('$') {
        text.value.push_str(before);
        let start = written.len() - found.len() - 1;
        if let Some(after) = found.strip_prefix('$') {
            text.value.push('$');
            rest = after;
        } else if let Some(inner) = found.strip_prefix('{') {
            let Some((inner, after)) = inner.split_once('}') else {
                troubles.push(unterminated(start..written.len()));
                return Err(troubles);
            };
            let span = start..written.len() - after.len();
            text.whole = span == (0..written.len());
            match parse(inner, &span) {
                Ok(reference) => replace(&reference, span, environment, &mut text, &mut troubles),
                Err(trouble) => troubles.push(trouble),
            }
            rest = after;
        } else {
            text.value.push('$');
            rest = found;
        }
    }
    text.value.push_str(rest);
    if troubles.is_empty() { Ok(text) } else { Err(troubles) }
}

fn unterminated(span: Range<usize>) -> Trouble {
    Trouble {
        span,
        title: "a reference to a variable has no end".to_owned(),
        label: "`}` is missing".to_owned(),
        help: Some("a dollar sign that is meant as one is written `$$`".to_owned()),
    }
}

fn parse<'a>(inner: &'a str, span: &Range<usize>) -> Result<Reference<'a>, Trouble> {
    let end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
    let (name, operator) = inner.split_at_checked(end).unwrap_or((inner, ""));
    let trouble = |title: &str, label: &str, help: String| Trouble {
        span: span.clone(),
        title: title.to_owned(),
        label: label.to_owned(),
        help: Some(help),
    };
    if operator.contains("${") {
        let help = "give the default as text, or set the variable".to_owned();
        return Err(trouble("a reference inside a reference", "these can't be nested", help));
    }
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        let help = "a name has letters, digits and `_`; a dollar sign that is meant as one is written `$$`";
        return Err(trouble("a reference without the name of a variable", "no name", help.to_owned()));
    }
    let otherwise = match operator {
        "" => Otherwise::Fail,
        _ => match (operator.strip_prefix(":-"), operator.strip_prefix(":?")) {
            (Some(default), _) => Otherwise::Default(default),
            (_, Some(message)) => Otherwise::Message(message),
            (None, None) => {
                let help = format!("write `${{{name}}}`, `${{{name}:-default}}` or `${{{name}:?message}}`");
                return Err(trouble("a reference of an unknown form", "not understood", help));
            }
        },
    };
    Ok(Reference { name, otherwise })
}

fn replace(
    reference: &Reference<'_>,
    span: Range<usize>,
    environment: Environment<'_>,
    text: &mut Text,
    troubles: &mut Vec<Trouble>,
) {
    let name = reference.name;
    let set = match environment {
        Environment::Of(variable) => variable(name),
        Environment::Absent => None,
    };
    // As in a shell, `:-` and `:?` take a variable that is set to nothing for one that is not set.
    let wants_more = !matches!(reference.otherwise, Otherwise::Fail);
    let set = set.filter(|value| !(wants_more && value.is_empty()));
    match (set, &reference.otherwise, environment) {
        (Some(value), _, _) => {
            text.value.push_str(&value);
            if !value.is_empty() {
                text.secrets.push(value);
            }
        }
        (None, Otherwise::Default(default), _) => text.value.push_str(&default.replace("$$", "$")),
        (None, _, Environment::Absent) => {
            text.value.push_str(PLACEHOLDER);
            text.opaque = true;
        }
        (None, otherwise, Environment::Of(_)) => {
            let label = match otherwise {
                Otherwise::Message(message) if !message.is_empty() => (*message).to_owned(),
                _ => "there is no value for it".to_owned(),
            };
            let help = format!("set it, or give a default: `${{{name}:-default}}`");
            let title = format!("the variable `{name}` is not set");
            troubles.push(Trouble { span, title, label, help: Some(help) });
        }
    }
}

/// What an unknown part of a string reads as.
const PLACEHOLDER: &str = "placeholder";

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(name: &str) -> Option<String> {
        match name {
            "TOKEN" => Some("hunter2".to_owned()),
            "EMPTY" => Some(String::new()),
            "TRICKY" => Some("${TOKEN} $$ \"]".to_owned()),
            _ => None,
        }
    }

    fn value(written: &str) -> String {
        resolve(written, Environment::Of(&variables)).unwrap().value
    }

    fn trouble(written: &str) -> Vec<(Range<usize>, String, String)> {
        let troubles = resolve(written, Environment::Of(&variables)).unwrap_err();
        troubles.into_iter().map(|one| (one.span, one.title, one.label)).collect()
    }

    #[test]
    fn references_are_replaced_once() {
        for (written, expected) in [
            ("plain", "plain"),
            ("Bearer ${TOKEN}!", "Bearer hunter2!"),
            ("${NONE:-a default}", "a default"),
            ("${EMPTY:-a default}", "a default"),
            ("${EMPTY}", ""),
            ("${NONE:-}", ""),
            ("${NONE:-US$$}", "US$"),
            ("${TOKEN:?is needed}", "hunter2"),
            ("$$5 and $6, $", "$5 and $6, $"),
            ("$${TOKEN}", "${TOKEN}"),
            ("$$$TOKEN", "$$TOKEN"),
            ("${TRICKY}", "${TOKEN} $$ \"]"),
            ("é${TOKEN}é", "éhunter2é"),
        ] {
            assert_eq!(value(written), expected, "{written}");
        }
    }

    #[test]
    fn only_one_reference_and_nothing_else_is_whole() {
        let whole = |written| resolve(written, Environment::Of(&variables)).unwrap().whole;
        assert!(whole("${TOKEN}") && whole("${NONE:-5}"));
        assert!(!whole("${TOKEN}${TOKEN}") && !whole(" ${TOKEN}") && !whole("5") && !whole("$$"));
    }

    #[test]
    fn all_troubles_are_found() {
        assert_eq!(
            trouble("a ${ONE} b ${TWO:?give the second}"),
            [
                (2..8, "the variable `ONE` is not set".to_owned(), "there is no value for it".to_owned()),
                (11..34, "the variable `TWO` is not set".to_owned(), "give the second".to_owned()),
            ]
        );
        for written in ["${TOKEN", "${}", "${1A}", "${TOKEN-x}", "${TOKEN:-${EMPTY}}", "${TO KEN}"] {
            assert_eq!(trouble(written).len(), 1, "{written}");
        }
    }

    #[test]
    fn a_value_is_never_shown() {
        let text = resolve("Bearer ${TOKEN}", Environment::Of(&variables)).unwrap();
        assert_eq!(format!("{text:?}"), "\"Bearer ${TOKEN}\"");
        assert!(text.is_secret());
        assert!(!resolve("${NONE:-x}", Environment::Of(&variables)).unwrap().is_secret());
    }

    #[test]
    fn without_an_environment_defaults_hold_and_the_rest_is_unknown() {
        let text = resolve("${TOKEN:-x}", Environment::Absent).unwrap();
        assert_eq!((text.value.as_str(), text.opaque), ("x", false));
        assert!(resolve("Bearer ${TOKEN:?needed}", Environment::Absent).unwrap().opaque);
    }
}
