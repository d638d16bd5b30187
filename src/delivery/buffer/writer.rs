//! From the sink's queue to the disk: takes what has queued up, writes it, syncs once, acknowledges.

use super::content::{self, Payload};
use super::log::{Log, Place};
use super::shared::Shared;
use super::{Cutoff, Settings};
use crate::delivery::disk::Trouble;
use crate::delivery::trouble::{Attempt, BUFFERING};
use crate::delivery::{Backoff, Meter, Outlet, Queued, WhenFull};
use crate::event::Verdict;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Events that one sync may cover: under load, batches that have queued up share it.
const SYNC_EVENTS_MAX: usize = 4_096;
const RETRY_INITIAL: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// The writer of one buffer.
pub struct Writer {
    pub(super) id: String,
    pub(super) settings: Settings,
    pub(super) queue: Outlet,
    pub(super) log: Log,
    pub(super) shared: Arc<Shared>,
    pub(super) meter: Arc<Meter>,
    /// What is appended and waits for a sync.
    pub(super) waiting: Vec<Queued>,
    /// Whether it was told of the buffer being full, since it last was not.
    pub(super) is_full: bool,
    /// From then on it waits for nothing.
    pub(super) cutoff: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Writer {
    /// Runs until the queue is closed and everything in it is on the disk. An error says that it is not.
    pub async fn run(mut self) -> Result<(), String> {
        let ended = self.take_all().await;
        if ended.is_err()
            && let Err(Trouble(why)) = self.log.take_back()
        {
            let sink = &self.id;
            tracing::warn!(sink, "what is written of the last batch stays, and comes twice: {why}");
        }
        self.shared.finish();
        ended
    }

    async fn take_all(&mut self) -> Result<(), String> {
        while let Some(first) = self.queue.next().await {
            let (mut next, mut events) = (Some(first), 0);
            while let Some(queued) = next {
                events += queued.batch.events.len();
                self.take(queued).await?;
                next = if events < SYNC_EVENTS_MAX { self.queue.next_now() } else { None };
            }
            self.commit().await?;
        }
        Ok(())
    }

    async fn take(&mut self, queued: Queued) -> Result<(), String> {
        let payloads = content::encode(&queued.batch.events);
        if self.settings.when_full == WhenFull::DropNewest && !self.has_room(&payloads) {
            let events = queued.batch.events.len() as u64;
            self.tell_full("what comes meanwhile is dropped");
            self.meter.count_dropped("buffer_full", events);
            queued.batch.resolve(Verdict::Delivered);
            return Ok(());
        }
        // Dropped when it can't be written: then it is lost, and its source hears so.
        let is_in_pieces = self.make_room(&payloads).await?;
        for payload in payloads {
            self.put(&payload).await?;
            if is_in_pieces {
                self.log.end_batch();
            }
        }
        self.log.end_batch();
        self.waiting.push(queued);
        Ok(())
    }

    /// Whether a batch has room as a whole; a single record has where nothing else is.
    fn has_room(&mut self, payloads: &[Payload]) -> bool {
        if !self.log.has_room(payloads) {
            self.shared.collect();
        }
        self.log.has_room(payloads) || payloads.len() == 1 && self.log.is_empty()
    }

    /// Waits until a batch has room as a whole, so that a stop finds it here wholly or not at all. Whether it has to go
    /// in pieces, since it is larger than the buffer: each is handed out before the next has room.
    async fn make_room(&mut self, payloads: &[Payload]) -> Result<bool, String> {
        if !self.log.can_have_room(payloads) {
            return Ok(true);
        }
        while !self.log.has_room(payloads) {
            // What is appended has to be readable before anything can come free.
            self.commit().await?;
            self.shared.collect();
            if self.log.has_room(payloads) {
                break;
            }
            if self.log.is_empty() {
                // The last segment is deleted when the next one begins.
                if !self.log.is_fresh() {
                    self.begin_segment().await?;
                }
                return Ok(!self.log.has_room(payloads));
            }
            self.wait_for_room().await?;
        }
        Ok(false)
    }

    /// Appends a record, waiting for room.
    async fn put(&mut self, payload: &Payload) -> Result<(), String> {
        loop {
            match self.log.place(payload.bytes.len()) {
                Place::Here => break,
                Place::NextSegment => self.begin_segment().await?,
                Place::Full => {
                    // What is appended has to be readable before anything can come free.
                    self.commit().await?;
                    self.shared.collect();
                    if self.log.place(payload.bytes.len()) != Place::Full {
                        continue;
                    }
                    if self.log.is_empty() {
                        if !self.log.is_fresh() {
                            self.begin_segment().await?;
                        }
                        break;
                    }
                    self.wait_for_room().await?;
                }
            }
        }
        self.log.stage(payload);
        Ok(())
    }

    async fn begin_segment(&mut self) -> Result<(), String> {
        self.commit().await?;
        self.retry(Log::begin_segment).await
    }

    /// Writes and syncs what was appended, and says so to those who wait for it.
    async fn commit(&mut self) -> Result<(), String> {
        self.retry(Log::commit).await?;
        for queued in self.waiting.drain(..) {
            queued.batch.resolve(Verdict::Delivered);
        }
        Ok(())
    }

    async fn wait_for_room(&mut self) -> Result<(), String> {
        self.tell_full("its sources wait");
        tokio::select! {
            () = self.shared.to_writer.notified() => Ok(()),
            () = &mut self.cutoff => Err(given_up("it is full")),
        }
    }

    fn tell_full(&mut self, consequence: &str) {
        // Room for a few records comes free all the time: it is full until half of it is free.
        if !std::mem::replace(&mut self.is_full, true) {
            let (sink, max) = (&self.id, self.settings.max_size_bytes);
            tracing::warn!(sink, max_size_bytes = max, "the buffer on disk is full: {consequence}");
        }
    }

    /// Tries until it works. An error says that it was given up, since the run ends.
    async fn retry(&mut self, work: fn(&mut Log) -> Result<(), Trouble>) -> Result<(), String> {
        let mut backoff = Backoff::new(RETRY_INITIAL, RETRY_MAX);
        let mut attempt = Attempt::new(&self.meter, &self.id, &BUFFERING);
        while let Err(Trouble(why)) = work(&mut self.log) {
            let wait = backoff.next_wait();
            attempt.failed(&why, false, wait);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = &mut self.cutoff => return Err(given_up("it can't be written to")),
            }
        }
        attempt.worked();
        if self.is_full && self.shared.used() < self.settings.max_size_bytes / 2 {
            self.is_full = false;
            tracing::info!(sink = self.id, "the buffer on disk has room again");
        }
        Ok(())
    }
}

fn given_up(why: &str) -> String {
    format!(
        "not everything could be written to its buffer on disk before the stop, since {why}: what is missing was not \
         acknowledged, so a file is read again from there at the next start, and a request was not answered with 200; \
         only standard input can't be read again"
    )
}

impl Cutoff {
    /// Waits until it has come.
    pub fn passed(self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let Cutoff { mut stop, after } = self;
        Box::pin(async move {
            stop.wait().await;
            tokio::time::sleep(after).await;
        })
    }
}
