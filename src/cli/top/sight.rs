//! What was seen of a pipeline at one moment, and what has changed since the one before.

use super::openmetrics::{self, Sample};
use crate::cli::client;
use crate::delivery::clock;
use hyper::StatusCode;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Instant;

/// A pipeline at one moment.
#[derive(Clone, Debug)]
pub struct Sight {
    /// When it was looked at.
    pub at: Instant,
    /// Its version.
    pub version: String,
    /// For how long it has run, in seconds.
    pub up_secs: f64,
    /// Sources first, then transforms, then sinks.
    pub components: Vec<Component>,
    /// Why it is not ready.
    pub reasons: Vec<Reason>,
}

/// One of the reasons that `/ready` gives.
#[derive(Clone, Debug, Deserialize)]
pub struct Reason {
    /// The component; none where it is the pipeline as a whole.
    pub component: Option<String>,
    /// Why.
    pub reason: String,
}

/// A component at one moment.
#[derive(Clone, Debug, Default)]
pub struct Component {
    /// Its id.
    pub id: String,
    /// Its `type`.
    pub component_type: String,
    /// Events in and out so far.
    pub events: [f64; 2],
    /// Events dropped so far, by reason.
    pub dropped: BTreeMap<String, f64>,
    /// Events that its receiver has refused; of a sink.
    pub rejected: Option<f64>,
    /// Tries after a failure; of a sink.
    pub retries: Option<f64>,
    /// Bytes of files that are not delivered, and for how many seconds they have been there.
    pub lag: Option<[f64; 2]>,
    /// Bytes of its buffer on disk that are taken, and that there are.
    pub buffer: Option<[f64; 2]>,
}

impl Component {
    /// Events in and out a second since `before`, `secs` ago. A counter that has become less has begun anew.
    pub fn rates(&self, before: &Component, secs: f64) -> [f64; 2] {
        let rate = |now: f64, before: f64| if now < before { now / secs } else { (now - before) / secs };
        let ([now_in, now_out], [then_in, then_out]) = (self.events, before.events);
        [rate(now_in, then_in), rate(now_out, then_out)]
    }
}

impl Sight {
    /// Looks at the pipeline at `address`. An error says why nothing can be seen.
    pub async fn of(address: &str) -> Result<Sight, String> {
        let answer = client::get(address, "/metrics").await?;
        if answer.status != StatusCode::OK {
            return Err(format!("it answers {} when asked for metrics: is it evaltrail?", answer.status));
        }
        let samples = openmetrics::parse(&answer.text().await?)?;
        let at = clock::monotonic();
        let ready = client::get(address, "/ready").await?.text().await?;
        let Ready { reasons } =
            serde_json::from_str(&ready).map_err(|e| format!("`/ready` is no JSON: {e}"))?;
        Ok(Sight { reasons, ..Sight::read(&samples, at, clock::now_ms()) })
    }

    fn read(samples: &[Sample], at: Instant, now_ms: u64) -> Sight {
        let (version, components, reasons) = (String::new(), Vec::new(), Vec::new());
        let mut sight = Sight { at, version, up_secs: 0.0, components, reasons };
        for sample in samples {
            let Some(name) = sample.name.strip_prefix("evaltrail_") else { continue };
            match name {
                "build_info" => sample.label("version").clone_into(&mut sight.version),
                "start_time_seconds" => sight.up_secs = (now_ms as f64 / 1000.0 - sample.value).max(0.0),
                _ if sample.label("component_id").is_empty() => {}
                _ => sight.component(sample).take(name, sample),
            }
        }
        sight
    }

    /// The component that `sample` is of. They come in the order of the first metric, which all of them have.
    fn component(&mut self, sample: &Sample) -> &mut Component {
        let id = sample.label("component_id");
        let at = self.components.iter().position(|one| one.id == id).unwrap_or(self.components.len());
        if at == self.components.len() {
            let component_type = sample.label("component_type").to_owned();
            self.components.push(Component { id: id.to_owned(), component_type, ..Component::default() });
        }
        // It was just seen to, or pushed.
        #[allow(clippy::indexing_slicing, reason = "`at` is the place of one that is there")]
        &mut self.components[at]
    }

    /// The same component in this moment, where it was there and of the same type.
    pub fn find(&self, like: &Component) -> Option<&Component> {
        let is_it = |one: &&Component| one.id == like.id && one.component_type == like.component_type;
        self.components.iter().find(is_it)
    }
}

impl Component {
    fn take(&mut self, name: &str, sample: &Sample) {
        let Sample { value, .. } = *sample;
        let ([events_in, events_out], [no_lag, no_buffer]) = (&mut self.events, [[0.0; 2]; 2]);
        match name {
            "events_in_total" => *events_in = value,
            "events_out_total" => *events_out = value,
            "events_dropped_total" => drop(self.dropped.insert(sample.label("reason").to_owned(), value)),
            "events_rejected_total" => self.rejected = Some(value),
            "retries_total" => self.retries = Some(value),
            "file_lag_bytes" => self.lag.get_or_insert(no_lag)[0] = value,
            "file_lag_seconds" => self.lag.get_or_insert(no_lag)[1] = value,
            "buffer_bytes" => self.buffer.get_or_insert(no_buffer)[0] = value,
            "buffer_max_bytes" => self.buffer.get_or_insert(no_buffer)[1] = value,
            _ => {}
        }
    }
}

#[derive(Deserialize)]
struct Ready {
    reasons: Vec<Reason>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_never_negative() {
        let of = |events| Component { events, ..Component::default() };
        assert_eq!(of([30.0, 12.0]).rates(&of([10.0, 12.0]), 2.0), [10.0, 0.0]);
        assert_eq!(of([4.0, 0.0]).rates(&of([10.0, 12.0]), 2.0), [2.0, 0.0], "it has begun anew");
    }

    #[test]
    fn components_come_in_the_order_in_which_they_are_told() {
        let text = "evaltrail_start_time_seconds 100\n\
                    evaltrail_events_in_total{component_id=\"z\",component_type=\"stdin\"} 3\n\
                    evaltrail_events_in_total{component_id=\"a\",component_type=\"http\"} 2\n\
                    evaltrail_buffer_max_bytes{component_id=\"a\",component_type=\"http\"} 8\n\
                    evaltrail_buffer_bytes{component_id=\"a\",component_type=\"http\"} 2\n\
                    evaltrail_of_tomorrow{component_id=\"a\",component_type=\"http\"} 2\nother 1\n# EOF\n";
        let sight = Sight::read(&openmetrics::parse(text).unwrap(), clock::monotonic(), 160_000);
        let ids: Vec<&str> = sight.components.iter().map(|one| one.id.as_str()).collect();
        assert_eq!((ids, sight.up_secs), (vec!["z", "a"], 60.0));
        assert_eq!(sight.components[1].buffer, Some([2.0, 8.0]));
        assert_eq!(sight.components[0].buffer, None);
        assert!(
            sight
                .find(&Component { component_type: "console".into(), ..sight.components[1].clone() })
                .is_none()
        );
    }
}
