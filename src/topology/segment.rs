//! A segment: transforms that follow each other without a queue between them, run as plain calls in one task.

use crate::delivery::{Inlet, Meter, Outlet, clock};
use crate::event::{Acks, Batch, Verdict};
use crate::transforms::{Ports, Transform};
use std::sync::Arc;
use std::time::Duration;

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

impl Segment {
    /// Runs until the queue is closed and empty, and lets go of everything that is held back then.
    pub async fn run(mut self) {
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
                queued = self.queue.next() => match queued {
                    // The batch's part in the limits of the queue ends when it has been worked on.
                    Some(mut queued) => self.work(0, std::mem::take(&mut queued.batch)).await,
                    None => break,
                },
                () = sleep => self.wake().await,
            }
        }
        let mut last = Batch::new(Vec::new(), clock::now_ms(), Acks::default());
        last.last = true;
        self.work(0, last).await;
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
        let mut todo = vec![(first, batch)];
        while let Some((at, mut batch)) = todo.pop() {
            let Some(stage) = self.stages.get_mut(at) else { continue };
            let mut ports = Ports::default();
            if batch.replayed {
                stage.transform.apply(&mut batch, &mut ports);
                batch.take_hits();
                for (name, events) in ports.take() {
                    let targets = stage.ports.iter().find(|(port, _)| *port == name);
                    let mut side = Batch::new(events, batch.now_ms, batch.acks.clone());
                    side.replayed = true;
                    pass_on(targets.map_or(&[], |(_, targets)| targets), side, &mut todo).await;
                }
                pass_on(&stage.main, batch, &mut todo).await;
                continue;
            }
            stage.meter.count_in(batch.events.len() as u64);
            stage.transform.apply(&mut batch, &mut ports);
            for (reason, events) in batch.take_drops() {
                stage.meter.count_dropped(reason, events);
            }
            stage.meter.count_failed(batch.take_failed());
            stage.meter.count_hits(batch.take_hits());
            // A port ends with its stage, or what is held back behind it stays there. `todo` is worked on from its end:
            // what leaves by the port comes before that.
            let ends = stage.ports.iter().filter(|_| batch.last).map(|(port, _)| (port.clone(), Vec::new()));
            for (name, events) in ends.chain(ports.take()) {
                let count = events.len() as u64;
                stage.meter.show(Some(&name), &events);
                let targets = stage.ports.iter().find(|(port, _)| *port == name).map(|(_, targets)| targets);
                match targets.filter(|targets| !targets.is_empty()) {
                    None => stage.meter.count_dropped("port_unwired", count),
                    Some(targets) => {
                        stage.meter.count_out(count);
                        let mut side = Batch::new(events, batch.now_ms, batch.acks.clone());
                        side.last = count == 0;
                        pass_on(targets, side, &mut todo).await;
                    }
                }
            }
            stage.meter.count_out(batch.events.len() as u64);
            stage.meter.show(None, &batch.events);
            pass_on(&stage.main, batch, &mut todo).await;
        }
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
