//! What a policy decides and why, in one line for each evaluation.
//!
//! The lines hold no code: a policy may be there to keep it out of people's sight.

use super::rules::Answer;
use super::{By, Level, Policy};
use crate::event::json::Json;
use crate::event::{Batch, Event, Place};
use crate::transforms::{Ports, Transform};
use serde_json::Value;
use std::fmt::Write;
use std::sync::Arc;

/// Users that are named; of more there is the number.
const USERS_MAX: usize = 5;

/// Tells what `policy` decides, in lines that begin with `label`. The lines of each level are counted as hits.
pub fn explainer(policy: Policy, label: &str) -> Box<dyn Transform> {
    let counts = LEVELS.map(|level| (level, Arc::from(name(level))));
    Box::new(Explainer { policy, label: label.to_owned(), counts })
}

const LEVELS: [Level; 3] = [Level::Code, Level::Metadata, Level::None];

struct Explainer {
    policy: Policy,
    label: String,
    counts: [(Level, Arc<str>); 3],
}

impl Transform for Explainer {
    fn apply(&mut self, batch: &mut Batch, _: &mut Ports) {
        let mut decided = Vec::with_capacity(batch.events.len());
        batch.sift(|event| match self.explain(event) {
            None => Some("other_event"),
            Some((level, line)) => {
                let mut told = Event::new(event.origin().clone());
                told.set_string(Place::Top, "message", line.as_bytes());
                *event = told;
                decided.push(level);
                None
            }
        });
        for (level, name) in &self.counts {
            batch.count_hits(name, decided.iter().filter(|other| *other == level).count() as u64);
        }
    }
}

impl Explainer {
    /// What is decided about `event`, as a line; none where nobody decides about it.
    fn explain(&mut self, event: &Event) -> Option<(Level, String)> {
        let mut answers = Vec::new();
        let decision = self.policy.decide(event, |at, answer| answers.push((at, answer)));
        let level = decision.level.filter(|_| decision.by != By::Other)?;
        let rule = |at: usize| self.policy.rules.get(at);
        let quoted = |at: usize| format!("`{}`", rule(at).map_or("", |(name, _)| &**name));
        let mut line = format!("{}{}: {}, ", self.label, who_and_when(event), name(level));
        let written = match decision.by {
            By::Rule(at) if answers.contains(&(at, Answer::Failed)) => {
                write!(line, "since {} can't say: its `when` fails, and it keeps more", quoted(at))
            }
            By::Rule(at) => {
                let conditions = rule(at).map(|(_, rule)| rule.conditions()).unwrap_or_default();
                let why = if conditions.is_empty() { "no conditions".into() } else { conditions.join(", ") };
                write!(line, "by {} ({why})", quoted(at))
            }
            By::BuiltIn if level == Level::None => line.write_str("by Livebook's policy (a deployed app)"),
            By::BuiltIn => line.write_str("by Livebook's policy"),
            By::Default | By::Other => line.write_str("by `default_level`, as no rule fits"),
        };
        // Writing to a string does not fail.
        written.unwrap_or_default();
        let others = answers.iter().filter(|(at, _)| decision.by != By::Rule(*at));
        let others: Vec<String> = others
            .filter_map(|(at, answer)| match answer {
                Answer::No(condition) => Some(format!("{} ({condition})", quoted(*at))),
                Answer::Failed => Some(format!("{} (its `when` fails)", quoted(*at))),
                Answer::Yes => None,
            })
            .collect();
        if !others.is_empty() {
            line.push_str("; not by ");
            line.push_str(&others.join(", "));
        }
        Some((level, line))
    }
}

fn name(level: Level) -> &'static str {
    match level {
        Level::None => "none",
        Level::Metadata => "metadata",
        Level::Code => "code",
    }
}

/// When it was, in which mode, and who was connected.
fn who_and_when(event: &Event) -> String {
    let text = |place, name| event.get(place, name).and_then(Json::string).map(|text| readable(&text));
    let time = text(Place::Top, "time").unwrap_or_else(|| "no time".to_owned());
    let mode = text(Place::Metadata, "session_mode").unwrap_or_else(|| "no mode".to_owned());
    let permanent = event.get(Place::Metadata, "app_permanent").is_some_and(|flag| flag.text() == b"true");
    let mode = if permanent { format!("{mode} (permanent)") } else { mode };
    let name = text(Place::Metadata, "event").unwrap_or_default();
    let name = if name == crate::livebook::EVALUATE { String::new() } else { format!(" {name}") };
    format!("{time}{name} {mode} {}", users(event))
}

fn users(event: &Event) -> String {
    let users = event.get(Place::Metadata, "users");
    let users = users.and_then(|users| serde_json::from_slice::<Vec<Value>>(users.text()).ok());
    let Some(users) = users.filter(|users| !users.is_empty()) else { return "(no users)".to_owned() };
    let named = |user: &Value| {
        let member = |name: &str| user.get(name).and_then(Value::as_str);
        let name = ["name", "email", "id"].into_iter().find_map(member).unwrap_or("?");
        readable(name.as_bytes())
    };
    let mut names: Vec<String> = users.iter().take(USERS_MAX).map(named).collect();
    if users.len() > USERS_MAX {
        names.push(format!("{} more", users.len() - USERS_MAX));
    }
    names.join(", ")
}

/// On one line, and without anything that a terminal would obey.
fn readable(text: &[u8]) -> String {
    String::from_utf8_lossy(text)
        .chars()
        .flat_map(|c| {
            let is_plain = !c.is_control();
            is_plain
                .then_some(c)
                .into_iter()
                .chain((!is_plain).then(|| c.escape_default()).into_iter().flatten())
        })
        .collect()
}
