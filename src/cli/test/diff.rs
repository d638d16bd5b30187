//! JSON in lines, and what is different in two of them.

/// Lines that are compared each with each; longer texts are shown one behind the other.
const LINES_MAX: usize = 2_000;

/// Where a line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Both,
    Before,
    After,
}

/// A valid JSON text in lines. Its order, its numbers and its escapes stay as they are.
pub(super) fn pretty(json: &str) -> Vec<String> {
    let (mut lines, mut line, mut depth) = (Vec::new(), String::new(), 0_usize);
    let mut chars = json.chars().peekable();
    let mut end = |line: &mut String, depth: usize| {
        lines.push(std::mem::replace(line, "  ".repeat(depth)));
    };
    while let Some(char) = chars.next() {
        match char {
            '"' => {
                line.push('"');
                let mut is_escaped = false;
                for char in chars.by_ref() {
                    line.push(char);
                    if char == '"' && !is_escaped {
                        break;
                    }
                    is_escaped = char == '\\' && !is_escaped;
                }
            }
            '{' | '[' => {
                line.push(char);
                while chars.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                if let Some(close) = chars.next_if(|next| matches!(next, '}' | ']')) {
                    line.push(close);
                } else {
                    depth += 1;
                    end(&mut line, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                end(&mut line, depth);
                line.push(char);
            }
            ',' => {
                line.push(',');
                end(&mut line, depth);
            }
            ':' => line.push_str(": "),
            space if space.is_ascii_whitespace() => {}
            other => line.push(other),
        }
    }
    lines.push(line);
    lines
}

/// All lines of both texts, those that they share once, in an order that keeps both; as few as possible stand on one
/// side only.
pub(super) fn diff<'a>(before: &'a [String], after: &'a [String]) -> Vec<(Side, &'a str)> {
    let text = |lines: &'a [String], side| lines.iter().map(move |line| (side, line.as_str()));
    if before.len() > LINES_MAX || after.len() > LINES_MAX {
        return text(before, Side::Before).chain(text(after, Side::After)).collect();
    }
    // A comma at the end tells of the next line, not of this one.
    let same = |old: &str, new: &str| old.trim_end_matches(',') == new.trim_end_matches(',');
    // For each pair of places, how many lines the rests behind them share.
    let mut shared = vec![vec![0_u16; after.len() + 1]; before.len() + 1];
    let at = |shared: &[Vec<u16>], i: usize, j: usize| {
        shared.get(i).and_then(|row| row.get(j)).copied().unwrap_or_default()
    };
    for (i, old) in before.iter().enumerate().rev() {
        for (j, new) in after.iter().enumerate().rev() {
            let most = match same(old, new) {
                true => at(&shared, i + 1, j + 1) + 1,
                false => at(&shared, i + 1, j).max(at(&shared, i, j + 1)),
            };
            if let Some(cell) = shared.get_mut(i).and_then(|row| row.get_mut(j)) {
                *cell = most;
            }
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    loop {
        match (before.get(i), after.get(j)) {
            (Some(old), Some(new)) if same(old, new) => {
                lines.push((Side::Both, new.as_str()));
                (i, j) = (i + 1, j + 1);
            }
            (Some(old), new) if new.is_none() || at(&shared, i + 1, j) >= at(&shared, i, j + 1) => {
                lines.push((Side::Before, old.as_str()));
                i += 1;
            }
            (_, Some(new)) => {
                lines.push((Side::After, new.as_str()));
                j += 1;
            }
            (_, None) => return lines,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use proptest::prelude::*;

    #[test]
    fn json_is_laid_out_as_it_stands() {
        let json = r#"{"b":1.50,"a":[],"c":{"x":[1,{"y":"a \" , : { \\"}],"z":{}}}"#;
        expect![[r#"
            {
              "b": 1.50,
              "a": [],
              "c": {
                "x": [
                  1,
                  {
                    "y": "a \" , : { \\"
                  }
                ],
                "z": {}
              }
            }"#]]
        .assert_eq(&pretty(json).join("\n"));
    }

    #[test]
    fn what_is_shared_stands_once() {
        let lines = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let (before, after) = (lines("a b c d"), lines("a x c d, e"));
        let shown: Vec<String> =
            diff(&before, &after).iter().map(|(side, line)| format!("{side:?} {line}")).collect();
        assert_eq!(shown, ["Both a", "Before b", "After x", "Both c", "Both d,", "After e"]);
    }

    proptest! {
        #[test]
        fn both_texts_can_be_read_from_it(
            before in proptest::collection::vec("[abc]", 0..12),
            after in proptest::collection::vec("[abc]", 0..12),
        ) {
            let lines = diff(&before, &after);
            let of = |other| lines.iter().filter(|(side, _)| *side != other).map(|(_, line)| *line).collect::<Vec<_>>();
            prop_assert_eq!(of(Side::After), before.iter().map(String::as_str).collect::<Vec<_>>());
            prop_assert_eq!(of(Side::Before), after.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }
}
