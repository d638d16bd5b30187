//! `audit_policy`: decides which evaluations are recorded, and how much of each.
//!
//! Without rules this is Livebook's own policy: an evaluation is recorded where `metadata.session_mode` is `default`
//! (a notebook session), or `app` unless `metadata.app_permanent` is `true` (a preview, not a deployed app). What no
//! rule decides is recorded as `default_level` says: when in doubt, record.
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `rules` | a list of rules, of which the first one that fits decides; with any, Livebook's own policy no longer does | none |
//! | `rules.level` | what becomes of an evaluation that the rule fits: `none`, `metadata` or `code`, as in `default_level` | needed |
//! | `rules.name` | what the hits of the rule are counted by, in a line at the end of a run | its place |
//! | `default_level` | what no rule decides: `none` drops it, `metadata` keeps who and when with `code_sha256` and `code_bytes` in the place of the code, `code` keeps all | `code` |
//! | `other_events` | events that are no evaluation and fit no rule: `drop` or `pass` | `drop` |
//! | `digest_key` | a key that makes `code_sha256` an HMAC: without it, short code can be found out by trying; 16 bytes or more | none |
//! | `digest_key_file` | a file that holds the key, on one line | none |
//!
//! A rule has a `level` and any of these, all of which have to hold:
//!
//! | condition | holds where |
//! |---|---|
//! | `rules.session_modes` | the mode is one of these: `default`, `app` |
//! | `rules.users` | those who were connected fit one of these patterns (`*`, `?`, `[…]`) by id, name or email, in upper or lower case. Each of them may be the one who pressed the key, so for `level = "code"` one who fits is enough; for `metadata` and `none` all have to, and the log has to have lost none |
//! | `rules.user_ids`, `rules.user_emails` | likewise by their ids, or their emails, alone |
//! | `rules.app_permanent` | the app is a deployed one (`true`), or is not, or nothing is known of it (`false`) |
//! | `rules.events` | `metadata.event` fits one of these patterns. Only a rule with this condition decides about events that are no evaluation |
//! | `rules.when` | a condition in VRL is true, as in `when = 'contains(string!(.metadata.code), "Repo.delete")'` |
//!
//! A `when` that fails (`!` on a member that is not there) is neither true nor false: of its rule and of what is decided
//! without it, that counts which keeps more. It is counted as a program that failed.
//!
//! **A name is what users call themselves**, unless Livebook has it from an identity provider. `rules.users` fits names too,
//! so that whoever chooses the right one is recorded less: a rule that keeps less should go by `rules.user_emails` or
//! `rules.user_ids`.
//!
//! `metadata` puts the digest wherever else the code stands too: in `message`, and in the place of every member that
//! holds it. What is dropped is counted as `policy` (by a rule or by Livebook's policy), `other_event`, and
//! `no_record`: a line that mentions an evaluation and is no record, since something stands in front of it.
//!
//! ```toml
//! [transforms.policy]
//! type = "audit_policy"
//! inputs = ["parse"]
//! digest_key = "${AUDIT_DIGEST_KEY:?openssl rand -hex 32 makes one}"
//!
//! [[transforms.policy.rules]]
//! name = "administrators"
//! users = ["*@ops.example.com"]
//! level = "code"
//!
//! [[transforms.policy.rules]]
//! name = "robots"
//! user_emails = ["robot-[0-9]*@ops.example.com"]
//! session_modes = ["app"]
//! level = "metadata"
//! ```

mod digest;
mod explain;
mod rules;
#[cfg(test)]
mod tests;

pub use rules::{Mode, Rule};

use super::{Ports, Transform, TransformConfig, digest_key};
use crate::event::{Batch, Demand, Event, Invalid, Place, Secret};
use crate::livebook::{EVALUATE, MESSAGE};
use digest::Digester;
use rules::{Answer, Condition};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a line is dropped that mentions an evaluation and is no record.
pub const NO_RECORD: &str = "no_record";

/// How much of an evaluation is recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    // In the order of how much they keep.
    /// Nothing: it is dropped.
    None,
    /// Who and when, and a digest in the place of the code.
    Metadata,
    /// All of it.
    #[default]
    Code,
}

/// What becomes of events that are no evaluation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OtherEvents {
    /// They are dropped, counted.
    #[default]
    Drop,
    /// They pass as they are.
    Pass,
}

/// The options; see the [module](self).
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
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
    /// A file that holds the key.
    pub digest_key_file: Option<PathBuf>,
    /// What stands in it.
    #[serde(skip)]
    file_key: Option<Secret>,
}

impl AuditPolicy {
    fn policy(&self) -> Result<Policy, Invalid> {
        let file = self.digest_key_file.as_deref();
        let key = digest_key::keyed(self.digest_key.as_ref(), file, self.file_key.as_ref())?;
        let rules = rules::compile(&self.rules)?;
        Ok(Policy {
            rules: rules.into_iter().map(|rule| (Arc::from(rule.name.as_str()), rule)).collect(),
            default_level: self.default_level,
            other_events: self.other_events,
            digester: Digester::new(key),
        })
    }
}

impl TransformConfig for AuditPolicy {
    fn build(&self) -> Result<Box<dyn Transform>, Invalid> {
        Ok(Box::new(self.policy()?))
    }

    fn explain(&self, label: &str) -> Option<Result<Box<dyn Transform>, Invalid>> {
        Some(self.policy().map(|policy| explain::explainer(policy, label)))
    }

    fn take_files(&mut self, read: &dyn Fn(&Path) -> Result<String, String>) -> Result<(), Invalid> {
        self.file_key = digest_key::read(self.digest_key_file.as_deref(), read)?;
        Ok(())
    }

    fn warnings(&self) -> Vec<Invalid> {
        let rules = rules::compile(&self.rules).unwrap_or_default();
        rules.iter().flat_map(|rule| rule.warnings().to_vec()).collect()
    }

    fn passes_code(&self) -> bool {
        // Without rules, Livebook's own policy keeps all of most.
        self.rules.is_empty()
            || self.default_level == Level::Code
            || self.rules.iter().any(|rule| rule.level == Level::Code)
    }

    fn demand(&self, downstream: Demand) -> Demand {
        let keeps_others = self.rules.iter().any(|rule| rule.is_for_others() && rule.level != Level::None);
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
    digester: Digester,
}

/// What decided about an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// The rule with this number.
    Rule(usize),
    BuiltIn,
    Default,
    /// It is no evaluation, and no rule asked for it.
    Other,
}

/// What is decided about an event.
struct Decision {
    by: By,
    /// None where other events pass as they are.
    level: Option<Level>,
    /// Rules that could not say whether they hold.
    failed: u64,
}

impl Transform for Policy {
    fn apply(&mut self, batch: &mut Batch, _: &mut Ports) {
        let (mut hits, mut failed) = (vec![0; self.rules.len()], 0);
        batch.sift(|event| {
            let decision = self.decide(event, |_, _| {});
            failed += decision.failed;
            if let By::Rule(at) = decision.by
                && let Some(hits) = hits.get_mut(at)
            {
                *hits += 1;
            }
            match (decision.level, decision.by) {
                (Some(Level::None), By::Other) if mentions_evaluation(event) => Some(NO_RECORD),
                (Some(Level::None), By::Other) => Some("other_event"),
                (Some(Level::None), _) => Some("policy"),
                (Some(Level::Metadata), _) => {
                    self.digester.put(event);
                    None
                }
                (Some(Level::Code) | None, _) => None,
            }
        });
        for ((name, _), hits) in self.rules.iter().zip(hits) {
            batch.count_hits(name, hits);
        }
        batch.count_failed(failed);
    }
}

impl Policy {
    /// Asks the rules, and tells `heard` what each of them says.
    fn decide(&mut self, event: &Event, mut heard: impl FnMut(usize, Answer)) -> Decision {
        let is_evaluation = is_evaluation(event);
        // Of a rule that can't say whether it holds, and of what is decided without it, that counts which keeps more.
        let mut undecided: Option<(Level, By)> = None;
        let mut failed = 0;
        let mut decided = None;
        for (at, (_, rule)) in self.rules.iter_mut().enumerate() {
            if !is_evaluation && !rule.is_for_others() {
                continue;
            }
            let answer = rule.ask(event);
            heard(at, answer);
            match answer {
                Answer::No(_) => {}
                Answer::Yes => {
                    decided = Some((rule.level, By::Rule(at)));
                    break;
                }
                Answer::Failed => {
                    failed += 1;
                    if undecided.is_none_or(|(level, _)| level < rule.level) {
                        undecided = Some((rule.level, By::Rule(at)));
                    }
                }
            }
        }
        let built_in = || built_in(event).filter(|_| self.rules.is_empty()).map(|level| (level, By::BuiltIn));
        let (level, by) = match decided {
            Some(decided) => decided,
            None if is_evaluation => built_in().unwrap_or((self.default_level, By::Default)),
            None if self.other_events == OtherEvents::Pass => {
                return Decision { by: By::Other, level: None, failed };
            }
            None => (Level::None, By::Other),
        };
        let (level, by) = undecided.filter(|(kept, _)| *kept > level).unwrap_or((level, by));
        Decision { by, level: Some(level), failed }
    }
}

/// Whether a line that is no record holds what records of evaluations hold.
fn mentions_evaluation(event: &Event) -> bool {
    if event.has(Place::Top, "severity") || event.has(Place::Top, "time") || event.has(Place::Top, "metadata")
    {
        return false;
    }
    event.get(Place::Top, "message").is_some_and(|message| {
        let holds = |needle: &str| memchr::memmem::find(message.text(), needle.as_bytes()).is_some();
        holds(MESSAGE) || holds(EVALUATE)
    })
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
