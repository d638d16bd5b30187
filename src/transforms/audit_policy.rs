//! `audit_policy`: decides which evaluations are recorded, and how much of each.
//!
//! Without rules this is Livebook's own policy: an evaluation is recorded where `metadata.session_mode` is `default`
//! (a notebook session), or `app` unless `metadata.app_permanent` is `true` (a preview, not a deployed app). What no
//! rule decides is recorded as `default_level` says: when in doubt, record.
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `default_level` | what no rule decides: `none` drops it, `metadata` keeps who and when with `code_sha256` and `code_bytes` in the place of the code, `code` keeps all | `code` |
//! | `other_events` | events that are no evaluation: `drop` or `pass` | `drop` |
//!
//! What is dropped is counted as `policy` (evaluations) and `other_event`.
//!
//! ```toml
//! [transforms.policy]
//! type = "audit_policy"
//! inputs = ["parse"]
//! other_events = "pass"
//! ```

use super::{Ports, Transform, TransformConfig};
use crate::event::json::Json;
use crate::event::json::string::quote_into;
use crate::event::{Batch, Demand, Event, Invalid, Place};
use crate::livebook::{EVALUATE, MESSAGE};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::borrow::Cow;

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
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditPolicy {
    /// What no rule decides.
    pub default_level: Level,
    /// What becomes of events that are no evaluation.
    pub other_events: OtherEvents,
}

impl TransformConfig for AuditPolicy {
    fn build(&self) -> Result<Box<dyn Transform>, Invalid> {
        Ok(Box::new(*self))
    }

    fn demand(&self, downstream: Demand) -> Demand {
        match self.other_events {
            OtherEvents::Drop => downstream.min(Demand::Evaluations),
            OtherEvents::Pass => downstream,
        }
    }
}

impl Transform for AuditPolicy {
    fn apply(&mut self, batch: &mut Batch, _: &mut Ports) {
        if self.other_events == OtherEvents::Drop {
            batch.retain("other_event", |event| is_evaluation(event));
        }
        batch.retain("policy", |event| {
            if !is_evaluation(event) {
                return true;
            }
            let level = built_in(event).unwrap_or(self.default_level);
            if level == Level::Metadata {
                digest_code(event);
            }
            level != Level::None
        });
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

/// Puts a digest in the place of the source, in `message` too.
fn digest_code(event: &mut Event) {
    let encoded = event.get(Place::Metadata, "code_base64").and_then(Json::string);
    let decoded = encoded.and_then(|text| STANDARD.decode(&*text).ok()).map(Cow::Owned);
    let source = decoded.or_else(|| event.get(Place::Metadata, "code").and_then(Json::string));
    let digest = source.map(|source| (Sha256::digest(&*source), source.len()));
    for name in ["code", "code_base64"] {
        event.remove(Place::Metadata, name);
    }
    event.set_string(Place::Top, "message", MESSAGE.as_bytes());
    if let Some((digest, bytes)) = digest {
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        event.set(Place::Metadata, "code_sha256", |out| quote_into(hex.as_bytes(), out));
        event.set(Place::Metadata, "code_bytes", |out| out.extend_from_slice(bytes.to_string().as_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Acks, Origin};
    use bytes::Bytes;

    fn apply(mut policy: AuditPolicy, records: &[&str]) -> (Vec<String>, Vec<(&'static str, u64)>) {
        let event =
            |text: &&str| Event::from_json(Bytes::copy_from_slice(text.as_bytes()), Origin::nowhere());
        let events = records.iter().map(|text| event(text).unwrap()).collect();
        let mut batch = Batch::new(events, 0, Acks::default());
        policy.apply(&mut batch, &mut Ports::default());
        let json = |event: &Event| {
            let mut out = Vec::new();
            event.write_json(&mut out);
            String::from_utf8(out).unwrap()
        };
        (batch.events.iter().map(json).collect(), batch.take_drops().into_iter().collect())
    }

    const DEFAULT: &str = r#"{"metadata":{"event":"code.evaluate","session_mode":"default","code":"1"}}"#;
    const PREVIEW: &str = r#"{"metadata":{"event":"code.evaluate","session_mode":"app"}}"#;
    const DEPLOYED: &str =
        r#"{"metadata":{"event":"code.evaluate","session_mode":"app","app_permanent":true}}"#;
    const UNKNOWN: &str =
        r#"{"message":"Evaluating code\n  x","metadata":{"event":"code.evaluate","code":"é"}}"#;
    const OTHER: &str = r#"{"message":"GET /"}"#;

    #[test]
    fn the_built_in_policy_is_livebooks_own() {
        let (kept, drops) = apply(AuditPolicy::default(), &[DEFAULT, PREVIEW, DEPLOYED, UNKNOWN, OTHER]);
        assert_eq!(kept, [DEFAULT, PREVIEW, UNKNOWN]);
        assert_eq!(drops, [("other_event", 1), ("policy", 1)]);
    }

    #[test]
    fn what_no_rule_decides_is_as_the_default_level_says() {
        let policy = AuditPolicy { default_level: Level::None, other_events: OtherEvents::Pass };
        assert_eq!(apply(policy, &[UNKNOWN, OTHER]).0, [OTHER]);
        let policy = AuditPolicy { default_level: Level::Metadata, ..AuditPolicy::default() };
        let digest = "4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c";
        let expected = format!(
            r#"{{"message":"Evaluating code","metadata":{{"event":"code.evaluate","code_sha256":"{digest}","code_bytes":2}}}}"#
        );
        assert_eq!(apply(policy, &[UNKNOWN]).0, [expected]);
    }
}
