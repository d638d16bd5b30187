//! One evaluation, and the two records that Livebook writes of it.
//!
//! Nothing of the first record is kept for the second: an evaluation is a few numbers, and both records are written
//! from them. What a reader of the log must not take for granted is here on purpose, if rare: sources that `inspect`
//! lists byte by byte, or cuts.

use super::Format;
use super::cells::{Cells, Choice};
use super::holes::Facts;
use super::people::{Team, Users, UsersId};
use super::prng::{Prng, mix, scale};
use super::record::{Frame, Structured};
use super::template::Form;
use crate::livebook::inspect::write_literal;

/// Who evaluated what. Both of its records are written from this alone, so that they agree.
#[derive(Clone, Copy, Debug)]
pub struct Evaluation {
    cell: Choice,
    seed: u64,
    users: UsersId,
    is_app: bool,
    is_printable: bool,
}

/// One evaluation in so many is of an app.
const APP_ONCE_IN: u64 = 10;
/// One in so many has a character that Elixir does not print.
const UNPRINTABLE_ONCE_IN: u64 = 300;
/// How far into the source that character is, in bytes; far under the 4,096 characters that `logger_json` looks at.
const UNPRINTABLE_WITHIN: u64 = 600;
/// The kinds of it: pasted with a web page, left by a terminal, typed by mistake.
const UNPRINTABLE: [char; 6] = ['\0', '\u{0E}', '\u{13}', '\u{1C}', '\u{85}', '\u{FFFE}'];
/// How many bytes of a source that it can't print `inspect` lists, since Elixir 1.20.
const BYTES_MAX: usize = 200;

impl Evaluation {
    /// What somebody does next.
    pub fn new(cells: &Cells, team: &mut Team, prng: &mut Prng) -> Self {
        let is_app = prng.once_in(APP_ONCE_IN);
        Evaluation {
            cell: cells.choose(prng),
            seed: prng.draw(),
            users: if is_app { Team::previewer(prng) } else { team.session(prng) },
            is_app,
            is_printable: !prng.once_in(UNPRINTABLE_ONCE_IN),
        }
    }

    /// Appends the record with everything in its message.
    pub fn write_legacy(&self, format: Format, time_ms: u64, cells: &Cells, team: &Team, out: &mut Vec<u8>) {
        let (newline, quote, form) = match format {
            Format::LivebookJson => ("\\n", "\\\"", Form::InspectJson),
            Format::LivebookText => ("\n", "\"", Form::Inspect),
        };
        let message = |out: &mut Vec<u8>| {
            for part in ["Evaluating code", newline, "  Session mode: ", self.mode(), newline, "  Code: "] {
                out.extend_from_slice(part.as_bytes());
            }
            let quote = if self.is_printable { quote } else { "" };
            out.extend_from_slice(quote.as_bytes());
            self.write_code(form, cells, out);
            out.extend_from_slice(quote.as_bytes());
        };
        frame(time_ms, team.users(self.users)).write(format, &message, out);
    }

    /// Appends the record with everything in its metadata.
    pub fn write_structured(
        &self,
        format: Format,
        time_ms: u64,
        cells: &Cells,
        team: &Team,
        out: &mut Vec<u8>,
    ) {
        let form = match format {
            Format::LivebookJson => Form::Json,
            Format::LivebookText => Form::Raw,
        };
        let code = |out: &mut Vec<u8>| self.write_code(form, cells, out);
        let structured = Some(Structured { mode: self.mode(), code: &code });
        let message = |out: &mut Vec<u8>| out.extend_from_slice(b"Evaluating code");
        Frame { structured, ..frame(time_ms, team.users(self.users)) }.write(format, &message, out);
    }

    fn mode(&self) -> &'static str {
        if self.is_app { "app" } else { "default" }
    }

    fn write_code(&self, form: Form, cells: &Cells, out: &mut Vec<u8>) {
        let Some(cell) = cells.get(self.cell) else { return };
        let facts = Facts::of_seed(self.seed);
        if self.is_printable {
            return cell.write(form, &facts, out);
        }
        let mut source = Vec::new();
        cell.write(Form::Raw, &facts, &mut source);
        let source = spoil(&String::from_utf8_lossy(&source), self.seed);
        match form {
            Form::Raw => out.extend_from_slice(source.as_bytes()),
            // Even the structured code of JSON is then what `inspect` prints: digits, which need no escape.
            Form::Json | Form::Inspect | Form::InspectJson => write_bytes(source.as_bytes(), out),
        }
    }
}

fn frame(time_ms: u64, users: Option<&Users>) -> Frame<'_> {
    Frame { time_ms, severity: "info", users, request: None, structured: None }
}

/// Puts a character that Elixir does not print somewhere into the first part of `source`.
fn spoil(source: &str, seed: u64) -> String {
    let [place, kind] = [1, 2].map(|salt| mix(seed ^ salt));
    let mut at = scale(place, UNPRINTABLE_WITHIN.min(source.len() as u64 + 1)) as usize;
    while !source.is_char_boundary(at) {
        at -= 1;
    }
    let (before, after) = source.split_at(at);
    let char = UNPRINTABLE.get(scale(kind, UNPRINTABLE.len() as u64) as usize).copied().unwrap_or('\0');
    format!("{before}{char}{after}")
}

/// Appends `<<1, 2, ...>>`, cut where Elixir cuts it. `source` must not be printable.
fn write_bytes(source: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    write_literal(source, out);
    if source.len() <= BYTES_MAX {
        return;
    }
    let mut commas = out.iter().enumerate().skip(start).filter(|(_, byte)| **byte == b',').map(|(at, _)| at);
    if let Some(end) = commas.nth(BYTES_MAX - 1) {
        out.truncate(end);
        out.extend_from_slice(b", ...>>");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::livebook::inspect::is_string_printable;

    #[test]
    fn a_spoilt_source_is_one_that_elixir_does_not_print() {
        for seed in 0..300 {
            let source = spoil("é = \"ü\"\n|> ö", seed);
            assert!(!is_string_printable(source.as_bytes()));
        }
        assert!(!spoil("", 1).is_empty());
    }

    #[test]
    fn bytes_are_cut_after_the_two_hundredth() {
        for (length, listed, end) in [(200, 200, "48>>"), (201, 200, "48, ...>>"), (5000, 200, "48, ...>>")] {
            let mut source = vec![b'0'; length];
            source[0] = 0;
            let mut out = b"a, b, c".to_vec();
            write_bytes(&source, &mut out);
            let text = String::from_utf8(out).unwrap();
            assert!(text.starts_with("a, b, c<<0, 48, ") && text.ends_with(end));
            assert_eq!(text.matches("48").count() + 1, listed);
        }
    }
}
