//! What a running pipeline is made of: tasks, each of which says how it ended.

use crate::delivery::buffer::{BufferTask, Cutoff};
use crate::delivery::{BoxFuture, Ended, Meter, Outlet, SinkTask};
use crate::event::Verdict;
use crate::sources::Task;
use futures_util::FutureExt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinSet};

/// Something that is to run.
pub enum Job {
    /// A source. Who holds the other end of the channel hears that it has ended.
    Source(String, Task, oneshot::Sender<()>),
    /// Transforms.
    Segment(Pin<Box<dyn Future<Output = ()> + Send>>),
    /// A sink, with the number of its run; behind a buffer on disk with the moment from which on it is not waited for.
    Sink(u64, SinkTask, Option<Cutoff>),
    /// An end of the buffer on disk of a sink.
    Buffer(String, BufferTask),
    /// What the sink of this id has left that nobody is to deliver any more, with its counters.
    Discard(String, Outlet, Arc<Meter>),
}

/// How a task ended.
pub enum TaskEnd {
    /// A source, by its id; an error is its failure.
    Source(String, Result<(), String>),
    /// A sink, by the number of its run; an error is its failure.
    Sink(u64, Result<Ended, String>),
    /// An end of a buffer, by the id of its sink; an error is its failure.
    Buffer(String, Result<(), String>),
    /// What nobody has to hear of.
    Other,
}

/// Why an event of a sink that was taken out of the config was dropped.
const REMOVED: &str = "sink_removed";

impl Job {
    /// Starts it.
    pub fn start(self, tasks: &mut JoinSet<TaskEnd>) {
        let runtime = Handle::current();
        match self {
            Job::Source(id, task, ended) => {
                tasks.spawn(async move {
                    let result = task.await;
                    drop(ended);
                    TaskEnd::Source(id, result)
                });
            }
            Job::Segment(segment) => {
                tasks.spawn(async move {
                    segment.await;
                    TaskEnd::Other
                });
            }
            Job::Sink(number, sink, Some(cutoff)) => {
                tasks.spawn(async move { TaskEnd::Sink(number, run_until(sink, cutoff).await) });
            }
            Job::Sink(number, sink, None) if sink.blocks => {
                tasks.spawn_blocking(move || TaskEnd::Sink(number, runtime.block_on(guarded(sink.run))));
            }
            Job::Sink(number, sink, None) => {
                tasks.spawn(async move { TaskEnd::Sink(number, guarded(sink.run).await) });
            }
            Job::Buffer(id, task) => {
                tasks.spawn_blocking(move || TaskEnd::Buffer(id, runtime.block_on(task)));
            }
            Job::Discard(id, queue, meter) => {
                tasks.spawn(discard(id, queue, meter));
            }
        }
    }
}

/// A task has panicked.
pub fn unexpected(e: JoinError) -> TaskEnd {
    TaskEnd::Source("a component".to_owned(), Err(panicked(&e)))
}

fn panicked(why: &impl std::fmt::Display) -> String {
    format!("it failed unexpectedly: {why}")
}

/// A sink that panics has lost what it had in hand; one that waits to take its place still has to hear of its end.
async fn guarded(run: BoxFuture<'static, Ended>) -> Result<Ended, String> {
    AssertUnwindSafe(run).catch_unwind().await.map_err(|_| panicked(&"a sink has panicked"))
}

/// Runs a sink whose batches are safe on the disk: after the cutoff it is not waited for, be it in the middle of a call
/// that never returns.
async fn run_until(sink: SinkTask, cutoff: Cutoff) -> Result<Ended, String> {
    let SinkTask { blocks, run } = sink;
    let own = cutoff.clone().passed();
    let work = async move {
        tokio::select! {
            ended = guarded(run) => ended,
            () = own => Ok(Ended::Drained),
        }
    };
    let runtime = Handle::current();
    let mut task = match blocks {
        true => tokio::task::spawn_blocking(move || runtime.block_on(work)),
        false => runtime.spawn(work),
    };
    tokio::select! {
        ended = &mut task => ended.unwrap_or_else(|e| Err(panicked(&e))),
        () = cutoff.passed() => Ok(Ended::Drained),
    }
}

/// Empties a queue to its end: what is in it is dropped on purpose, and counted. The component is not among those that
/// are watched any more: what it was worth is said.
async fn discard(sink: String, mut queue: Outlet, meter: Arc<Meter>) -> TaskEnd {
    let mut dropped = 0;
    while let Some(queued) = queue.next().await {
        dropped += queued.batch.events.len() as u64;
        meter.count_dropped(REMOVED, queued.batch.events.len() as u64);
        queued.batch.resolve(Verdict::Delivered);
    }
    tracing::warn!(sink, reason = REMOVED, dropped, "what the removed sink could not deliver was dropped");
    TaskEnd::Other
}
