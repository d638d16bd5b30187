//! What is said when a pipeline has started, and when it has ended: one line each, of bounded length.
//!
//! The line of the start is for who reads the log of a service. A pipeline between standard input and output is a filter
//! in somebody's pipe, and begins without a word. The line of the end says where everything went; in JSON all of its
//! fields are there, in text those that are not zero.

use super::log::{counts, is_json, tell_held_back};
use crate::delivery::{Totals, counted};
use crate::topology::{Node, Outcome, Plan};
use crate::transforms::audit_policy::NO_RECORD;
use std::collections::BTreeMap;
use std::time::Duration;

/// Names that are listed of a kind; of others only the number is said.
const NAMES_MAX: usize = 12;
/// What a filter reads, and where it writes.
const FILTER: [&str; 4] = ["stdin", "demo_logs", "console", "blackhole"];

/// One component and what it has counted.
pub struct Part<'a> {
    /// Its id.
    pub id: &'a str,
    /// `source`, `transform` or `sink`.
    pub kind: &'a str,
    /// Its counters at the end.
    pub totals: &'a Totals,
}

/// What has started.
pub struct Start<'a> {
    /// What runs.
    pub plan: &'a Plan,
    /// Names of the files of the config; none for the embedded one.
    pub files: Vec<&'a str>,
    /// Whether it ends when everything that is there is read.
    pub once: bool,
    /// Whether a filter says so too.
    pub verbose: bool,
}

impl Start<'_> {
    /// Says what runs.
    pub fn tell(&self) {
        let plan = self.plan;
        let (sources, transforms, sinks) = (ids(&plan.sources), ids(&plan.transforms), ids(&plan.sinks));
        let kinds =
            || plan.sources.iter().map(|node| node.kind).chain(plan.sinks.iter().map(|node| node.kind));
        if !self.verbose && kinds().all(|kind| FILTER.contains(&kind)) {
            return;
        }
        let keeps_state = plan.sources.iter().any(|node| node.kind == "file")
            || plan.sinks.iter().any(|node| node.kind == "http" || node.disk.is_some());
        let data_dir = keeps_state.then(|| plan.data_dir().display().to_string());
        let all: Vec<String> = [&sources, &transforms, &sinks]
            .into_iter()
            .filter(|ids| !ids.is_empty())
            .map(|ids| list(ids))
            .collect();
        let each = |ids: &[&str]| is_json().then(|| list(ids));
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            sources = sources.len(),
            transforms = transforms.len(),
            sinks = sinks.len(),
            source_ids = each(&sources),
            transform_ids = each(&transforms),
            sink_ids = each(&sinks),
            config = (!self.files.is_empty()).then(|| list(&self.files)),
            data_dir,
            once = self.once,
            "runs {}",
            all.join(" → ")
        );
    }
}

fn ids<C: ?Sized>(nodes: &[Node<C>]) -> Vec<&str> {
    nodes.iter().map(|node| node.id.as_str()).collect()
}

/// The first names, and how many more there are.
pub fn list(names: &[&str]) -> String {
    let first = names.iter().take(NAMES_MAX).copied().collect::<Vec<&str>>().join(", ");
    match names.len().saturating_sub(NAMES_MAX) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// Says how a run has ended that took `time`, with whatever else there is to tell of it.
pub fn tell(outcome: &Outcome, time: Duration) {
    if !outcome.reader_gone {
        tell_held_back();
        let part = |(id, totals)| -> Part<'_> {
            let id: &String = id;
            Part { id, kind: outcome.roles.get(id).copied().unwrap_or_default(), totals }
        };
        let parts: Vec<Part<'_>> = outcome.totals.iter().map(part).collect();
        summarise(&parts, &outcome.undelivered, time);
    }
    for (id, totals) in outcome.totals.iter().filter(|(_, totals)| !totals.hits.is_empty()) {
        let hits = counts(totals.hits.iter().map(|(rule, count)| (&**rule, *count)), usize::MAX);
        tracing::info!(transform = id, hits, "what its rules have hit");
    }
    for (id, totals) in outcome.totals.iter().filter(|(_, totals)| totals.events_buffered > 0) {
        let events = totals.events_buffered;
        tracing::info!(
            sink = id,
            events,
            "{} {} in the buffer on disk for the next start",
            counted(events, "event"),
            if events == 1 { "stays" } else { "stay" }
        );
    }
    for (id, totals) in outcome.totals.iter().filter(|(_, totals)| totals.events_out == 0) {
        tell_of_prefixes(id, totals);
    }
    for failure in &outcome.failures {
        tracing::error!("{failure}");
    }
}

/// Says why a policy has seen lines of evaluations and no evaluation.
fn tell_of_prefixes(transform: &str, totals: &Totals) {
    let seen = |reason: &str| totals.dropped.get(reason).copied().unwrap_or_default();
    let lines = seen(NO_RECORD);
    if lines > 0 && seen("policy") == 0 {
        tracing::warn!(
            transform,
            lines,
            "lines that mention evaluations are no records: something stands in front of them, as the name of a \
             container does; see docs/docker-and-kubernetes.md"
        );
    }
}

/// One line that says where everything went.
fn summarise(parts: &[Part<'_>], left: &BTreeMap<String, u64>, time: Duration) {
    let sum = |kind: &str, count: fn(&Totals) -> u64| -> u64 {
        parts.iter().filter(|part| part.kind == kind).map(|part| count(part.totals)).sum()
    };
    let by_id = |kind: &str, count: fn(&Totals) -> u64| {
        let each = parts.iter().filter(|part| part.kind == kind).map(|part| (part.id, count(part.totals)));
        counts(each.filter(|(_, count)| *count > 0), NAMES_MAX)
    };
    let (mut dropped, mut faults) = (BTreeMap::<&str, u64>::new(), BTreeMap::<&str, u64>::new());
    for part in parts {
        for (reason, count) in &part.totals.dropped {
            *dropped.entry(reason).or_default() += count;
        }
        for (reason, count) in &part.totals.faults {
            *faults.entry(reason).or_default() += count;
        }
    }
    for part in parts.iter().filter(|part| part.totals.programs_failed > 0) {
        tracing::warn!(events = part.totals.programs_failed, "the program of {} has failed", part.id);
    }
    let undecoded: u64 = faults.values().sum();
    let count = |count: u64| (count > 0 || is_json()).then_some(count);
    let several = |kind: &str| parts.iter().filter(|part| part.kind == kind).count() > 1 || is_json();
    let rejected = sum("sink", |totals| totals.events_rejected);
    let undelivered: u64 = left.values().sum();
    let left = counts(left.iter().map(|(id, count)| (id.as_str(), *count)), NAMES_MAX);
    let faults = (undecoded > 0 || is_json()).then(|| counts(faults, usize::MAX));
    macro_rules! say {
        ($level:ident, $($words:tt)+) => {
            tracing::$level!(
                records = sum("source", |totals| totals.events_in),
                bytes = sum("source", |totals| totals.bytes_in),
                delivered = sum("sink", |totals| totals.events_out),
                delivered_by = several("sink").then(|| by_id("sink", |totals| totals.events_out)),
                dropped = counts(dropped, usize::MAX),
                rejected,
                rejected_by = (rejected > 0 || is_json()).then(|| by_id("sink", |totals| totals.events_rejected)),
                undelivered = count(undelivered),
                undelivered_by = (undelivered > 0 || is_json()).then_some(left),
                faults,
                lost_batches = count(sum("source", |totals| totals.batches_lost)),
                retries = count(sum("sink", |totals| totals.retries)),
                secs = (time.as_secs_f64() * 1_000.0).round() / 1_000.0,
                $($words)+
            )
        };
    }
    match undecoded {
        0 => say!(info, "done"),
        undecoded => say!(warn, "done; {undecoded} could not be decoded"),
    }
}
