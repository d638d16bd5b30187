//! A log record in Livebook's two shapes, around a message that somebody else writes.
//!
//! The order of members and of metadata is what Livebook's formatters print with
//! `LIVEBOOK_LOG_METADATA=users,session_mode,code,event,request_id`. Times are written by hand: a date library would
//! be most of the work of a short record.

use super::Format;
use super::holes::{Facts, Hole, write_number};
use super::people::Users;

/// What a record says besides its message.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    /// Milliseconds since 1970, UTC.
    pub time_ms: u64,
    /// As Logger names it.
    pub severity: &'static str,
    /// Absent where Livebook knows of none.
    pub users: Option<&'a Users>,
    /// The request that it belongs to.
    pub request: Option<RequestId<'a>>,
    /// The evaluation that it is the second record of.
    pub structured: Option<Structured<'a>>,
}

/// A request's id, the same in all of its records.
#[derive(Clone, Copy)]
pub struct RequestId<'a> {
    /// The hole that makes one.
    pub hole: &'a Hole,
    /// The scene's seed.
    pub seed: u64,
}

impl RequestId<'_> {
    fn write(self, out: &mut Vec<u8>) {
        // The first characters of Plug's ids are high bits of a clock, the same for a long time.
        out.extend_from_slice(b"GG");
        self.hole.write(&Facts::of_seed(self.seed), out);
    }
}

/// Appends a part of a record in the form that the format wants.
pub type Write<'a> = &'a dyn Fn(&mut Vec<u8>);

/// An evaluation's structured metadata.
#[derive(Clone, Copy)]
pub struct Structured<'a> {
    /// The session's mode.
    pub mode: &'static str,
    /// The source: inside a JSON string, or as it is.
    pub code: Write<'a>,
}

impl Frame<'_> {
    /// Appends the record with its newline.
    pub fn write(self, format: Format, message: Write<'_>, out: &mut Vec<u8>) {
        match format {
            Format::LivebookJson => self.write_json(message, out),
            Format::LivebookText => self.write_text(message, out),
        }
    }

    fn write_json(self, message: Write<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"message\":\"");
        message(out);
        out.extend_from_slice(b"\",\"time\":\"");
        write_time(self.time_ms, b'T', out);
        out.extend_from_slice(b"Z\",\"metadata\":{");
        let open = out.len();
        if let Some(structured) = self.structured {
            out.extend_from_slice(b"\"code\":\"");
            (structured.code)(out);
            out.extend_from_slice(b"\",\"event\":\"code.evaluate\"");
        }
        if let Some(request) = self.request {
            out.extend_from_slice(b"\"request_id\":\"");
            request.write(out);
            out.push(b'"');
        }
        if let Some(users) = self.users {
            out.extend_from_slice(if out.len() > open { b",\"users\":" } else { b"\"users\":" });
            out.extend_from_slice(&users.json);
        }
        if let Some(Structured { mode, .. }) = self.structured {
            out.extend_from_slice(b",\"session_mode\":\"");
            out.extend_from_slice(mode.as_bytes());
            out.push(b'"');
        }
        out.extend_from_slice(b"},\"severity\":\"");
        out.extend_from_slice(self.severity.as_bytes());
        out.extend_from_slice(b"\"}\n");
    }

    fn write_text(self, message: Write<'_>, out: &mut Vec<u8>) {
        write_time(self.time_ms, b' ', out);
        if let Some(users) = self.users {
            out.extend_from_slice(b" users=");
            out.extend_from_slice(&users.text);
        }
        if let Some(structured) = self.structured {
            out.extend_from_slice(b" session_mode=");
            out.extend_from_slice(structured.mode.as_bytes());
            out.extend_from_slice(b" code=");
            (structured.code)(out);
            out.extend_from_slice(b" event=code.evaluate");
        }
        if let Some(request) = self.request {
            out.extend_from_slice(b" request_id=");
            request.write(out);
        }
        out.extend_from_slice(b" [");
        out.extend_from_slice(self.severity.as_bytes());
        out.extend_from_slice(b"] ");
        let start = out.len();
        message(out);
        cut(start, out);
        out.push(b'\n');
    }
}

/// How many bytes of a message Logger's text formatter prints.
pub const MESSAGE_BYTES_MAX: usize = 8_096;
const CUT: &[u8] = b" (truncated)";

/// Cuts the message that begins at `start`, before a character that would be split.
fn cut(start: usize, out: &mut Vec<u8>) {
    if out.len() - start <= MESSAGE_BYTES_MAX {
        return;
    }
    let is_inside_char = |byte: Option<&u8>| byte.is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000);
    let mut end = start + MESSAGE_BYTES_MAX;
    while end > start && is_inside_char(out.get(end)) {
        end -= 1;
    }
    out.truncate(end);
    out.extend_from_slice(CUT);
}

const DAY_MS: u64 = 86_400_000;

/// Appends `2025-10-03T17:48:22.238`, with `separator` in the place of the `T`.
fn write_time(time_ms: u64, separator: u8, out: &mut Vec<u8>) {
    let (year, month, day) = date(time_ms / DAY_MS);
    let ms = time_ms % DAY_MS;
    write_padded(year, 1000, b'-', out);
    write_padded(month, 10, b'-', out);
    write_padded(day, 10, separator, out);
    write_padded(ms / 3_600_000, 10, b':', out);
    write_padded(ms / 60_000 % 60, 10, b':', out);
    write_padded(ms / 1000 % 60, 10, b'.', out);
    write_padded(ms % 1000, 100, b' ', out);
    out.pop();
}

/// Appends `number` with leading zeros, as many digits as `unit`, a power of ten, has.
fn write_padded(number: u64, unit: u64, after: u8, out: &mut Vec<u8>) {
    let mut below = unit;
    while below > 1 && number < below {
        out.push(b'0');
        below /= 10;
    }
    write_number(number, out);
    out.push(after);
}

/// Year, month and day of the `days`th day after 1970-01-01 (Howard Hinnant's `civil_from_days`).
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_chrono() {
        let mut ms = 951_782_399_999;
        for _ in 0..3000 {
            let mut out = Vec::new();
            write_time(ms, b'T', &mut out);
            let time = chrono::DateTime::from_timestamp_millis(ms as i64).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), time.format("%Y-%m-%dT%H:%M:%S%.3f").to_string());
            ms += 1_234_567_891;
        }
    }

    #[test]
    fn a_message_over_the_limit_is_cut_before_a_split_character() {
        for (message, kept) in [
            ("x".repeat(8_096), 8_096),
            ("x".repeat(8_097), 8_096),
            (format!("{}é", "x".repeat(8_095)), 8_095),
        ] {
            let mut out = format!("before {message}").into_bytes();
            cut(7, &mut out);
            let after = if message.len() > 8_096 { " (truncated)" } else { "" };
            assert_eq!(String::from_utf8(out).unwrap(), format!("before {}{after}", &message[..kept]));
        }
    }
}
