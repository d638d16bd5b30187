//! What looks like a secret and is none: placeholders, references, names, prose.

use regex::bytes::Regex;
use std::ops::Range;

/// A match that a rule has found.
pub struct Candidate<'a> {
    /// The text that was searched.
    pub text: &'a [u8],
    /// The whole match.
    pub whole: Range<usize>,
    /// The secret in it.
    pub secret: Range<usize>,
    /// Whether a comma stands between name and value, as it does in any list of strings.
    pub is_listed: bool,
    /// The name that the value was given to, where the rule has one.
    pub name: &'a [u8],
}

impl<'a> Candidate<'a> {
    /// The secret.
    pub fn secret(&self) -> &'a [u8] {
        self.text.get(self.secret.clone()).unwrap_or_default()
    }

    /// The lines that the match stands in.
    fn lines(&self) -> &'a [u8] {
        let before = self.text.get(..self.whole.start).unwrap_or_default();
        let start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        let after = self.text.get(self.whole.end..).unwrap_or_default();
        let end = memchr::memchr(b'\n', after).map_or(self.text.len(), |at| self.whole.end + at);
        self.text.get(start..end).unwrap_or_default()
    }
}

/// What has to hold for a match besides its entropy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Nothing: the rule of a file says all that there is to say.
    Nothing,
    /// Its format is known: only what is marked as an example is spared.
    Token,
    /// What certainly is given to a name or a user: anything goes that is no placeholder.
    Value,
    /// A password, as people choose it: the same, but neither prose nor one of a list of words.
    Password,
    /// A value of a telling name: it has to look as if a machine had made it.
    Key,
}

impl Check {
    /// Whether the name of the value gave it away, not its format.
    pub fn is_form(self) -> bool {
        matches!(self, Check::Value | Check::Password | Check::Key)
    }

    /// Whether it holds.
    pub fn holds(self, candidate: &Candidate<'_>) -> bool {
        let secret = candidate.secret();
        match self {
            Check::Nothing => true,
            Check::Token => !is_example(secret),
            Check::Value => is_value(candidate, &String::from_utf8_lossy(secret)),
            Check::Password => is_password(candidate, &String::from_utf8_lossy(secret)),
            Check::Key => is_key(candidate, &String::from_utf8_lossy(secret)),
        }
    }
}

/// Shannon entropy of `bytes`, in bits a byte.
pub fn entropy(bytes: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    for &byte in bytes {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count += 1;
        }
    }
    let total = bytes.len().max(1) as f64;
    let part = |count: u32| f64::from(count) / total;
    counts.iter().filter(|count| **count > 0).map(|&count| -part(count) * part(count).log2()).sum()
}

/// What is put in the place of a secret begins so.
pub const MARK: &[u8] = b"[REDACTED:";

/// Whether a token is one of a manual, or filler. What we have put there ourselves is no secret either.
fn is_example(secret: &[u8]) -> bool {
    let holds = |word: &[u8]| memchr::memmem::find(secret, word).is_some();
    let filler = secret.windows(FILLER_BYTES_MIN).any(|run| {
        let first = run.first().filter(|byte| b"xX*.0#_-".contains(byte));
        first.is_some() && run.iter().all(|byte| Some(byte) == first)
    });
    holds(MARK) || holds(b"EXAMPLE") || holds(b"example") || filler || holds(b"...") || holds(b"<")
}

/// As many of one sign nobody draws by lot.
const FILLER_BYTES_MIN: usize = 6;

/// Something was given.
fn is_value(candidate: &Candidate<'_>, value: &str) -> bool {
    value.len() >= PASSWORD_BYTES_MIN && !is_placeholder(value) && !names_no_secret(candidate.name)
}

/// A person chose it.
fn is_password(candidate: &Candidate<'_>, value: &str) -> bool {
    let said = candidate.name.to_ascii_lowercase();
    let is_phrase = memchr::memmem::find(&said, b"phrase").is_some();
    let is_plain = is_words(value) && !value.contains(|char: char| char.is_ascii_digit());
    is_value(candidate, value)
        && !(candidate.is_listed && is_plain)
        && (is_phrase || !is_prose(value))
        && !is_link(value)
}

const PASSWORD_BYTES_MIN: usize = 4;
const KEY_BYTES_MIN: usize = 8;
/// A key under this many bits a byte is made of words, or of one digit.
const KEY_ENTROPY: f64 = 2.4;

/// A machine made it.
fn is_key(candidate: &Candidate<'_>, value: &str) -> bool {
    let is_long = value.len() >= KEY_BYTES_MIN && entropy(value.as_bytes()) > KEY_ENTROPY;
    is_long
        && !is_placeholder(value)
        && !names_no_secret(candidate.name)
        && !is_words(value)
        && !is_prose(value)
        && !is_link(value)
        && !is_path(value)
        && value.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// Parts of values that stand for another one, in lower case.
const PLACEHOLDERS: [&str; 30] = [
    "changeme",
    "change_me",
    "change-me",
    "change me",
    "placeholder",
    "your_",
    "your-",
    "your ",
    "example",
    "dummy",
    "redacted",
    "replace",
    "insert_",
    "insert-",
    "todo",
    "fixme",
    "xxxx",
    "****",
    "....",
    "…",
    "_here",
    "-here",
    "fake",
    "not-a-real",
    "not_a_real",
    "notreal",
    "secret_here",
    "my_secret",
    "my-secret",
    "sample",
];

/// Whole values that stand for another one, or say what kind of value is meant, in lower case.
const WORDS: [&str; 52] = [
    "password",
    "passwort",
    "passwd",
    "passphrase",
    "pass",
    "pwd",
    "secret",
    "token",
    "key",
    "apikey",
    "api_key",
    "api-key",
    "access_key",
    "bearer",
    "basic",
    "none",
    "null",
    "nil",
    "undefined",
    "unknown",
    "default",
    "empty",
    "missing",
    "invalid",
    "valid",
    "required",
    "optional",
    "string",
    "text",
    "binary",
    "integer",
    "boolean",
    "hidden",
    "input",
    "field",
    "true",
    "false",
    "test",
    "testing",
    "test123",
    "foo",
    "bar",
    "baz",
    "foobar",
    "foo123",
    "value",
    "password123",
    "mypassword",
    "mysecret",
    "mytoken",
    "hash",
    "hashed",
];

/// Whether a value stands for another one that is not in the source.
fn is_placeholder(value: &str) -> bool {
    let value = value.trim();
    let lower = value.to_lowercase();
    let opens = [("<", ">"), ("[", "]"), ("{", "}"), ("(", ")"), ("%", "%"), ("__", "__"), ("@", "@")];
    let refers = ["#{", "${", "{{", "%{", "<%", "$("].iter().any(|open| value.contains(open));
    let is_variable = value.strip_prefix('$').is_some_and(is_identifier);
    let first = value.chars().next();
    let is_upper =
        value.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    refers
        || is_variable
        || value.contains("[REDACTED:")
        || opens.iter().any(|(open, close)| value.starts_with(open) && value.ends_with(close))
        || value.chars().all(|char| Some(char) == first)
        || (is_upper && value.contains('_'))
        || WORDS.contains(&lower.as_str())
        || PLACEHOLDERS.iter().any(|part| lower.contains(part))
}

fn is_identifier(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether it is made of words: `refresh_token`, `App.Token.V2`, `field-2`, `2024-05-01`.
fn is_words(value: &str) -> bool {
    let is_separator = |char: char| "_-. :/,;?!'()\n\t".contains(char);
    value.split(is_separator).filter(|part| !part.is_empty()).all(|part| {
        let digits = part.trim_start_matches(['v', 'V']);
        let letters = part.trim_end_matches(|char: char| char.is_ascii_digit());
        let short = part.len() - letters.len() <= 2;
        let is_plain = letters.chars().all(char::is_alphabetic) && letters.chars().count() <= WORD_CHARS_MAX;
        digits.chars().all(|char| char.is_ascii_digit()) || (short && is_plain && is_cased_as_words(letters))
    })
}

/// The words of people are shorter.
const WORD_CHARS_MAX: usize = 22;

/// `word`, `Word`, `WORD`, `twoWords`: capitals begin words, which have three letters or so.
fn is_cased_as_words(letters: &str) -> bool {
    let capitals = letters.chars().filter(|char| char.is_uppercase()).count();
    let all = letters.chars().count();
    capitals == all || capitals * 3 <= all + 1
}

/// Whether it is a sentence: a space, and no word that mixes letters with digits or signs.
fn is_prose(value: &str) -> bool {
    value.trim().contains(char::is_whitespace) && is_words(value)
}

/// Whether it leads to something else. A password in it is the business of other rules.
fn is_link(value: &str) -> bool {
    value.split_once("://").is_some_and(|(scheme, _)| is_identifier(scheme))
}

fn is_path(value: &str) -> bool {
    let begins = ["/", "./", "../", "~/", "C:\\", "c:\\", "./"].iter().any(|start| value.starts_with(start));
    let parts: Vec<&str> = value.split(['/', '\\']).collect();
    let is_file = parts.last().is_some_and(|last| last.contains('.'));
    // Base64 begins by a slash as well: a path is made of words.
    begins && (parts.len() > 1 && (is_file || parts.iter().all(|part| is_words(part))))
}

/// Ends of names whose value is not the secret itself, without `_` and `-`.
const NO_SECRETS: [&str; 41] = [
    "url",
    "uri",
    "path",
    "file",
    "filename",
    "name",
    "type",
    "env",
    "var",
    "variable",
    "header",
    "field",
    "label",
    "hint",
    "length",
    "ttl",
    "regex",
    "format",
    "algorithm",
    "alg",
    "hash",
    "digest",
    "count",
    "limit",
    "placeholder",
    "prompt",
    "policy",
    "required",
    "title",
    "description",
    "prefix",
    "size",
    "version",
    "scope",
    "endpoint",
    "expiry",
    "error",
    "message",
    "keyid",
    "param",
    "module",
];

/// Whether the name says that its value is about a secret, not one.
fn names_no_secret(name: &[u8]) -> bool {
    let name: String = name
        .iter()
        .filter(|byte| byte.is_ascii_alphanumeric())
        .map(|byte| byte.to_ascii_lowercase() as char)
        .collect();
    let about =
        ["tokeniz", "public", "maxtoken", "stoptoken", "eostoken", "bostoken", "padtoken", "specialtoken"];
    NO_SECRETS.iter().any(|end| name.ends_with(end)) || about.iter().any(|part| name.contains(part))
}

/// What a person spares by a regex or a word.
#[derive(Default)]
pub struct Allow {
    /// Rules that it is for; none: all.
    pub rules: Vec<String>,
    /// Any of these matches ...
    pub regexes: Vec<Regex>,
    /// ... what this says.
    pub target: Target,
    /// Any of these, in lower case, is in the secret.
    pub stopwords: Vec<String>,
    /// Whether both have to hold where both are given.
    pub both: bool,
}

/// What the regexes of an [`Allow`] look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// The secret.
    #[default]
    #[serde(alias = "")]
    Secret,
    /// The whole match.
    Match,
    /// The lines that it stands in.
    Line,
}

impl Allow {
    /// One that spares what matches any of `regexes`.
    pub fn of(regexes: Vec<Regex>) -> Allow {
        Allow { regexes, ..Allow::default() }
    }

    /// Whether it spares what the rule `id` has found.
    pub fn spares(&self, id: &str, candidate: &Candidate<'_>) -> bool {
        if !self.rules.is_empty() && !self.rules.iter().any(|rule| rule == id) {
            return false;
        }
        let target = match self.target {
            Target::Secret => candidate.secret(),
            Target::Match => candidate.text.get(candidate.whole.clone()).unwrap_or_default(),
            Target::Line => candidate.lines(),
        };
        let secret = candidate.secret().to_ascii_lowercase();
        let matched = self.regexes.iter().any(|regex| regex.is_match(target));
        let stopped =
            self.stopwords.iter().any(|word| memchr::memmem::find(&secret, word.as_bytes()).is_some());
        let (asks_regex, asks_words) = (!self.regexes.is_empty(), !self.stopwords.is_empty());
        match self.both {
            true => (matched || !asks_regex) && (stopped || !asks_words) && (asks_regex || asks_words),
            false => matched || stopped,
        }
    }
}
