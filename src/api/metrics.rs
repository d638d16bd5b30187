//! Counters of a running pipeline as Prometheus reads them, in OpenMetrics text.

use crate::delivery::Totals;
use crate::topology::{Status, Watched};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::Arc;

/// What the text is, as a server says it.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const ALL: &[&str] = &["source", "transform", "sink"];
const SOURCES: &[&str] = &["source"];
const TRANSFORMS: &[&str] = &["transform"];
const SINKS: &[&str] = &["sink"];

/// A counter of components of these kinds; `_total` is put behind its name.
struct Counter {
    name: &'static str,
    help: &'static str,
    kinds: &'static [&'static str],
    value: fn(&Totals) -> u64,
}

const fn counter(
    name: &'static str,
    kinds: &'static [&'static str],
    value: fn(&Totals) -> u64,
    help: &'static str,
) -> Counter {
    Counter { name, help, kinds, value }
}

const COUNTERS: [Counter; 9] = [
    counter(
        "events_in",
        ALL,
        |of| of.events_in,
        "Events that came in; of a source, records that it has read",
    ),
    counter("events_out", ALL, |of| of.events_out, "Events that went on, out of a sink to where it writes"),
    counter(
        "events_rejected",
        SINKS,
        |of| of.events_rejected,
        "Events that the receiver has refused for good",
    ),
    counter("bytes_in", SOURCES, |of| of.bytes_in, "Bytes that were read"),
    counter("bytes_out", SINKS, |of| of.bytes_out, "Bytes that were delivered, before any compression"),
    counter("retries", SINKS, |of| of.retries, "Deliveries that were tried again"),
    counter(
        "batches_rejected",
        SOURCES,
        |of| of.batches_rejected,
        "Batches of which an event was refused for good",
    ),
    counter("batches_lost", SOURCES, |of| of.batches_lost, "Batches of which nobody can say what became"),
    counter(
        "programs_failed",
        TRANSFORMS,
        |of| of.programs_failed,
        "Events on which a program in VRL has failed",
    ),
];

/// All metrics of a pipeline.
pub struct Metrics(Registry);

impl Metrics {
    /// Those of the pipeline that `status` shows.
    pub fn new(status: Arc<Status>) -> Metrics {
        let mut registry = Registry::with_prefix("evaltrail");
        registry.register_collector(Box::new(Pipeline(status)));
        Metrics(registry)
    }

    /// The metrics as they stand.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut out = String::new();
        text::encode(&mut out, &self.0)?;
        Ok(out)
    }
}

/// The labels and the value of one sample.
type Sample<'a, T> = (Vec<(&'static str, &'a str)>, T);

fn labels(of: &Watched) -> Vec<(&'static str, &str)> {
    vec![("component_id", &of.id), ("component_kind", of.kind), ("component_type", of.component_type)]
}

#[derive(Debug)]
struct Pipeline(Arc<Status>);

impl Collector for Pipeline {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Pipeline(status) = self;
        let components = status.components();
        let all: Vec<(&Watched, Totals)> = components.iter().map(|one| (one, one.totals())).collect();
        let mut samples = Samples { encoder: &mut encoder };
        let version = vec![("version", env!("CARGO_PKG_VERSION"))];
        samples.gauges("build_info", "This program", [(version, 1)])?;
        let started = i64::try_from(status.started_ms / 1000).unwrap_or(i64::MAX);
        let help = "When the pipeline was started, in seconds since 1970";
        samples.gauges("start_time_seconds", help, [(Vec::new(), started)])?;
        for Counter { name, help, kinds, value } in COUNTERS {
            let of_kind = all.iter().filter(|(one, _)| kinds.contains(&one.kind));
            samples.counters(name, help, of_kind.map(|(one, totals)| (labels(one), value(totals))))?;
        }
        let dropped = all.iter().flat_map(|(one, totals)| {
            totals.dropped.iter().map(|(reason, count)| (with(one, "reason", reason), *count))
        });
        samples.counters("events_dropped", "Events that were dropped on purpose", dropped)?;
        let faults = all.iter().flat_map(|(one, totals)| {
            totals.faults.iter().map(|(reason, count)| (with(one, "reason", reason.as_str()), *count))
        });
        samples.counters("records_faulty", "Records that could not be decoded", faults)?;
        let hits = all.iter().flat_map(|(one, totals)| {
            totals.hits.iter().map(|(rule, count)| (with(one, "rule", rule), *count))
        });
        samples.counters("rule_hits", "What the rules of a policy or of redaction have hit", hits)?;
        now(&mut samples, &all)
    }
}

/// How it stands now.
fn now(samples: &mut Samples<'_, '_>, all: &[(&Watched, Totals)]) -> fmt::Result {
    let of_kind = |kind| all.iter().filter(move |(one, _)| one.kind == kind);
    let healthy = of_kind("sink").map(|(one, _)| (labels(one), i64::from(one.trouble().is_none())));
    samples.gauges("sink_healthy", "Whether a sink can deliver", healthy)?;
    let healthy = of_kind("source").map(|(one, _)| (labels(one), i64::from(one.trouble().is_none())));
    samples.gauges("source_healthy", "Whether a source can read", healthy)?;
    let buffered = || of_kind("sink").filter_map(|(one, totals)| Some((*one, totals, one.buffer_max_bytes?)));
    let events = buffered().map(|(one, totals, _)| (labels(one), whole(totals.events_buffered)));
    samples.gauges("buffer_events", "Events in a buffer on disk", events)?;
    let bytes = buffered().map(|(one, totals, _)| (labels(one), whole(totals.bytes_buffered)));
    samples.gauges("buffer_bytes", "Bytes that a buffer takes on the disk", bytes)?;
    let max = buffered().map(|(one, _, max)| (labels(one), whole(max)));
    samples.gauges("buffer_max_bytes", "Bytes that a buffer may take on the disk", max)?;
    let files = || of_kind("source").filter(|(one, _)| one.component_type == "file");
    let bytes = files().map(|(one, totals)| (labels(one), whole(totals.lag_bytes)));
    samples.gauges("file_lag_bytes", "Bytes of the files of a source that are not delivered yet", bytes)?;
    let secs = files().map(|(one, totals)| (labels(one), totals.lag_ms as f64 / 1000.0));
    samples.gauges("file_lag_seconds", "For how long the oldest of these bytes have been there", secs)
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn with<'a>(of: &'a Watched, name: &'static str, value: &'a str) -> Vec<(&'static str, &'a str)> {
    let mut labels = labels(of);
    labels.push((name, value));
    labels
}

/// Writes the samples of one metric after the other.
struct Samples<'e, 'a> {
    encoder: &'e mut DescriptorEncoder<'a>,
}

impl Samples<'_, '_> {
    fn counters<'s>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = Sample<'s, u64>>,
    ) -> fmt::Result {
        let kind = ConstCounter::new(0u64).metric_type();
        let mut metric = self.encoder.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in samples {
            ConstCounter::new(value).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn gauges<'s, T>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = Sample<'s, T>>,
    ) -> fmt::Result
    where
        ConstGauge<T>: EncodeMetric,
    {
        let kind = ConstGauge::new(0i64).metric_type();
        let mut metric = self.encoder.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in samples {
            ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
