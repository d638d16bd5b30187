//! Moments as people write them on a command line.

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Utc};

/// What is understood.
const FORMS: &str = "write it as `2026-11-22`, `2026-11-22 14:30`, `2026-11-22T14:30:05+01:00` (UTC where no offset is \
                     given), or as a time ago: `90s`, `30m`, `2h`, `7d`, `2w`";
/// Forms of a date with a time; the `T` between them counts as a space.
const TIMES: [&str; 2] = ["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S%.f"];

/// Reads a moment: a date, a date with a time, or how long before `now` it is. In UTC, where no offset is given.
///
/// # Errors
///
/// Says for people what is understood.
pub fn parse_when(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    let text = text.trim();
    let read = absolute(text).or_else(|| ago(text).and_then(|ago| now.checked_sub_signed(ago)));
    read.ok_or_else(|| format!("no time can be read from it: {FORMS}"))
}

fn absolute(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Some(date.and_hms_opt(0, 0, 0)?.and_utc());
    }
    let spaced = text.replacen(['T', 't'], " ", 1);
    let (local, is_utc) = match spaced.strip_suffix(['Z', 'z']) {
        Some(local) => (local.trim_end(), true),
        None => (spaced.as_str(), false),
    };
    for form in TIMES {
        if let Ok(time) = NaiveDateTime::parse_from_str(local, form) {
            return Some(time.and_utc());
        }
        if !is_utc && let Ok(time) = DateTime::parse_from_str(local, &format!("{form}%:z")) {
            return Some(time.to_utc());
        }
        if !is_utc && let Ok(time) = DateTime::parse_from_str(local, &format!("{form} %:z")) {
            return Some(time.to_utc());
        }
    }
    None
}

fn ago(text: &str) -> Option<TimeDelta> {
    let text = text.strip_suffix("ago").map_or(text, str::trim_end);
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let secs = match unit.trim_start() {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    TimeDelta::try_seconds(digits.parse::<i64>().ok()?.checked_mul(secs)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        let now = DateTime::parse_from_rfc3339("2026-11-22T12:00:00.5Z").unwrap().to_utc();
        parse_when(text, now).ok().map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
    }

    #[test]
    fn dates_and_times_are_read_in_utc() {
        for (text, expected) in [
            ("2026-11-22", "2026-11-22T00:00:00Z"),
            ("2026-11-22 14:30", "2026-11-22T14:30:00Z"),
            ("2026-11-22T14:30", "2026-11-22T14:30:00Z"),
            (" 2026-11-22 14:30:05.25 ", "2026-11-22T14:30:05.250Z"),
            ("2026-11-22T14:30:05Z", "2026-11-22T14:30:05Z"),
            ("2026-11-22t14:30z", "2026-11-22T14:30:00Z"),
            ("2026-11-22T14:30:05+02:00", "2026-11-22T12:30:05Z"),
            ("2026-11-22T14:30:05.123-00:30", "2026-11-22T15:00:05.123Z"),
            ("2026-11-22 14:30 +01:00", "2026-11-22T13:30:00Z"),
            ("2026-11-22 14:30+01:00", "2026-11-22T13:30:00Z"),
        ] {
            assert_eq!(read(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn times_ago_count_from_now() {
        for (text, expected) in [
            ("90s", "2026-11-22T11:58:30.500Z"),
            ("30m", "2026-11-22T11:30:00.500Z"),
            ("2h", "2026-11-22T10:00:00.500Z"),
            ("2h ago", "2026-11-22T10:00:00.500Z"),
            ("7 d", "2026-11-15T12:00:00.500Z"),
            ("1w", "2026-11-15T12:00:00.500Z"),
            ("0s", "2026-11-22T12:00:00.500Z"),
        ] {
            assert_eq!(read(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_what_is_understood() {
        for text in [
            "",
            "h",
            "2",
            "2x",
            "-2h",
            "2026",
            "2026-13-01",
            "2026-02-30",
            "14:30",
            "2026-11-22 25:00",
            "2026-11-22 14:30Z+01:00",
            "2026-11-22T14:30:05+0",
            "99999999999999999999h",
            "9223372036854775807w",
            "9223372036854775s",
            "ago",
            "ż",
        ] {
            let why = parse_when(text, DateTime::from_timestamp(1_700_000_000, 0).unwrap()).unwrap_err();
            assert!(why.contains("2026-11-22 14:30") && why.contains("UTC"), "{text}: {why}");
        }
    }
}
