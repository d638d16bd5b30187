//! Writes values as `inspect(value, charlists: :as_lists, limit: :infinity, printable_limit: :infinity)` would.

use crate::livebook::inspect::write_literal;
use chrono::SecondsFormat;
use std::io::Write;
use vrl::value::Value;

/// From here on Erlang writes a float by its exponent only: between whole numbers there would be gaps.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// Appends `value`. Keys of maps are strings, sorted; a pattern is `~r/.../`, a time `~U[...]`, and a float that is not
/// finite `:infinity` or `:neg_infinity`, which Elixir has no number for.
pub fn write_term(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"nil"),
        Value::Boolean(true) => out.extend_from_slice(b"true"),
        Value::Boolean(false) => out.extend_from_slice(b"false"),
        // Writing to a Vec can't fail.
        Value::Integer(number) => write!(out, "{number}").unwrap_or_default(),
        Value::Float(number) => out.extend_from_slice(float(number.into_inner()).as_bytes()),
        Value::Bytes(bytes) => write_literal(bytes, out),
        Value::Regex(pattern) => {
            write!(out, "~r/{}/", pattern.as_str().replace('/', "\\/")).unwrap_or_default();
        }
        Value::Timestamp(time) => {
            let text = time.to_rfc3339_opts(SecondsFormat::AutoSi, true).replacen('T', " ", 1);
            write!(out, "~U[{text}]").unwrap_or_default();
        }
        Value::Array(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                separate(at, out);
                write_term(item, out);
            }
            out.push(b']');
        }
        Value::Object(map) => {
            out.extend_from_slice(b"%{");
            for (at, (name, member)) in map.iter().enumerate() {
                separate(at, out);
                write_literal(name.as_bytes(), out);
                out.extend_from_slice(b" => ");
                write_term(member, out);
            }
            out.push(b'}');
        }
    }
}

fn separate(at: usize, out: &mut Vec<u8>) {
    if at > 0 {
        out.extend_from_slice(b", ");
    }
}

/// The fewest digits that read as the same float, in whichever of the two notations is shorter, as Erlang's
/// `float_to_binary(Float, [short])` does.
fn float(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { ":infinity" } else { ":neg_infinity" }.to_owned();
    }
    let sign = if number.is_sign_negative() { "-" } else { "" };
    let number = number.abs();
    if number == 0.0 {
        return format!("{sign}0.0");
    }
    // `1.2345e-7`: the digits are the shortest ones.
    let written = format!("{number:e}");
    let (mantissa, exponent) = written.split_once('e').unwrap_or((&written, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let (first, rest) = digits.split_at_checked(1).unwrap_or((&digits, ""));
    let scientific = format!("{first}.{}e{exponent}", if rest.is_empty() { "0" } else { rest });
    let plain = match usize::try_from(exponent) {
        Err(_) => {
            let zeros = usize::try_from(-1 - exponent).unwrap_or_default();
            format!("0.{}{digits}", "0".repeat(zeros))
        }
        Ok(places) => match digits.split_at_checked(places + 1).filter(|(_, rest)| !rest.is_empty()) {
            Some((whole, rest)) => format!("{whole}.{rest}"),
            None => format!("{digits}{}.0", "0".repeat((places + 1).saturating_sub(digits.len()))),
        },
    };
    let is_plain = number < EXACT_MAX && plain.len() <= scientific.len();
    format!("{sign}{}", if is_plain { plain } else { scientific })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_erlang_does() {
        for (number, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (100.0, "100.0"),
            (1000.0, "1.0e3"),
            (123_456.0, "123456.0"),
            (1234.5, "1234.5"),
            (0.001, "0.001"),
            (0.0001, "0.0001"),
            (0.000_01, "1.0e-5"),
            (0.000_012_3, "1.23e-5"),
            (-2.5, "-2.5"),
            (1.0e10, "1.0e10"),
            (EXACT_MAX, "9.007199254740992e15"),
            (9_007_199_254_740_991.0, "9007199254740991.0"),
            (1.7e308, "1.7e308"),
            (f64::NEG_INFINITY, ":neg_infinity"),
        ] {
            assert_eq!(float(number), text);
        }
    }
}
