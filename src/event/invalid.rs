//! Options that parse but do not make a component.

use std::fmt;

/// Why a component can't be built from its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// The option at fault, by its path below the component (`request.timeout_secs`); empty: the component itself.
    pub key: String,
    /// What is wrong with it.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Invalid {
    /// `message` is wrong with the option `key`.
    pub fn new(key: &str, message: impl Into<String>) -> Invalid {
        Invalid { key: key.to_owned(), message: message.into(), help: None }
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
