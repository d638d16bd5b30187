//! How the components of a plan hang together: which transforms run in one segment, and who consumes what.

use super::plan::{Node, OutputId, Plan};
use super::segment::{Stage, Target};
use crate::delivery::{Consumers, Inlet, Meter};
use crate::event::{Demand, Invalid};
use crate::sources::FAULTS;
use crate::transforms::{Transform, TransformConfig};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How a pipeline is run.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunMode {
    /// Check every record, also one that nobody wants.
    pub faults_wanted: bool,
    /// Sources that could wait for more read what is there, to its end, and finish.
    pub once: bool,
}

/// A component can't be made.
#[derive(Debug, Clone)]
pub struct Unbuildable {
    /// Id of the component.
    pub id: String,
    /// Why.
    pub why: Box<Invalid>,
}

impl Unbuildable {
    /// The component `id` can't be made because of `why`.
    pub fn new(id: &str, why: Invalid) -> Unbuildable {
        Unbuildable { id: id.to_owned(), why: Box::new(why) }
    }
}

/// The output `port` of `id`; the main one where there is none.
fn output(id: &str, port: Option<&str>) -> OutputId {
    OutputId { component: id.to_owned(), port: port.map(str::to_owned) }
}

/// Ids of those who consume an output: sinks first.
fn consumers<'a>(plan: &'a Plan, of: &OutputId) -> Vec<&'a str> {
    let sinks = plan.sinks.iter().map(|node| (&node.id, &node.inputs));
    let transforms = plan.transforms.iter().map(|node| (&node.id, &node.inputs));
    let all = sinks.chain(transforms).filter(|(_, inputs)| inputs.contains(of));
    all.map(|(id, _)| id.as_str()).collect()
}

/// What the consumers of a source can use.
pub fn demand_on(plan: &Plan, source: &str) -> Demand {
    demand(plan, &output(source, None))
}

/// What the consumers of an output can use. The plan has no cycle, so this ends.
fn demand(plan: &Plan, of: &OutputId) -> Demand {
    let sinks = plan.sinks.iter().filter(|node| node.inputs.contains(of)).map(|_| Demand::Everything);
    let transforms = plan.transforms.iter().filter(|node| node.inputs.contains(of)).map(|node| {
        // What leaves by a port may be anything.
        let ports = node.config.ports();
        let by_port = |port: String| demand(plan, &output(&node.id, Some(&port)));
        let main = demand(plan, &output(&node.id, None));
        node.config.demand(ports.into_iter().map(by_port).fold(main, Demand::join))
    });
    sinks.chain(transforms).fold(Demand::Nothing, Demand::join)
}

/// Whether somebody consumes the faults of a source.
pub fn wants_faults(plan: &Plan, source: &str) -> bool {
    !consumers(plan, &output(source, Some(FAULTS))).is_empty()
}

/// A transform in its place. Where it is the same in two plans, nothing about it has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Its id.
    pub id: String,
    kind: &'static str,
    print: u64,
    /// Who consumes its outputs, the main one first.
    outputs: Vec<(Option<String>, Vec<String>)>,
}

impl Placed {
    fn new(plan: &Plan, node: &Node<dyn TransformConfig>) -> Placed {
        let ports = std::iter::once(None).chain(node.config.ports().into_iter().map(Some));
        let outputs = ports.map(|port| {
            let ids = consumers(plan, &output(&node.id, port.as_deref()));
            (port, ids.into_iter().map(str::to_owned).collect())
        });
        Placed { id: node.id.clone(), kind: node.kind, print: node.print, outputs: outputs.collect() }
    }

    /// Whether it is one and the same transform, wherever it stands.
    pub fn is_same(&self, other: &Placed) -> bool {
        (&self.id, self.kind, self.print) == (&other.id, other.kind, other.print)
    }

    /// Whether the two can be asked to pass on what they remember.
    pub fn is_heir_of(&self, other: &Placed) -> bool {
        (&self.id, self.kind) == (&other.id, other.kind)
    }

    /// Ids of those who consume something of it.
    pub fn consumers(&self) -> impl Iterator<Item = &str> {
        self.outputs.iter().flat_map(|(_, ids)| ids).map(String::as_str)
    }
}

/// Transforms that run in one segment; each stands behind the one that feeds it.
pub type Members = Vec<Placed>;

/// Cuts the transforms into segments: one that a single transform feeds runs in that one's segment.
pub fn segments(plan: &Plan) -> Vec<Members> {
    let nodes = &plan.transforms;
    let feeder = |node: &Node<dyn TransformConfig>| match node.inputs.as_slice() {
        [only] => nodes.iter().position(|node| node.id == only.component),
        _ => None,
    };
    let mut segments = Vec::new();
    for (head, _) in nodes.iter().enumerate().filter(|(_, node)| feeder(node).is_none()) {
        let mut members = vec![head];
        let mut next = 0;
        while let Some(&fed_by) = members.get(next) {
            members.extend((0..nodes.len()).filter(|at| nodes.get(*at).and_then(feeder) == Some(fed_by)));
            next += 1;
        }
        let placed = members.iter().filter_map(|at| nodes.get(*at)).map(|node| Placed::new(plan, node));
        segments.push(placed.collect());
    }
    segments
}

/// The queues of a plan, by the components behind them: sinks, and transforms at the head of a segment.
#[derive(Default)]
pub struct Queues(pub BTreeMap<String, Inlet>);

impl Queues {
    fn of<'a>(&self, ids: impl IntoIterator<Item = &'a str>) -> Vec<Inlet> {
        ids.into_iter().filter_map(|id| self.0.get(id).cloned()).collect()
    }

    /// Those who consume what a source sends.
    pub fn of_source(&self, plan: &Plan, id: &str) -> Consumers {
        let main = self.of(consumers(plan, &output(id, None)));
        Consumers { main, faults: self.of(consumers(plan, &output(id, Some(FAULTS)))) }
    }

    /// Those who consume the port of a sink.
    pub fn of_port(&self, plan: &Plan, id: &str, port: &str) -> Consumers {
        Consumers { main: self.of(consumers(plan, &output(id, Some(port)))), faults: Vec::new() }
    }

    /// `transform` in its place among `members`.
    pub fn stage(
        &self,
        placed: &Placed,
        members: &Members,
        transform: Box<dyn Transform>,
        meter: Arc<Meter>,
    ) -> Stage {
        let target = |id: &String| match members.iter().position(|member| member.id == *id) {
            Some(at) => Some(Target::Stage(at)),
            None => self.0.get(id).cloned().map(Target::Queue),
        };
        let mut stage =
            Stage { id: placed.id.clone(), transform, meter, main: Vec::new(), ports: Vec::new() };
        for (port, ids) in &placed.outputs {
            let targets = ids.iter().filter_map(target).collect();
            match port {
                None => stage.main = targets,
                Some(port) => stage.ports.push((port.clone(), targets)),
            }
        }
        stage
    }
}
