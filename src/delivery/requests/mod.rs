//! Sinks whose writes are requests: batches, several at a time, each tried until it is through or refused.
//!
//! Events of one stream (a file, a connection) arrive in the order in which they were read: each stream has its *lane*,
//! a lane has one request under way, and the next one goes out when everything in front of it is delivered or refused.
//! So there are as many requests at a time as there are lanes with something to send, `concurrency` at most.

mod driver;
mod lane;
mod parcel;
mod ship;
#[cfg(test)]
mod tests;

pub(super) use driver::RequestDriver;
pub use parcel::Request;
pub(super) use ship::Shipper;

use super::BoxFuture;
use crate::event::Event;
use std::num::NonZeroU32;
use std::time::Duration;

/// Sends events somewhere, in requests. Batches, order, retries, acknowledgements and what becomes of refused events
/// are the framework's: such a sink only encodes, sends, and says what a failure means.
pub trait RequestSink: Send + Sync {
    /// Gets ready, before the first event: what is wrong is told at the start. It need not work: [`RequestSink::send`]
    /// does what is missing, or fails.
    fn open(&self) -> Result<(), String> {
        Ok(())
    }

    /// Appends `event` as it stands in a request.
    fn encode(&self, event: &Event, out: &mut Vec<u8>);

    /// Sends one request and waits for what is said to it.
    fn send<'a>(&'a self, request: Request<'a>) -> BoxFuture<'a, Result<(), SendError>>;
}

/// Why a request did not get through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// It may work later.
    Transient(Failure),
    /// It works when somebody has changed the set-up, here or there: tried again all the same, and said loudly.
    Setup(Failure),
    /// The receiver does not take these events, now or ever. They are sent in smaller parts, to find which.
    Data(Failure),
}

/// What is known of a failure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// What happened, for a person, without secrets.
    pub why: String,
    /// The status of the answer, where there was one.
    pub status: Option<u16>,
    /// What the receiver said, cut to a length that can be kept.
    pub answer: String,
    /// When the receiver wants to hear from us again.
    pub retry_after: Option<Duration>,
}

/// How requests are made and repeated.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Bytes of a request, as encoded and not yet packed; a single longer event goes alone.
    pub bytes_max: usize,
    /// Events of a request.
    pub events_max: usize,
    /// How long the first event of a request waits for others.
    pub timeout: Duration,
    /// Requests at a time.
    pub concurrency: usize,
    /// How often a request is repeated until its events are rejected; without end where none is given.
    pub attempts_max: Option<NonZeroU32>,
    /// The first wait before a request is repeated is at most this long.
    pub backoff_initial: Duration,
    /// No wait is longer.
    pub backoff_max: Duration,
}
