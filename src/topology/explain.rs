//! A pipeline that tells what the policies of another one decide: its own source and sink, and of the other one what
//! stands in front of the policies.

use super::{Node, OutputId, Plan, QUEUE_KIB_MAX};
use crate::delivery::{Limits, WhenFull};
use crate::event::{Demand, Invalid};
use crate::sinks::SinkConfig;
use crate::sources::SourceConfig;
use crate::transforms::{Transform, TransformConfig};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The id of the source where there are several in the config; no config can have it.
const SOURCE: &str = "<log>";
/// Lines that wait for the screen, at most.
const EVENTS_MAX: u32 = 10_000;

/// Makes `plan` read what `source` gives, in the place of all its sources, and write by `sink` what its policies decide
/// and why. None where it has no policy.
pub fn explaining(plan: Plan, source: Box<dyn SourceConfig>, sink: Box<dyn SinkConfig>) -> Option<Plan> {
    let Plan { transforms, shutdown_timeout, data_dir, tap, .. } = plan;
    let limits = Limits { events_max: EVENTS_MAX, kib_max: QUEUE_KIB_MAX, when_full: WhenFull::Block };
    let policies: Vec<String> = transforms
        .iter()
        .filter(|node| node.config.explain("").is_some())
        .map(|node| node.id.clone())
        .collect();
    if policies.is_empty() {
        return None;
    }
    let mut nodes: BTreeMap<String, Node<dyn TransformConfig>> =
        transforms.into_iter().map(|node| (node.id.clone(), node)).collect();
    let ids: BTreeSet<String> = nodes.keys().cloned().collect();
    // What asks for `%source` is to see the one that is there.
    let inputs = nodes.values().flat_map(|node| &node.inputs);
    let in_front = inputs.filter(|input| input.port.is_none() && !ids.contains(&input.component));
    let in_front: BTreeSet<String> = in_front.map(|input| input.component.clone()).collect();
    let log = match in_front.first().filter(|_| in_front.len() == 1) {
        Some(only) => only.clone(),
        None => SOURCE.to_owned(),
    };
    for node in nodes.values_mut() {
        let inputs: BTreeSet<OutputId> = node
            .inputs
            .iter()
            .filter_map(|input| match (ids.contains(&input.component), &input.port) {
                (true, _) => Some(input.clone()),
                (false, None) => Some(output(&log)),
                // Faults, and what a sink has refused.
                (false, Some(_)) => None,
            })
            .collect();
        node.inputs = inputs.into_iter().collect();
    }
    let needed = in_front_of(&policies, &nodes);
    let mut transforms: Vec<Node<dyn TransformConfig>> = Vec::new();
    let mut screens = Vec::new();
    for (id, node) in nodes {
        let is_policy = policies.contains(&id);
        match (is_policy, needed.contains(&id)) {
            (true, is_needed) => {
                // Behind one policy there may be another, which has to see what it passes.
                let label = if policies.len() > 1 { format!("{id}: ") } else { String::new() };
                let (kind, inputs) = (node.kind, node.inputs);
                let told = format!("<{id}>");
                screens.push(output(&told));
                let policy = Arc::new(node.config);
                if is_needed {
                    let (inputs, config) = (inputs.clone(), Box::new(Passing(Arc::clone(&policy))));
                    transforms.push(Node::new(id, kind, inputs, limits, config));
                }
                let config = Box::new(Explained { policy, label });
                transforms.push(Node::new(told, kind, inputs, limits, config));
            }
            (false, true) => transforms.push(node),
            (false, false) => {}
        }
    }
    let source = Node::new(log, "stdin", Vec::new(), limits, source);
    let sink = Node::new("<screen>".to_owned(), "console", screens, limits, sink);
    Some(Plan {
        sources: vec![source],
        transforms,
        sinks: vec![sink],
        shutdown_timeout,
        data_dir,
        api: None,
        tap,
    })
}

fn output(component: &str) -> OutputId {
    OutputId { component: component.to_owned(), port: None }
}

/// The transforms whose events get to one of `policies`.
fn in_front_of(policies: &[String], nodes: &BTreeMap<String, Node<dyn TransformConfig>>) -> BTreeSet<String> {
    let mut todo: Vec<&str> = policies.iter().map(String::as_str).collect();
    let mut needed = BTreeSet::new();
    while let Some(node) = todo.pop().and_then(|id| nodes.get(id)) {
        for input in &node.inputs {
            if nodes.contains_key(&input.component) && needed.insert(input.component.clone()) {
                todo.push(&input.component);
            }
        }
    }
    needed
}

/// A policy that only tells.
struct Explained {
    policy: Arc<Box<dyn TransformConfig>>,
    label: String,
}

impl TransformConfig for Explained {
    fn build(&self) -> Result<Box<dyn Transform>, Invalid> {
        self.policy.explain(&self.label).unwrap_or_else(|| self.policy.build())
    }

    fn demand(&self, _: Demand) -> Demand {
        self.policy.demand(Demand::Everything)
    }
}

/// A policy that decides, in front of another one.
struct Passing(Arc<Box<dyn TransformConfig>>);

impl TransformConfig for Passing {
    fn build(&self) -> Result<Box<dyn Transform>, Invalid> {
        self.0.build()
    }

    fn demand(&self, downstream: Demand) -> Demand {
        self.0.demand(downstream)
    }

    fn ports(&self) -> Vec<String> {
        self.0.ports()
    }
}
