//! The known word that is nearest to an unknown one.

/// The candidate that is few enough slips of the keyboard away from `word`. A slip is a letter too many, too few, or
/// wrong, or two neighbours swapped; one is allowed in a word of three letters, two in longer ones, and a third of
/// the letters in long ones.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters = word.chars().count();
    let slips_max = if letters <= 3 { 1 } else { 2.max(letters / 3) };
    candidates
        .into_iter()
        .map(|candidate| (slips(word, candidate), candidate))
        .filter(|(slips, candidate)| *slips <= slips_max && *slips < letters.max(candidate.chars().count()))
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate)
}

/// The distance of Damerau and Levenshtein, in its form that edits no part twice; case does not count.
pub fn slips(a: &str, b: &str) -> usize {
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
}
