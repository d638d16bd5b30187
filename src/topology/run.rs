//! Runs a wired pipeline to its end.

use super::plan::Plan;
use super::status::Status;
use super::wire::{RunMode, Unbuildable, Wired, wire};
use crate::delivery::buffer::Cutoff;
use crate::delivery::{Ended, Meter, Shutdown, ShutdownTrigger, SinkTask, Totals};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinSet};

/// A pipeline in action.
pub struct Pipeline {
    tasks: JoinSet<TaskEnd>,
    meters: BTreeMap<String, Arc<Meter>>,
    trigger: ShutdownTrigger,
    shutdown_timeout: Duration,
    status: Arc<Status>,
}

/// How a task ended.
enum TaskEnd {
    Source(String, Result<(), String>),
    Segment,
    Sink(Ended),
    Buffer(String, Result<(), String>),
}

/// How a run ended.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What every component has counted.
    pub totals: BTreeMap<String, Totals>,
    /// Components that failed, and why.
    pub failures: Vec<String>,
    /// Whether the reader of a console sink went away: nobody wants to hear more.
    pub reader_gone: bool,
}

impl Outcome {
    /// Whether everything that was read is delivered or was dropped on purpose.
    pub fn is_clean(&self) -> bool {
        let lost = self.totals.values().any(|totals| totals.batches_lost > 0 && !self.reader_gone);
        let rejected =
            self.totals.values().any(|totals| totals.events_rejected > 0 || totals.batches_rejected > 0);
        self.failures.is_empty() && !lost && !rejected
    }

    /// How many records could not be decoded.
    pub fn faults(&self) -> u64 {
        self.totals.values().flat_map(|totals| totals.faults.values()).sum()
    }
}

impl Pipeline {
    /// Starts every component.
    pub fn start(plan: &Plan, mode: RunMode) -> Result<Pipeline, Unbuildable> {
        let (trigger, shutdown) = Shutdown::new();
        let Wired { sources, segments, sinks, buffers, meters } = wire(plan, &shutdown, mode)?;
        let mut tasks = JoinSet::new();
        for (id, task) in buffers {
            let runtime = Handle::current();
            tasks.spawn_blocking(move || TaskEnd::Buffer(id, runtime.block_on(task)));
        }
        for (sink, cutoff) in sinks {
            if let Some(cutoff) = cutoff {
                tasks.spawn(run_until(sink, cutoff));
            } else if sink.blocks {
                let runtime = Handle::current();
                tasks.spawn_blocking(move || TaskEnd::Sink(runtime.block_on(sink.run)));
            } else {
                tasks.spawn(async move { TaskEnd::Sink(sink.run.await) });
            }
        }
        for segment in segments {
            tasks.spawn(async move {
                segment.run().await;
                TaskEnd::Segment
            });
        }
        for (id, task) in sources {
            tasks.spawn(async move {
                let ended = task.await;
                TaskEnd::Source(id, ended)
            });
        }
        let status = Arc::new(Status::new(plan, &meters));
        Ok(Pipeline { tasks, meters, trigger, shutdown_timeout: plan.shutdown_timeout, status })
    }

    /// The counters of every component.
    pub fn meters(&self) -> &BTreeMap<String, Arc<Meter>> {
        &self.meters
    }

    /// What can be seen of it while it runs.
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status)
    }

    /// Waits for the end: the sources have finished and everything is drained; or `stop` came, and then it takes as
    /// long as the plan allows at most; or `abort` came, and it ends at once.
    pub async fn finish(
        mut self,
        stop: impl Future<Output = ()>,
        abort: impl Future<Output = ()>,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        tokio::pin!(stop, abort);
        let mut stopping = false;
        let deadline = tokio::time::sleep(Duration::MAX);
        tokio::pin!(deadline);
        loop {
            tokio::select! {
                ended = self.tasks.join_next() => match ended {
                    None => break,
                    Some(ended) => {
                        self.note(ended.unwrap_or_else(unexpected), &mut outcome);
                    }
                },
                () = &mut stop, if !stopping => {
                    stopping = true;
                    self.status.stop();
                    self.trigger.trigger();
                    deadline.as_mut().reset(tokio::time::Instant::now() + self.shutdown_timeout);
                }
                () = &mut abort => {
                    outcome.failures.push("stopped before everything was delivered".to_owned());
                    break;
                }
                () = &mut deadline, if stopping => {
                    let secs = self.shutdown_timeout.as_secs();
                    outcome.failures.push(format!("not everything was delivered within {secs} s of the stop"));
                    break;
                }
            }
        }
        self.tasks.abort_all();
        outcome.totals = self.meters.iter().map(|(id, meter)| (id.clone(), meter.totals())).collect();
        outcome
    }

    fn note(&self, ended: TaskEnd, outcome: &mut Outcome) {
        match ended {
            TaskEnd::Source(_, Ok(())) | TaskEnd::Buffer(_, Ok(())) => {}
            TaskEnd::Segment | TaskEnd::Sink(Ended::Drained) => {}
            TaskEnd::Source(id, Err(why)) | TaskEnd::Buffer(id, Err(why)) => {
                outcome.failures.push(format!("{id}: {why}"));
                self.trigger.trigger();
            }
            TaskEnd::Sink(Ended::ReaderGone) => {
                outcome.reader_gone = true;
                self.trigger.trigger();
            }
        }
    }
}

/// A task has panicked.
fn unexpected(e: JoinError) -> TaskEnd {
    TaskEnd::Source("a component".to_owned(), Err(format!("it failed unexpectedly: {e}")))
}

/// Runs a sink whose batches are safe on the disk: after the cutoff it is not waited for, be it in the middle of a call
/// that never returns.
async fn run_until(sink: SinkTask, cutoff: Cutoff) -> TaskEnd {
    let SinkTask { blocks, run } = sink;
    let own = cutoff.clone().passed();
    let work = async move {
        tokio::select! {
            ended = run => ended,
            () = own => Ended::Drained,
        }
    };
    let runtime = Handle::current();
    let mut task = match blocks {
        true => tokio::task::spawn_blocking(move || runtime.block_on(work)),
        false => runtime.spawn(work),
    };
    tokio::select! {
        ended = &mut task => ended.map_or_else(unexpected, TaskEnd::Sink),
        () = cutoff.passed() => TaskEnd::Sink(Ended::Drained),
    }
}
