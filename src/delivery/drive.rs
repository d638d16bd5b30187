//! Drives one sink: takes batches from its queue, writes, flushes, retries, acknowledges.

use super::BoxFuture;
use super::clock::now_ms;
use super::meter::{Meter, Trouble};
use super::outputs::Outputs;
use super::queue::{Outlet, Queued};
use super::rejects::Rejects;
use super::requests::{Policy, RequestDriver, RequestSink, Shipper};
use super::retry::Backoff;
use super::shutdown::Shutdown;
use super::sink::{Sink, WriteError};
use super::trouble::{Attempt, WRITING};
use crate::event::{Acks, Batch, Event, Verdict};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

const RETRY_INITIAL: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// Why a sink drops what it has already; a label of `events_dropped_total`.
const REPEAT: &str = "repeat";

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
    /// The consumers of its port, where it has one.
    pub port: Arc<Outputs>,
    /// Folder for what it has to remember; it need not exist yet.
    pub data_dir: PathBuf,
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
                let SinkContext { id, queue, meter, leave, port, data_dir, .. } = cx;
                let blocks = sink.blocks();
                let counted = Counted::default();
                let obstacle = None;
                let driver = SinkDriver { id, sink, queue, meter, leave, port, data_dir, counted, obstacle };
                SinkTask { blocks, run: Box::pin(driver.run()) }
            }
            Work::Requests(sink, policy) => {
                let SinkContext { id, queue, meter, rejects, leave, .. } = cx;
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
    port: Arc<Outputs>,
    data_dir: PathBuf,
    counted: Counted,
    /// While the sink knows that it can't write.
    obstacle: Option<Trouble>,
}

/// What of the sink's own counts is in the meter.
#[derive(Default)]
struct Counted {
    bytes: u64,
    repeats: u64,
}

/// What was taken out of the queue and is not acknowledged.
#[derive(Default)]
struct Held {
    taken: Vec<Queued>,
    /// Of the first of them: those that are written, or refused.
    verdicts: Vec<Verdict>,
}

/// What comes next.
enum Next {
    Batch(Queued),
    /// What is held is to be flushed.
    Due,
    /// The queue is closed and empty.
    End,
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
        self.sink.begin(&self.id, &self.data_dir);
        let mut held = Held::default();
        let mut leave = self.leave.clone();
        loop {
            let holds = !held.taken.is_empty();
            let next = tokio::select! {
                biased;
                () = leave.wait() => {
                    // What waits for company only is finished; nothing is tried twice.
                    if holds && self.sink.flush().await.is_ok() {
                        self.acknowledge(&mut held).await;
                    }
                    return self.left(held).await;
                }
                next = self.next(holds) => next,
            };
            let done = match next {
                Next::Batch(first) => self.take(first, &mut held).await,
                Next::Due => self.settle(&mut held).await,
                Next::End if holds => self.settle(&mut held).await,
                Next::End => break,
            };
            match done {
                Outcome::Done | Outcome::Refused => {}
                Outcome::Gone => return Ended::ReaderGone,
                Outcome::Left => return self.left(held).await,
            }
        }
        self.sink.close().await;
        self.announce().await;
        Ended::Drained
    }

    /// Writes `first`, and what has queued up behind it.
    async fn take(&mut self, first: Queued, held: &mut Held) -> Outcome {
        let mut events = first.batch.events.len();
        let new = held.taken.len();
        held.taken.push(first);
        while events < self.sink.flush_events_max()
            && let Some(next) = self.queue.next_now()
        {
            events += next.batch.events.len();
            held.taken.push(next);
        }
        for queued in held.taken.iter().skip(new) {
            match self.write(&queued.batch.events).await {
                Outcome::Done => held.verdicts.push(Verdict::Delivered),
                Outcome::Refused => held.verdicts.push(Verdict::Rejected),
                other => return other,
            }
        }
        Outcome::Done
    }

    /// Flushes, and acknowledges what is held.
    async fn settle(&mut self, held: &mut Held) -> Outcome {
        match self.flush().await {
            Outcome::Done => {}
            Outcome::Refused => held.verdicts.fill(Verdict::Rejected),
            other => return other,
        }
        self.acknowledge(held).await;
        Outcome::Done
    }

    async fn acknowledge(&mut self, held: &mut Held) {
        let bytes = self.sink.bytes();
        self.meter.count_bytes_out(bytes - std::mem::replace(&mut self.counted.bytes, bytes));
        let all = self.sink.repeats();
        let mut repeats = all - std::mem::replace(&mut self.counted.repeats, all);
        if repeats > 0 {
            self.meter.count_dropped(REPEAT, repeats);
        }
        for (queued, verdict) in held.taken.drain(..).zip(held.verdicts.drain(..)) {
            let events = queued.batch.events.len() as u64;
            match verdict {
                Verdict::Delivered => {
                    let again = repeats.min(events);
                    repeats -= again;
                    self.meter.count_out(events - again);
                }
                Verdict::Rejected | Verdict::Lost => self.meter.count_rejected(events),
            }
            queued.batch.resolve(verdict);
        }
        self.announce().await;
    }

    /// Sends what leaves by the port.
    async fn announce(&mut self) {
        let notices = self.sink.take_notices();
        if notices.is_empty() {
            return;
        }
        let to = self.port.hold().await;
        for consumer in &to.main {
            consumer.send(Batch::new(notices.clone(), now_ms(), Acks::default())).await;
        }
    }

    /// Leaves the queue to another, with what was taken out of it and is not known to have arrived. What was refused stays
    /// so.
    async fn left(mut self, held: Held) -> Ended {
        self.sink.close().await;
        self.announce().await;
        let Held { taken, verdicts } = held;
        let verdicts = verdicts.into_iter().map(Some).chain(std::iter::repeat(None));
        let mut unfinished = Vec::with_capacity(taken.len());
        for (queued, verdict) in taken.into_iter().zip(verdicts) {
            if verdict == Some(Verdict::Rejected) {
                self.meter.count_rejected(queued.batch.events.len() as u64);
                queued.batch.resolve(Verdict::Rejected);
            } else {
                unfinished.push(queued);
            }
        }
        self.queue.give_back(unfinished);
        Ended::Left(self.queue)
    }

    /// The next batch. While none comes, the sink does what is due by the clock; `holds` says whether something waits to
    /// be flushed.
    async fn next(&mut self, holds: bool) -> Next {
        loop {
            let now = now_ms();
            let wake_at = self.sink.wake_at();
            // Batches that keep coming do not put it off.
            if wake_at.is_some_and(|at| at <= now) {
                self.sink.wake().await;
                self.look();
                self.announce().await;
                continue;
            }
            let flush_at = self.sink.flush_at().filter(|_| holds);
            if holds && flush_at.is_none_or(|at| at <= now) {
                return Next::Due;
            }
            let due = async {
                match wake_at.into_iter().chain(flush_at).min() {
                    Some(at) => tokio::time::sleep(Duration::from_millis(at.saturating_sub(now_ms()))).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                queued = self.queue.next() => return queued.map_or(Next::End, Next::Batch),
                () = due => {}
            }
        }
    }

    /// Shows what the sink knows to be in its way.
    fn look(&mut self) {
        match (self.sink.obstacle(), &self.obstacle) {
            (Some(why), Some(obstacle)) => obstacle.go_on(&why),
            (Some(why), None) => self.obstacle = Some(self.meter.trouble(&why)),
            (None, _) => self.obstacle = None,
        }
    }

    async fn write(&mut self, events: &[Event]) -> Outcome {
        let outcome = self.retry(Some(events)).await;
        self.look();
        outcome
    }

    async fn flush(&mut self) -> Outcome {
        let outcome = self.retry(None).await;
        self.look();
        outcome
    }

    /// Writes `events`, or flushes where there are none to write, until it works or never will.
    async fn retry(&mut self, events: Option<&[Event]>) -> Outcome {
        let mut backoff = Backoff::new(RETRY_INITIAL, RETRY_MAX);
        let mut leave = self.leave.clone();
        let mut attempt = Attempt::new(&self.meter, &self.id, &WRITING);
        loop {
            let done = match events {
                Some(events) => self.sink.write(events).await,
                None => self.sink.flush().await,
            };
            match done {
                Ok(()) => {
                    attempt.worked();
                    return Outcome::Done;
                }
                Err(WriteError::Gone) => return Outcome::Gone,
                Err(WriteError::Permanent(why)) => {
                    tracing::error!(sink = self.id, "rejected: {why}");
                    return Outcome::Refused;
                }
                Err(WriteError::Transient(why)) => {
                    let wait = backoff.next_wait();
                    attempt.failed(&why, false, wait);
                    // It says the same, and is over when this is.
                    self.obstacle = None;
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
