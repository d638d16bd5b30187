//! Which records of a trail somebody wants to see.
//!
//! A record may be any line: what a sink was told to write, in one of several schemas, and what somebody may have put
//! there since. Times are not sorted, so nothing follows from those of the neighbours.

use super::grep::Grep;
use super::records::{Order, Page, Records, Unreadable};
use crate::codec::livebook_form;
use crate::event::json::Json;
use crate::event::{Event, Origin, Place};
use crate::livebook::people::{By, Globs, User};
use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use memchr::{memchr, memchr_iter, memrchr};
use serde_json::Value;
use std::collections::HashMap;
use std::ops::RangeInclusive;

/// Lists of users of which is known whether they fit.
const LISTS_MAX: usize = 4_096;
/// A longer one is read each time.
const LIST_BYTES_MAX: usize = 4_096;

/// Conditions, all of which hold of what is shown.
pub struct Query {
    range: RangeInclusive<u64>,
    users: Option<Users>,
    since: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
    mode: Option<String>,
    grep: Option<Grep>,
    seen: u64,
    timeless: u64,
}

/// Who is wanted, and the lists that have been looked at.
struct Users {
    globs: Globs,
    known: HashMap<Box<[u8]>, bool>,
}

/// A record that fits.
#[derive(Debug)]
pub struct Hit {
    /// Its index, which `trail prove` takes.
    pub index: u64,
    /// Its exact bytes, without the newline.
    pub line: Bytes,
    /// Whether the newline is there; it may be missing where a segment ends.
    pub is_ended: bool,
    /// By Livebook's names; none where the line is no JSON object.
    pub record: Option<Event>,
}

impl Hit {
    /// Whether it is more than the beginning of a line that is still being written.
    pub fn is_whole(&self) -> bool {
        self.is_ended || self.record.is_some()
    }
}

impl Default for Query {
    /// All of them.
    fn default() -> Query {
        let range = 0..=u64::MAX;
        Query { range, users: None, since: None, until: None, mode: None, grep: None, seen: 0, timeless: 0 }
    }
}

impl Query {
    /// Only those with an index in `range`.
    #[must_use]
    pub fn within(self, range: RangeInclusive<u64>) -> Query {
        Query { range, ..self }
    }

    /// Only those where one of the users fits.
    #[must_use]
    pub fn users(self, globs: Globs) -> Query {
        Query { users: Some(Users { globs, known: HashMap::new() }), ..self }
    }

    /// Only those from this time on, itself included; those without a time are counted.
    #[must_use]
    pub fn since(self, since: DateTime<Utc>) -> Query {
        Query { since: Some(since), ..self }
    }

    /// Only those before this time; those without a time are counted.
    #[must_use]
    pub fn until(self, until: DateTime<Utc>) -> Query {
        Query { until: Some(until), ..self }
    }

    /// Only those of sessions in this mode.
    #[must_use]
    pub fn mode(self, mode: &str) -> Query {
        Query { mode: Some(mode.to_owned()), ..self }
    }

    /// Only those that hold a text in their code or message; in any place, where they have neither.
    ///
    /// # Errors
    ///
    /// Says for people why it can't be found.
    pub fn grep(self, text: &str, ignores_case: bool) -> Result<Query, String> {
        Ok(Query { grep: Some(Grep::new(text, ignores_case)?), ..self })
    }

    /// Pages of `records` that may hold some.
    pub fn pages<'r>(
        &self,
        records: &'r Records,
        order: Order,
    ) -> impl Iterator<Item = Result<Page, Unreadable>> + use<'r> {
        records.pages(order, self.range.clone())
    }

    /// Leaves out all in front of the last `count`, which are looked for from the end. Gives back whether there are so
    /// many. What can't be read is passed over here, since it is met again.
    pub fn narrow_to_last(&mut self, count: u64, records: &Records) -> bool {
        let mut missing = count;
        let mut first = None;
        for page in self.pages(records, Order::NewestFirst).flatten() {
            let mut hits = self.hits(&page);
            hits.retain(Hit::is_whole);
            let found = hits.len() as u64;
            if found >= missing {
                first = hits.get((found - missing) as usize).map(|hit| hit.index);
                break;
            }
            missing -= found;
        }
        (self.seen, self.timeless) = (0, 0);
        if let Some(first) = first {
            self.range = first..=*self.range.end();
        }
        first.is_some()
    }

    /// How many records have been looked at.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// How many have been left out so far for nothing but that they have no time.
    pub fn timeless(&self) -> u64 {
        self.timeless
    }

    /// The records of a page that fit, in the order in which they stand there.
    pub fn hits(&mut self, page: &Page) -> Vec<Hit> {
        let text = &page.text;
        let behind = page.first.saturating_add(page.count());
        let (from, to) =
            (page.first.max(*self.range.start()), behind.min(self.range.end().saturating_add(1)));
        self.seen += to.saturating_sub(from);
        let (mut at, mut index) = (0, page.first);
        let mut hits = Vec::new();
        if let Some(grep) = &mut self.grep {
            grep.restart();
        }
        while at < text.len() {
            let candidate = self.grep.as_mut().map_or(at, |grep| grep.candidate(text, at));
            if candidate >= text.len() {
                break;
            }
            let passed = text.get(at..candidate).unwrap_or_default();
            let start = memrchr(b'\n', passed).map_or(at, |end| at + end + 1);
            index += memchr_iter(b'\n', passed).count() as u64;
            let behind = text.get(candidate..).unwrap_or_default();
            let end = memchr(b'\n', behind).map_or(text.len(), |end| candidate + end);
            if self.range.contains(&index) {
                let line = text.slice(start..end);
                let is_ended = end < text.len();
                hits.extend(self.judge(&line).map(|record| Hit { index, line, is_ended, record }));
            }
            (at, index) = (end + 1, index + 1);
        }
        hits
    }

    /// The record in a line that fits.
    fn judge(&mut self, line: &Bytes) -> Option<Option<Event>> {
        let is_text = simdutf8::basic::from_utf8(line).is_ok();
        let record = if is_text { Event::from_json(line.clone(), Origin::nowhere()).ok() } else { None };
        let record = record.map(livebook_form);
        let time = if self.since.is_some() || self.until.is_some() {
            let time = record.as_ref().and_then(time_of);
            let is_early = |time| self.since.is_some_and(|since| time < since);
            let is_late = |time| self.until.is_some_and(|until| time >= until);
            if time.is_some_and(|time| is_early(time) || is_late(time)) {
                return None;
            }
            time
        } else {
            Some(DateTime::UNIX_EPOCH)
        };
        if let Some(mode) = &self.mode {
            let found = record.as_ref()?.get(Place::Metadata, "session_mode")?;
            found.is(mode).then_some(())?;
        }
        if let Some(grep) = &self.grep {
            holds(grep, line, record.as_ref()).then_some(())?;
        }
        if let Some(users) = &mut self.users {
            users.fit(record.as_ref()?).then_some(())?;
        }
        if time.is_none() {
            self.timeless += 1;
            return None;
        }
        Some(record)
    }
}

/// When a record says that it was logged, by Livebook's names.
pub fn time_of(record: &Event) -> Option<DateTime<Utc>> {
    let text = record.get(Place::Top, "time")?.string()?;
    let time = DateTime::parse_from_rfc3339(std::str::from_utf8(&text).ok()?).ok()?;
    Some(time.to_utc())
}

fn holds(grep: &Grep, line: &[u8], record: Option<&Event>) -> bool {
    let string = |place, name| record?.get(place, name).and_then(Json::string);
    let base64 = string(Place::Metadata, "code_base64").and_then(|text| BASE64_STANDARD.decode(text).ok());
    let (code, message) = (string(Place::Metadata, "code"), string(Place::Top, "message"));
    if base64.is_none() && code.is_none() && message.is_none() {
        return grep.is_in(line);
    }
    [code.as_deref(), message.as_deref(), base64.as_deref()]
        .into_iter()
        .flatten()
        .any(|text| grep.is_in(text))
}

impl Users {
    /// Whether one of those who are named fits.
    fn fit(&mut self, record: &Event) -> bool {
        let Some(list) = record.get(Place::Metadata, "users").map(Json::text) else { return false };
        if let Some(known) = self.known.get(list) {
            return *known;
        }
        let users: Vec<Value> = serde_json::from_slice(list).unwrap_or_default();
        let fits = users.iter().any(|user| User::read(user).fits(&self.globs, By::Any));
        if self.known.len() < LISTS_MAX && list.len() <= LIST_BYTES_MAX {
            self.known.insert(list.into(), fits);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(lines: &[&str]) -> Page {
        Page { first: 5, text: Bytes::from(lines.join("\n")) }
    }

    fn found(query: Query, lines: &[&str]) -> Vec<u64> {
        let mut query = query;
        query.hits(&page(lines)).iter().map(|hit| hit.index - 5).collect()
    }

    fn time(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    const LINES: [&str; 6] = [
        r#"{"message":"m","time":"2026-01-01T00:00:00.000Z","metadata":{"users":[{"name":"Ann"}],"session_mode":"default","code":"a\n\"b\""}}"#,
        r#"{"message":"\u006d2","time":"2026-01-01T02:00:00+01:00","metadata":{"users":[{"email":"bo@x.y"},7],"session_mode":"app","code_base64":"/0dSRVA="}}"#,
        "no JSON \"b\"",
        "",
        r#"{"time":"later","metadata":{"session_mode":"default","users":"Ann"}}"#,
        r#"{"other":"\"b\"","users":[{"name":"Ann"}]}"#,
    ];

    #[test]
    fn everything_fits_a_query_without_conditions() {
        assert_eq!(found(Query::default(), &LINES), [0, 1, 2, 3, 4, 5]);
        assert_eq!(found(Query::default().within(6..=8), &LINES), [1, 2, 3]);
        assert_eq!(found(Query::default(), &["a", ""]), [0], "a line end ends the last line");
        let hits = Query::default().hits(&page(&LINES));
        let is_record: Vec<bool> = hits.iter().map(|hit| hit.record.is_some()).collect();
        assert_eq!(is_record, [true, true, false, false, true, true]);
        let is_ended: Vec<bool> = hits.iter().map(|hit| hit.is_ended).collect();
        assert_eq!(is_ended, [true, true, true, true, true, false]);
        let mut some = Query::default().within(6..=8).mode("app");
        some.hits(&page(&LINES));
        assert_eq!(some.seen(), 3);
        assert!(hits.iter().zip(LINES).all(|(hit, line)| hit.line == line));
    }

    #[test]
    fn users_and_modes_are_compared() {
        let globs = |text: &str| Globs::read(&[text.to_owned()]).unwrap();
        assert_eq!(found(Query::default().users(globs("ann")), &LINES), [0]);
        assert_eq!(found(Query::default().users(globs("*")), &LINES), [0, 1]);
        assert_eq!(found(Query::default().mode("default"), &LINES), [0, 4]);
        assert_eq!(found(Query::default().mode("app").users(globs("bo@*")), &LINES), [1]);
    }

    #[test]
    fn times_are_compared_and_those_without_are_counted() {
        let mut query = Query::default().since(time("2026-01-01T01:00:00Z"));
        let hits = query.hits(&page(&LINES));
        assert_eq!(hits.iter().map(|hit| hit.index).collect::<Vec<_>>(), [6], "the first moment counts");
        assert_eq!(query.timeless(), 4);
        assert_eq!(
            found(Query::default().until(time("2026-01-01T01:00:00Z")), &LINES),
            [0],
            "the last does not"
        );
        let mut query = Query::default().until(time("2027-01-01T00:00:00Z")).mode("default");
        query.hits(&page(&LINES));
        assert_eq!(query.timeless(), 1, "what would not have fitted anyway is not counted");
    }

    #[test]
    fn a_text_is_found_however_it_is_written() {
        let grep = |text: &str| Query::default().grep(text, false).unwrap();
        assert_eq!(found(grep("\"b\""), &LINES), [0, 2]);
        assert_eq!(found(grep("a\n\"b"), &LINES), [0]);
        assert_eq!(found(grep("GREP"), &LINES), [1]);
        assert_eq!(found(grep("m2"), &LINES), [1]);
        assert_eq!(found(grep("m"), &LINES), [0, 1, 4, 5], "where there is no code or message, in all of it");
        assert_eq!(found(grep("Ann"), &LINES), [4, 5]);
        assert_eq!(found(Query::default().grep("JSON", true).unwrap(), &LINES), [2]);
        assert_eq!(found(Query::default().grep("grep", true).unwrap(), &LINES), [1]);
    }
}
