//! What a run that was cut short leaves: records that were taken in and are neither delivered, nor dropped, nor rejected.
//!
//! They are where the counters of a component do not add up, since at rest those of each do. A record that goes to
//! several sinks is left in each that has not delivered it, as it counts as delivered by each that has.

use super::plan::Plan;
use crate::delivery::{Totals, counted};
use std::collections::BTreeMap;

/// Components that are named.
const NAMES_MAX: usize = 12;

/// How many each component has left, by its id.
pub fn undelivered(totals: &BTreeMap<String, Totals>) -> BTreeMap<String, u64> {
    let each = totals.iter().map(|(id, totals)| (id.clone(), totals.unsettled()));
    each.filter(|(_, count)| *count > 0).collect()
}

/// Says how many there are, where, and what becomes of them, behind a reason; nothing where there are none.
pub fn tell(undelivered: &BTreeMap<String, u64>, plan: &Plan) -> String {
    let count: u64 = undelivered.values().sum();
    if count == 0 {
        return String::new();
    }
    let mut names: Vec<String> =
        undelivered.iter().take(NAMES_MAX).map(|(id, count)| format!("{id} {count}")).collect();
    if let more @ 1.. = undelivered.len().saturating_sub(NAMES_MAX) {
        names.push(format!("and {more} more"));
    }
    let has = |kind: &str| plan.sources.iter().any(|node| node.kind == kind);
    let fates = [
        ("file", "those of files are read again at the next start"),
        (
            "http_server",
            "those of requests were not answered with 200, unless `acknowledgements.enabled` is false",
        ),
        ("stdin", "those of standard input are lost"),
    ];
    let fates: Vec<&str> = fates.into_iter().filter(|(kind, _)| has(kind)).map(|(_, fate)| fate).collect();
    let fates = if fates.is_empty() { String::new() } else { format!(". Of these, {}", fates.join("; ")) };
    let names = names.join(", ");
    if undelivered.len() > 1 {
        // One record may be left in several.
        return format!(": of the records that were taken in, some were not delivered ({names}){fates}");
    }
    let were = if count == 1 { "was" } else { "were" };
    format!(": {} {were} taken in and not delivered ({names}){fates}", counted(count, "record"))
}
