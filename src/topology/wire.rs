//! Turns a plan into tasks with queues between them.

use super::plan::{Node, OutputId, Plan};
use super::segment::{Segment, Stage, Target};
use crate::delivery::buffer::{self, BufferContext, BufferTask, Cutoff, Grace};
use crate::delivery::{
    DeadLetters, Emitter, Inlet, Limits, Meter, Outlet, REJECTED, Rejects, Shutdown, SinkContext, SinkTask,
    SourceContext, WhenFull, queue,
};
use crate::event::{Demand, Invalid};
use crate::sinks::SinkConfig;
use crate::sources::{FAULTS, Task};
use crate::transforms::TransformConfig;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How much waits in front of a segment: a queue between two tasks, not a buffer for slow sinks.
const SEGMENT_LIMITS: Limits = Limits { events_max: 10_000, kib_max: 4 * 1024, when_full: WhenFull::Block };

/// A pipeline that is ready to run.
pub struct Wired {
    /// The sources, by id.
    pub sources: Vec<(String, Task)>,
    /// The transforms.
    pub segments: Vec<Segment>,
    /// The sinks.
    pub sinks: Vec<(SinkTask, Option<Cutoff>)>,
    /// What the buffers on disk do, by the ids of their sinks.
    pub buffers: Vec<(String, BufferTask)>,
    /// The counters of every component.
    pub meters: BTreeMap<String, Arc<Meter>>,
}

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

/// Makes every component of `plan` and the queues between them.
pub fn wire(plan: &Plan, shutdown: &Shutdown, mode: RunMode) -> Result<Wired, Unbuildable> {
    let ids = plan.ids().into_iter();
    let meters: BTreeMap<String, Arc<Meter>> = ids.map(|id| (id.to_owned(), Arc::default())).collect();
    let mut wiring = Wiring { plan, meters, targets: BTreeMap::new() };
    let mut queues = Vec::new();
    for node in &plan.sinks {
        let (inlet, outlet) = queue(node.limits, wiring.meter(&node.id));
        wiring.connect(&node.inputs, &Target::Queue(inlet.of_sink()));
        queues.push(outlet);
    }
    let segments = wiring.segments()?;
    let (mut sinks, mut buffers) = (Vec::new(), Vec::new());
    for (node, queue) in plan.sinks.iter().zip(queues) {
        let work = node.config.build().map_err(|why| Unbuildable::new(&node.id, why))?;
        let (queue, cutoff) = wiring.buffer(node, queue, shutdown, &mut buffers)?;
        let (id, meter, rejects) = (node.id.clone(), wiring.meter(&node.id), wiring.rejects(&node.id));
        sinks.push((work.task(SinkContext { id, queue, meter, rejects }), cutoff));
    }
    let mut sources = Vec::new();
    for node in &plan.sources {
        let faults = wiring.queues(&node.id, Some(FAULTS));
        let meter = wiring.meter(&node.id);
        let cx = SourceContext {
            id: node.id.clone(),
            faults_wanted: mode.faults_wanted || !faults.is_empty(),
            out: Emitter::new(wiring.queues(&node.id, None), faults, Arc::clone(&meter)),
            shutdown: shutdown.clone(),
            demand: demand_on(plan, &OutputId { component: node.id.clone(), port: None }),
            meter,
            data_dir: plan.data_dir().to_owned(),
            once: mode.once,
        };
        let task = node.config.build(cx).map_err(|why| Unbuildable::new(&node.id, why))?;
        sources.push((node.id.clone(), task));
    }
    let is_buffered = |id: &str| plan.sinks.iter().any(|node| node.id == id && node.disk.is_some());
    buffer::warn_of_forgotten(plan.data_dir(), is_buffered);
    Ok(Wired { sources, segments, sinks, buffers, meters: wiring.meters })
}

/// What the consumers of an output can use. The plan has no cycle, so this ends.
fn demand_on(plan: &Plan, output: &OutputId) -> Demand {
    let main = |id: &str| OutputId { component: id.to_owned(), port: None };
    let sinks = plan.sinks.iter().filter(|node| node.inputs.contains(output)).map(|_| Demand::Everything);
    let transforms = plan.transforms.iter().filter(|node| node.inputs.contains(output)).map(|node| {
        // What leaves by a port may be anything.
        let ports = node.config.ports();
        let by_port =
            |port: String| demand_on(plan, &OutputId { component: node.id.clone(), port: Some(port) });
        let downstream = ports.into_iter().map(by_port).fold(demand_on(plan, &main(&node.id)), Demand::join);
        node.config.demand(downstream)
    });
    sinks.chain(transforms).fold(Demand::Nothing, Demand::join)
}

struct Wiring<'a> {
    plan: &'a Plan,
    meters: BTreeMap<String, Arc<Meter>>,
    targets: BTreeMap<OutputId, Vec<Target>>,
}

impl Wiring<'_> {
    fn meter(&self, id: &str) -> Arc<Meter> {
        self.meters.get(id).map(Arc::clone).unwrap_or_default()
    }

    /// Puts the buffer on disk of `node`, where it has one, between its queue and its task.
    fn buffer(
        &self,
        node: &Node<dyn SinkConfig>,
        queue: Outlet,
        stop: &Shutdown,
        tasks: &mut Vec<(String, BufferTask)>,
    ) -> Result<(Outlet, Option<Cutoff>), Unbuildable> {
        let Some(settings) = node.disk else { return Ok((queue, None)) };
        let opened = buffer::open(BufferContext {
            id: node.id.clone(),
            data_dir: self.plan.data_dir().to_owned(),
            settings,
            queue,
            meter: self.meter(&node.id),
            stop: stop.clone(),
            grace: Grace::within(self.plan.shutdown_timeout),
        });
        let buffer = opened.map_err(|why| Unbuildable::new(&node.id, Invalid::new("buffer", why)))?;
        tasks.extend(buffer.tasks.map(|task| (node.id.clone(), task)));
        Ok((buffer.queue, Some(buffer.cutoff)))
    }

    fn connect(&mut self, inputs: &[OutputId], target: &Target) {
        for input in inputs {
            self.targets.entry(input.clone()).or_default().push(target.clone());
        }
    }

    fn targets(&self, id: &str, port: Option<&str>) -> Vec<Target> {
        let output = OutputId { component: id.to_owned(), port: port.map(str::to_owned) };
        self.targets.get(&output).cloned().unwrap_or_default()
    }

    /// The consumers of a source, which are all behind queues.
    fn queues(&self, id: &str, port: Option<&str>) -> Vec<Inlet> {
        let inlet = |target| match target {
            Target::Queue(inlet) => Some(inlet),
            Target::Stage(_) => None,
        };
        self.targets(id, port).into_iter().filter_map(inlet).collect()
    }

    /// Where the events go that the receiver of a sink refuses.
    fn rejects(&self, id: &str) -> Rejects {
        let consumers = self.queues(id, Some(REJECTED));
        if consumers.is_empty() {
            return Rejects::DeadLetters(Arc::new(DeadLetters::new(self.plan.data_dir(), id)));
        }
        Rejects::Port(format!("{id}.{REJECTED}"), consumers)
    }

    /// Cuts the transforms into segments: one that a single transform feeds runs in that one's segment.
    fn segments(&mut self) -> Result<Vec<Segment>, Unbuildable> {
        let nodes = &self.plan.transforms;
        let index = |id: &str| nodes.iter().position(|node| node.id == id);
        let feeder = |node: &Node<dyn TransformConfig>| match node.inputs.as_slice() {
            [only] => index(&only.component),
            _ => None,
        };
        let mut queues: Vec<(usize, Outlet)> = Vec::new();
        for (at, node) in nodes.iter().enumerate().filter(|(_, node)| feeder(node).is_none()) {
            let (inlet, outlet) = queue(SEGMENT_LIMITS, Arc::default());
            self.connect(&node.inputs, &Target::Queue(inlet));
            queues.push((at, outlet));
        }
        let mut segments = Vec::new();
        for (head, outlet) in queues {
            let mut members = vec![head];
            let mut next = 0;
            while let Some(&fed_by) = members.get(next) {
                for (at, node) in nodes.iter().enumerate().filter(|(_, node)| feeder(node) == Some(fed_by)) {
                    let target = Target::Stage(members.len());
                    members.push(at);
                    self.connect(&node.inputs, &target);
                }
                next += 1;
            }
            let stages = members.iter().filter_map(|&at| nodes.get(at)).map(|node| self.stage(node));
            segments.push((stages.collect::<Result<Vec<Stage>, Unbuildable>>()?, outlet));
        }
        Ok(segments.into_iter().map(|(stages, queue)| Segment { stages, queue }).collect())
    }

    fn stage(&self, node: &Node<dyn TransformConfig>) -> Result<Stage, Unbuildable> {
        let mut transform = node.config.build().map_err(|why| Unbuildable::new(&node.id, why))?;
        transform.set_id(&node.id);
        let ports = node.config.ports().into_iter().map(|port| {
            let targets = self.targets(&node.id, Some(&port));
            (port, targets)
        });
        Ok(Stage {
            transform,
            meter: self.meter(&node.id),
            main: self.targets(&node.id, None),
            ports: ports.collect(),
        })
    }
}
