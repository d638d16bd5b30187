//! Where events go that a receiver refuses for good: the port `rejected`, or a file of dead letters.

use super::dead_letters::DeadLetters;
use super::outputs::Outputs;
use super::retry::Backoff;
use super::trouble::Failing;
use super::{BoxFuture, clock};
use crate::event::{Acks, Batch, Event, Origin, Refusal};
use std::sync::Arc;
use std::time::Duration;

/// The port that rejected events leave by.
pub const REJECTED: &str = "rejected";

const RETRY_INITIAL: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// Takes what was rejected.
pub struct Rejects {
    /// The id of the sink.
    sink: String,
    /// The consumers of its port.
    port: Arc<Outputs>,
    /// For as long as there are none.
    letters: Arc<DeadLetters>,
}

impl Rejects {
    /// What `sink` rejects goes to the consumers of its `port`, and to `letters` where there are none.
    pub fn new(sink: &str, port: Arc<Outputs>, letters: DeadLetters) -> Rejects {
        Rejects { sink: sink.to_owned(), port, letters: Arc::new(letters) }
    }

    /// Where to look for rejected events, for a message.
    pub fn place(&self) -> String {
        match self.port.peek() {
            Some(consumers) if !consumers.main.is_empty() => {
                format!("by the consumers of `{}.{REJECTED}`", self.sink)
            }
            _ => format!("in {}", self.letters.path().display()),
        }
    }

    /// Takes `events`, and comes back when they are safe. True where they stay here, on the disk; false where somebody
    /// else has them now, and answers for them to `acks`.
    pub fn take<'a>(
        &'a self,
        events: &'a [Event],
        refusal: &'a Refusal,
        acks: impl Fn() -> Acks + Send + Sync + 'a,
    ) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let to = self.port.hold().await;
            if to.main.is_empty() {
                drop(to);
                keep(&self.letters, events, refusal).await;
                return true;
            }
            let events: Vec<Event> = events.iter().map(|event| marked(event, refusal)).collect();
            for consumer in &to.main {
                consumer.send(Batch::new(events.clone(), clock::now_ms(), acks())).await;
            }
            false
        })
    }
}

/// The event, which says why it was rejected.
pub(super) fn marked(event: &Event, refusal: &Refusal) -> Event {
    let mut event = event.clone();
    let origin = event.origin();
    let mut stream = origin.stream().clone();
    stream.refusal = Some(refusal.clone());
    let (offset, received_ms, part) = (origin.offset(), origin.received_ms(), origin.part());
    event.set_origin(Origin::new(Arc::new(stream), offset, received_ms).with_part(part));
    event
}

/// Writes letters until it works: what is rejected is not lost.
async fn keep(letters: &Arc<DeadLetters>, events: &[Event], refusal: &Refusal) {
    let mut text = Vec::new();
    for event in events {
        letters.write(event, refusal, clock::now_ms(), &mut text);
    }
    let text: Arc<[u8]> = text.into();
    let mut backoff = Backoff::new(RETRY_INITIAL, RETRY_MAX);
    let mut failing = Failing::default();
    loop {
        let (writer, bytes) = (Arc::clone(letters), Arc::clone(&text));
        let written = tokio::task::spawn_blocking(move || writer.append(&bytes)).await;
        let why = match written {
            Ok(Ok(())) => {
                if let Some(lasting) = failing.worked(clock::monotonic()) {
                    tracing::info!(retries = lasting.retries, "can keep rejected events again");
                }
                return;
            }
            Ok(Err(trouble)) => trouble.0,
            Err(e) => e.to_string(),
        };
        let wait = backoff.next_wait();
        if failing.failed(&why, clock::monotonic()).is_some() {
            tracing::error!(retry_in_ms = wait.as_millis() as u64, "can't keep a rejected event: {why}");
        }
        tokio::time::sleep(wait).await;
    }
}
