//! What all connections of a server share.

use super::auth::Guard;
use super::tasks::Spawner;
use crate::codec::framing::Buffers;
use crate::codec::{Codec, Decoder, Settings};
use crate::delivery::{Emitter, Intake, Ledger, Meter, Shutdown, Told, clock};
use crate::event::Stream;
use hyper::StatusCode;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Requests that are refused are told of at most so often for each status.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// A server.
pub struct Site {
    /// Id of the source.
    pub id: String,
    /// Where records go.
    pub out: Emitter,
    /// Counters of the source.
    pub meter: Arc<Meter>,
    /// How bytes become events.
    pub settings: Settings,
    /// The path that is served.
    pub path: String,
    /// Whether nothing below it is.
    pub strict_path: bool,
    /// Who may send.
    pub guard: Option<Guard>,
    /// Length of the longest body, unpacked, in bytes.
    pub max_body_bytes: u64,
    /// How long the reading of a request may take, and then its delivery.
    pub request_timeout: Duration,
    /// Whether an answer waits for the delivery.
    pub acknowledges: bool,
    /// Says when to stop.
    pub shutdown: Shutdown,
    /// Starts tasks.
    pub spawner: Spawner,
    /// Buffers that requests share.
    pub buffers: Buffers,
    /// When faults were last told of.
    pub told: Arc<Told>,
    /// When refusals were last told of, and how many were not.
    pub refused: Mutex<BTreeMap<StatusCode, (Instant, u64)>>,
    /// Tells the requests of this run from those of others, and from each other.
    pub requests: AtomicU64,
}

/// Where the numbers of this run begin: random, so that no two runs give one record's `%id` to another.
pub fn first_request() -> AtomicU64 {
    // The keys of a hasher are the randomness that the standard library has.
    AtomicU64::new(RandomState::new().build_hasher().finish())
}

impl Site {
    /// What takes the records of one request in.
    pub fn intake(&self, peer: String, ledger: Ledger) -> Intake {
        let fingerprint = self.requests.fetch_add(1, Ordering::Relaxed);
        let stream = Stream { source: self.id.clone(), peer: Some(peer), fingerprint, ..Stream::default() };
        Intake::new(Decoder::new(self.settings), stream, self.out.clone(), Arc::clone(&self.meter))
            .keeping(ledger, Arc::clone(&self.told))
    }

    /// Whether `path` is served.
    pub fn serves(&self, path: &str) -> bool {
        let below = path.strip_prefix(self.path.as_str());
        below.is_some_and(|below| {
            let is_below = self.path.ends_with('/') || below.starts_with('/');
            below.is_empty() || (!self.strict_path && is_below)
        })
    }

    /// Whether a body is lines whatever it looks like.
    pub fn takes_lines_only(&self) -> bool {
        self.settings.codec == Codec::Text
    }

    /// Tells of a request that was refused, at most once a second for each status.
    pub fn tell(&self, status: StatusCode, why: &str, peer: &str) {
        let now = clock::monotonic();
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let more = match refused.get_mut(&status) {
            Some((told, more)) if now.duration_since(*told) < TELL_EVERY => {
                *more += 1;
                return;
            }
            Some((_, more)) => std::mem::take(more),
            None => 0,
        };
        refused.insert(status, (now, 0));
        let (source, status) = (self.id.as_str(), status.as_u16());
        tracing::warn!(source, status, peer, more, "a request was not taken: {why}");
    }
}
