//! A segment: transforms that follow each other without a queue between them, run as plain calls in one task.

use crate::delivery::{Inlet, Limits, Meter, Outlet, WhenFull, clock};
use crate::event::{Acks, Batch, Verdict};
use crate::transforms::{Memory, Ports, Transform};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// How much waits in front of a segment: a queue between two tasks, not a buffer for slow sinks.
pub const SEGMENT_LIMITS: Limits =
    Limits { events_max: 10_000, kib_max: 4 * 1024, when_full: WhenFull::Block };

/// Where an output leads.
#[derive(Clone)]
pub enum Target {
    /// A stage of the same segment.
    Stage(usize),
    /// A component behind a queue.
    Queue(Inlet),
}

/// One transform.
pub struct Stage {
    /// Its id in the config.
    pub id: String,
    /// The transform itself.
    pub transform: Box<dyn Transform>,
    /// Its counters.
    pub meter: Arc<Meter>,
    /// Who consumes its main output.
    pub main: Vec<Target>,
    /// Who consumes its ports, by name.
    pub ports: Vec<(String, Vec<Target>)>,
}

/// Stages, of which the first takes what comes out of the queue.
pub struct Segment {
    /// In an order in which every stage stands behind the one that feeds it.
    pub stages: Vec<Stage>,
    /// Where batches come from.
    pub queue: Outlet,
}

/// Asks a segment to make room for another.
#[derive(Default)]
pub struct Leave {
    /// Whether it has to empty its queue before, since nobody takes that over.
    pub when_drained: bool,
    /// Ids of the transforms that end with it.
    pub ending: BTreeSet<String>,
    /// Ids of those that end as well, and have an heir for what they remember.
    pub inherited: BTreeSet<String>,
}

/// What a segment has left.
#[derive(Default)]
pub struct Left {
    /// Its transforms by id, but for those that have ended: they go on elsewhere as they are.
    pub transforms: BTreeMap<String, Box<dyn Transform>>,
    /// What is for the heirs of the others.
    pub memories: BTreeMap<String, Memory>,
    /// Its queue, unless it had to empty it.
    pub queue: Option<Outlet>,
}

impl Segment {
    /// Runs until the queue is closed and empty, and lets go of everything that is held back then; or until it is asked
    /// to leave.
    pub async fn run(mut self, leave: oneshot::Receiver<Leave>) -> Option<Left> {
        tokio::pin!(leave);
        let mut is_asked = false;
        let mut leaving: Option<Leave> = None;
        loop {
            let wake = self.stages.iter().filter_map(|stage| stage.transform.wake_at()).min();
            let sleep = async {
                match wake {
                    Some(at) => {
                        tokio::time::sleep(Duration::from_millis(at.saturating_sub(clock::now_ms()))).await
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // A batch says when it was received. One that waits here comes before a time that has passed since:
                // what a full pipeline kept waiting is not late.
                biased;
                asked = &mut leave, if !is_asked => {
                    is_asked = true;
                    match asked {
                        Ok(leave) if leave.when_drained => leaving = Some(leave),
                        Ok(leave) => return Some(self.leave(leave).await),
                        // Nobody is left who could ask.
                        Err(_) => {}
                    }
                }
                queued = self.queue.next() => match queued {
                    // The batch's part in the limits of the queue ends when it has been worked on.
                    Some(mut queued) => self.work(0, std::mem::take(&mut queued.batch)).await,
                    None => break,
                },
                () = sleep => self.wake().await,
            }
        }
        if let Some(leave) = leaving {
            return Some(self.leave(leave).await);
        }
        self.work(0, self.last()).await;
        None
    }

    /// The empty batch that ends a stream.
    fn last(&self) -> Batch {
        let mut last = Batch::new(Vec::new(), clock::now_ms(), Acks::default());
        last.last = true;
        last
    }

    /// Ends the transforms that end here; what they held back goes the way that it always went.
    async fn leave(mut self, leave: Leave) -> Left {
        let mut left = Left::default();
        for at in 0..self.stages.len() {
            let mut todo = Vec::new();
            let last = self.last();
            let Some(stage) = self.stages.get_mut(at) else { continue };
            let is_inherited = leave.inherited.contains(&stage.id);
            if let Some(memory) = is_inherited.then(|| stage.transform.hand_over()).flatten() {
                left.memories.insert(stage.id.clone(), memory);
            } else if is_inherited || leave.ending.contains(&stage.id) {
                stage.end(last, &mut todo).await;
            }
            self.work_through(todo).await;
        }
        for Stage { id, transform, .. } in self.stages {
            if !leave.ending.contains(&id) && !leave.inherited.contains(&id) {
                left.transforms.insert(id, transform);
            }
        }
        left.queue = Some(self.queue).filter(|_| !leave.when_drained);
        left
    }

    /// Calls the stages whose time has come.
    async fn wake(&mut self) {
        let now_ms = clock::now_ms();
        for at in 0..self.stages.len() {
            let wakes = self.stages.get(at).and_then(|stage| stage.transform.wake_at());
            if wakes.is_some_and(|wake| wake <= now_ms) {
                self.work(at, Batch::new(Vec::new(), now_ms, Acks::default())).await;
            }
        }
    }

    /// Runs `batch` through the stage at `first` and all behind it.
    async fn work(&mut self, first: usize, batch: Batch) {
        self.work_through(vec![(first, batch)]).await;
    }

    async fn work_through(&mut self, mut todo: Vec<(usize, Batch)>) {
        while let Some((at, batch)) = todo.pop() {
            if let Some(stage) = self.stages.get_mut(at) {
                stage.work(batch, &mut todo).await;
            }
        }
    }
}

impl Stage {
    async fn work(&mut self, mut batch: Batch, todo: &mut Vec<(usize, Batch)>) {
        let mut ports = Ports::default();
        if batch.replayed {
            self.transform.apply(&mut batch, &mut ports);
            batch.take_hits();
            for (name, events) in ports.take() {
                let targets = self.ports.iter().find(|(port, _)| *port == name);
                let mut side = Batch::new(events, batch.now_ms, batch.acks.clone());
                side.replayed = true;
                pass_on(targets.map_or(&[], |(_, targets)| targets), side, todo).await;
            }
            return pass_on(&self.main, batch, todo).await;
        }
        self.meter.count_in(batch.events.len() as u64);
        self.transform.apply(&mut batch, &mut ports);
        self.hand_on(batch, ports, todo).await;
    }

    /// Lets go of what is held back here, and only here.
    async fn end(&mut self, mut last: Batch, todo: &mut Vec<(usize, Batch)>) {
        let mut ports = Ports::default();
        self.transform.apply(&mut last, &mut ports);
        last.last = false;
        self.hand_on(last, ports, todo).await;
    }

    /// Counts what became of `batch`, and passes on what is left of it and what leaves by `ports`.
    async fn hand_on(&mut self, mut batch: Batch, mut ports: Ports, todo: &mut Vec<(usize, Batch)>) {
        for (reason, events) in batch.take_drops() {
            self.meter.count_dropped(reason, events);
        }
        self.meter.count_failed(batch.take_failed());
        self.meter.count_hits(batch.take_hits());
        // A port ends with its stage, or what is held back behind it stays there. `todo` is worked on from its end:
        // what leaves by the port comes before that.
        let ends = self.ports.iter().filter(|_| batch.last).map(|(port, _)| (port.clone(), Vec::new()));
        for (name, events) in ends.chain(ports.take()) {
            let count = events.len() as u64;
            self.meter.show(Some(&name), &events);
            let targets = self.ports.iter().find(|(port, _)| *port == name).map(|(_, targets)| targets);
            match targets.filter(|targets| !targets.is_empty()) {
                None => self.meter.count_dropped("port_unwired", count),
                Some(targets) => {
                    self.meter.count_out(count);
                    let mut side = Batch::new(events, batch.now_ms, batch.acks.clone());
                    side.last = count == 0;
                    pass_on(targets, side, todo).await;
                }
            }
        }
        self.meter.count_out(batch.events.len() as u64);
        self.meter.show(None, &batch.events);
        pass_on(&self.main, batch, todo).await;
    }
}

/// Gives `batch` to every target; an empty one only where it tells the end.
async fn pass_on(targets: &[Target], batch: Batch, todo: &mut Vec<(usize, Batch)>) {
    let Some((last, others)) = targets.split_last().filter(|_| batch.last || !batch.events.is_empty()) else {
        return batch.resolve(Verdict::Delivered);
    };
    for target in others {
        hand_over(target, batch.split(), todo).await;
    }
    hand_over(last, batch, todo).await;
}

async fn hand_over(target: &Target, batch: Batch, todo: &mut Vec<(usize, Batch)>) {
    match target {
        Target::Stage(at) => todo.push((*at, batch)),
        Target::Queue(_) if batch.events.is_empty() => batch.resolve(Verdict::Delivered),
        Target::Queue(inlet) => inlet.send(batch).await,
    }
}
