//! Why a test has failed: its findings, back in the lines of the file.

use super::super::diagnostic::Diagnostic;
use super::{Place, Test, placed};
use crate::event::{Event, Invalid, Mark, Notes, Tree, write_value};
use crate::language::Failure;
use crate::topology::{Finding, OutputId, Passage, Trace, Unmet};
use vrl::path::OwnedTargetPath;
use vrl::value::Value;

/// Events that are shown of one output; the others are counted.
const SHOWN_MAX: usize = 3;

/// What every event has in `%`.
const KNOWN: [&str; 7] = ["source", "file", "container", "peer", "offset", "received", "id"];

/// One thing for which a test has failed.
#[derive(Debug)]
pub struct Flaw {
    /// What it is, in one line.
    pub title: String,
    /// The options that are not fulfilled, where they stand.
    pub diagnostics: Vec<Diagnostic>,
    /// Events that have come out, nearest to what was expected first.
    pub events: Vec<Shown>,
    /// How many more have.
    pub more: usize,
    /// Where all events have gone, where none has come out.
    pub passages: Vec<Passage>,
}

/// An event that has come out, as JSON.
#[derive(Debug)]
pub struct Shown {
    /// The event.
    pub event: String,
    /// The one that was inserted, of which it was made.
    pub inserted: Option<String>,
    /// What programs have put into `%`.
    pub percent: Option<String>,
}

impl Flaw {
    /// The same without the values of variables.
    pub(super) fn without(mut self, secrets: &[String]) -> Flaw {
        let escaped = |secret: &String| {
            let mut quoted = Vec::new();
            crate::event::json::string::quote_into(secret.as_bytes(), &mut quoted);
            String::from_utf8(quoted).map(|text| text.trim_matches('"').to_owned()).unwrap_or_default()
        };
        let blot = |text: &mut String| {
            for secret in secrets {
                for form in [escaped(secret), secret.clone()].iter().filter(|form| !form.is_empty()) {
                    *text = text.replace(form, "…");
                }
            }
        };
        for one in &mut self.diagnostics {
            blot(&mut one.title);
            blot(&mut one.label);
        }
        for shown in &mut self.events {
            blot(&mut shown.event);
            shown.inserted.iter_mut().chain(&mut shown.percent).for_each(blot);
        }
        self
    }
}

impl Test {
    /// What `finding` means to whoever has written the test.
    pub(super) fn explain(&self, finding: Finding, trace: &Trace) -> Flaw {
        let flaw = |title: String, diagnostics| Flaw {
            title,
            diagnostics,
            events: Vec::new(),
            more: 0,
            passages: Vec::new(),
        };
        match finding {
            Finding::Nothing(nth) => {
                let from = self.trial.checks.get(nth).map(|check| check.from.as_slice()).unwrap_or_default();
                let title = format!("nothing has come out of {}", listed(from));
                let at = self.at(&format!("outputs[{nth}].extract_from"));
                let diagnostic = Diagnostic::error(title.clone()).at(at, "no event has come here");
                Flaw { passages: self.ways(trace, from), ..flaw(title, vec![diagnostic]) }
            }
            Finding::Count(nth, events) => {
                let from = self.trial.checks.get(nth).map(|check| check.from.as_slice()).unwrap_or_default();
                let wanted = self.trial.checks.get(nth).and_then(|check| check.count).unwrap_or_default();
                let plural = if events.len() == 1 { " has" } else { "s have" };
                let title =
                    format!("{} event{plural} come out of {}, not {wanted}", events.len(), listed(from));
                let at = self.at(&format!("outputs[{nth}].count"));
                let diagnostic = Diagnostic::error(title.clone()).at(at, format!("{} came", events.len()));
                let passages = self.ways(trace, from);
                Flaw { passages, ..self.with_events(flaw(title, vec![diagnostic]), &events) }
            }
            Finding::Unmet(nth, unmet) => {
                let from = self.trial.checks.get(nth).map(|check| check.from.as_slice()).unwrap_or_default();
                let title = match unmet.len() {
                    1 => format!("the event out of {} is not as expected", listed(from)),
                    count => format!("none of the {count} events out of {} is as expected", listed(from)),
                };
                let conditions = unmet.first().map(|one| one.conditions.as_slice()).unwrap_or_default();
                let conditions = conditions.iter();
                let diagnostics =
                    conditions.map(|(at, failure)| self.unmet(nth, *at, failure.as_ref())).collect();
                let events: Vec<Event> = unmet.into_iter().map(|Unmet { event, .. }| event).collect();
                self.with_events(flaw(title, diagnostics), &events)
            }
            Finding::Unexpected(nth, events) => {
                let output = self.trial.silent.get(nth).map(std::slice::from_ref).unwrap_or_default();
                let count = events.len();
                let plural = if count == 1 { " has" } else { "s have" };
                let title =
                    format!("{count} event{plural} come out of {}, where nothing may", listed(output));
                let one = self.at(&format!("no_outputs_from[{nth}]"));
                let diagnostic = Diagnostic::error(title.clone()).at(one, "nothing may come out here");
                self.with_events(flaw(title, vec![diagnostic]), &events)
            }
        }
    }

    fn with_events(&self, flaw: Flaw, events: &[Event]) -> Flaw {
        let shown: Vec<Shown> = events.iter().take(SHOWN_MAX).map(|event| self.show(event)).collect();
        Flaw { more: events.len() - shown.len(), events: shown, ..flaw }
    }

    /// Where the option `key` stands; the whole list where it is written as one string.
    fn at(&self, key: &str) -> Place {
        let list = key.rsplit_once('[').map_or(key, |(list, _)| list);
        let item = self.written.item.at_path(key).or_else(|| self.written.item.at_path(list));
        let span = item.map_or_else(|| self.written.item.span.clone(), |item| item.span.clone());
        Place::new(self.written.file, span)
    }

    /// The condition with the index `at` of the output with the index `nth`, in its own lines.
    fn unmet(&self, nth: usize, at: usize, failure: Option<&Failure>) -> Diagnostic {
        let key = self.keys.get(nth).and_then(|keys| keys.get(at)).cloned().unwrap_or_default();
        let source = format!("{key}.source");
        let key = if self.written.item.at_path(&source).is_some() { source } else { key };
        let texts = self.written.item.at_path(&key).map(|item| item.texts()).unwrap_or_default();
        let program = texts.first().map(|text| text.value.as_str()).unwrap_or_default();
        let whole = {
            let start = program.len() - program.trim_start().len();
            start..program.trim_end().len().max(start)
        };
        let number = at + 1;
        let (title, span, label) = match failure {
            None => (format!("condition {number} does not hold"), whole, "is false".to_owned()),
            Some(failure) => {
                let (span, message) = placed(&failure.message);
                let span = span.filter(|span| program.get(span.clone()).is_some());
                (format!("condition {number} has failed"), span.unwrap_or(whole), message.to_owned())
            }
        };
        let marks = vec![Mark { span, label }];
        self.written.describe(Invalid { marks, ..Invalid::new(&key, title) })
    }

    fn show(&self, event: &Event) -> Shown {
        let is_origin = |other: &&crate::topology::Insertion| {
            let (own, other) = (event.origin(), other.event.origin());
            own.offset() == other.offset() && own.stream().source == other.stream().source
        };
        let inserted = self.trial.insertions.iter().find(is_origin);
        Shown {
            event: json(event),
            inserted: inserted.map(|one| json(&one.event)),
            percent: percent(event).filter(|_| event.is_percent_written()),
        }
    }

    /// What the transforms have done that events have to pass on their way to `outputs`.
    fn ways(&self, trace: &Trace, outputs: &[OutputId]) -> Vec<Passage> {
        let last =
            trace.passages.iter().rposition(|one| outputs.iter().any(|output| output.component == one.id));
        let passages = trace.passages.iter().take(last.map_or(usize::MAX, |last| last + 1));
        passages.cloned().collect()
    }
}

fn json(event: &Event) -> String {
    let mut out = Vec::new();
    event.write_json(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn percent(event: &Event) -> Option<String> {
    let mut notes = Notes::default();
    let tree = Tree::new(event, &mut notes);
    let Value::Object(mut members) = tree.get(&OwnedTargetPath::metadata_root())?.clone() else {
        return None;
    };
    members.retain(|name, _| !KNOWN.contains(&name.as_str()));
    let mut out = Vec::new();
    write_value(&Value::Object(members), &mut out);
    Some(String::from_utf8_lossy(&out).into_owned()).filter(|text| text != "{}")
}

/// "`a`, `b.c`".
fn listed(outputs: &[OutputId]) -> String {
    let quoted: Vec<String> = outputs.iter().map(|output| format!("`{output}`")).collect();
    quoted.join(", ")
}
