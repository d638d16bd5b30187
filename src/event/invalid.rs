//! Options that parse but do not make a component.

use std::fmt;
use std::ops::Range;

/// A stretch of the string that an option holds, with what there is to say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Bytes of the string.
    pub span: Range<usize>,
    /// What to say; may be empty.
    pub label: String,
}

/// Why a component can't be built from its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// The option at fault, by its path below the component (`request.timeout_secs`); empty: the component itself.
    pub key: String,
    /// What is wrong with it.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Where in the option's string, the place to blame first; empty: all of it.
    pub marks: Vec<Mark>,
    /// What else is wrong with the same option.
    pub others: Vec<Invalid>,
}

impl Invalid {
    /// `message` is wrong with the option `key`.
    pub fn new(key: &str, message: impl Into<String>) -> Invalid {
        let message = message.into();
        Invalid { key: key.to_owned(), message, help: None, marks: Vec::new(), others: Vec::new() }
    }

    /// Adds what to do.
    pub fn help(mut self, help: impl Into<String>) -> Invalid {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)
    }
}
