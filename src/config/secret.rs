//! Which options hold secrets, by their names, misspelled ones included.
//!
//! A config is shown where it is wrong, so names can't be relied upon: whatever looks like the name of a secret is one,
//! unless it is an option that is known to be none.

use super::suggest::{nearest, slips};

/// Options whose names sound like those of secrets.
const HARMLESS: [&str; 5] = ["keys", "key_field", "key_file", "digest_key_file", "header_read_timeout_secs"];
/// What the name of a secret has in it.
const PARTS: [&str; 13] = [
    "auth", "header", "tok", "tkn", "pass", "pasw", "pwd", "secret", "cred", "sign", "key", "bearer",
    "cookie",
];
/// Words of such names; those that are a slip away are meant.
const WORDS: [&str; 10] = [
    "key",
    "auth",
    "token",
    "secret",
    "header",
    "headers",
    "bearer",
    "password",
    "credentials",
    "authorization",
];
/// How someone may show who he is, here or with other programs.
const STRATEGIES: [&str; 6] = ["bearer", "basic", "digest", "none", "oauth2", "api_key"];
/// Longer values are not said again.
const QUOTED_CHARS_MAX: usize = 24;
/// Longer words are not compared letter by letter.
const WORD_BYTES_MAX: usize = 20;

/// Whether the option `key` holds a secret, or did if it were spelled right.
pub fn is_secret_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    if HARMLESS.contains(&key.as_str()) {
        return false;
    }
    PARTS.iter().any(|part| key.contains(part))
        || key
            .split(|c: char| !c.is_alphanumeric())
            .any(|word| WORDS.iter().any(|known| is_slip(word, known)))
}

/// Whether `word` is meant to be `known`.
pub fn is_slip(word: &str, known: &str) -> bool {
    let slips_max = if known.len() < 8 { 1 } else { 2 };
    word.len() >= 3 && word.len() <= WORD_BYTES_MAX && slips(word, known) <= slips_max
}

/// Whether `word` names a way to show who someone is, maybe misspelled, and so is no secret itself.
pub fn is_strategy(word: &str) -> bool {
    nearest(word, STRATEGIES).is_some()
}

/// Whether `value` looks like a word that an option takes, and not like a secret in the wrong place.
pub(super) fn is_quotable(value: &str) -> bool {
    value.chars().count() <= QUOTED_CHARS_MAX
        && value.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '%'))
}

/// Whether one of the keys of the dotted path `path` holds secrets.
pub(super) fn is_secret_path(path: &str) -> bool {
    path.split(['.', '[', ']']).any(is_secret_key)
}

/// Whether `value`, at `path`, must not stand in a message as a whole.
pub(super) fn is_private(value: &str, path: &str) -> bool {
    is_secret_path(path) || value.contains('@') || value.contains('?') && value.contains('=')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_names() {
        for key in [
            "token",
            "tken",
            "tokn",
            "toekn",
            "pasword",
            "passwd",
            "Authorization",
            "header",
            "headrs",
            "heders",
            "uath",
            "api_key",
            "x-api-key",
            "digest_key",
            "digest_kye_secert",
            "signature",
            "credentials",
            "client_scret",
        ] {
            assert!(is_secret_key(key), "{key}");
        }
        for key in [
            "keys",
            "kyes",
            "key_field",
            "key_file",
            "crt_file",
            "only_fields",
            "path",
            "user",
            "users",
            "uri",
            "keepalive.max",
            "header_read_timeout_secs",
            "",
        ] {
            assert!(!is_secret_key(key), "{key}");
        }
    }

    #[test]
    fn words_are_quoted_and_secrets_are_not() {
        assert!(is_quotable("digest") && is_quotable("legacy_massage"));
        assert!(!is_quotable("Bearer x") && !is_quotable("http://u:p@h") && !is_quotable(&"a".repeat(25)));
        assert!(is_strategy("baerer") && !is_strategy("hunter2"));
    }
}
