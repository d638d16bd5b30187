//! Rules out of a configuration of gitleaks, unchanged.

use super::allow::{Allow, Check, Target};
use super::dialect::translate;
use super::rule::{Pattern, Rule, compile, compile_unicode};
use regex::bytes::Regex;
use serde::Deserialize;

/// What a file says.
#[derive(Default)]
pub struct RulesFile {
    /// Its rules, in its order.
    pub rules: Vec<Rule>,
    /// What all rules spare.
    pub allows: Vec<Allow>,
    /// Whether it asks for the rules that come with the program.
    pub use_default: bool,
    /// Those of them that it switches off.
    pub disabled: Vec<String>,
    /// What of it means nothing here.
    pub notes: Vec<String>,
}

/// Faults that are told at most; whoever has more of them has another kind of file.
const FAULTS_MAX: usize = 8;

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    extend: Extend,
    #[serde(default)]
    rules: Vec<FileRule>,
    allowlist: Option<Allowlist>,
    #[serde(default)]
    allowlists: Vec<Allowlist>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Extend {
    use_default: bool,
    path: Option<String>,
    url: Option<String>,
    disabled_rules: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileRule {
    #[serde(default)]
    id: String,
    regex: Option<String>,
    path: Option<String>,
    #[serde(default)]
    keywords: Vec<String>,
    #[serde(default)]
    entropy: f64,
    #[serde(default)]
    secret_group: usize,
    allowlist: Option<Allowlist>,
    #[serde(default)]
    allowlists: Vec<Allowlist>,
    #[serde(default)]
    required: Vec<toml::Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Allowlist {
    condition: String,
    regex_target: Target,
    regexes: Vec<String>,
    stopwords: Vec<String>,
    paths: Vec<String>,
    commits: Vec<String>,
    target_rules: Vec<String>,
}

/// Reads a configuration.
///
/// # Errors
///
/// Everything that is wrong with it, each with the rule's id, on one line.
pub fn read(text: &str) -> Result<RulesFile, String> {
    let file: File = toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        format!("line {line}: {}", error.message().replace('\n', " "))
    })?;
    if file.extend.path.is_some() || file.extend.url.is_some() {
        return Err("`extend.path` and `extend.url` are not followed: put all rules into one file".to_owned());
    }
    let mut reader = Reader::default();
    let mut read = RulesFile {
        use_default: file.extend.use_default,
        disabled: file.extend.disabled_rules,
        ..RulesFile::default()
    };
    for rule in file.rules {
        read.rules.extend(reader.rule(rule));
    }
    for list in file.allowlist.into_iter().chain(file.allowlists) {
        read.allows.extend(reader.allow("the global allowlist", list));
    }
    reader.finish(read)
}

/// What was found on the way.
#[derive(Default)]
struct Reader {
    faults: Vec<String>,
    only_paths: Vec<String>,
    paths: Vec<String>,
    required: Vec<String>,
}

impl Reader {
    fn rule(&mut self, rule: FileRule) -> Option<Rule> {
        let id = rule.id;
        if id.is_empty() {
            self.faults.push("a rule without an `id`".to_owned());
            return None;
        }
        let Some(text) = rule.regex.filter(|text| !text.is_empty()) else {
            match rule.path {
                Some(_) => self.only_paths.push(id),
                None => self.faults.push(format!("rule `{id}`: it has no `regex`")),
            }
            return None;
        };
        if rule.path.is_some() {
            self.paths.push(format!("`{id}`"));
        }
        if !rule.required.is_empty() {
            self.required.push(id.clone());
        }
        let owner = format!("rule `{id}`");
        let regex = self.regex(&owner, "regex", &text)?;
        if rule.secret_group >= regex.captures_len() {
            let groups = regex.captures_len() - 1;
            self.faults
                .push(format!("{owner}: `secretGroup` is {}, and its regex has {groups}", rule.secret_group));
            return None;
        }
        let lists = rule.allowlist.into_iter().chain(rule.allowlists);
        let allows = lists.filter_map(|list| self.allow(&owner, list)).collect();
        Some(Rule {
            id: id.into(),
            keywords: rule.keywords,
            pattern: Pattern::ready(regex),
            group: (rule.secret_group > 0).then_some(rule.secret_group),
            entropy: rule.entropy,
            check: Check::Nothing,
            allows,
        })
    }

    fn allow(&mut self, owner: &str, list: Allowlist) -> Option<Allow> {
        let both = matches!(list.condition.to_ascii_uppercase().as_str(), "AND" | "&&");
        let asks_elsewhere = !list.paths.is_empty() || !list.commits.is_empty();
        if asks_elsewhere {
            self.paths.push(format!("an allowlist of {owner}"));
        }
        let regexes: Vec<Regex> =
            list.regexes.iter().filter_map(|text| self.regex(owner, "an allowlist", text)).collect();
        // A path that has to match as well never does: there is none.
        if both && asks_elsewhere {
            return None;
        }
        let stopwords = list.stopwords.iter().map(|word| word.to_ascii_lowercase()).collect();
        Some(Allow { rules: list.target_rules, regexes, target: list.regex_target, stopwords, both })
    }

    fn regex(&mut self, owner: &str, what: &str, text: &str) -> Option<Regex> {
        match translated(text) {
            Ok(regex) => Some(regex),
            Err(why) => {
                self.faults.push(format!("{owner}: {what}: {why}"));
                None
            }
        }
    }

    fn finish(self, mut read: RulesFile) -> Result<RulesFile, String> {
        if !self.faults.is_empty() {
            let more = self.faults.len().saturating_sub(FAULTS_MAX);
            let shown: Vec<String> = self.faults.into_iter().take(FAULTS_MAX).collect();
            let more = if more > 0 { format!("; and {more} more") } else { String::new() };
            return Err(format!("{}{more}", shown.join("; ")));
        }
        for (what, whose) in [
            ("are skipped: they look at paths alone, and a cell has none", self.only_paths),
            ("ask for a path or a commit, which is not looked at", self.paths),
            ("ask for other rules near them, which is not looked at", self.required),
        ] {
            if !whose.is_empty() {
                read.notes.push(format!("{}: these {what}", whose.join(", ")));
            }
        }
        Ok(read)
    }
}

/// Compiles a regex of Go, whose classes are ASCII; what can't be said without Unicode is compiled with it.
pub fn translated(text: &str) -> Result<Regex, String> {
    let text = translate(text);
    compile(&text).or_else(|_| compile_unicode(&text)).map_err(|error| match error {
        regex::Error::CompiledTooBig(limit) => format!("it takes more than {limit} bytes"),
        other => {
            let told = other.to_string();
            let last = told.lines().last().unwrap_or_default();
            last.strip_prefix("error: ").unwrap_or(last).to_owned()
        }
    })
}
