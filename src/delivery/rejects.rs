//! Where events go that a receiver refuses for good: the port `rejected`, or a file of dead letters.

use super::dead_letters::DeadLetters;
use super::outputs::Outputs;
use super::retry::Backoff;
use super::trouble::{Attempt, KEEPING};
use super::{BoxFuture, Meter, clock};
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
    /// The sink's.
    meter: Arc<Meter>,
}

impl Rejects {
    /// What `sink` rejects goes to the consumers of its `port`, and to `letters` where there are none.
    pub fn new(sink: &str, port: Arc<Outputs>, letters: DeadLetters, meter: Arc<Meter>) -> Rejects {
        Rejects { sink: sink.to_owned(), port, letters: Arc::new(letters), meter }
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
                self.keep(events, refusal).await;
                return true;
            }
            let events: Vec<Event> = events.iter().map(|event| marked(event, refusal)).collect();
            for consumer in &to.main {
                consumer.send(Batch::new(events.clone(), clock::now_ms(), acks())).await;
            }
            false
        })
    }

    /// Writes letters until it works: what is rejected is not lost, and until then nothing goes on.
    async fn keep(&self, events: &[Event], refusal: &Refusal) {
        let mut text = Vec::new();
        for event in events {
            self.letters.write(event, refusal, clock::now_ms(), &mut text);
        }
        let text: Arc<[u8]> = text.into();
        let mut backoff = Backoff::new(RETRY_INITIAL, RETRY_MAX);
        let mut attempt = Attempt::new(&self.meter, &self.sink, &KEEPING);
        loop {
            let (letters, bytes) = (Arc::clone(&self.letters), Arc::clone(&text));
            let written = tokio::task::spawn_blocking(move || letters.append(&bytes)).await;
            let why = match written {
                Ok(Ok(())) => return attempt.worked(),
                Ok(Err(trouble)) => trouble.0,
                Err(e) => e.to_string(),
            };
            let wait = backoff.next_wait();
            attempt.failed(&why, true, wait);
            tokio::time::sleep(wait).await;
        }
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
