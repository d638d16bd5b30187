//! Where two sequences of hashes, as they are and as they were signed, come into step again.

use crate::trail::hashes::Node;
use std::collections::HashMap;

/// So many have to agree in a row before two sequences count as being in step.
const STEPS: usize = 3;
/// So many places of one hash are looked at.
const PLACES_MAX: usize = 4;

/// What stands between two places where the sequences are in step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// How many are there.
    pub seen: usize,
    /// How many should be.
    pub expected: usize,
}

/// The smallest gap in front of which `seen` and `expected` differ. Where a sequence is known to its end, `ends` says so.
/// None where they do not come into step again.
pub fn gap(seen: &[Node], expected: &[Option<Node>], ends: (bool, bool)) -> Option<Gap> {
    let mut places: HashMap<&Node, Vec<usize>> = HashMap::new();
    for (at, hash) in expected.iter().enumerate() {
        if let Some(hash) = hash {
            let places = places.entry(hash).or_default();
            if places.len() < PLACES_MAX {
                places.push(at);
            }
        }
    }
    let mut best: Option<Gap> = None;
    for (skipped, hash) in seen.iter().enumerate() {
        let cost = |gap: &Gap| gap.seen + gap.expected;
        if best.as_ref().is_some_and(|best| cost(best) <= skipped) {
            break;
        }
        for at in places.get(hash).into_iter().flatten() {
            let found = Gap { seen: skipped, expected: *at };
            let is_better = best.as_ref().is_none_or(|best| cost(&found) < cost(best));
            if is_better && is_step(seen, expected, found, ends) {
                best = Some(found);
            }
        }
    }
    let all = Gap { seen: seen.len(), expected: expected.len() };
    best.or_else(|| (ends == (true, true)).then_some(all))
}

/// Whether the sequences agree behind `gap`, for long enough or to their ends.
fn is_step(seen: &[Node], expected: &[Option<Node>], gap: Gap, ends: (bool, bool)) -> bool {
    let (seen, expected) =
        (seen.get(gap.seen..).unwrap_or_default(), expected.get(gap.expected..).unwrap_or_default());
    let run = seen
        .iter()
        .zip(expected)
        .take(STEPS)
        .take_while(|(one, other)| other.is_none_or(|other| other == **one))
        .count();
    let is_end = |len: usize, end: bool| end && run == len;
    let is_window = |len: usize, end: bool| !end && run == len;
    run >= STEPS
        || (is_end(seen.len(), ends.0) && is_end(expected.len(), ends.1))
        || (run > 0 && (is_window(seen.len(), ends.0) || is_window(expected.len(), ends.1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str) -> Vec<Node> {
        text.bytes().map(|byte| [byte; 32]).collect()
    }

    #[test]
    fn the_smallest_gap_is_found() {
        for (is, was, wanted) in [
            ("Xbcde", "abcde", (1, 1)),
            ("bcdef", "abcdef", (0, 1)),
            ("Xabcd", "abcd", (1, 0)),
            ("bacde", "abcde", (2, 2)),
            ("XYcdef", "abcdef", (2, 2)),
            ("XbYdefg", "abcdefg", (3, 3)),
            ("Xcdef", "abcdef", (1, 2)),
            ("XYbcde", "abcde", (2, 1)),
            ("b", "ab", (0, 1)),
            ("X", "abc", (1, 3)),
            ("cba", "abc", (3, 3)),
        ] {
            let expected: Vec<Option<Node>> = seen(was).into_iter().map(Some).collect();
            let found = gap(&seen(is), &expected, (true, true)).unwrap();
            assert_eq!((found.seen, found.expected), wanted, "{is} {was}");
        }
        let expected: Vec<Option<Node>> = seen("abc").into_iter().map(Some).collect();
        assert_eq!(gap(&seen("XYZ"), &expected, (false, false)), None);
    }
}
