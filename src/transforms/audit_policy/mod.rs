//! `audit_policy`: decides which evaluations are recorded, and how much of each.
//!
//! Without rules this is Livebook's own policy: an evaluation is recorded where `metadata.session_mode` is `default`
//! (a notebook session), or `app` unless `metadata.app_permanent` is `true` (a preview, not a deployed app). What no
//! rule decides is recorded as `default_level` says: when in doubt, record.
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `rules` | a list of rules, of which the first one that fits decides; with any, Livebook's own policy no longer does | none |
//! | `default_level` | what no rule decides: `none` drops it, `metadata` keeps who and when with `code_sha256` and `code_bytes` in the place of the code, `code` keeps all | `code` |
//! | `other_events` | events that are no evaluation and fit no rule: `drop` or `pass` | `drop` |
//! | `digest_key` | a key that makes `code_sha256` an HMAC: without it, short code can be found out by trying | none |
//!
//! A rule has a `level` and any of these, all of which have to hold:
//!
//! | condition | holds where |
//! |---|---|
//! | `rules.session_modes` | the mode is one of these: `default`, `app` |
//! | `rules.users` | those who were connected fit one of these patterns (`*`, `?`, `[…]`) by id, name or email, in upper or lower case. Each of them may be the one who pressed the key, so for `level = "code"` one who fits is enough; for `metadata` and `none` all have to, and the log has to have lost none |
//! | `rules.app_permanent` | the app is a deployed one (`true`), or is not, or nothing is known of it (`false`) |
//! | `rules.events` | `metadata.event` fits one of these patterns. Only a rule with this condition decides about events that are no evaluation |
//!
//! `name` is what the hits of a rule are counted by, in a line at the end of a run. **A name is what users call
//! themselves:** rules that keep less should go by ids and emails that somebody vouches for.
//!
//! `metadata` puts the digest wherever else the code stands too: in `message`, and in the place of every member that
//! holds it. What is dropped is counted as `policy` (by a rule or by Livebook's policy) and `other_event`.
//!
//! ```toml
//! [transforms.policy]
//! type = "audit_policy"
//! inputs = ["parse"]
//! digest_key = "${AUDIT_DIGEST_KEY:-changeme}"
//!
//! [[transforms.policy.rules]]
//! name = "administrators"
//! users = ["*@ops.example.com"]
//! level = "code"
//!
//! [[transforms.policy.rules]]
//! name = "robots"
//! users = ["robot-[0-9]*"]
//! session_modes = ["app"]
//! level = "metadata"
//! ```

mod digest;
mod rules;
#[cfg(test)]
mod tests;

pub use rules::{Mode, Rule};

use super::{Ports, Transform, TransformConfig};
use crate::event::{Batch, Demand, Event, Invalid, Place, Secret};
use crate::livebook::EVALUATE;
use digest::Digester;
use rules::Condition;
use serde::Deserialize;
use std::sync::Arc;

/// How much of an evaluation is recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Nothing: it is dropped.
    None,
    /// Who and when, and a digest in the place of the code.
    Metadata,
    /// All of it.
    #[default]
    Code,
}

/// What becomes of events that are no evaluation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OtherEvents {
    /// They are dropped, counted.
    #[default]
    Drop,
    /// They pass as they are.
    Pass,
}

/// The options; see the [module](self).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditPolicy {
    /// The first one that fits decides.
    pub rules: Vec<Rule>,
    /// What no rule decides.
    pub default_level: Level,
    /// What becomes of events that are no evaluation.
    pub other_events: OtherEvents,
    /// A key for digests.
    pub digest_key: Option<Secret>,
}

impl TransformConfig for AuditPolicy {
    fn build(&self) -> Result<Box<dyn Transform>, Invalid> {
        if self.digest_key.as_ref().is_some_and(|key| key.reveal().is_empty()) {
            return Err(Invalid::new("digest_key", "an empty key is none").help("leave it out, or set it"));
        }
        let rules = rules::compile(&self.rules)?;
        let for_others = rules.iter().any(Condition::is_for_others);
        Ok(Box::new(Policy {
            rules: rules.into_iter().map(|rule| (Arc::from(rule.name.as_str()), rule)).collect(),
            default_level: self.default_level,
            other_events: self.other_events,
            for_others,
            digester: Digester::new(self.digest_key.as_ref()),
        }))
    }

    fn demand(&self, downstream: Demand) -> Demand {
        let keeps_others = rules::compile(&self.rules)
            .is_ok_and(|rules| rules.iter().any(|rule| rule.is_for_others() && rule.level != Level::None));
        match self.other_events {
            OtherEvents::Drop if !keeps_others => downstream.min(Demand::Evaluations),
            OtherEvents::Drop | OtherEvents::Pass => downstream,
        }
    }
}

/// The transform.
struct Policy {
    rules: Vec<(Arc<str>, Condition)>,
    default_level: Level,
    other_events: OtherEvents,
    /// Whether a rule may decide about events that are no evaluation.
    for_others: bool,
    digester: Digester,
}

/// What decided about an event.
enum Decision {
    Rule(usize),
    BuiltIn(Level),
    Default,
    Other,
}

impl Transform for Policy {
    fn apply(&mut self, batch: &mut Batch, _: &mut Ports) {
        let mut hits = vec![0; self.rules.len()];
        if self.other_events == OtherEvents::Drop {
            // Where no rule asks about them, other events leave by one cheap look.
            let is_asked_for =
                |event: &Event| self.for_others && !matches!(self.decide(event), Decision::Other);
            batch.retain("other_event", |event| is_evaluation(event) || is_asked_for(event));
        }
        batch.retain("policy", |event| {
            let level = match self.decide(event) {
                Decision::Rule(at) => {
                    if let Some(hits) = hits.get_mut(at) {
                        *hits += 1;
                    }
                    self.rules.get(at).map_or(self.default_level, |(_, rule)| rule.level)
                }
                Decision::BuiltIn(level) => level,
                Decision::Default => self.default_level,
                Decision::Other => return true,
            };
            if level == Level::Metadata {
                self.digester.put(event);
            }
            level != Level::None
        });
        for ((name, _), hits) in self.rules.iter().zip(hits) {
            batch.count_hits(name, hits);
        }
    }
}

impl Policy {
    fn decide(&self, event: &Event) -> Decision {
        let is_evaluation = is_evaluation(event);
        let asked = |rule: &Condition| is_evaluation || rule.is_for_others();
        if let Some(at) = self.rules.iter().position(|(_, rule)| asked(rule) && rule.holds(event)) {
            return Decision::Rule(at);
        }
        if !is_evaluation {
            return Decision::Other;
        }
        let built_in = if self.rules.is_empty() { built_in(event) } else { None };
        built_in.map_or(Decision::Default, Decision::BuiltIn)
    }
}

fn is_evaluation(event: &Event) -> bool {
    event.get(Place::Metadata, "event").is_some_and(|name| name.is(EVALUATE))
}

/// Livebook's own policy; none where it does not say.
fn built_in(event: &Event) -> Option<Level> {
    let mode = event.get(Place::Metadata, "session_mode")?;
    if mode.is("default") {
        return Some(Level::Code);
    }
    if !mode.is("app") {
        return None;
    }
    let permanent = event.get(Place::Metadata, "app_permanent").is_some_and(|flag| flag.text() == b"true");
    Some(if permanent { Level::None } else { Level::Code })
}
