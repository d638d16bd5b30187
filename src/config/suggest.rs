//! "Did you mean": the known word that is nearest to an unknown one, or all that are known.

/// The candidate that is few enough slips of the keyboard away from `word`. A slip is a letter too many, too few, or
/// wrong, or two neighbours swapped; one is allowed in a word of three letters, two in longer ones, and a third of
/// the letters in long ones.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters = word.chars().count();
    let slips_max = if letters <= 3 { 1 } else { 2.max(letters / 3) };
    candidates
        .into_iter()
        .map(|candidate| (slips(word, candidate), candidate))
        .filter(|(slips, candidate)| *slips <= slips_max && *slips < letters.max(candidate.chars().count()))
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate)
}

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

/// The distance of Damerau and Levenshtein, in its form that edits no part twice; case does not count.
pub(super) fn slips(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.to_lowercase().chars().collect();
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX / 2);
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, other) in b.iter().enumerate() {
            let change = at(&above, j) + usize::from(letter != other);
            let mut least = change.min(at(&above, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(other) && b.get(j - 1) == Some(letter);
            if swapped {
                least = least.min(at(&before, j - 1) + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    at(&above, b.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_counted() {
        for (a, b, expected) in
            [("", "", 0), ("abc", "", 3), ("", "abc", 3), ("stdin", "stdni", 1), ("console", "conslole", 1)]
        {
            assert_eq!(slips(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn near_words_are_suggested_and_far_ones_are_not() {
        let known = ["stdin", "demo_logs", "file"];
        assert_eq!(nearest("stdni", known), Some("stdin"));
        assert_eq!(nearest("DEMO_LOGS", known), Some("demo_logs"));
        assert_eq!(nearest("demologs", known), Some("demo_logs"));
        assert_eq!(nearest("kafka", known), None);
        assert_eq!(nearest("a", ["b"]), None);
        assert_eq!(nearest("evaluations_per_mile", ["evaluations_per_hour"]), Some("evaluations_per_hour"));
    }

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
