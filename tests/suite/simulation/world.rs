//! A random pipeline, and a model of where each of its events has to arrive.

use super::components::{Heard, Player, SourceEnd, Way};
use super::sinks::{Fate, Keeper, Kept, Manner};
use crate::dice::Dice;
use evaltrail::delivery::{Limits, WhenFull};
use evaltrail::sinks::SinkConfig;
use evaltrail::sources::{FAULTS, SourceConfig};
use evaltrail::topology::{Node, OutputId, Plan, QUEUE_KIB_MAX};
use evaltrail::transforms::TransformConfig;
use evaltrail::transforms::legacy_message::LegacyMessage;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What kind of record an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Plain,
    /// The two records of an evaluation have the same number.
    Legacy,
    Structured,
    /// The same with source of which only the legacy record says for sure what it is.
    LegacyBytes,
    StructuredBytes,
}

/// One record.
#[derive(Clone, Copy, Debug)]
pub struct Item {
    pub number: u64,
    pub kind: Kind,
}

/// One batch of a source's script.
#[derive(Clone, Debug, Default)]
pub struct Step {
    pub pause: Duration,
    pub events: Vec<Item>,
    pub faults: Vec<Item>,
}

/// A source as drawn.
#[derive(Debug)]
pub struct SourceSketch {
    pub script: Vec<Step>,
    pub in_flight: usize,
    pub end: SourceEnd,
}

/// A transform as drawn.
#[derive(Debug)]
pub struct TransformSketch {
    pub way: Way,
    pub inputs: Vec<OutputId>,
}

/// A sink as drawn.
#[derive(Debug)]
pub struct SinkSketch {
    pub manner: Manner,
    pub limits: Limits,
    pub inputs: Vec<OutputId>,
}

/// How a run is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    Never,
    /// After so long.
    Drain(Duration),
    /// At once, after so long.
    Abort(Duration),
}

/// A pipeline as drawn from a seed.
#[derive(Debug)]
pub struct World {
    pub sources: Vec<SourceSketch>,
    pub transforms: Vec<TransformSketch>,
    pub sinks: Vec<SinkSketch>,
    pub stop: Stop,
    /// When it is brought to another plan that does the same, and how that one is drawn.
    pub reloads: Vec<(Duration, u64)>,
}

/// What a run leaves behind.
#[derive(Default)]
pub struct Traces {
    pub heard: Vec<Heard>,
    pub kept: Vec<Arc<Mutex<Kept>>>,
}

fn output(component: &str, port: &str) -> OutputId {
    let port = Some(port).filter(|port| !port.is_empty()).map(str::to_owned);
    OutputId { component: component.to_owned(), port }
}

impl Way {
    /// The outputs of the transform that goes this way and has this number.
    fn outputs(self, at: usize) -> impl Iterator<Item = OutputId> {
        let ports: &[&str] = if self == Way::Route { &["", "a", "b"] } else { &[""] };
        ports.iter().map(move |port| output(&format!("t{at}"), port))
    }
}

impl World {
    /// The pipeline of a seed.
    pub fn draw(seed: u64) -> World {
        let mut dice = Dice::new(seed);
        let mut number = 0;
        let sources: Vec<_> =
            (0..dice.within(1..=3)).map(|_| SourceSketch::draw(&mut dice, &mut number)).collect();
        let mut outputs: Vec<OutputId> = Vec::new();
        for at in 0..sources.len() {
            outputs.extend([output(&format!("s{at}"), ""), output(&format!("s{at}"), FAULTS)]);
        }
        let mut transforms = Vec::new();
        for at in 0..dice.within(0..=4) {
            let ways = [Way::Pass, Way::Drop, Way::Route, Way::Hold(dice.within(1..=5)), Way::Twins];
            let way = dice.pick(&ways);
            let inputs = some(&mut dice, &outputs);
            transforms.push(TransformSketch { way, inputs });
            outputs.extend(way.outputs(at as usize));
        }
        let mut sinks: Vec<_> =
            (0..dice.within(1..=3)).map(|_| SinkSketch::draw(&mut dice, &outputs)).collect();
        let after = Duration::from_millis(dice.within(0..=3_000));
        let mut stop = match dice.within(0..=9) {
            0..=1 => Stop::Abort(after),
            2..=3 => Stop::Drain(after),
            _ => Stop::Never,
        };
        // Nobody reads what a receiver of requests gets.
        for manner in sinks.iter_mut().map(|sink| &mut sink.manner).filter(|manner| manner.requests.is_some())
        {
            manner.fate = manner.fate.filter(|(_, fate)| *fate != Fate::Gone);
        }
        // A good part of the runs is calm: the books have to balance there.
        if dice.chance(40) {
            sinks.iter_mut().for_each(|sink| sink.manner.fate = None);
        }
        let stuck = |sink: &SinkSketch| sink.manner.fate.is_some_and(|(_, fate)| fate == Fate::Stuck);
        if stop == Stop::Never && sinks.iter().any(stuck) {
            stop = Stop::Drain(after);
        }
        let times = if dice.chance(60) { dice.within(1..=5) } else { 0 };
        let longest = dice.pick(&[10, 300, 3_000]);
        let reloads = (0..times).map(|_| (Duration::from_millis(dice.within(0..=longest)), dice.roll()));
        let reloads = reloads.collect();
        World { sources, transforms, sinks, stop, reloads }
    }

    /// The plan to run, from given steps on; its sources and sinks leave their traces. `calm`: nothing fails.
    pub fn plan(&self, from: &[usize], calm: bool, traces: &mut Traces, folder: &Path) -> Plan {
        let endless = Limits { events_max: 10_000, kib_max: QUEUE_KIB_MAX, when_full: WhenFull::Block };
        let mut plan = Plan {
            sources: Vec::new(),
            transforms: Vec::new(),
            sinks: Vec::new(),
            shutdown_timeout: Duration::from_secs(60),
            data_dir: Some(folder.to_owned()),
            api: None,
            tap: Default::default(),
        };
        for (at, sketch) in self.sources.iter().enumerate() {
            let heard = known(&mut traces.heard, at);
            let SourceSketch { script, in_flight, end } = sketch;
            let (script, from, in_flight) = (script.clone(), from[at], *in_flight);
            let end = if calm { SourceEnd::Well } else { *end };
            let config: Box<dyn SourceConfig> = Box::new(Player { script, from, in_flight, end, heard });
            plan.sources.push(node(format!("s{at}"), Vec::new(), endless, config));
        }
        for (at, sketch) in self.transforms.iter().enumerate() {
            let config: Box<dyn TransformConfig> = match sketch.way {
                Way::Twins => Box::new(LegacyMessage::default()),
                way => Box::new(way),
            };
            plan.transforms.push(node(format!("t{at}"), sketch.inputs.clone(), endless, config));
        }
        for (at, sketch) in self.sinks.iter().enumerate() {
            let kept = known(&mut traces.kept, at);
            let (mut manner, mut limits) = (sketch.manner, sketch.limits);
            if calm {
                (manner.permanent, manner.fate, limits.when_full) = (0, None, WhenFull::Block);
            }
            let config: Box<dyn SinkConfig> = Box::new(Keeper { manner, kept });
            plan.sinks.push(node(format!("k{at}"), sketch.inputs.clone(), limits, config));
        }
        plan
    }

    /// How often an item arrives at each sink, where nothing is merged, refused or lost.
    pub fn arrivals(&self, source: usize, number: u64, port: &str) -> BTreeMap<usize, u64> {
        let mut arrivals = BTreeMap::new();
        self.follow(&output(&format!("s{source}"), port), number, &mut arrivals);
        arrivals
    }

    fn follow(&self, from: &OutputId, number: u64, arrivals: &mut BTreeMap<usize, u64>) {
        for (at, _) in self.sinks.iter().enumerate().filter(|(_, sink)| sink.inputs.contains(from)) {
            *arrivals.entry(at).or_default() += 1;
        }
        for (at, transform) in self.transforms.iter().enumerate() {
            if transform.inputs.contains(from)
                && let Some(port) = transform.way.port(number)
            {
                self.follow(&output(&format!("t{at}"), port), number, arrivals);
            }
        }
    }

    /// Whether whatever comes from `source` to a sink comes through `legacy_message`.
    pub fn merges_twins(&self, source: usize, sink: usize) -> bool {
        let mut todo = vec![output(&format!("s{source}"), "")];
        while let Some(from) = todo.pop() {
            if self.sinks[sink].inputs.contains(&from) {
                return false;
            }
            for (at, transform) in self.transforms.iter().enumerate() {
                if transform.inputs.contains(&from) && transform.way != Way::Twins {
                    todo.extend(transform.way.outputs(at));
                }
            }
        }
        true
    }

    /// Whether what `source` sends arrives at a sink on a single way, on which nobody holds events back.
    pub fn keeps_order(&self, source: usize, sink: usize) -> bool {
        let mut ways = 0;
        let mut todo = vec![output(&format!("s{source}"), ""), output(&format!("s{source}"), FAULTS)];
        while let Some(from) = todo.pop() {
            ways += usize::from(self.sinks[sink].inputs.contains(&from));
            for (at, transform) in self.transforms.iter().enumerate() {
                if transform.inputs.contains(&from) {
                    if matches!(transform.way, Way::Hold(_) | Way::Twins) {
                        return false;
                    }
                    todo.extend(transform.way.outputs(at));
                }
            }
        }
        ways == 1
    }
}

/// What stands at `at`; it is made where it is missing, so that a second plan of one run leaves its traces there too.
fn known<T: Default>(all: &mut Vec<Arc<Mutex<T>>>, at: usize) -> Arc<Mutex<T>> {
    if all.len() <= at {
        all.resize_with(at + 1, Arc::default);
    }
    Arc::clone(&all[at])
}

/// The same pipeline, as far as anybody could notice: with other options that mean the same, and with transforms in
/// between that change nothing.
pub fn varied(mut plan: Plan, dice: &mut Dice) -> Plan {
    plan.transforms.iter_mut().for_each(|node| node.print = dice.within(0..=1));
    let mut consumed: Vec<OutputId> = Vec::new();
    for node in &mut plan.sinks {
        node.print = dice.within(0..=2);
        if dice.chance(30) {
            node.limits.events_max = dice.pick(&[1, 7, 10_000]);
        }
        consumed.extend(node.inputs.iter().cloned());
    }
    plan.transforms.iter().for_each(|node| consumed.extend(node.inputs.iter().cloned()));
    consumed.sort();
    consumed.dedup();
    consumed.retain(|_| dice.chance(30));
    let between = |of: &OutputId| format!("p-{}-{}", of.component, of.port.as_deref().unwrap_or("main"));
    let inputs = plan.sinks.iter_mut().map(|node| &mut node.inputs);
    for inputs in inputs.chain(plan.transforms.iter_mut().map(|node| &mut node.inputs)) {
        for input in inputs.iter_mut().filter(|input| consumed.contains(input)) {
            *input = output(&between(input), "");
        }
    }
    let limits = Limits { events_max: 10_000, kib_max: QUEUE_KIB_MAX, when_full: WhenFull::Block };
    for of in consumed {
        let config: Box<dyn TransformConfig> = Box::new(Way::Pass);
        plan.transforms.push(node(between(&of), vec![of], limits, config));
    }
    plan
}

fn node<C: ?Sized>(id: String, inputs: Vec<OutputId>, limits: Limits, config: Box<C>) -> Node<C> {
    Node { id, kind: "simulated", inputs, limits, disk: None, print: 0, files: Vec::new(), config }
}

/// One to three of `outputs`.
fn some(dice: &mut Dice, outputs: &[OutputId]) -> Vec<OutputId> {
    let mut chosen: Vec<OutputId> = Vec::new();
    for _ in 0..dice.within(1..=3) {
        let one = outputs[dice.below(outputs.len())].clone();
        if !chosen.contains(&one) {
            chosen.push(one);
        }
    }
    chosen
}

impl SourceSketch {
    fn draw(dice: &mut Dice, number: &mut u64) -> SourceSketch {
        let mut script: Vec<Step> = Vec::new();
        let steps = dice.within(1..=12);
        let pauses = dice.pick(&[0, 0, 5, 500]);
        // Second records of evaluations, which come later, perhaps in a later batch.
        let mut later: Vec<Item> = Vec::new();
        for _ in 0..steps {
            let mut step = Step { pause: Duration::from_millis(dice.within(0..=pauses)), ..Step::default() };
            for _ in 0..dice.pick(&[0, 1, 3, 8, 40]) {
                if !later.is_empty() && dice.chance(40) {
                    let at = dice.below(later.len());
                    step.events.push(later.remove(at));
                    continue;
                }
                *number += 1;
                let number = *number;
                let pairs = [[Kind::Legacy, Kind::Structured], [Kind::LegacyBytes, Kind::StructuredBytes]];
                let [first, second] = dice.pick(&pairs);
                let swapped = dice.chance(50);
                let (first, second) = if swapped { (second, first) } else { (first, second) };
                match dice.within(0..=9) {
                    0..=5 => step.events.push(Item { number, kind: Kind::Plain }),
                    6 => step.faults.push(Item { number, kind: Kind::Plain }),
                    // Its twin is lost.
                    7 => step.events.push(Item { number, kind: first }),
                    _ => {
                        step.events.push(Item { number, kind: first });
                        later.push(Item { number, kind: second });
                    }
                }
            }
            script.push(step);
        }
        let ends = [[SourceEnd::Well; 8].as_slice(), &[SourceEnd::Failure, SourceEnd::Panic]].concat();
        SourceSketch { script, in_flight: dice.pick(&[1, 2, 8, 100]), end: dice.pick(&ends) }
    }
}

impl SinkSketch {
    fn draw(dice: &mut Dice, outputs: &[OutputId]) -> SinkSketch {
        let fates = [Fate::Gone, Fate::Panic, Fate::Stuck];
        let fate = dice.chance(25).then(|| (dice.within(1..=20), dice.pick(&fates)));
        let manner = Manner {
            seed: dice.roll(),
            transient: dice.pick(&[0, 0, 10, 60]),
            permanent: dice.pick(&[0, 0, 0, 20]),
            slow_ms: dice.pick(&[0, 0, 3, 2_000]),
            fate,
            requests: dice.chance(50).then(|| dice.within(1..=4) as usize),
        };
        let limits = Limits {
            events_max: dice.pick(&[1, 10, 10_000]),
            kib_max: dice.pick(&[1, QUEUE_KIB_MAX]),
            when_full: if dice.chance(25) { WhenFull::DropNewest } else { WhenFull::Block },
        };
        SinkSketch { manner, limits, inputs: some(dice, outputs) }
    }
}
