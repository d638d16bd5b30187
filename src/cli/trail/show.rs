//! `evaltrail trail show`.

mod page;
mod pager;

use crate::cli::{EXIT_FAILED, EXIT_REFUSED, complain};
use crate::delivery::clock::now_ms;
use crate::livebook::people::{GLOB_HELP, Globs};
use crate::trail::query::Query;
use crate::trail::records::{Order, Page, Records};
use crate::trail::when::parse_when;
use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};
use page::Pages;
use pager::{Output, Pager};
use std::io::{self, ErrorKind, IsTerminal};
use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::ExitCode;

/// What `--help` says about it.
pub const ABOUT: &str = "\
Shows the records of a trail: who could run what code, and when.

In a notebook session the users are everyone who was connected, not the one who pressed the key: Livebook does not log \
that. All conditions that are given have to hold. Nothing is checked: that is what `evaltrail trail verify` is for.

On a terminal it goes through $EVALTRAIL_PAGER, $PAGER, or `less`.";

/// Which records, and how they are shown.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Folder of the trail: the `path` of its sink
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Only where one of the users fits, by id, name or email (`*@example.com`); may be given several times
    #[arg(long, value_name = "GLOB")]
    user: Vec<String>,
    /// Only from this time on: `2026-11-22`, `2026-11-22 14:30` (UTC, or with an offset: `2026-11-22T14:30+01:00`), or
    /// as a time ago: `90s`, `30m`, `2h`, `7d`
    #[arg(long, value_name = "TIME", value_parser = when)]
    since: Option<DateTime<Utc>>,
    /// Only before this time, itself not included
    #[arg(long, value_name = "TIME", value_parser = when)]
    until: Option<DateTime<Utc>>,
    /// Only sessions in this mode
    #[arg(long, value_enum, value_name = "MODE")]
    mode: Option<Mode>,
    /// Only with this text in the code or the message
    #[arg(long, value_name = "TEXT")]
    grep: Option<String>,
    /// Upper and lower case are the same to --grep
    #[arg(short, long, requires = "grep")]
    ignore_case: bool,
    /// Only the record with this index, or all from one to another (`20..29`, both included; `20..`, `..29`)
    #[arg(long, value_name = "N|N..M", value_parser = indices)]
    index: Option<RangeInclusive<u64>>,
    /// Only the last so many of those
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<NonZeroU64>,
    /// The newest first
    #[arg(short, long)]
    reverse: bool,
    /// The records as they are in the trail, one JSON object a line
    #[arg(long)]
    json: bool,
    /// Write to the terminal without a pager
    #[arg(long)]
    no_pager: bool,
    /// Say on standard error how many records there were, even where that is no terminal
    #[arg(short, long)]
    verbose: bool,
}

/// A mode of a session.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Mode {
    /// A notebook session
    Default,
    /// An app, deployed or as a preview
    App,
}

fn when(text: &str) -> Result<DateTime<Utc>, String> {
    let now = i64::try_from(now_ms()).ok().and_then(DateTime::from_timestamp_millis);
    parse_when(text, now.unwrap_or_default())
}

fn indices(text: &str) -> Result<RangeInclusive<u64>, String> {
    let number = |text: &str, open: u64| match text {
        "" => Some(open),
        text => text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit())),
    };
    let (from, to) = match text.split_once("..") {
        _ if text == ".." => (None, None),
        Some((from, to)) => (number(from, 0), number(to, u64::MAX)),
        None => (number(text, 0).filter(|_| !text.is_empty()), number(text, 0)),
    };
    match (from, to) {
        (Some(from), Some(to)) if from <= to => Ok(from..=to),
        _ => Err("it has to be an index, as `20`, or two in their order, as `20..29`".to_owned()),
    }
}

/// Shows them: 0 when all that fits was shown, 1 when some of it could not be read, 2 on bad usage.
pub fn run(args: &ShowArgs) -> ExitCode {
    let refused = |why: &str| {
        complain(&format!("evaltrail: {why}\n"));
        EXIT_REFUSED.into()
    };
    let query = match query(args) {
        Ok(query) => query,
        Err(why) => return refused(&why),
    };
    match Records::of(&args.path) {
        Ok(Some(records)) => show(args, query, &records),
        Ok(None) => refused(&no_trail(args)),
        Err(why) => {
            complain(&format!("evaltrail: {why}\n"));
            EXIT_FAILED.into()
        }
    }
}

fn no_trail(args: &ShowArgs) -> String {
    let path = args.path.display();
    let hint = match args.path.file_name().is_some_and(|name| name == "records") {
        true => "this may be that folder: give the one above it",
        false => "give the `path` of a sink of the type `trail`",
    };
    format!("{path} is no trail, since it has no folder `records`: {hint}")
}

/// The conditions, or what is wrong with them.
fn query(args: &ShowArgs) -> Result<Query, String> {
    let mut query = Query::default();
    if let Some(range) = &args.index {
        query = query.within(range.clone());
    }
    if !args.user.is_empty() {
        let wrong = |(at, why)| {
            let text = args.user.get::<usize>(at).map_or("", String::as_str);
            format!("--user: `{text}` is no pattern, {why}: {GLOB_HELP}")
        };
        query = query.users(Globs::read(&args.user).map_err(wrong)?);
    }
    if let (Some(since), Some(until)) = (args.since, args.until)
        && since >= until
    {
        return Err("--since is not before --until, so nothing could fit".to_owned());
    }
    query = args.since.into_iter().fold(query, Query::since);
    query = args.until.into_iter().fold(query, Query::until);
    if let Some(mode) = args.mode {
        query = query.mode(match mode {
            Mode::Default => "default",
            Mode::App => "app",
        });
    }
    match &args.grep {
        Some(text) => query.grep(text, args.ignore_case).map_err(|why| format!("--grep: {why}")),
        None => Ok(query),
    }
}

/// How showing came to its end.
struct End {
    /// How many records were shown.
    shown: u64,
    /// There may be more that fit.
    is_limited: bool,
    /// Whoever read has seen enough.
    is_gone: bool,
    /// What else was wrong with where it was written.
    broken: Option<io::Error>,
    failed: bool,
}

fn show(args: &ShowArgs, mut query: Query, records: &Records) -> ExitCode {
    let pager = if args.no_pager { None } else { Pager::of_terminal() };
    let mut output = Output::new(pager);
    let mut end = copy(args, &mut query, records, &mut output);
    let finished = output.finish();
    match end.broken.take().map_or(finished, Err) {
        Ok(()) => {}
        Err(e) if e.kind() == ErrorKind::BrokenPipe => end.is_gone = true,
        Err(e) => {
            complain(&format!("evaltrail: can't write the records: {e}\n"));
            end.failed = true;
        }
    }
    tell(args, &query, records, &end);
    if end.failed { EXIT_FAILED.into() } else { ExitCode::SUCCESS }
}

/// Writes what fits.
fn copy(args: &ShowArgs, query: &mut Query, records: &Records, output: &mut Output) -> End {
    let mut end = End { shown: 0, is_limited: false, is_gone: false, broken: None, failed: false };
    let limit = args.limit.map(NonZeroU64::get);
    let order = if args.reverse { Order::NewestFirst } else { Order::OldestFirst };
    if let Some(limit) = limit.filter(|_| !args.reverse) {
        end.is_limited = query.narrow_to_last(limit, records);
    }
    let pages = Pages::new(args.json);
    let mut text = Vec::new();
    let mut gaps = Gaps { records, wanted: args.index.clone().unwrap_or(0..=u64::MAX), edge: None };
    for page in query.pages(records, order) {
        let mut hits = match page {
            Ok(page) => {
                end.failed |= gaps.tell(&page, order);
                query.hits(&page)
            }
            Err(why) => {
                complain(&format!("evaltrail: {why}\n"));
                (end.failed, gaps.edge) = (true, None);
                continue;
            }
        };
        if args.reverse {
            hits.reverse();
        }
        for hit in hits {
            if !hit.is_whole() {
                complain(&format!(
                    "evaltrail: the line of record {} has no end and is left out: it is still being written, or was cut\n",
                    hit.index
                ));
                continue;
            }
            text.clear();
            pages.write(hit, end.shown == 0, &mut text);
            if let Err(e) = output.write(&text) {
                // A pager that is gone says why when it is waited for.
                end.is_gone = e.kind() == ErrorKind::BrokenPipe;
                end.broken = Some(e).filter(|_| !end.is_gone);
                return end;
            }
            end.shown += 1;
            if args.reverse && Some(end.shown) == limit {
                end.is_limited = true;
                return end;
            }
        }
        if output.is_over() {
            end.is_gone = true;
            return end;
        }
    }
    end.failed |= (!args.reverse || !end.failed) && gaps.tell_of_end(order);
    end
}

/// Finds what is missing between the records that are there.
struct Gaps<'a> {
    records: &'a Records,
    wanted: RangeInclusive<u64>,
    /// Up to where pages have come: from the oldest on, the index behind the last of them; backwards, the first of it.
    edge: Option<u64>,
}

impl Gaps<'_> {
    /// Says what is missing between the page before and `page`, which are read in `order`; whether anything is.
    fn tell(&mut self, page: &Page, order: Order) -> bool {
        let behind = page.first.saturating_add(page.count());
        match order {
            Order::OldestFirst => self.edge.replace(behind).is_some_and(|from| self.say(from, page.first)),
            Order::NewestFirst => {
                let before = self.edge.replace(page.first).or(self.records.next_after(page.first));
                before.is_some_and(|to| self.say(behind, to))
            }
        }
    }

    /// The same of what is missing where no page has come any more.
    fn tell_of_end(&self, order: Order) -> bool {
        let (start, end) = (*self.wanted.start(), *self.wanted.end());
        let next = |from: u64| self.records.next_after(from.checked_sub(1)?);
        match (order, self.edge) {
            (Order::OldestFirst, Some(from)) => next(from).is_some_and(|to| self.say(from, to)),
            // Backwards none comes at all where all that is wanted is missing.
            (Order::NewestFirst, None) if self.records.first().is_some_and(|first| first < start) => {
                next(start).is_some_and(|to| self.say(start, to.min(end.saturating_add(1))))
            }
            _ => false,
        }
    }

    /// Says that the records from `from` on, in front of `to`, are missing, where there are any that are wanted.
    fn say(&self, from: u64, to: u64) -> bool {
        let is_gap = from < to && from <= *self.wanted.end() && to > *self.wanted.start();
        if is_gap {
            let missing = match to - from {
                1 => format!("record {from} is"),
                _ => format!("records {from} to {} are", to - 1),
            };
            complain(&format!("evaltrail: {missing} not there: look with `evaltrail trail verify`\n"));
        }
        is_gap
    }
}

/// What to say where there is no record with such an index.
fn no_such(wanted: &RangeInclusive<u64>, records: &Records) -> String {
    let first = records.first().unwrap_or_default();
    if *wanted.end() >= first {
        return "there is no record with such an index".to_owned();
    }
    let gone = match wanted.start() == wanted.end() {
        true => format!("record {} is", wanted.end()),
        false => format!("records up to {} are", wanted.end()),
    };
    format!("{gone} not there any more: the first that is kept is {first}")
}

/// Says what there is to say when all is shown.
fn tell(args: &ShowArgs, query: &Query, records: &Records, end: &End) {
    let is_terminal = io::stderr().is_terminal();
    let mut said = Vec::new();
    if end.shown == 0 && !end.is_gone && !end.failed {
        said.push(match (query.seen(), &args.index) {
            (0, Some(wanted)) => no_such(wanted, records),
            (0, None) => "the trail has no records yet".to_owned(),
            (seen, _) => format!("none of {} fits", counted(seen)),
        });
    } else if !end.is_gone && !end.failed && (is_terminal || args.verbose) {
        let last = if args.reverse { "newest" } else { "last" };
        said.push(match end.is_limited {
            true => format!("the {last} {} that fit", counted(end.shown)),
            false => format!("{} of {}", grouped(end.shown), counted(query.seen())),
        });
    }
    if query.timeless() > 0 && !end.is_gone {
        said.push(format!("{} without a time left out", counted(query.timeless())));
    }
    if is_terminal && end.shown > 0 && (!end.is_gone || io::stdout().is_terminal()) {
        said.push("shown as they are: `evaltrail trail verify` checks them".to_owned());
    }
    for line in said {
        complain(&format!("evaltrail: {line}\n"));
    }
}

fn counted(count: u64) -> String {
    format!("{} record{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// A number with commas between its thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_are_one_or_two_in_their_order() {
        assert_eq!(indices("7"), Ok(7..=7));
        assert_eq!(indices("7..9"), Ok(7..=9));
        assert_eq!(indices("7.."), Ok(7..=u64::MAX));
        assert_eq!(indices("..9"), Ok(0..=9));
        for bad in ["", "..", "9..7", "-1", "+1", "1...2", "a", "1..b", "18446744073709551616"] {
            assert!(indices(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_are_grouped() {
        let all: Vec<String> = [0, 999, 1_000, 1_234_567].into_iter().map(grouped).collect();
        assert_eq!(all, ["0", "999", "1,000", "1,234,567"]);
    }
}
