//! The time zone of records that do not name theirs.
//!
//! Livebook's text format prints local time without a zone. Where a clock was set back, a local time happened twice:
//! the earlier moment is taken; where it was set forward and a local time never was, the offset from before counts.

use chrono::{DateTime, Local, NaiveDate, NaiveDateTime, TimeDelta, TimeZone as _, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::borrow::Cow;

/// A zone by its name in the IANA database, or the machine's own (`local`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Zone {
    /// What the machine is set to, by `TZ` or its system files.
    #[default]
    Local,
    /// A named zone.
    Named(chrono_tz::Tz),
}

impl TryFrom<String> for Zone {
    type Error = String;

    fn try_from(name: String) -> Result<Zone, String> {
        if name == "local" {
            return Ok(Zone::Local);
        }
        let wrong =
            || format!("unknown time zone `{name}`: use `local` or a name such as `Europe/Berlin` or `UTC`");
        name.parse().map(Zone::Named).map_err(|_| wrong())
    }
}

impl JsonSchema for Zone {
    fn schema_name() -> Cow<'static, str> {
        "timezone".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        // There are some six hundred: they are listed once.
        let names: Vec<&str> =
            ["local"].into_iter().chain(chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name())).collect();
        let description = "A zone by its name in the IANA database (`Europe/Berlin`, `UTC`), or the machine's own (`local`).";
        let schema = json!({"type": "string", "description": description, "enum": names});
        let name = Zone::schema_name();
        generator.definitions_mut().insert(name.to_string(), schema);
        json_schema!({"$ref": format!("#/$defs/{name}")})
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> String {
        match zone {
            Zone::Local => "local".to_owned(),
            Zone::Named(zone) => zone.name().to_owned(),
        }
    }
}

impl Zone {
    /// The moment at which clocks in this zone showed `local`.
    fn to_utc(self, local: NaiveDateTime) -> DateTime<Utc> {
        let moment = |at: NaiveDateTime| match self {
            Zone::Local => Local.from_local_datetime(&at).earliest().map(|t| t.to_utc()),
            Zone::Named(zone) => zone.from_local_datetime(&at).earliest().map(|t| t.to_utc()),
        };
        let skipped = TimeDelta::hours(3);
        let before = || local.checked_sub_signed(skipped).and_then(moment).map(|t| t + skipped);
        moment(local).or_else(before).unwrap_or_else(|| local.and_utc())
    }
}

/// Length of `2025-10-04 17:48:41.996`.
pub const STAMP_LEN: usize = 23;
/// Up to the minute: offsets change on whole minutes, so the rest of a stamp is the same in every zone.
const MINUTE_LEN: usize = 16;

/// The front of `line`, where it has the shape of a stamp.
#[inline]
fn stamp_shaped(line: &[u8]) -> Option<&[u8; STAMP_LEN]> {
    let stamp: &[u8; STAMP_LEN] = line.first_chunk()?;
    let shape = b"dddd-dd-dd dd:dd:dd.ddd";
    let fits =
        |(&byte, &wanted): (&u8, &u8)| if wanted == b'd' { byte.is_ascii_digit() } else { byte == wanted };
    stamp.iter().zip(shape).all(fits).then_some(stamp)
}

/// Whether `line` begins as a text record may: with a stamp, or a colour that stands in front of one.
#[inline]
pub fn begins_with_stamp(line: &[u8]) -> bool {
    line.first() == Some(&0x1b) || stamp_shaped(line).is_some()
}

/// Turns local stamps into UTC ones; remembers the last minute, since log lines come by the dozen in each.
#[derive(Clone, Debug)]
pub struct Stamps {
    zone: Zone,
    local: [u8; MINUTE_LEN],
    utc: [u8; MINUTE_LEN],
    utc_ms: i64,
}

/// A stamp in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// `2025-10-04T17:48:41.996Z`.
    pub text: [u8; STAMP_LEN + 1],
    /// Milliseconds since 1970.
    pub ms: i64,
}

impl Stamps {
    /// Stamps are local to `zone`.
    pub fn new(zone: Zone) -> Stamps {
        Stamps { zone, local: [0; MINUTE_LEN], utc: [0; MINUTE_LEN], utc_ms: 0 }
    }

    /// Reads the stamp at the front of `line`; none where there is no real date and time.
    pub fn read(&mut self, line: &[u8]) -> Option<Stamp> {
        let stamp: &[u8; STAMP_LEN] = line.first_chunk()?;
        let shape = b"dddd-dd-dd dd:dd:dd.ddd";
        let fits = |(&byte, &wanted): (&u8, &u8)| {
            if wanted == b'd' { byte.is_ascii_digit() } else { byte == wanted }
        };
        if !stamp.iter().zip(shape).all(fits) {
            return None;
        }
        let (minute, rest) = stamp.split_first_chunk::<MINUTE_LEN>()?;
        if *minute != self.local {
            self.change_minute(minute)?;
        }
        let (second, milli) = (number(stamp, 17, 2)?, number(stamp, 20, 3)?);
        if second > 59 {
            return None;
        }
        let mut text = [b'Z'; STAMP_LEN + 1];
        for (to, from) in text.iter_mut().zip(self.utc.iter().chain(rest)) {
            *to = *from;
        }
        Some(Stamp { text, ms: self.utc_ms + i64::from(second) * 1000 + i64::from(milli) })
    }

    fn change_minute(&mut self, minute: &[u8; MINUTE_LEN]) -> Option<()> {
        let date = NaiveDate::from_ymd_opt(
            number(minute, 0, 4)? as i32,
            number(minute, 5, 2)?,
            number(minute, 8, 2)?,
        )?;
        let local = date.and_hms_opt(number(minute, 11, 2)?, number(minute, 14, 2)?, 0)?;
        let utc = self.zone.to_utc(local);
        let text = utc.format("%Y-%m-%dT%H:%M").to_string();
        self.utc = text.as_bytes().try_into().ok()?;
        self.utc_ms = utc.timestamp_millis();
        self.local = *minute;
        Some(())
    }
}

/// Reads a stamp in RFC 3339 (`2025-10-03T17:48:22.238Z`) as milliseconds since 1970.
pub fn parse_utc_ms(stamp: &[u8]) -> Option<i64> {
    // The one form that Livebook writes, without the general parser.
    if let (Some(b'Z'), 24) = (stamp.last(), stamp.len()) {
        let date =
            NaiveDate::from_ymd_opt(number(stamp, 0, 4)? as i32, number(stamp, 5, 2)?, number(stamp, 8, 2)?)?;
        let (hour, minute, second) = (number(stamp, 11, 2)?, number(stamp, 14, 2)?, number(stamp, 17, 2)?);
        let time = date.and_hms_milli_opt(hour, minute, second, number(stamp, 20, 3)?)?;
        return Some(time.and_utc().timestamp_millis());
    }
    DateTime::parse_from_rfc3339(std::str::from_utf8(stamp).ok()?).ok().map(|time| time.timestamp_millis())
}

fn number(text: &[u8], at: usize, len: usize) -> Option<u32> {
    text.get(at..at + len)?
        .iter()
        .try_fold(0, |n, b| b.is_ascii_digit().then(|| n * 10 + u32::from(b - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(zone: &str, stamp: &str) -> Option<String> {
        let mut stamps = Stamps::new(Zone::try_from(zone.to_owned()).unwrap());
        stamps.read(stamp.as_bytes()).map(|stamp| {
            assert_eq!(parse_utc_ms(&stamp.text), Some(stamp.ms));
            String::from_utf8(stamp.text.to_vec()).unwrap()
        })
    }

    #[test]
    fn local_stamps_become_utc() {
        for (zone, local, expected) in [
            ("UTC", "2025-10-04 17:48:41.996", "2025-10-04T17:48:41.996Z"),
            ("Europe/Berlin", "2025-10-04 00:48:41.996", "2025-10-03T22:48:41.996Z"),
            ("Asia/Kathmandu", "2025-01-01 00:00:00.000", "2024-12-31T18:15:00.000Z"),
            // Set back at 03:00: 02:30 happened twice.
            ("Europe/Berlin", "2025-10-26 02:30:00.000", "2025-10-26T00:30:00.000Z"),
            // Set forward at 02:00: 02:30 never was.
            ("Europe/Berlin", "2025-03-30 02:30:00.000", "2025-03-30T01:30:00.000Z"),
        ] {
            assert_eq!(utc(zone, local).as_deref(), Some(expected), "{zone} {local}");
        }
    }

    #[test]
    fn what_is_no_date_is_no_stamp() {
        for text in [
            "2025-13-04 17:48:41.996",
            "2025-10-04T17:48:41.996",
            "2025-10-04 24:00:00.000",
            "2025-10-04 17:48:60.000",
            "2025-02-29 00:00:00.000",
            "2025-10-04 17:48:41.99",
        ] {
            assert_eq!(utc("UTC", text), None, "{text}");
        }
    }

    #[test]
    fn an_unknown_zone_is_named() {
        assert!(Zone::try_from("Mars/Base".to_owned()).unwrap_err().contains("Mars/Base"));
    }
}
