//! Text with holes, escaped ahead of time.
//!
//! A cell stands in the log in up to four forms. Escaping it for each would be most of what the generator does; so a
//! template's fixed parts are kept in all four, and filling it is concatenation.

use super::holes::{Facts, Hole};
use super::prng::{mix, scale};
use crate::event::json::string::escape_into;
use crate::livebook::inspect::write_literal;

/// How a text is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As it is.
    Raw,
    /// Inside a JSON string.
    Json,
    /// Inside the quotes of an Elixir literal.
    Inspect,
    /// Such a literal inside a JSON string.
    InspectJson,
}

/// A text with holes.
#[derive(Debug)]
pub struct Template {
    head: Vec<Part>,
    /// The line that is repeated; empty in most.
    row: Vec<Part>,
    tail: Vec<Part>,
}

/// Fixed text and the hole behind it.
#[derive(Debug)]
struct Part {
    raw: Vec<u8>,
    json: Vec<u8>,
    inspect: Vec<u8>,
    inspect_json: Vec<u8>,
    hole: Option<Hole>,
}

/// Begins the line that is repeated.
const ROWS: &str = "‹rows›";
/// How often it is: enough, at times, for Logger's limit on the length of a message.
const ROWS_MIN: u64 = 150;
const ROWS_END: u64 = 600;

impl Template {
    /// Reads the markers in `source`. One of an unknown kind stays as it stands.
    pub fn new(source: &str) -> Self {
        let Some((head, rest)) = source.split_once(ROWS) else {
            return Template { head: parts(source), row: Vec::new(), tail: Vec::new() };
        };
        let (row, tail) = rest.split_at(rest.find('\n').map_or(rest.len(), |end| end + 1));
        Template { head: parts(head), row: parts(row), tail: parts(tail) }
    }

    /// Whether a line of it is repeated.
    pub fn has_rows(&self) -> bool {
        !self.row.is_empty()
    }

    /// Appends the text that the facts give.
    pub fn write(&self, form: Form, facts: &Facts<'_>, out: &mut Vec<u8>) {
        write_parts(&self.head, form, facts, out);
        if self.has_rows() {
            let count = ROWS_MIN + scale(mix(facts.seed), ROWS_END - ROWS_MIN);
            for number in 0..count {
                let seed = mix(facts.seed.wrapping_add(number));
                write_parts(&self.row, form, &Facts { seed, ..*facts }, out);
            }
        }
        write_parts(&self.tail, form, facts, out);
    }
}

fn write_parts(parts: &[Part], form: Form, facts: &Facts<'_>, out: &mut Vec<u8>) {
    for part in parts {
        out.extend_from_slice(match form {
            Form::Raw => &part.raw,
            Form::Json => &part.json,
            Form::Inspect => &part.inspect,
            Form::InspectJson => &part.inspect_json,
        });
        if let Some(hole) = &part.hole {
            hole.write(facts, out);
        }
    }
}

fn parts(source: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut from = 0;
    for (at, _) in source.match_indices('‹') {
        let (Some(fixed), Some(rest)) = (source.get(from..at), source.get(at + '‹'.len_utf8()..)) else {
            continue;
        };
        let Some((marker, _)) = rest.split_once('›') else { continue };
        if let Some(hole) = Hole::parse(marker) {
            parts.push(Part::new(fixed, Some(hole)));
            from = at + '‹'.len_utf8() + marker.len() + '›'.len_utf8();
        }
    }
    let fixed = source.get(from..).unwrap_or_default();
    if !fixed.is_empty() {
        parts.push(Part::new(fixed, None));
    }
    parts
}

impl Part {
    fn new(fixed: &str, hole: Option<Hole>) -> Self {
        let raw = fixed.as_bytes().to_vec();
        let mut json = Vec::new();
        escape_into(&raw, &mut json);
        let mut literal = Vec::new();
        write_literal(&raw, &mut literal);
        let inspect = match literal.as_slice() {
            [b'"', inner @ .., b'"'] => inner.to_vec(),
            _ => literal,
        };
        let mut inspect_json = Vec::new();
        escape_into(&inspect, &mut inspect_json);
        Part { raw, json, inspect, inspect_json, hole }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(template: &Template, form: Form, seed: u64) -> Vec<u8> {
        let mut out = Vec::new();
        template.write(form, &Facts::of_seed(seed), &mut out);
        out
    }

    #[test]
    fn every_form_is_the_same_text() {
        let template = Template::new("IO.puts(\"#{‹var›} # ‹city›\\n\")\n\t‹var› ‹what› {\n‹rows›‹d6›\n#end");
        for seed in 0..50 {
            let raw = write(&template, Form::Raw, seed);
            let (mut json, mut literal, mut both) = (Vec::new(), Vec::new(), Vec::new());
            escape_into(&raw, &mut json);
            write_literal(&raw, &mut literal);
            let inner = &literal[1..literal.len() - 1];
            escape_into(inner, &mut both);
            assert_eq!(write(&template, Form::Json, seed), json);
            assert_eq!(write(&template, Form::Inspect, seed), inner);
            assert_eq!(write(&template, Form::InspectJson, seed), both);
        }
    }

    #[test]
    fn a_hole_keeps_its_value_throughout_and_rows_vary() {
        let text = String::from_utf8(write(&Template::new("‹d6› ‹d6› ‹what›"), Form::Raw, 3)).unwrap();
        let words: Vec<&str> = text.split(' ').collect();
        assert_eq!((words[0], words[2]), (words[1], "‹what›"));

        let text = String::from_utf8(write(&Template::new("a\n‹rows›‹d6›\nz"), Form::Raw, 3)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.len() > 100 && lines[1] != lines[2]);
        assert_eq!((lines.first(), lines.last()), (Some(&"a"), Some(&"z")));
    }
}
