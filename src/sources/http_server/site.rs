//! What all connections of a server share.

use super::auth::Guard;
use super::tasks::Spawner;
use crate::codec::framing::Buffers;
use crate::codec::{Codec, Decoder, Settings};
use crate::delivery::{Emitter, Intake, Ledger, Meter, Shutdown, Told, Wanted, clock};
use crate::event::{Stream, fingerprint};
use hyper::StatusCode;
use std::collections::BTreeMap;
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
    /// What of it can be used.
    pub wanted: Wanted,
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
    /// Tells the requests and connections of this run from those of others, and from each other: begins with a number of
    /// this run.
    pub requests: AtomicU64,
}

/// Who sends a request.
pub struct Sender {
    /// IP address.
    pub peer: String,
    /// Number of the connection.
    pub connection: u64,
    /// The `Idempotency-Key` of the request, where it has one.
    pub key: Option<String>,
}

impl Site {
    /// A number that nothing else of this run has, nor, but for a rare chance, of another one.
    pub fn number(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed)
    }

    /// What takes the records of one request in.
    pub fn intake(&self, sender: Sender, ledger: Ledger) -> Intake {
        let Sender { peer, connection, key } = sender;
        // A request that is sent again under its key gives its records their `%id` again.
        let known = key.map(|key| fingerprint(&[b"idempotency-key", key.as_bytes()]));
        let fingerprint = known.unwrap_or_else(|| self.number());
        let (source, peer, connection) = (self.id.clone(), Some(peer), Some(connection));
        let stream = Stream { source, peer, connection, fingerprint, ..Stream::default() };
        let (decoder, wanted) = (Decoder::new(self.settings), self.wanted.clone());
        Intake::new(decoder, wanted, stream, self.out.clone(), Arc::clone(&self.meter))
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

    /// Tells of a request that was refused, or of which so many records were `accepted` and not confirmed, at most once a
    /// second for each status.
    pub fn tell(&self, status: StatusCode, why: &str, accepted: u64, peer: &str) {
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
        let what = match accepted {
            0 => "a request was not taken",
            _ => "a request was taken, at least in part, and not confirmed",
        };
        let accepted = Some(accepted).filter(|accepted| *accepted > 0);
        tracing::warn!(source, status, peer, accepted, more, "{what}: {why}");
    }
}
