//! What stands in a term and has no parts.

use chrono::DateTime;
use vrl::value::Value;

/// What is wrong with a string or binary that is none.
pub(super) const BROKEN: &str = "a string or binary that can't be read stands here";

/// Atoms that need no quotes although they are no names, a longer one before its beginnings.
const OPERATORS: [&str; 52] = [
    "<<>>", "..//", "%{}", "...", "<<<", ">>>", "~>>", "<<~", "<~>", "|||", "&&&", "^^^", "===", "!==",
    "+++", "---", "{}", "[]", "..", "==", "!=", "=~", "<=", ">=", "&&", "||", "<>", "++", "--", "|>", "~>",
    "<~", "<-", "->", "=>", "::", "\\\\", "**", "<", ">", "+", "-", "*", "/", "=", "!", "^", "&", "|", "@",
    ".", "%",
];

/// Length of the operator at the front of `text`.
pub(super) fn operator_len(text: &[u8]) -> usize {
    OPERATORS
        .iter()
        .find(|operator| text.starts_with(operator.as_bytes()))
        .map_or(0, |operator| operator.len())
}

/// The number at the front of `text`, and its length. A whole number that 64 bits can't hold becomes a float, as
/// everywhere in VRL.
pub(super) fn number(text: &[u8]) -> Option<(Value, usize)> {
    let digits =
        |from: usize| text.get(from..).unwrap_or_default().iter().take_while(|b| b.is_ascii_digit()).count();
    let sign = usize::from(text.first() == Some(&b'-'));
    let mut len = sign + digits(sign);
    if len == sign {
        return None;
    }
    let is_float = text.get(len) == Some(&b'.') && digits(len + 1) > 0;
    if is_float {
        len += 1 + digits(len + 1);
        if text.get(len) == Some(&b'e') {
            let sign = usize::from(matches!(text.get(len + 1), Some(b'-' | b'+')));
            let exponent = digits(len + 1 + sign);
            len += if exponent > 0 { 1 + sign + exponent } else { 0 };
        }
    }
    let text = std::str::from_utf8(text.get(..len)?).ok()?;
    let float = || text.parse::<f64>().ok().map(Value::from_f64_or_zero);
    let whole = if is_float { None } else { text.parse::<i64>().ok().map(Value::Integer) };
    Some((whole.or_else(float)?, len))
}

/// The time that `~U[...]` stands for; what other sigils hold has no zone, and stays text.
pub(super) fn time(letter: u8, content: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(content).ok().filter(|_| letter == b'U')?;
    DateTime::parse_from_rfc3339(text).ok().map(|time| Value::Timestamp(time.to_utc()))
}

/// Whether `rest`, where a binary goes wrong, is only the end of a text that was cut there.
pub(super) fn at_end_of_bytes(rest: &[u8]) -> bool {
    let digits = rest.iter().take(3).take_while(|b| b.is_ascii_digit()).count();
    let behind = rest.get(digits..).unwrap_or_default();
    [&b", "[..], b">>", b"...>>"].iter().any(|token| token.starts_with(behind) && behind.len() < token.len())
}

/// The same for a string: in the middle of an escape, or before its closing quote.
pub(super) fn at_end_of_string(rest: &[u8]) -> bool {
    match rest {
        [] | [b'\\'] => true,
        [b'\\', b'x' | b'u', digits @ ..] => {
            digits.len() < 8 && digits.iter().all(|b| b.is_ascii_hexdigit() || *b == b'{')
        }
        _ => false,
    }
}
