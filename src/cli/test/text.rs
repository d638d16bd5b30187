//! What tests have found, as text for people.

use super::super::render::draw;
use super::diff::{Side, diff, pretty};
use super::junit::Case;
use crate::config::{Flaw, Shown, Source};
use crate::topology::Passage;
use annotate_snippets::normalize_untrusted_str as clean;

const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

/// How text looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    /// Whether it has colours.
    pub coloured: bool,
}

impl Style {
    fn paint(self, colour: &str, text: &str) -> String {
        if self.coloured { format!("{colour}{text}{PLAIN}") } else { text.to_owned() }
    }

    /// The line of one test.
    pub fn line(self, name: &str, passed: bool) -> String {
        let verdict = if passed { self.paint(GREEN, "passed") } else { self.paint(RED, "failed") };
        format!("test {} ... {verdict}\n", clean(name))
    }

    /// The line above a flaw.
    pub fn heading(self, name: &str, flaw: &Flaw) -> String {
        let line = format!("--- {}: {}", clean(name), clean(&flaw.title));
        format!("\n{}\n\n", self.paint(BOLD, &line))
    }

    /// Why a test has failed: the options, what has come out, where events have gone.
    pub fn flaw(self, flaw: &Flaw, files: &[Source]) -> String {
        let mut text = draw(&flaw.diagnostics, files, self.coloured);
        flaw.events.iter().for_each(|shown| text.push_str(&self.event(shown)));
        if flaw.more > 0 {
            text.push_str(&format!("and {} more\n", flaw.more));
        }
        if !flaw.passages.is_empty() {
            text.push_str("where events have gone:\n\n");
            let width = flaw.passages.iter().map(|one| one.id.len()).max().unwrap_or(0);
            flaw.passages.iter().for_each(|one| text.push_str(&passage(one, width)));
        }
        text
    }

    fn event(self, shown: &Shown) -> String {
        let event = pretty(&shown.event);
        let inserted = shown.inserted.as_deref().map(pretty);
        let mut text = match &inserted {
            None => "what has come out:\n\n".to_owned(),
            Some(inserted) if *inserted == event => "what has come out, as it was inserted:\n\n".to_owned(),
            Some(_) => "what was inserted (-), and what has come out (+):\n\n".to_owned(),
        };
        for (side, line) in diff(inserted.as_deref().unwrap_or(&event), &event) {
            let line = clean(line);
            text.push_str(&match side {
                Side::Both => format!("    {line}\n"),
                Side::Before => self.paint(RED, &format!("  - {line}")) + "\n",
                Side::After => self.paint(GREEN, &format!("  + {line}")) + "\n",
            });
        }
        for line in shown.percent.iter().flat_map(|percent| pretty(percent)) {
            let mark = if line == "{" { "  % " } else { "    " };
            text.push_str(&format!("{mark}{}\n", clean(&line)));
        }
        text + "\n"
    }

    /// The last line.
    pub fn summary(self, cases: &[Case<'_>], left_out: usize) -> String {
        if cases.is_empty() {
            return "no tests: a config has them as `[[tests]]`\n".to_owned();
        }
        let failed = cases.iter().filter(|case| !case.flaws.is_empty()).count();
        let passed = cases.len() - failed;
        let left_out = if left_out > 0 { format!(", {left_out} left out") } else { String::new() };
        let line = format!("{passed} passed, {failed} failed{left_out}");
        format!("\n{}\n", self.paint(if failed > 0 { RED } else { GREEN }, &line))
    }
}

/// What a transform has done, in one line.
fn passage(passage: &Passage, width: usize) -> String {
    let Passage { id, events_in, events_out, dropped, failed } = passage;
    let mut parts = vec![format!("{events_in} in")];
    for (port, count) in events_out {
        parts.push(match port {
            None => format!("{count} out"),
            Some(port) => format!("{count} out by the port `{port}`"),
        });
    }
    for (reason, count) in dropped {
        parts.push(format!("{count} dropped ({reason})"));
    }
    if *failed > 0 {
        parts.push(format!("its program has failed on {failed}"));
    }
    format!("    {id:<width$}  {}\n", parts.join(", "))
}

/// That no test has `part` in its name.
pub(super) fn no_such_test(part: &str) -> String {
    let help = if part.ends_with(".toml") { "; a config is given by `-c`" } else { "" };
    format!("no test has `{}` in its name{help}", clean(part))
}
