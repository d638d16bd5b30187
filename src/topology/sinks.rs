//! The sinks that run, each with its queue. A sink that is exchanged for one with other options leaves its queue to the
//! other, with what it could not deliver; so nobody in front of it notices, be it stuck or not.

use super::jobs::Job;
use super::plan::{Node, Plan};
use super::wire::{Queues, Unbuildable};
use crate::delivery::buffer::{self, BufferContext, Cutoff, Grace, Settings};
use crate::delivery::{
    Consumers, DeadLetters, Ended, Inlet, Limits, Meter, Outlet, Outputs, Rejects, Shutdown, ShutdownTrigger,
    SinkContext, WeakInlet, Work, queue,
};
use crate::event::Invalid;
use crate::sinks::SinkConfig;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// What all sinks of a pipeline have in common.
pub struct Ground {
    /// Where buffers and dead letters are.
    pub data_dir: PathBuf,
    /// The signal to stop for the whole run.
    pub stop: Shutdown,
    /// How long a stop may take.
    pub stop_timeout: Duration,
}

/// A sink that runs, or is about to.
struct Slot {
    /// What it was made of; see [`Node::print`](super::Node::print).
    print: u64,
    kind: &'static str,
    limits: Limits,
    disk: Option<Settings>,
    meter: Arc<Meter>,
    inlet: WeakInlet,
    port: Weak<Outputs>,
    /// The number of the run.
    number: u64,
    /// Asks it to leave.
    leave: ShutdownTrigger,
    /// Where it has a buffer on disk.
    buffered: Option<Buffered>,
    /// What takes its place when it has left.
    next: Option<Next>,
    /// Whether its run has come to its end, and nothing follows.
    has_ended: bool,
}

#[derive(Clone)]
struct Buffered {
    stop: ShutdownTrigger,
    cutoff: Cutoff,
}

/// The sink that follows in a slot.
struct Next {
    work: Work,
    /// A queue of another size, which is emptied when the one before has been.
    later: Option<Outlet>,
    /// The buffer on disk that it gets.
    disk: Option<Settings>,
    port: Arc<Outputs>,
}

/// A sink that was taken out of the config: it has some time to deliver what it has.
struct Retired {
    id: String,
    slot: Slot,
    /// None where it has been told to leave.
    until: Option<Instant>,
}

/// What comes of following a plan.
pub struct Followed {
    /// The queues of its sinks.
    pub inlets: BTreeMap<String, Inlet>,
    /// Sinks that have another queue than before.
    pub replaced: BTreeSet<String>,
    /// What has to be started.
    pub jobs: Vec<Job>,
}

/// All sinks.
pub struct Sinks {
    ground: Ground,
    slots: BTreeMap<String, Slot>,
    retired: Vec<Retired>,
    runs: u64,
}

impl Sinks {
    /// None yet.
    pub fn new(ground: Ground) -> Sinks {
        Sinks { ground, slots: BTreeMap::new(), retired: Vec::new(), runs: 0 }
    }

    /// What they have in common.
    pub fn ground(&mut self) -> &mut Ground {
        &mut self.ground
    }

    /// Why `plan` can't take the place of what runs; none where it can.
    pub fn refusal(&self, plan: &Plan) -> Option<String> {
        for node in &plan.sinks {
            let Node { id, disk, .. } = node;
            let mut removed = self.retired.iter().filter(|retired| retired.id == *id);
            if removed.any(|retired| retired.slot.disk.is_some()) {
                return Some(format!(
                    "the sink `{id}` that was removed is still at work on its buffer on disk: try again in a few seconds"
                ));
            }
            let had = self.slots.get(id).and_then(|slot| slot.disk);
            if had.is_some() && had != *disk {
                return Some(format!(
                    "the buffer on disk of the sink `{id}` can't be changed while it is in use: restart evaltrail for that"
                ));
            }
        }
        None
    }

    /// Brings the sinks to what `plan` asks for, except for their ports; gives what has to be started. `prints` are what
    /// its sinks are made of, `works` those that are new or have changed. Fails before anything is changed.
    pub fn follow(
        &mut self,
        plan: &Plan,
        prints: &BTreeMap<String, u64>,
        mut works: BTreeMap<String, Work>,
        meters: &BTreeMap<String, Arc<Meter>>,
    ) -> Result<Followed, Unbuildable> {
        let (mut jobs, mut inlets) = (Vec::new(), BTreeMap::new());
        let mut fresh = Vec::new();
        // What may fail comes first.
        let has_ended = |id: &String| self.slots.get(id).is_none_or(|slot| slot.has_ended);
        let new: Vec<_> = plan.sinks.iter().filter(|node| has_ended(&node.id)).collect();
        for node in new {
            let Some(work) = works.remove(&node.id) else { continue };
            let print = prints.get(&node.id).copied().unwrap_or_default();
            let meter = meters.get(&node.id).map(Arc::clone).unwrap_or_default();
            let (inlet, slot) = self.begin(node, print, work, meter, &mut jobs)?;
            inlets.insert(node.id.clone(), inlet);
            fresh.push((node.id.clone(), slot));
        }
        let kept = |id: &str| plan.sinks.iter().any(|node| node.id == id);
        let gone: Vec<String> = self.slots.keys().filter(|id| !kept(id)).cloned().collect();
        for id in gone {
            self.retire(&id);
        }
        let mut replaced: BTreeSet<String> = inlets.keys().cloned().collect();
        let older: Vec<_> = plan.sinks.iter().filter(|node| !replaced.contains(&node.id)).collect();
        for node in older {
            let print = prints.get(&node.id).copied().unwrap_or_default();
            let Some((inlet, is_new)) = self.go_on(node, print, works.remove(&node.id)) else { continue };
            if is_new {
                replaced.insert(node.id.clone());
            }
            inlets.insert(node.id.clone(), inlet);
        }
        self.slots.extend(fresh);
        Ok(Followed { inlets, replaced, jobs })
    }

    /// Whether a sink of this id runs and somebody feeds it.
    fn is_fed(&self, id: &str) -> bool {
        self.slots.get(id).is_some_and(|slot| slot.inlet.upgrade().is_some())
    }

    /// Whether a sink has to be made for `node`: there is none, or another one.
    pub fn needs(&self, node: &Node<dyn SinkConfig>, print: u64) -> bool {
        !self.is_fed(&node.id)
            || self.slots.get(&node.id).is_none_or(|slot| {
                slot.print != print
                    || slot.kind != node.kind
                    || slot.limits != node.limits
                    || slot.disk != node.disk
            })
    }

    /// Makes a sink with a queue of its own.
    fn begin(
        &mut self,
        node: &Node<dyn SinkConfig>,
        print: u64,
        work: Work,
        meter: Arc<Meter>,
        jobs: &mut Vec<Job>,
    ) -> Result<(Inlet, Slot), Unbuildable> {
        let (inlet, outlet) = queue(node.limits, Arc::clone(&meter));
        let inlet = inlet.of_sink();
        let (leave, _) = Shutdown::new();
        let mut slot = Slot {
            print,
            kind: node.kind,
            limits: node.limits,
            disk: node.disk,
            meter,
            inlet: inlet.downgrade(),
            port: Weak::new(),
            number: 0,
            leave,
            buffered: None,
            next: None,
            has_ended: false,
        };
        let outlet = match node.disk {
            None => outlet,
            Some(settings) => {
                let opened = self.open(&node.id, &slot, settings, outlet, jobs);
                let (outlet, buffered) =
                    opened.map_err(|why| Unbuildable::new(&node.id, Invalid::new("buffer", why)))?;
                slot.buffered = Some(buffered);
                outlet
            }
        };
        let port = Outputs::new(Consumers::default());
        jobs.push(self.run(&node.id, &mut slot, work, outlet, port));
        Ok((inlet, slot))
    }

    /// Opens the buffer on disk of a sink, in front of what empties it.
    fn open(
        &self,
        id: &str,
        slot: &Slot,
        settings: Settings,
        queue: Outlet,
        jobs: &mut Vec<Job>,
    ) -> Result<(Outlet, Buffered), String> {
        let (stop, signal) = self.ground.stop.of_part();
        let opened = buffer::open(BufferContext {
            id: id.to_owned(),
            data_dir: self.ground.data_dir.clone(),
            settings,
            queue,
            meter: Arc::clone(&slot.meter),
            stop: signal,
            grace: Grace::within(self.ground.stop_timeout),
        })?;
        jobs.extend(opened.tasks.map(|task| Job::Buffer(id.to_owned(), task)));
        Ok((opened.queue, Buffered { stop, cutoff: opened.cutoff }))
    }

    /// The run of a sink over `queue`.
    fn run(&mut self, id: &str, slot: &mut Slot, work: Work, queue: Outlet, port: Arc<Outputs>) -> Job {
        self.runs += 1;
        let (trigger, leave) = Shutdown::new();
        (slot.number, slot.leave, slot.port) = (self.runs, trigger, Arc::downgrade(&port));
        let letters = DeadLetters::new(&self.ground.data_dir, id);
        let meter = Arc::clone(&slot.meter);
        let rejects = Rejects::new(id, Arc::clone(&port), letters, Arc::clone(&meter));
        let data_dir = self.ground.data_dir.clone();
        let task = work.task(SinkContext { id: id.to_owned(), queue, meter, rejects, port, data_dir, leave });
        Job::Sink(slot.number, task, slot.buffered.as_ref().map(|buffered| buffered.cutoff.clone()))
    }

    /// Keeps a sink, or asks it to leave its place to `work`. Gives its queue, and whether that is a new one.
    fn go_on(
        &mut self,
        node: &Node<dyn SinkConfig>,
        print: u64,
        work: Option<Work>,
    ) -> Option<(Inlet, bool)> {
        let slot = self.slots.get_mut(&node.id)?;
        let fed = slot.inlet.upgrade();
        let Some(work) = work else { return fed.map(|inlet| (inlet, false)) };
        let port = slot.port.upgrade();
        let (mut later, port) = match slot.next.take() {
            Some(Next { later, port, .. }) => (later, port),
            None => (None, port.unwrap_or_else(|| Outputs::new(Consumers::default()))),
        };
        let (inlet, is_new) = match fed.filter(|_| slot.limits == node.limits) {
            Some(inlet) => (inlet, false),
            None => {
                let (inlet, outlet) = queue(node.limits, Arc::clone(&slot.meter));
                later = Some(match later {
                    Some(before) => before.then(outlet),
                    None => outlet,
                });
                (inlet.of_sink(), true)
            }
        };
        let disk = node.disk.filter(|_| slot.buffered.is_none());
        slot.next = Some(Next { work, later, disk, port });
        (slot.print, slot.kind, slot.limits, slot.disk) = (print, node.kind, node.limits, node.disk);
        slot.inlet = inlet.downgrade();
        slot.leave.trigger();
        Some((inlet, is_new))
    }

    fn retire(&mut self, id: &str) {
        let Some(slot) = self.slots.remove(id).filter(|slot| !slot.has_ended) else { return };
        // What is in a buffer on disk is safe there: nobody waits for it.
        if let Some(buffered) = &slot.buffered {
            buffered.stop.trigger();
        }
        let until = Some(Instant::now() + self.ground.stop_timeout).filter(|_| slot.buffered.is_none());
        self.retired.push(Retired { id: id.to_owned(), slot, until });
    }

    /// A run has ended; gives what follows it.
    pub fn ended(&mut self, number: u64, ended: Ended) -> Result<Vec<Job>, String> {
        if let Some(at) = self.retired.iter().position(|retired| retired.slot.number == number) {
            let mut retired = self.retired.swap_remove(at);
            return match (retired.slot.next.take(), ended) {
                (None, Ended::Left(queue)) => {
                    tracing::warn!(
                        sink = retired.id,
                        "it was removed and could not deliver everything in time: the rest is dropped"
                    );
                    Ok(vec![Job::Discard(retired.id, queue, retired.slot.meter)])
                }
                (Some(next), ended) => {
                    let jobs = self.succeed(&retired.id, &mut retired.slot, next, ended);
                    // Its time has come while it was changed.
                    if retired.until.is_none() {
                        retired.slot.leave.trigger();
                    }
                    if !retired.slot.has_ended {
                        self.retired.push(retired);
                    }
                    jobs
                }
                (None, Ended::Drained | Ended::ReaderGone) => Ok(Vec::new()),
            };
        }
        let Some((id, mut slot)) = self.take(number) else { return Ok(Vec::new()) };
        let jobs = match slot.next.take() {
            Some(next) => self.succeed(&id, &mut slot, next, ended),
            None => {
                slot.has_ended = true;
                Ok(Vec::new())
            }
        };
        self.slots.insert(id, slot);
        jobs
    }

    /// Whether the sink of this id was removed, and none has taken its place.
    pub fn is_removed(&self, id: &str) -> bool {
        !self.slots.contains_key(id)
    }

    /// The id of the sink with this run.
    pub fn name(&self, number: u64) -> String {
        let retired = self.retired.iter().map(|retired| (&retired.id, &retired.slot));
        let mut all = self.slots.iter().chain(retired);
        let found = all.find(|(_, slot)| slot.number == number);
        found.map_or_else(|| "a sink".to_owned(), |(id, _)| id.clone())
    }

    fn take(&mut self, number: u64) -> Option<(String, Slot)> {
        let id = self.slots.iter().find(|(_, slot)| slot.number == number).map(|(id, _)| id.clone())?;
        self.slots.remove_entry(&id)
    }

    /// Starts what follows in a slot, over what the one before has left.
    fn succeed(&mut self, id: &str, slot: &mut Slot, next: Next, ended: Ended) -> Result<Vec<Job>, String> {
        let Next { work, later, disk, port } = next;
        let queue = match (ended, later) {
            (Ended::Left(left), Some(later)) => left.then(later),
            (Ended::Left(queue), None) | (_, Some(queue)) => queue,
            // It was emptied to its end in the meantime.
            (_, None) => {
                slot.has_ended = true;
                return Ok(Vec::new());
            }
        };
        let mut jobs = Vec::new();
        let queue = match disk {
            None => queue,
            Some(settings) => {
                let opened = self.open(id, slot, settings, queue, &mut jobs);
                let (queue, buffered) = opened.map_err(|why| format!("{id}: {why}"))?;
                slot.buffered = Some(buffered);
                queue
            }
        };
        jobs.push(self.run(id, slot, work, queue, port));
        Ok(jobs)
    }

    /// When the first of those that were removed has had its time.
    pub fn deadline(&self) -> Option<Instant> {
        self.retired.iter().filter_map(|retired| retired.until).min()
    }

    /// Ends those that have had their time: what a buffer on disk holds stays there, the rest is dropped.
    pub fn end_overdue(&mut self) {
        let now = Instant::now();
        for retired in
            self.retired.iter_mut().filter(|retired| retired.until.is_some_and(|until| until <= now))
        {
            retired.until = None;
            match &retired.slot.buffered {
                Some(buffered) => buffered.stop.trigger(),
                None => retired.slot.leave.trigger(),
            }
        }
    }

    /// The ports whose consumers are others than `plan` wants, with those.
    pub fn ports(&self, plan: &Plan, queues: &Queues) -> Vec<(Arc<Outputs>, Consumers)> {
        let live = self.slots.iter().filter_map(|(id, slot)| Some((id, slot.port.upgrade()?)));
        // A sink has one port at most.
        let name = |id: &str| plan.sinks.iter().find(|node| node.id == id)?.config.ports().pop();
        let wanted = live.map(|(id, port)| {
            let consumers = name(id).map(|name| queues.of_port(plan, id, &name));
            (port, consumers.unwrap_or_default())
        });
        wanted.filter(|(port, wanted)| port.peek().is_none_or(|now| !now.are_same(wanted))).collect()
    }
}
