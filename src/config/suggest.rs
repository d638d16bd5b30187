//! "Did you mean": the known word that is nearest to an unknown one, or all that are known.

pub(super) use crate::topology::{nearest, slips};

/// Help for an unknown word: the nearest known one, or all of them behind `intro` ("the values are").
pub(super) fn help(word: &str, known: &[&str], intro: &str) -> Option<String> {
    // What lacks only its unit is meant too: `max_size`.
    let with_unit = || {
        known.iter().copied().find(|known| known.strip_prefix(word).is_some_and(|rest| rest.starts_with('_')))
    };
    match nearest(word, known.iter().copied()).or_else(with_unit) {
        Some(near) => Some(format!("did you mean `{near}`?")),
        None if known.is_empty() => None,
        None => Some(format!("{intro} {}", listed(known))),
    }
}

/// "`a`, `b`, `c`".
pub(super) fn listed(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_lists_what_is_known_where_nothing_is_near() {
        assert_eq!(help("fiel", &["file"], "there are").unwrap(), "did you mean `file`?");
        assert_eq!(help("kafka", &["file", "http"], "there are").unwrap(), "there are `file`, `http`");
        assert_eq!(help("kafka", &[], "there are"), None);
        assert_eq!(
            help("max_size", &["max_size_bytes"], "there are").unwrap(),
            "did you mean `max_size_bytes`?"
        );
    }
}
