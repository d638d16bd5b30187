//! What is wrong with a config, as data.
//!
//! The library finds faults; how they look on a screen is the business of the command line. So a diagnostic is plain
//! data: it points into a [`Source`] by bytes and carries text for people, and no type of a rendering library.
//! Nothing in it ever holds the value of an environment variable: such a value may be a secret.

use crate::event::Invalid;
use std::ops::Range;

/// A config file as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// What to call it: its path as given, `<stdin>` for standard input.
    pub name: String,
    /// Its whole text.
    pub text: String,
}

/// A stretch of text in one of the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Index of the file in the list that was loaded.
    pub file: usize,
    /// Bytes of its text.
    pub span: Range<usize>,
}

impl Place {
    /// The bytes `span` of the file with index `file`.
    pub fn new(file: usize, span: Range<usize>) -> Place {
        Place { file, span }
    }

    fn key(&self) -> (usize, usize, usize) {
        (self.file, self.span.start, self.span.end)
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Nothing can be run.
    Error,
    /// It runs, but hardly as meant.
    Warning,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub title: String,
    /// What to say at [`Diagnostic::at`]; may be empty.
    pub label: String,
    /// The token at fault; none where the fault is no single token's.
    pub at: Option<Place>,
    /// Other places that belong to it, each with a label.
    pub more: Vec<(Place, String)>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error that no token is to blame for.
    pub fn error(title: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            title: title.into(),
            label: String::new(),
            at: None,
            more: Vec::new(),
            help: None,
        }
    }

    /// A warning that no token is to blame for.
    pub fn warning(title: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(title) }
    }

    /// What is wrong with a program that is the whole file with index `file`.
    pub fn of_program(invalid: &Invalid, severity: Severity, file: usize) -> Vec<Diagnostic> {
        let one = |invalid: &Invalid| {
            let start = Diagnostic { severity, ..Diagnostic::error(invalid.message.as_str()) };
            let marks =
                invalid.marks.iter().map(|mark| (Place::new(file, mark.span.clone()), mark.label.as_str()));
            let marked = marks.fold(start, |so_far, (place, label)| match so_far.at {
                None => so_far.at(place, label),
                Some(_) => so_far.also(place, label),
            });
            marked.help(invalid.help.clone())
        };
        [invalid].into_iter().chain(&invalid.others).map(one).collect()
    }

    /// Points at the token to blame.
    pub fn at(mut self, place: Place, label: impl Into<String>) -> Diagnostic {
        self.at = Some(place);
        self.label = label.into();
        self
    }

    /// Points at another place that belongs to it.
    pub fn also(mut self, place: Place, label: impl Into<String>) -> Diagnostic {
        self.more.push((place, label.into()));
        self
    }

    /// Says what to do, where there is something to say.
    pub fn help(mut self, help: impl Into<Option<String>>) -> Diagnostic {
        self.help = help.into();
        self
    }
}

/// Sorts by file, then by position; what has no place comes last.
pub(super) fn sort(diagnostics: &mut [Diagnostic]) {
    diagnostics
        .sort_by_key(|one| one.at.as_ref().map_or((usize::MAX, usize::MAX, usize::MAX), |place| place.key()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diagnostics_stand_in_the_order_of_the_files() {
        let at = |title: &str, file, start| {
            Diagnostic::error(title).at(Place::new(file, start..start + 1), String::new())
        };
        let mut all = vec![Diagnostic::error("whole"), at("c", 1, 0), at("b", 0, 9), at("a", 0, 1)];
        sort(&mut all);
        let titles: Vec<&str> = all.iter().map(|one| one.title.as_str()).collect();
        assert_eq!(titles, ["a", "b", "c", "whole"]);
    }
}
