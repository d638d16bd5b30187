//! The contract between the framework and a sink.

use super::BoxFuture;
use crate::event::Event;
use std::path::Path;

/// As many as a buffer of some megabytes holds.
pub(super) const FLUSH_EVENTS_MAX: usize = 4_096;

/// Writes events somewhere. Retries, queues, acknowledgements and metrics are the framework's: a sink only writes,
/// and says of a failure whether to try again makes sense.
pub trait Sink: Send {
    /// Comes before everything else: the sink's `id`, and the folder for what it has to remember, which need not exist.
    fn begin(&mut self, _id: &str, _data_dir: &Path) {}

    /// Takes `events`, in order. They need not have arrived before [`Sink::flush`] is through. After a
    /// [`WriteError::Transient`] it is called again with the same events.
    fn write<'a>(&'a mut self, events: &'a [Event]) -> BoxFuture<'a, Result<(), WriteError>>;

    /// Whether writing may block its thread, as a write to a pipe or a disk does: such a sink gets a thread of its own.
    fn blocks(&self) -> bool {
        false
    }

    /// Makes sure that everything written so far has arrived; acknowledgements go out after it. Called again after a
    /// [`WriteError::Transient`], it goes on where it stopped.
    fn flush(&mut self) -> BoxFuture<'_, Result<(), WriteError>>;

    /// Until when what was written may wait for more before it is flushed, in milliseconds since 1970. None where it is
    /// to be flushed now.
    fn flush_at(&self) -> Option<u64> {
        None
    }

    /// Events that one flush may cover: under load, batches that have queued up share it.
    fn flush_events_max(&self) -> usize {
        FLUSH_EVENTS_MAX
    }

    /// How many events it has not written since they were there already, since its start.
    fn repeats(&self) -> u64 {
        0
    }

    /// What leaves by its port, since the last call.
    fn take_notices(&mut self) -> Vec<Event> {
        Vec::new()
    }

    /// How many bytes of encoded events it has taken since its start.
    fn bytes(&self) -> u64 {
        0
    }

    /// When it wants [`Sink::wake`] to be called, in milliseconds since 1970; before the next batch, where that has
    /// passed.
    fn wake_at(&self) -> Option<u64> {
        None
    }

    /// Does what is due by the clock: files that nobody writes to are closed.
    fn wake(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Why it knows without any event that it could not write one; none where nothing speaks against it. Asked after
    /// [`Sink::wake`], and after what has worked: until then it is not ready.
    fn obstacle(&self) -> Option<String> {
        None
    }

    /// Everything is written, and nothing will follow: finishes what goes on beside the writing.
    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// Why a write failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteError {
    /// It may work later: the framework tries again.
    Transient(String),
    /// It never will: the events are rejected.
    Permanent(String),
    /// Whoever read is gone for good, as `head` is when it has seen enough: the run ends quietly.
    Gone,
}
