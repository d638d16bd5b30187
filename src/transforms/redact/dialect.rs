//! From a regex of Go to one of Rust: the same engine by descent, with a few signs that mean something else.
//!
//! | in Go | here |
//! |---|---|
//! | `{` that begins no repetition stands for itself | has to be escaped |
//! | `[` inside a class stands for itself, except `[:name:]` | opens a class in the class |
//! | `&&`, `--`, `~~` inside a class are signs | are operations on classes |
//! | `\<`, `\>` stand for the signs | are the edges of words |
//! | `\Q…\E` quotes | is unknown |

/// Translates `text`.
pub fn translate(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut rest = text;
    let mut class = Class::Outside;
    while let Some(first) = rest.chars().next() {
        if let Some(escape) = rest.strip_prefix('\\') {
            rest = translate_escape(escape, &mut out);
            class.passed();
            continue;
        }
        let name = (class.is_inside() && rest.starts_with("[:")).then(|| rest.find(":]")).flatten();
        if let Some((name, behind)) = name.and_then(|end| rest.split_at_checked(end + 2)) {
            out.push_str(name);
            rest = behind;
            class.passed();
            continue;
        }
        let tail = rest.get(first.len_utf8()..).unwrap_or_default();
        match (class, first) {
            (Class::Outside, '{') if !is_repetition(rest) => out.push_str("\\{"),
            (Class::Outside, '[') => {
                out.push('[');
                class = Class::Start;
                rest = tail;
                if let Some(behind) = tail.strip_prefix('^') {
                    out.push('^');
                    rest = behind;
                }
                continue;
            }
            (Class::Inside, ']') => {
                out.push(']');
                class = Class::Outside;
            }
            (Class::Start, ']') => out.push_str("\\]"),
            (Class::Start | Class::Inside, '[') => out.push_str("\\["),
            (Class::Start | Class::Inside, '&' | '~') if tail.starts_with(first) => {
                out.push('\\');
                out.push(first);
            }
            // `--` can only be a sign and a range from it, or a sign at the end.
            (Class::Start | Class::Inside, '-') if tail.starts_with('-') => out.push_str("\\-"),
            _ => out.push(first),
        }
        class.passed();
        rest = tail;
    }
    out
}

/// Where in a class a sign stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Outside,
    /// At its beginning, where `]` is a sign.
    Start,
    Inside,
}

impl Class {
    fn is_inside(self) -> bool {
        self != Class::Outside
    }

    fn passed(&mut self) {
        if *self == Class::Start {
            *self = Class::Inside;
        }
    }
}

/// Translates what begins with a backslash, of which `escape` is what follows it; gives the rest.
fn translate_escape<'a>(escape: &'a str, out: &mut String) -> &'a str {
    if let Some(quoted) = escape.strip_prefix('Q') {
        let (quoted, rest) = quoted.split_once("\\E").unwrap_or((quoted, ""));
        out.push_str(&regex::escape(quoted));
        return rest;
    }
    let Some(letter) = escape.chars().next() else {
        out.push('\\');
        return "";
    };
    if !matches!(letter, '<' | '>') {
        out.push('\\');
    }
    out.push(letter);
    let mut rest = escape.get(letter.len_utf8()..).unwrap_or_default();
    // What stands in braces belongs to it: `\x{41}`, `\p{Greek}`.
    if matches!(letter, 'x' | 'p' | 'P')
        && let Some(end) = rest.strip_prefix('{').and_then(|inner| inner.find('}'))
        && let Some((inner, behind)) = rest.split_at_checked(end + 2)
    {
        out.push_str(inner);
        rest = behind;
    }
    rest
}

/// Whether `text` begins with `{n}`, `{n,}` or `{n,m}`.
fn is_repetition(text: &str) -> bool {
    let Some((inner, _)) = text.strip_prefix('{').and_then(|inner| inner.split_once('}')) else {
        return false;
    };
    let (least, most) = inner.split_once(',').unwrap_or((inner, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !least.is_empty() && is_number(least) && is_number(most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transforms::redact::rule::compile;
    use proptest::prelude::*;

    #[test]
    fn what_go_means_is_what_matches() {
        for (go, text, is_match) in [
            (r"a{2,3}", "aa", true),
            (r"\{x{,2}", "{x{,2}", true),
            (r"${x}", "$", false),
            (r"\${x}", "${x}", true),
            (r"[[a]+", "[a[", true),
            (r"^[^]a]$", "]", false),
            (r"^[]a]$", "]", true),
            (r"^[a&&b]+$", "a&b", true),
            (r"^[a--]$", "-", true),
            (r"^[~~]$", "~", true),
            (r"^[[:alnum:]_]+$", "a1_", true),
            (r"\<b\>", "<b>", true),
            (r"^\Qa.b\E.$", "a.bc", true),
            (r"\x60\x{61}\101\z", "`aA", true),
            (r"(?i)(?P<k>KEY)\s*[:=]", "key =", true),
            (r"[\w\-.]+", "a-.", true),
            (r"\bé", "é", false),
        ] {
            let regex = compile(&translate(go)).unwrap_or_else(|e| panic!("{go}: {e}"));
            assert_eq!(regex.is_match(text.as_bytes()), is_match, "{go}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_translated_without_panic(text in r"[\[\]\\{}^&~,:QE<a0-9é-]{0,24}") {
            translate(&text);
        }
    }
}
