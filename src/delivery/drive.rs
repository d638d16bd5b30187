//! Drives one sink: takes batches from its queue, writes, flushes, retries, acknowledges.

use super::BoxFuture;
use super::clock::now_ms;
use super::meter::{Meter, Trouble};
use super::queue::{Outlet, Queued};
use super::rejects::Rejects;
use super::requests::{Policy, RequestDriver, RequestSink, Shipper};
use super::retry::Backoff;
use super::shutdown::Shutdown;
use super::sink::{Sink, WriteError};
use crate::event::{Event, Verdict};
use std::sync::Arc;
use std::time::Duration;

/// Events that one flush may cover: under load, batches that have queued up share it.
const FLUSH_EVENTS_MAX: usize = 4_096;
const RETRY_INITIAL: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// How a sink ended.
pub enum Ended {
    /// Its queue was closed, and everything in it is written or rejected.
    Drained,
    /// Whoever read its output went away.
    ReaderGone,
    /// It was asked to leave, and this is what it has left: what it could not deliver first.
    Left(Outlet),
}

/// What a sink gets from the topology.
pub struct SinkContext {
    /// Its id in the config, for its messages.
    pub id: String,
    /// Where its batches come from.
    pub queue: Outlet,
    /// Its counters.
    pub meter: Arc<Meter>,
    /// Where to put what its receiver refuses.
    pub rejects: Rejects,
    /// Asks it to leave its queue to another: it finishes what it is at, and tries nothing again.
    pub leave: Shutdown,
}

/// A sink that is ready to run.
pub struct SinkTask {
    /// Whether it needs a thread of its own.
    pub blocks: bool,
    /// Runs until the queue is closed and empty.
    pub run: BoxFuture<'static, Ended>,
}

/// What a sink is to the framework.
pub enum Work {
    /// It writes one batch after the other.
    Writing(Box<dyn Sink>),
    /// It sends requests, several at a time.
    Requests(Arc<dyn RequestSink>, Policy),
}

impl Work {
    /// Of a sink that writes one batch after the other.
    pub fn writing(sink: impl Sink + 'static) -> Work {
        Work::Writing(Box::new(sink))
    }

    /// Of a sink that sends requests.
    pub fn requests(sink: impl RequestSink + 'static, policy: Policy) -> Work {
        Work::Requests(Arc::new(sink), policy)
    }

    /// What runs it.
    pub fn task(self, cx: SinkContext) -> SinkTask {
        match self {
            Work::Writing(sink) => {
                let SinkContext { id, queue, meter, leave, .. } = cx;
                let blocks = sink.blocks();
                let driver = SinkDriver { id, sink, queue, meter, leave, counted: 0 };
                SinkTask { blocks, run: Box::pin(driver.run()) }
            }
            Work::Requests(sink, policy) => {
                let SinkContext { id, queue, meter, rejects, leave } = cx;
                let shipper = Shipper { id, sink, policy, rejects, meter, leave };
                SinkTask { blocks: false, run: Box::pin(RequestDriver { shipper, queue }.run()) }
            }
        }
    }
}

/// One sink with its queue.
struct SinkDriver {
    id: String,
    sink: Box<dyn Sink>,
    queue: Outlet,
    meter: Arc<Meter>,
    leave: Shutdown,
    /// How many of the sink's bytes are counted.
    counted: u64,
}

/// What became of one operation, retries included.
enum Outcome {
    Done,
    Refused,
    Gone,
    /// It is to leave, and has not done it.
    Left,
}

impl SinkDriver {
    /// Runs until the queue is closed and empty, or until it is asked to leave.
    async fn run(mut self) -> Ended {
        let mut taken: Vec<Queued> = Vec::new();
        let mut leave = self.leave.clone();
        loop {
            let next = tokio::select! {
                biased;
                () = leave.wait() => return self.left(taken).await,
                next = self.next() => next,
            };
            let Some(first) = next else { break };
            let mut events = first.batch.events.len();
            taken.push(first);
            while events < FLUSH_EVENTS_MAX
                && let Some(next) = self.queue.next_now()
            {
                events += next.batch.events.len();
                taken.push(next);
            }
            let mut verdicts = Vec::with_capacity(taken.len());
            for queued in &taken {
                match self.write(&queued.batch.events).await {
                    Outcome::Done => verdicts.push(Verdict::Delivered),
                    Outcome::Refused => verdicts.push(Verdict::Rejected),
                    Outcome::Gone => return Ended::ReaderGone,
                    Outcome::Left => return self.left(taken).await,
                }
            }
            match self.flush().await {
                Outcome::Done => {}
                Outcome::Refused => verdicts.fill(Verdict::Rejected),
                Outcome::Gone => return Ended::ReaderGone,
                Outcome::Left => return self.left(taken).await,
            }
            let bytes = self.sink.bytes();
            self.meter.count_bytes_out(bytes - std::mem::replace(&mut self.counted, bytes));
            for (queued, verdict) in taken.drain(..).zip(verdicts) {
                let events = queued.batch.events.len() as u64;
                match verdict {
                    Verdict::Delivered => self.meter.count_out(events),
                    Verdict::Rejected | Verdict::Lost => self.meter.count_rejected(events),
                }
                queued.batch.resolve(verdict);
            }
        }
        self.sink.close().await;
        Ended::Drained
    }

    /// Leaves the queue to another, with what was taken out of it and is not known to have arrived.
    async fn left(mut self, taken: Vec<Queued>) -> Ended {
        self.sink.close().await;
        self.queue.give_back(taken);
        Ended::Left(self.queue)
    }

    /// The next batch. While none comes, the sink does what is due by the clock.
    async fn next(&mut self) -> Option<Queued> {
        loop {
            let wake_at = self.sink.wake_at();
            // Batches that keep coming do not put it off.
            if wake_at.is_some_and(|at| at <= now_ms()) {
                self.sink.wake().await;
                continue;
            }
            let due = async {
                match wake_at {
                    Some(at) => tokio::time::sleep(Duration::from_millis(at.saturating_sub(now_ms()))).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                queued = self.queue.next() => return queued,
                () = due => {}
            }
        }
    }

    async fn write(&mut self, events: &[Event]) -> Outcome {
        self.retry(Some(events)).await
    }

    async fn flush(&mut self) -> Outcome {
        self.retry(None).await
    }

    /// Writes `events`, or flushes where there are none to write, until it works or never will.
    async fn retry(&mut self, events: Option<&[Event]>) -> Outcome {
        let mut backoff = Backoff::new(RETRY_INITIAL, RETRY_MAX);
        let mut trouble: Option<Trouble> = None;
        let mut leave = self.leave.clone();
        loop {
            let done = match events {
                Some(events) => self.sink.write(events).await,
                None => self.sink.flush().await,
            };
            match done {
                Ok(()) => {
                    if trouble.is_some() {
                        tracing::info!(sink = self.id, "can write again");
                    }
                    return Outcome::Done;
                }
                Err(WriteError::Gone) => return Outcome::Gone,
                Err(WriteError::Permanent(why)) => {
                    tracing::error!(sink = self.id, "rejected: {why}");
                    return Outcome::Refused;
                }
                Err(WriteError::Transient(why)) => {
                    match &trouble {
                        Some(trouble) => trouble.go_on(&why),
                        None => trouble = Some(self.meter.trouble(&why)),
                    }
                    self.meter.count_retry();
                    let wait = backoff.next_wait();
                    tracing::warn!(
                        sink = self.id,
                        retry_in_ms = wait.as_millis() as u64,
                        "can't write: {why}"
                    );
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = leave.wait() => return Outcome::Left,
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
