//! Text to tree; what is not TOML becomes diagnostics.

use super::diagnostic::{Diagnostic, Place, Source};
use super::environment::Environment;
use super::tree::{Builder, Item};
use std::ops::Range;
use toml::de::{DeTable, Error};

/// How `toml` says that a key or a table stands twice: the one fault that leaves the rest of a file as it was meant.
const DUPLICATE: &str = "duplicate key";

/// A file as a tree, with its faults so far.
pub(super) struct Parsed {
    /// None where the text is not TOML: a part of the file is then unreadable, and what seems to be missing may just
    /// be there.
    pub root: Option<Item>,
    pub diagnostics: Vec<Diagnostic>,
}

/// Parses `source`, the file with index `file`. Strings in the sections `unread` stay unknown.
pub(super) fn parse(file: usize, source: &Source, environment: Environment<'_>, unread: &[&str]) -> Parsed {
    let text = source.text.as_str();
    let (table, mut errors) = DeTable::parse_recoverable(text);
    errors.sort_by_key(|error| error.span().map_or(0, |span| span.start));
    let readable = errors.iter().all(|error| error.message() == DUPLICATE);
    let mut diagnostics = Vec::new();
    let mut last_line = None;
    let mut last_header = None;
    for error in &errors {
        let span = token(text, error.span());
        let line = line_start(text, span.start);
        let header = header_start(text, line);
        // One slip makes the parser stumble several times over the same line; and of a table that stands twice, its
        // keys need not be told one by one.
        let is_known = last_line == Some(line) || error.message() == DUPLICATE && last_header == Some(header);
        if !is_known {
            diagnostics.push(diagnostic(file, text, span, error));
        }
        last_line = Some(line);
        last_header = if line == header { Some(header) } else { last_header };
    }
    if !readable {
        return Parsed { root: None, diagnostics };
    }
    let (root, troubles) = Builder::new(file, text, environment).without(unread).build(table);
    diagnostics.extend(troubles);
    Parsed { root: Some(root), diagnostics }
}

fn token(text: &str, span: Option<Range<usize>>) -> Range<usize> {
    let span = span.unwrap_or(0..0);
    span.start.min(text.len())..span.end.min(text.len())
}

fn diagnostic(file: usize, text: &str, span: Range<usize>, error: &Error) -> Diagnostic {
    let place = Place::new(file, span.clone());
    if error.message() != DUPLICATE {
        let rest = text.get(span.start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        // The parser would say that strings need quotes.
        let has_no_value = span.is_empty() && error.message().starts_with("string values must be quoted");
        let is_blank = rest.trim_start().is_empty() || rest.trim_start().starts_with('#');
        let label = if has_no_value && is_blank { "a value is missing" } else { error.message() };
        let help = match label {
            label if label.contains("array") => Some("is the `[` in front of it closed?"),
            label if label.contains("string") => Some("is its quote closed?"),
            _ => None,
        };
        return Diagnostic::error("this is not TOML").at(place, label).help(help.map(str::to_owned));
    }
    let name = text.get(span.clone()).unwrap_or_default();
    let diagnostic = Diagnostic::error(format!("`{name}` stands twice")).at(place, "defined again here");
    match earlier(text, &span) {
        Some(first) => diagnostic.also(Place::new(file, first), "first defined here"),
        None => diagnostic,
    }
}

/// Where the table or key at `span` was defined before. The parser does not tell, so this looks for a line that
/// begins alike: it may miss an unusual notation, which costs a label and nothing else.
fn earlier(text: &str, span: &Range<usize>) -> Option<Range<usize>> {
    let own = line_start(text, span.start);
    let line = text.get(own..)?.lines().next()?;
    let before = text.get(..own)?;
    let is_header = line.trim_start().starts_with('[');
    let wanted = beginning(line);
    let mut found = None;
    let mut start = 0;
    for line in before.split_inclusive('\n') {
        if is_header && found.is_some() {
            break;
        }
        if beginning(line) == wanted {
            let indent = line.len() - line.trim_start().len();
            let end = line.find(if is_header { ']' } else { '=' }).unwrap_or(line.len());
            let end = if is_header { end + 1 } else { line.get(..end)?.trim_end().len() };
            found = Some(start + indent..start + end);
        } else if !is_header && line.trim_start().starts_with('[') {
            found = None;
        }
        start += line.len();
    }
    found
}

/// A header, or the key of a line, without white space.
fn beginning(line: &str) -> String {
    let end = if line.trim_start().starts_with('[') { ']' } else { '=' };
    line.split(end).next().unwrap_or_default().split_whitespace().collect()
}

/// Where the table that the line at `line` belongs to begins.
fn header_start(text: &str, line: usize) -> usize {
    let mut start = 0;
    let mut header = 0;
    for text in text.split_inclusive('\n') {
        if start > line {
            break;
        }
        if text.trim_start().starts_with('[') {
            header = start;
        }
        start += text.len();
    }
    header
}

fn line_start(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<(String, String, Option<String>)> {
        let source = Source { name: "a.toml".to_owned(), text: text.to_owned() };
        let shown = |place: &Place| text[place.span.clone()].to_owned();
        let of = |one: &Diagnostic| {
            (
                one.label.clone(),
                shown(one.at.as_ref().unwrap()),
                one.more.first().map(|(place, _)| shown(place)),
            )
        };
        parse(0, &source, Environment::Absent, &[]).diagnostics.iter().map(of).collect()
    }

    #[test]
    fn all_slips_of_a_file_are_found() {
        let found = faults("a = \nb = 1\ne = yes\nc 2\n[d\n");
        let labels: Vec<&str> = found.iter().map(|(label, ..)| label.as_str()).collect();
        assert_eq!(
            labels,
            [
                "a value is missing",
                "string values must be quoted, expected literal string",
                "key with no value, expected `=`",
                "unclosed table, expected `]`"
            ]
        );
    }

    #[test]
    fn what_stands_twice_shows_both_places() {
        let again = "defined again here".to_owned();
        assert_eq!(
            faults("[sources.a]\nn = 1\n[sinks.a]\n[ sources . a ]\nn = 1\n"),
            [(again.clone(), "a".to_owned(), Some("[sources.a]".to_owned()))]
        );
        assert_eq!(
            faults("[x]\nn = 1\n[y]\n n = 1\nm = 1\nn = 2\n"),
            [(again, "n".to_owned(), Some("n".to_owned()))]
        );
    }

    #[test]
    fn a_file_in_which_something_stands_twice_is_still_read() {
        let source = Source { name: String::new(), text: "a = 1\na = 2\nb = 3\n".to_owned() };
        assert!(parse(0, &source, Environment::Absent, &[]).root.is_some_and(|root| root.get("b").is_some()));
        let source = Source { name: String::new(), text: "a = \n".to_owned() };
        assert!(parse(0, &source, Environment::Absent, &[]).root.is_none());
    }
}
