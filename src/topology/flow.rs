//! The sources and transforms that run, and how they are brought from one plan to the next.
//!
//! Sources whose consumers change are held up between two batches, segments that change leave their transforms and queues
//! to those that follow, and only when all have left do the others begin: so nothing overtakes what was read before it,
//! nothing is lost, and what a transform remembers goes on. Whatever is the same in both plans is not touched.

use super::jobs::Job;
use super::plan::{Node, Plan};
use super::segment::{Leave, Left, SEGMENT_LIMITS, Segment};
use super::wire::{Members, Queues, RunMode, Unbuildable, demand_on, segments, wants_faults};
use crate::delivery::{
    Consumers, Door, Emitter, Exchange, Inlet, Meter, Outlet, Outputs, Shutdown, ShutdownTrigger,
    SourceContext, Wanted, WeakInlet, queue,
};
use crate::sources::SourceConfig;
use crate::transforms::Transform;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use tokio::sync::oneshot;

/// A source that runs.
struct Source {
    print: u64,
    kind: &'static str,
    outputs: Weak<Outputs>,
    wanted: Wanted,
    stop: ShutdownTrigger,
    door: Door,
    /// Closed when it has ended.
    ended: oneshot::Receiver<()>,
}

/// A segment that runs.
struct Running {
    members: Members,
    queue: WeakInlet,
    leave: oneshot::Sender<Leave>,
    left: oneshot::Receiver<Left>,
}

/// All sources and transforms.
pub struct Flow {
    mode: RunMode,
    stop: Shutdown,
    sources: BTreeMap<String, Source>,
    /// The outputs of sources that are about to end beside those that have taken their place.
    leaving: Vec<(String, Weak<Outputs>)>,
    segments: Vec<Running>,
}

/// The way to another plan.
pub struct Turn {
    plan: Arc<Plan>,
    prints: BTreeMap<String, u64>,
    queues: Queues,
    /// The segments that are to begin, with their queues where those are new.
    begin: Vec<(Members, Option<Outlet>)>,
    /// Doors of the sources that were stopped for others.
    doors: BTreeMap<String, Door>,
    meters: BTreeMap<String, Arc<Meter>>,
    built: BTreeMap<String, Box<dyn Transform>>,
}

/// What has to happen before the turn can be completed.
pub struct Clearing {
    /// Sources that are to end first.
    ending: Vec<oneshot::Receiver<()>>,
    /// Outputs that get other consumers.
    exchanges: Vec<(Arc<Outputs>, Consumers)>,
    leaving: Vec<Leaving>,
}

/// A segment that is to make room.
struct Leaving {
    /// The transform behind its queue.
    head: Option<String>,
    order: Leave,
    ask: oneshot::Sender<Leave>,
    left: oneshot::Receiver<Left>,
}

/// The place is cleared.
#[derive(Default)]
pub struct Cleared {
    exchanges: Vec<(Exchange, Consumers)>,
    left: Left,
    queues: BTreeMap<String, Outlet>,
}

impl Turn {
    /// The door of a source that is stopped, or added.
    pub fn door(&self, id: &str) -> Option<Door> {
        self.doors.get(id).cloned()
    }
}

impl Clearing {
    /// For a run that begins: nothing has to leave, and nothing is on its way.
    pub fn at_once(self) -> Cleared {
        let exchanges = self.exchanges.into_iter();
        let exchanges = exchanges.filter_map(|(outputs, to)| Some((outputs.exchange_now()?, to))).collect();
        Cleared { exchanges, ..Cleared::default() }
    }

    /// Waits until everything that has to leave has left. Nothing of it is lost if this is dropped but the run itself.
    pub async fn done(self) -> Cleared {
        let Clearing { ending, exchanges, leaving } = self;
        let mut cleared = Cleared::default();
        for source in ending {
            // Nothing is ever sent: it is closed when the source has ended.
            source.await.unwrap_or_default();
        }
        // First everybody is held up, then everybody is asked, and only then queues close: one that closes before its
        // segment is asked would be taken for the end of the run.
        for (outputs, consumers) in exchanges {
            cleared.exchanges.push((outputs.exchange().await, consumers));
        }
        let (drained, at_once): (Vec<_>, Vec<_>) =
            leaving.into_iter().partition(|leaving| leaving.order.when_drained);
        let mut lefts = Vec::new();
        for Leaving { head, order, ask, left } in drained.into_iter().chain(at_once) {
            // One that has ended by itself has nobody to hear it.
            ask.send(order).map_err(drop).unwrap_or_default();
            lefts.push((head, left));
        }
        for (exchange, _) in &mut cleared.exchanges {
            **exchange = Consumers::default();
        }
        for (head, left) in lefts {
            let Ok(Left { transforms, memories, queue }) = left.await else { continue };
            cleared.left.transforms.extend(transforms);
            cleared.left.memories.extend(memories);
            cleared.queues.extend(head.zip(queue));
        }
        cleared
    }
}

/// What the flow of a plan is made of, besides the plan.
pub struct Parts {
    /// What its sources are made of.
    pub prints: BTreeMap<String, u64>,
    /// The queues of its sinks.
    pub sinks: BTreeMap<String, Inlet>,
    /// Sinks that have another queue than before.
    pub replaced: BTreeSet<String>,
    /// The doors of the sources that are added.
    pub doors: BTreeMap<String, Door>,
    /// The counters of all components.
    pub meters: BTreeMap<String, Arc<Meter>>,
}

impl Flow {
    /// Nothing yet.
    pub fn new(mode: RunMode, stop: Shutdown) -> Flow {
        Flow { mode, stop, sources: BTreeMap::new(), leaving: Vec::new(), segments: Vec::new() }
    }

    /// The door of the source of this id.
    pub fn door(&self, id: &str) -> Option<Door> {
        self.sources.get(id).map(|source| source.door.clone())
    }

    /// The queues behind which the segments of `plan` begin: those that are there already, and new ones.
    fn heads(&self, plan: &[Members]) -> (BTreeMap<String, Inlet>, BTreeMap<String, Outlet>) {
        let (mut inlets, mut outlets) = (BTreeMap::new(), BTreeMap::new());
        for head in plan.iter().filter_map(|members| members.first()) {
            let is_it = |running: &&Running| running.members.first().is_some_and(|first| first.id == head.id);
            let running = self.segments.iter().find(is_it).and_then(|running| running.queue.upgrade());
            let inlet = running.unwrap_or_else(|| {
                let (inlet, outlet) = queue(SEGMENT_LIMITS, Arc::default());
                outlets.insert(head.id.clone(), outlet);
                inlet
            });
            inlets.insert(head.id.clone(), inlet);
        }
        (inlets, outlets)
    }

    /// Begins to turn to `plan`: says what has to be cleared, and how to go on then. `ports` gives the outputs that get
    /// other consumers, besides those of sources.
    pub fn turn(
        &mut self,
        plan: Arc<Plan>,
        parts: Parts,
        ports: impl FnOnce(&Queues) -> Vec<(Arc<Outputs>, Consumers)>,
    ) -> Result<(Turn, Clearing), Unbuildable> {
        let Parts { prints, mut sinks, replaced, doors: mut all_doors, meters } = parts;
        let wanted = segments(&plan);
        let (heads, mut outlets) = self.heads(&wanted);
        let new_heads: BTreeSet<&String> = outlets.keys().collect();
        let is_moved = |members: &Members| {
            let mut consumers = members.iter().flat_map(|placed| placed.consumers());
            consumers.any(|id| replaced.contains(id) || new_heads.contains(&id.to_owned()))
        };
        let stays = |running: &Running| {
            wanted.contains(&running.members)
                && !is_moved(&running.members)
                && running.queue.upgrade().is_some()
        };
        let (staying, leaving): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.segments).into_iter().partition(stays);
        let is_running = |members: &Members| staying.iter().any(|running| running.members == *members);
        let begin: Vec<Members> = wanted.iter().filter(|members| !is_running(members)).cloned().collect();
        let built = match build(&plan, &begin, &leaving) {
            Ok(built) => built,
            Err(unbuildable) => {
                self.segments = staying.into_iter().chain(leaving).collect();
                return Err(unbuildable);
            }
        };
        self.segments = staying;
        let leaving = leaving.into_iter().map(|running| leave(running, &begin, &wanted)).collect();
        sinks.extend(heads);
        let queues = Queues(sinks);
        let (ending, doors) = self.stop_for(&plan, &prints);
        all_doors.extend(doors);
        let mut exchanges = self.exchanges(&plan, &queues);
        exchanges.extend(ports(&queues));
        let begin = begin.into_iter().map(|members| {
            let outlet = members.first().and_then(|head| outlets.remove(&head.id));
            (members, outlet)
        });
        let begin = begin.collect();
        let turn = Turn { plan, prints, queues, begin, doors: all_doors, meters, built };
        Ok((turn, Clearing { ending, exchanges, leaving }))
    }

    /// Stops the sources that `plan` does not have, or has otherwise.
    fn stop_for(
        &mut self,
        plan: &Plan,
        prints: &BTreeMap<String, u64>,
    ) -> (Vec<oneshot::Receiver<()>>, BTreeMap<String, Door>) {
        let stays = |id: &String, source: &Source| {
            let same = |node: &&Node<dyn SourceConfig>| node.id == *id && node.kind == source.kind;
            plan.sources.iter().any(|node| same(&node) && prints.get(id) == Some(&source.print))
        };
        let (mut ending, mut doors) = (Vec::new(), BTreeMap::new());
        for (id, source) in std::mem::take(&mut self.sources) {
            if stays(&id, &source) {
                self.sources.insert(id, source);
                continue;
            }
            let successor = plan.sources.iter().find(|node| node.id == id && node.kind == source.kind);
            if let Some(node) = successor {
                source.door.keep();
                doors.insert(id.clone(), source.door);
                if node.config.overlaps() {
                    source.stop.exchange();
                    self.leaving.push((id, source.outputs));
                    continue;
                }
            }
            source.stop.trigger();
            ending.push(source.ended);
        }
        (ending, doors)
    }

    /// The sources that go on and get other consumers, with those.
    fn exchanges(&mut self, plan: &Plan, queues: &Queues) -> Vec<(Arc<Outputs>, Consumers)> {
        self.leaving.retain(|(_, outputs)| outputs.strong_count() > 0);
        let sources = self.sources.iter().map(|(id, source)| (id, &source.outputs));
        // One that has been removed since ends the way that it has always gone.
        let leaving = self.leaving.iter().map(|(id, outputs)| (id, outputs));
        let leaving = leaving.filter(|(id, _)| plan.sources.iter().any(|node| node.id == **id));
        let live = sources.chain(leaving).filter_map(|(id, outputs)| Some((id, outputs.upgrade()?)));
        let wanted = live.map(|(id, outputs)| (outputs, queues.of_source(plan, id)));
        wanted.filter(|(outputs, wanted)| outputs.peek().is_none_or(|now| !now.are_same(wanted))).collect()
    }

    /// Completes a turn; gives what has to be started, in this order.
    pub fn complete(&mut self, turn: Turn, cleared: Cleared) -> Result<Vec<Job>, Unbuildable> {
        let Turn { plan, prints, queues, begin, mut doors, meters, mut built } = turn;
        let Cleared { exchanges, mut left, queues: mut left_queues } = cleared;
        let meter = |id: &str| meters.get(id).map(Arc::clone).unwrap_or_default();
        let mut jobs = Vec::new();
        for (members, outlet) in begin {
            let Some(head) = members.first().map(|head| head.id.clone()) else { continue };
            let mut stages = Vec::new();
            for placed in &members {
                let going_on = left.transforms.remove(&placed.id);
                let mut transform = match going_on.or_else(|| built.remove(&placed.id)) {
                    Some(transform) => transform,
                    None => make(&plan, &placed.id)?,
                };
                transform.set_id(&placed.id);
                if let Some(memory) = left.memories.remove(&placed.id) {
                    transform.take_over(memory);
                }
                stages.push(queues.stage(placed, &members, transform, meter(&placed.id)));
            }
            let (Some(queue), Some(inlet)) =
                (left_queues.remove(&head).or(outlet), queues.0.get(&head).map(Inlet::downgrade))
            else {
                continue;
            };
            jobs.push(self.begin(members, Segment { stages, queue }, inlet));
        }
        for node in &plan.sources {
            let wanted =
                (demand_on(&plan, &node.id), self.mode.faults_wanted || wants_faults(&plan, &node.id));
            if let Some(running) = self.sources.get(&node.id) {
                running.wanted.set(wanted.0, wanted.1);
                continue;
            }
            let consumers = queues.of_source(&plan, &node.id);
            let door = doors.remove(&node.id).unwrap_or_default();
            let wanted = Wanted::new(wanted.0, wanted.1);
            let print = prints.get(&node.id).copied().unwrap_or_default();
            jobs.push(self.source(&plan, node, print, consumers, wanted, door, meter(&node.id))?);
        }
        for (mut exchange, consumers) in exchanges {
            *exchange = consumers;
        }
        Ok(jobs)
    }

    fn begin(&mut self, members: Members, segment: Segment, queue: WeakInlet) -> Job {
        let (leave, asked) = oneshot::channel();
        let (sender, left) = oneshot::channel();
        self.segments.push(Running { members, queue, leave, left });
        Job::Segment(Box::pin(async move {
            if let Some(left) = segment.run(asked).await {
                // Whoever asked is there until all is cleared, or the run is over.
                sender.send(left).map_err(drop).unwrap_or_default();
            }
        }))
    }

    #[allow(clippy::too_many_arguments, reason = "it is called once, with what its source takes along")]
    fn source(
        &mut self,
        plan: &Plan,
        node: &Node<dyn SourceConfig>,
        print: u64,
        consumers: Consumers,
        wanted: Wanted,
        door: Door,
        meter: Arc<Meter>,
    ) -> Result<Job, Unbuildable> {
        let outputs = Outputs::new(consumers);
        let (weak, (stop, shutdown)) = (Arc::downgrade(&outputs), self.stop.of_part());
        let cx = SourceContext {
            id: node.id.clone(),
            out: Emitter::new(outputs, Arc::clone(&meter)),
            shutdown,
            wanted: wanted.clone(),
            meter,
            data_dir: PathBuf::from(plan.data_dir()),
            door: door.clone(),
            once: self.mode.once,
        };
        let task = node.config.build(cx).map_err(|why| Unbuildable::new(&node.id, why))?;
        let (ending, ended) = oneshot::channel();
        let source = Source { print, kind: node.kind, outputs: weak, wanted, stop, door, ended };
        self.sources.insert(node.id.clone(), source);
        Ok(Job::Source(node.id.clone(), task, ending))
    }
}

/// Makes the transforms that no segment of those that leave has.
fn build(
    plan: &Plan,
    begin: &[Members],
    leaving: &[Running],
) -> Result<BTreeMap<String, Box<dyn Transform>>, Unbuildable> {
    let mut built = BTreeMap::new();
    for placed in begin.iter().flatten() {
        let mut others = leaving.iter().flat_map(|running| &running.members);
        if !others.any(|other| other.is_same(placed)) {
            built.insert(placed.id.clone(), make(plan, &placed.id)?);
        }
    }
    Ok(built)
}

fn make(plan: &Plan, id: &str) -> Result<Box<dyn Transform>, Unbuildable> {
    let node = plan.transforms.iter().find(|node| node.id == id);
    let missing = || Unbuildable::new(id, crate::event::Invalid::new("type", "there is no such transform"));
    node.ok_or_else(missing)?.config.build().map_err(|why| Unbuildable::new(id, why))
}

/// What a segment is asked when others begin in its place.
fn leave(running: Running, begin: &[Members], wanted: &[Members]) -> Leaving {
    let Running { members, leave: ask, left, .. } = running;
    let head = members.first().map(|head| head.id.clone());
    let is_head =
        |id: &String| wanted.iter().any(|members| members.first().is_some_and(|head| head.id == *id));
    let mut order = Leave { when_drained: !head.as_ref().is_some_and(is_head), ..Leave::default() };
    for member in &members {
        let mut others = begin.iter().flatten();
        if others.clone().any(|other| other.is_same(member)) {
            continue;
        }
        match others.any(|other| other.is_heir_of(member)) {
            true => order.inherited.insert(member.id.clone()),
            false => order.ending.insert(member.id.clone()),
        };
    }
    Leaving { head, order, ask, left }
}
