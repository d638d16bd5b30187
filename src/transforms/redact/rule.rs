//! What a rule is: data, and what it needs to be run.

use super::allow::{Allow, Check};
use regex::bytes::{Regex, RegexBuilder};
use std::sync::{Arc, OnceLock};

/// Bytes that one compiled regex may take, so that no rule of a file can fill the memory.
const REGEX_BYTES_MAX: usize = 16 << 20;

/// A rule of the built-in set, as it stands in a table of [`rules`](super::rules).
#[derive(Clone, Copy, Debug)]
pub struct Builtin {
    /// Its name, as it shows in the output.
    pub id: &'static str,
    /// What it finds.
    pub description: &'static str,
    /// The regex is only tried where one of these stands in the text, in either case.
    pub keywords: &'static [&'static str],
    /// Without Unicode: classes are ASCII. The first group that takes part is the secret, else the whole match.
    pub regex: &'static str,
    /// The Shannon entropy, in bits a byte, that a secret has to be above.
    pub entropy: f64,
    /// What else has to hold.
    pub check: Check,
}

/// Entropy below which a token is filler: sixteen random hex digits are hardly ever under 2.5.
const TOKEN_ENTROPY: f64 = 2.3;

/// A rule for tokens that are known by their format.
pub const fn token(
    id: &'static str,
    description: &'static str,
    keywords: &'static [&'static str],
    regex: &'static str,
) -> Builtin {
    Builtin { id, description, keywords, regex, entropy: TOKEN_ENTROPY, check: Check::Token }
}

/// A rule for values that people choose, or that only their name gives away.
pub const fn form(
    id: &'static str,
    description: &'static str,
    keywords: &'static [&'static str],
    regex: &'static str,
    check: Check,
) -> Builtin {
    Builtin { id, description, keywords, regex, entropy: 0.0, check }
}

/// A rule on its way into a [`RuleSet`](super::set::RuleSet).
pub struct Rule {
    /// Its name.
    pub id: Arc<str>,
    /// In any case; none: the regex is always tried.
    pub keywords: Vec<String>,
    /// The regex, compiled at its first use.
    pub pattern: Pattern,
    /// The group that is the secret; none: the first that takes part.
    pub group: Option<usize>,
    /// The entropy that a secret has to be above; 0 asks for nothing.
    pub entropy: f64,
    /// What else has to hold.
    pub check: Check,
    /// What it spares.
    pub allows: Vec<Allow>,
}

impl From<&Builtin> for Rule {
    fn from(builtin: &Builtin) -> Rule {
        Rule {
            id: builtin.id.into(),
            keywords: builtin.keywords.iter().map(|&word| word.to_owned()).collect(),
            pattern: Pattern { text: builtin.regex, compiled: OnceLock::new() },
            group: None,
            entropy: builtin.entropy,
            check: builtin.check,
            allows: Vec::new(),
        }
    }
}

/// A regex. Those of the built-in set wait for their first keyword: most of a hundred are never needed.
pub struct Pattern {
    text: &'static str,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// One that is compiled already.
    pub fn ready(regex: Regex) -> Pattern {
        Pattern { text: "", compiled: OnceLock::from(Some(regex)) }
    }

    /// The regex; none of the built-in ones fails to compile, which a test sees to.
    pub fn regex(&self) -> Option<&Regex> {
        self.compiled.get_or_init(|| compile(self.text).ok()).as_ref()
    }
}

/// Compiles a regex whose classes are ASCII.
pub fn compile(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).unicode(false).octal(true).size_limit(REGEX_BYTES_MAX).build()
}

/// The same with classes and case as Unicode has them, for what can't be said without.
pub fn compile_unicode(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).octal(true).size_limit(REGEX_BYTES_MAX).build()
}
