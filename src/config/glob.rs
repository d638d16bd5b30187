//! Patterns in `inputs`: `*` is any run of characters, `?` any single one.

/// Whether `text` is a pattern at all.
pub(super) fn is_glob(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// Whether all of `text` is as `pattern` says. Takes time of at most the product of their lengths.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    // Where to go on if what follows the last star does not fit: the star then takes one character more.
    let mut retry = None;
    loop {
        let mut ahead = pattern.clone();
        let fits = match (ahead.next(), text.clone().next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                pattern = ahead;
                retry = Some((pattern.clone(), text.clone()));
                continue;
            }
            (Some('?'), Some(_)) => true,
            (Some(wanted), Some(found)) => wanted == found,
            (_, None) => return false,
            (None, Some(_)) => false,
        };
        if fits {
            pattern = ahead;
            text.next();
        } else if let Some((after_star, rest)) = &mut retry {
            rest.next();
            (pattern, text) = (after_star.clone(), rest.clone());
        } else {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_words() {
        for (pattern, text, expected) in [
            ("project*", "project_a", true),
            ("project*", "my_project", false),
            ("*", "", true),
            ("?", "", false),
            ("*_?", "a_b_c", true),
            ("*a*b", "xaybzb", true),
            ("*a*b", "xaybz", false),
            ("a**b", "ab", true),
            ("plain", "plain", true),
            ("plain", "plainer", false),
            ("é?", "éé", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        assert!(!matches(&"*a".repeat(60), &"a".repeat(59)));
        assert!(!matches(&format!("{}b", "*a".repeat(200)), &"a".repeat(2_000)));
    }
}
