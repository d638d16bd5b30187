//! Tries transforms out: events are put in, and everything that comes out is written down, at every output.
//!
//! No source, sink, queue or clock has a part in it. Time is data, so a transform that holds events back is not waited
//! for: it is handed the time that it waits for, and then the end of the stream, as a [segment](super::segment) would
//! do.

use super::plan::{Node, OutputId};
use super::wire::Unbuildable;
use crate::event::{Acks, Batch, Drops, Event};
use crate::language::{Condition, Failure};
use crate::transforms::{Ports, Transform, TransformConfig};
use std::collections::BTreeMap;

/// How often held events are asked for before the end of the stream: a transform that always wants to be called again
/// does not go on for ever.
const WAKES_MAX: usize = 1_000;

/// An event, and the transforms that get it.
#[derive(Debug)]
pub struct Insertion {
    /// Ids of transforms.
    pub at: Vec<String>,
    /// What they get.
    pub event: Event,
}

/// What is expected of some outputs: that at least one of their events fulfils all conditions.
#[derive(Debug)]
pub struct Check {
    /// The outputs, whose events are taken together.
    pub from: Vec<OutputId>,
    /// What one of the events has to be like; none where it only has to come.
    pub conditions: Vec<Condition>,
    /// How many have to come; none where one or more.
    pub count: Option<usize>,
}

/// A test of transforms.
#[derive(Debug, Default)]
pub struct Trial {
    /// What is put in, in this order and at one moment.
    pub insertions: Vec<Insertion>,
    /// What has to come out.
    pub checks: Vec<Check>,
    /// Where nothing may come out.
    pub silent: Vec<OutputId>,
    /// The moment, in milliseconds since 1970, UTC.
    pub now_ms: u64,
}

/// What a trial has found to be wrong.
#[derive(Debug)]
pub enum Finding {
    /// No event has come to the check with this index.
    Nothing(usize),
    /// More events have come to the check with this index, or fewer, than should.
    Count(usize, Vec<Event>),
    /// No event that has come to the check with this index fulfils all of its conditions.
    Unmet(usize, Vec<Unmet>),
    /// Events have come out of [`Trial::silent`] with this index.
    Unexpected(usize, Vec<Event>),
}

/// An event with the conditions that it does not fulfil, by their indices; with the error where one has failed.
#[derive(Debug)]
pub struct Unmet {
    /// The event.
    pub event: Event,
    /// At least one.
    pub conditions: Vec<(usize, Option<Failure>)>,
}

/// What a transform has done with what came to it.
#[derive(Clone, Debug, Default)]
pub struct Passage {
    /// Its id.
    pub id: String,
    /// How many events came.
    pub events_in: u64,
    /// How many left, by port; none is the main output.
    pub events_out: BTreeMap<Option<String>, u64>,
    /// How many were dropped, by reason.
    pub dropped: Drops,
    /// On how many a program has failed.
    pub failed: u64,
}

/// What has happened in a trial.
#[derive(Debug, Default)]
pub struct Trace {
    /// What came out, by output.
    pub outputs: BTreeMap<OutputId, Vec<Event>>,
    /// The transforms that could get an event, each behind those that feed it.
    pub passages: Vec<Passage>,
}

impl Trial {
    /// Puts the events into `transforms`, all of which are made anew, and says what is wrong with what comes out.
    ///
    /// # Errors
    ///
    /// A transform can't be made.
    pub fn run(
        &mut self,
        transforms: &[Node<dyn TransformConfig>],
    ) -> Result<(Vec<Finding>, Trace), Unbuildable> {
        let starts: Vec<&str> = self.insertions.iter().flat_map(|one| &one.at).map(String::as_str).collect();
        let mut bench = Bench::new(transforms, &starts, self.now_ms)?;
        for Insertion { at, event } in &self.insertions {
            for id in at {
                bench.work(id, vec![event.clone()]);
            }
        }
        bench.finish();
        let trace = bench.trace();
        Ok((self.judge(&trace), trace))
    }

    fn judge(&mut self, trace: &Trace) -> Vec<Finding> {
        let of = |output: &OutputId| trace.outputs.get(output).map(Vec::as_slice).unwrap_or_default();
        let mut findings = Vec::new();
        for (at, check) in self.checks.iter_mut().enumerate() {
            let events: Vec<&Event> = check.from.iter().flat_map(of).collect();
            match check.count {
                Some(count) if count != events.len() => {
                    findings.push(Finding::Count(at, events.into_iter().cloned().collect()));
                    continue;
                }
                None if events.is_empty() => {
                    findings.push(Finding::Nothing(at));
                    continue;
                }
                _ => {}
            }
            let mut unmet: Vec<Unmet> = events.into_iter().map(|event| check.unmet_by(event)).collect();
            if !unmet.is_empty() && unmet.iter().all(|one| !one.conditions.is_empty()) {
                // Nearest to what was meant first.
                unmet.sort_by_key(|one| one.conditions.len());
                findings.push(Finding::Unmet(at, unmet));
            }
        }
        for (at, output) in self.silent.iter().enumerate() {
            if !of(output).is_empty() {
                findings.push(Finding::Unexpected(at, of(output).to_vec()));
            }
        }
        findings
    }
}

impl Check {
    fn unmet_by(&mut self, event: &Event) -> Unmet {
        let mut unmet = Vec::new();
        for (at, condition) in self.conditions.iter_mut().enumerate() {
            match condition.check(event) {
                Ok(true) => {}
                Ok(false) => unmet.push((at, None)),
                Err(failure) => unmet.push((at, Some(failure))),
            }
        }
        Unmet { event: event.clone(), conditions: unmet }
    }
}

/// Ids of the transforms among `transforms` that events get to which are put into `starts`, these included, each behind
/// those that feed it.
pub fn downstream<'a>(transforms: &'a [Node<dyn TransformConfig>], starts: &[&str]) -> Vec<&'a str> {
    let mut found: Vec<&Node<dyn TransformConfig>> = Vec::new();
    let is_fed = |node: &Node<dyn TransformConfig>, found: &[&Node<dyn TransformConfig>]| {
        node.inputs.iter().any(|input| found.iter().any(|one| one.id == input.component))
    };
    while let Some(next) = transforms.iter().find(|node| {
        let is_new = !found.iter().any(|one| one.id == node.id);
        is_new && (starts.contains(&node.id.as_str()) || is_fed(node, &found))
    }) {
        found.push(next);
    }
    // There is no cycle: one of those that are left is always fed by none of the others.
    let mut sorted = Vec::new();
    while !found.is_empty() {
        let first = found.iter().position(|node| !is_fed(node, &found)).unwrap_or_default();
        sorted.push(found.remove(first).id.as_str());
    }
    sorted
}

/// A transform at work.
struct Stage<'a> {
    node: &'a Node<dyn TransformConfig>,
    transform: Box<dyn Transform>,
    passage: Passage,
}

impl Stage<'_> {
    /// What comes of `batch`, by output.
    fn apply(&mut self, batch: &mut Batch) -> Vec<(OutputId, Vec<Event>)> {
        let Stage { node, transform, passage } = self;
        let mut ports = Ports::default();
        passage.events_in += batch.events.len() as u64;
        transform.apply(batch, &mut ports);
        for (reason, events) in batch.take_drops() {
            *passage.dropped.entry(reason).or_default() += events;
        }
        passage.failed += batch.take_failed();
        let main = (None, std::mem::take(&mut batch.events));
        let ports = ports.take().into_iter().map(|(port, events)| (Some(port), events));
        let mut left = Vec::new();
        for (port, events) in ports.chain([main]).filter(|(_, events)| !events.is_empty()) {
            *passage.events_out.entry(port.clone()).or_default() += events.len() as u64;
            left.push((OutputId { component: node.id.clone(), port }, events));
        }
        left
    }
}

/// The transforms that can get an event.
struct Bench<'a> {
    stages: Vec<Stage<'a>>,
    outputs: BTreeMap<OutputId, Vec<Event>>,
    now_ms: u64,
}

impl<'a> Bench<'a> {
    fn new(
        transforms: &'a [Node<dyn TransformConfig>],
        starts: &[&str],
        now_ms: u64,
    ) -> Result<Bench<'a>, Unbuildable> {
        let mut stages = Vec::new();
        for id in downstream(transforms, starts) {
            let Some(node) = transforms.iter().find(|node| node.id == id) else { continue };
            let mut transform = node.config.build().map_err(|why| Unbuildable::new(id, why))?;
            transform.set_id(id);
            stages.push(Stage {
                node,
                transform,
                passage: Passage { id: id.to_owned(), ..Passage::default() },
            });
        }
        Ok(Bench { stages, outputs: BTreeMap::new(), now_ms })
    }

    /// Gives `events` to the transform `id`, and what comes of them to all behind it.
    fn work(&mut self, id: &str, events: Vec<Event>) {
        let Some(at) = self.stages.iter().position(|stage| stage.node.id == id) else { return };
        self.pass(at, Batch::new(events, self.now_ms, Acks::default()));
    }

    fn pass(&mut self, first: usize, batch: Batch) {
        let mut todo = vec![(first, batch)];
        while let Some((at, mut batch)) = todo.pop() {
            let Some(stage) = self.stages.get_mut(at) else { continue };
            let left = stage.apply(&mut batch);
            for (output, events) in left {
                let consumers = self.stages.iter().enumerate();
                let consumers = consumers.filter(|(_, stage)| stage.node.inputs.contains(&output));
                for (to, _) in consumers {
                    todo.push((to, Batch::new(events.clone(), self.now_ms, Acks::default())));
                }
                self.outputs.entry(output).or_default().extend(events);
            }
        }
    }

    /// Lets the time pass that anybody waits for, and ends the stream.
    fn finish(&mut self) {
        for _ in 0..WAKES_MAX {
            let Some(wake) = self.stages.iter().filter_map(|stage| stage.transform.wake_at()).min() else {
                break;
            };
            self.now_ms = self.now_ms.max(wake);
            for at in 0..self.stages.len() {
                let wakes = self.stages.get(at).and_then(|stage| stage.transform.wake_at());
                if wakes.is_some_and(|wake| wake <= self.now_ms) {
                    self.pass(at, Batch::new(Vec::new(), self.now_ms, Acks::default()));
                }
            }
        }
        // Each stands behind those that feed it: it has got everything when its own end comes.
        for at in 0..self.stages.len() {
            let mut last = Batch::new(Vec::new(), self.now_ms, Acks::default());
            last.last = true;
            self.pass(at, last);
        }
    }

    fn trace(self) -> Trace {
        let passages = self.stages.into_iter().map(|stage| stage.passage).collect();
        Trace { outputs: self.outputs, passages }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::{Limits, WhenFull};
    use crate::event::{Demand, Invalid, Origin};

    /// Holds everything until the end, and wants to be called all the time.
    #[derive(Clone, Default)]
    struct Holder(Vec<Event>);

    impl Transform for Holder {
        fn apply(&mut self, batch: &mut Batch, _: &mut Ports) {
            self.0.append(&mut batch.events);
            if batch.last {
                batch.events.append(&mut self.0);
            }
        }

        fn wake_at(&self) -> Option<u64> {
            Some(0)
        }
    }

    impl TransformConfig for Holder {
        fn build(&self) -> Result<Box<dyn Transform>, Invalid> {
            Ok(Box::new(self.clone()))
        }

        fn demand(&self, downstream: Demand) -> Demand {
            downstream
        }
    }

    fn node(id: &str, inputs: &[&str]) -> Node<dyn TransformConfig> {
        let output = |input: &&str| OutputId { component: (*input).to_owned(), port: None };
        let limits = Limits { events_max: 1, kib_max: 1, when_full: WhenFull::Block };
        Node {
            id: id.to_owned(),
            kind: "holder",
            inputs: inputs.iter().map(output).collect(),
            limits,
            disk: None,
            print: 0,
            files: Vec::new(),
            config: Box::new(Holder::default()),
        }
    }

    #[test]
    fn each_ends_behind_those_that_feed_it() {
        let transforms =
            [node("a", &["b", "c"]), node("b", &["c"]), node("c", &["source"]), node("d", &["source"])];
        assert_eq!(downstream(&transforms, &["c"]), ["c", "b", "a"]);
        let insertion = Insertion { at: vec!["c".to_owned()], event: Event::new(Origin::nowhere()) };
        let mut trial = Trial { insertions: vec![insertion], ..Trial::default() };
        let output = OutputId { component: "a".to_owned(), port: None };
        trial.checks.push(Check { from: vec![output.clone()], conditions: Vec::new(), count: Some(2) });
        let (findings, trace) = trial.run(&transforms).unwrap_or_else(|e| panic!("{e:?}"));
        assert!(findings.is_empty(), "{findings:?}");
        assert_eq!(trace.outputs[&output].len(), 2);
        trial.checks[0].count = Some(1);
        let (findings, _) = trial.run(&transforms).unwrap_or_else(|e| panic!("{e:?}"));
        assert!(matches!(findings.as_slice(), [Finding::Count(0, events)] if events.len() == 2));
    }
}
