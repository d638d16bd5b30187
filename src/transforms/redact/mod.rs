//! `redact`: takes secrets out of the code, and out of everything else that tells it.
//!
//! What is found is replaced by `[REDACTED:<rule>]`: keys, tokens and passwords that are known by their format (of
//! some 150 vendors), by their structure (private keys, JWTs, URLs and headers with credentials), or by the name that
//! a cell gives them (`password: "…"`, `System.put_env("X_TOKEN", "…")`, in Elixir, Erlang, Python and R).
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `built_in` | whether the rules that come with the program are used | `true` |
//! | `rules_file` | a configuration of gitleaks (TOML) whose rules are used as well; one with the `id` of a built-in rule replaces it | none |
//! | `allow` | regexes; a secret that one of them matches is left as it is | none |
//! | `digest_key` | adds `metadata.redacted`, a list of `{rule, hmac_sha256}`: the HMAC-SHA-256 of each secret under this key, which tells where the same one was used; 16 bytes or more | none |
//! | `digest_key_file` | a file that holds this key, on one line | none |
//!
//! Searched are `metadata.code`, `metadata.code_base64`, `message`, and every other member but those of who and when,
//! `users` among them. A source is searched as it stands and as it reads, with up to three levels of escapes undone; the
//! literal in a legacy message is searched as the source that it stands for, and stays a literal. Of secrets that lie
//! over each other, all is replaced: by the name of the rule that knows a format, then of the longer one, then of the
//! earlier one. Placeholders (`"changeme"`, `"<token>"`) and references (`System.fetch_env!("TOKEN")`, `"#{token}"`)
//! are spared. What rules have hit is counted, and told in a line at the end of a run.
//!
//! Its place is behind `legacy_message`, which has to see both records of an evaluation as they were, and in front of
//! `metadata_projection`; with `digest_key`, that one needs `redacted` among its `keys`. `code_sha256`, where
//! `audit_policy` has put it, is left.
//!
//! Of a configuration of gitleaks, `id`, `regex`, `keywords`, `entropy`, `secretGroup` and the allowlists (`regexes`,
//! `regexTarget`, `stopwords`, `condition`, `targetRules`) mean here what they mean there. `path`, `paths` and `commits`
//! are not looked at, which is said when a run starts; `extend.useDefault` brings the built-in rules,
//! `extend.disabledRules` switches some of them off; `extend.path` is refused.
//!
//! ```toml
//! [transforms.redact]
//! type = "redact"
//! inputs = ["parse"]
//! allow = ["^demo-"]
//! ```

mod allow;
mod dialect;
mod event;
mod gitleaks;
mod rule;
mod rules;
mod set;
#[cfg(test)]
mod tests;
mod view;

use super::{Ports, Transform, TransformConfig, digest_key};
use crate::event::json::string::quote_into;
use crate::event::{Batch, Demand, Event, Invalid, Place, Secret};
use allow::Allow;
use event::Secrets;
use gitleaks::{RulesFile, translated};
use hmac::{Hmac, Mac};
use rule::Rule;
use schemars::JsonSchema;
use serde::Deserialize;
use set::RuleSet;
use sha2::Sha256;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// The options; see the [module](self).
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Redact {
    /// Whether the rules that come with the program are used.
    pub built_in: bool,
    /// A configuration of gitleaks.
    pub rules_file: Option<PathBuf>,
    /// Regexes of secrets that are left.
    pub allow: Vec<String>,
    /// Key of the digests of what was taken out.
    pub digest_key: Option<Secret>,
    /// A file that holds this key.
    pub digest_key_file: Option<PathBuf>,
    /// What stands in it.
    #[serde(skip)]
    file_key: Option<Secret>,
    /// What stands in `rules_file`.
    #[serde(skip)]
    rules_text: Option<Arc<str>>,
    /// The rules, made once for the check of the config and for all runs.
    #[serde(skip)]
    made: OnceLock<Made>,
}

/// What comes of the options.
#[derive(Clone)]
struct Made {
    rules: Arc<RuleSet>,
    /// What of the file means nothing here.
    notes: Vec<String>,
}

impl Default for Redact {
    fn default() -> Redact {
        Redact {
            built_in: true,
            rules_file: None,
            allow: Vec::new(),
            digest_key: None,
            digest_key_file: None,
            file_key: None,
            rules_text: None,
            made: OnceLock::new(),
        }
    }
}

impl TransformConfig for Redact {
    fn build(&self) -> Result<Box<dyn Transform>, Invalid> {
        let file = self.digest_key_file.as_deref();
        let key = digest_key::keyed(self.digest_key.as_ref(), file, self.file_key.as_ref())?;
        let made = match self.made.get() {
            Some(made) => made,
            None => {
                let made = self.make()?;
                self.made.get_or_init(|| made)
            }
        };
        // Who checks a config has no log yet: this is told when a run starts.
        for note in &made.notes {
            tracing::info!("rules of `redact`: {note}");
        }
        let rules = Arc::clone(&made.rules);
        Ok(Box::new(Redactor { rules, key }))
    }

    fn take_files(&mut self, read: &dyn Fn(&Path) -> Result<String, String>) -> Result<(), Invalid> {
        if let Some(path) = &self.rules_file {
            let text = read(path).map_err(|why| self.faulty(&format!("can't be read: {why}")))?;
            self.rules_text = Some(text.into());
        }
        self.file_key = digest_key::read(self.digest_key_file.as_deref(), read)?;
        Ok(())
    }

    fn demand(&self, downstream: Demand) -> Demand {
        downstream
    }
}

impl Redact {
    fn faulty(&self, why: &str) -> Invalid {
        let name = self.rules_file.as_deref().unwrap_or(Path::new("")).display();
        Invalid::new("rules_file", format!("{name}: {why}"))
    }

    fn make(&self) -> Result<Made, Invalid> {
        let mut allows = Vec::new();
        for (index, text) in self.allow.iter().enumerate() {
            let regex = translated(text).map_err(|why| Invalid::new(&format!("allow[{index}]"), why))?;
            allows.push(Allow::of(vec![regex]));
        }
        let text = self.rules_text.as_deref();
        let file = text.map(gitleaks::read).transpose().map_err(|why| self.faulty(&why))?.unwrap_or_default();
        let RulesFile { rules: mut own, allows: more, use_default, disabled, notes } = file;
        allows.extend(more);
        let is_off =
            |id: &str| disabled.iter().any(|other| other == id) || own.iter().any(|rule| *rule.id == *id);
        let with_ours = self.built_in || use_default;
        let ours: Vec<Rule> =
            rules::all().filter(|rule| with_ours && !is_off(rule.id)).map(Rule::from).collect();
        own.extend(ours);
        if own.is_empty() {
            let help = "leave out `built_in = false`, or name a `rules_file` with rules";
            return Err(Invalid::new("built_in", "there are no rules at all").help(help));
        }
        let rules = RuleSet::new(own, allows);
        let rules = rules.ok_or_else(|| self.faulty("too many rules, or too many keywords"))?;
        Ok(Made { rules: Arc::new(rules), notes })
    }
}

/// The built-in rules: what each is called, and what it finds.
pub fn built_in_rules() -> impl Iterator<Item = (&'static str, &'static str)> {
    rules::all().map(|rule| (rule.id, rule.description))
}

struct Redactor {
    rules: Arc<RuleSet>,
    key: Option<Hmac<Sha256>>,
}

impl Transform for Redactor {
    fn apply(&mut self, batch: &mut Batch, _: &mut Ports) {
        let mut events = std::mem::take(&mut batch.events);
        for event in &mut events {
            let secrets = event::redact(event, &self.rules);
            if secrets.is_empty() {
                continue;
            }
            for (rule, _) in &secrets {
                if let Some(id) = self.rules.id(*rule).filter(|_| !batch.replayed) {
                    batch.count_hits(id, 1);
                }
            }
            self.digest(event, &secrets);
        }
        batch.events = events;
    }
}

impl Redactor {
    /// Adds the digests to those of a `redact` in front of this one.
    fn digest(&self, event: &mut Event, secrets: &Secrets) {
        let Some(key) = &self.key else { return };
        let known = event.get(Place::Metadata, "redacted").filter(|known| known.is_array());
        let known = known.map(|known| known.text().to_vec());
        let known = known.as_deref().and_then(|known| known.strip_suffix(b"]")).unwrap_or(b"[");
        let mut list = known.to_vec();
        for (rule, secret) in secrets {
            let digest = key.clone().chain_update(secret).finalize().into_bytes();
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            list.extend_from_slice(if list.trim_ascii_end() == b"[" {
                b"{\"rule\":"
            } else {
                b",{\"rule\":"
            });
            quote_into(self.rules.id(*rule).map(|id| id.as_bytes()).unwrap_or_default(), &mut list);
            list.extend_from_slice(format!(",\"hmac_sha256\":\"{hex}\"}}").as_bytes());
        }
        list.push(b']');
        event.set(Place::Metadata, "redacted", |out| out.extend_from_slice(&list));
    }
}
