//! Brings one parcel to the receiver: repeats what failed, halves what is refused until the events at fault stand
//! alone, and acknowledges what is settled.

use super::parcel::Parcel;
use super::{Failure, Policy, RequestSink, SendError};
use crate::delivery::meter::Meter;
use crate::delivery::rejects::{REJECTED, Rejects};
use crate::delivery::retry::Backoff;
use crate::delivery::trouble::{Attempt, DELIVERING};
use crate::delivery::{Queued, Shutdown};
use crate::event::Refusal;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// A receiver that asks for more patience is asked again after this.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);

/// What all requests of a sink have in common.
pub struct Shipper {
    /// Id of the sink.
    pub id: String,
    pub sink: Arc<dyn RequestSink>,
    pub policy: Policy,
    pub rejects: Rejects,
    pub meter: Arc<Meter>,
    /// Asks to leave what can't be delivered now to another.
    pub leave: Shutdown,
}

/// Why events do not get through.
enum Verdict {
    /// The receiver refuses one of them.
    Refused(Failure),
    /// It was tried as often as it may be.
    GivenUp(Failure),
    /// Another will try.
    Left,
}

impl Shipper {
    /// Brings `parcel` to its end, whatever that takes; gives back what is left of it where it is asked to leave.
    pub async fn ship(&self, mut parcel: Parcel) -> Vec<Queued> {
        // In reverse, so that events arrive in their order.
        let mut todo = Vec::from([Range { start: 0, end: parcel.len() }]);
        let mut rejected = 0;
        let mut left_from = None;
        while let Some(range) = todo.pop() {
            if self.leave.is_triggered() {
                left_from = Some(range.start);
                break;
            }
            match self.send(&parcel, &range).await {
                Err(Verdict::Left) => {
                    left_from = Some(range.start);
                    break;
                }
                Ok(()) => {
                    self.meter.count_out(range.len() as u64);
                    self.meter.count_bytes_out(parcel.encoded(&range).len() as u64);
                }
                Err(Verdict::Refused(failure)) if range.len() > 1 => {
                    if range.len() == parcel.len() {
                        let Failure { why, .. } = &failure;
                        tracing::info!(
                            sink = self.id,
                            events = range.len(),
                            "looks for the event at fault: {why}"
                        );
                    }
                    let middle = range.start + range.len() / 2;
                    todo.push(middle..range.end);
                    todo.push(range.start..middle);
                    continue;
                }
                Err(Verdict::Refused(failure)) => {
                    rejected += 1;
                    self.reject(&mut parcel, &range, &failure, "refused").await;
                }
                Err(Verdict::GivenUp(failure)) => {
                    rejected += range.len();
                    self.reject(&mut parcel, &range, &failure, "given_up").await;
                }
            }
            parcel.settle(range.end);
        }
        if rejected > 0 {
            let place = self.rejects.place();
            tracing::error!(sink = self.id, events = rejected, "rejected: they are kept {place}");
        }
        left_from.map(|from| parcel.rest(from)).unwrap_or_default()
    }

    /// Sends the events of `range` until they are through, or are refused, or it was tried often enough.
    async fn send(&self, parcel: &Parcel, range: &Range<usize>) -> Result<(), Verdict> {
        let Policy { attempts_max, backoff_initial, backoff_max, .. } = self.policy;
        let request = parcel.request(range);
        let mut backoff = Backoff::new(backoff_initial, backoff_max);
        let mut failures = 0;
        let mut leave = self.leave.clone();
        let mut attempt = Attempt::new(&self.meter, &self.id, &DELIVERING);
        loop {
            let (failure, is_setup) = match self.sink.send(request.clone()).await {
                Ok(()) => {
                    attempt.worked();
                    return Ok(());
                }
                Err(SendError::Data(failure)) => return Err(Verdict::Refused(failure)),
                Err(SendError::Setup(failure)) => (failure, true),
                Err(SendError::Transient(failure)) => (failure, false),
            };
            failures += 1;
            if attempts_max.is_some_and(|max| failures > max.get()) {
                return Err(Verdict::GivenUp(failure));
            }
            let mut wait = backoff.next_wait();
            if let Some(after) = failure.retry_after {
                // Spread all the same: others were told the same.
                wait = after.min(RETRY_AFTER_MAX) + wait.min(backoff_initial);
            }
            attempt.failed(&failure.why, is_setup, wait);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = leave.wait() => return Err(Verdict::Left),
            }
        }
    }

    async fn reject(&self, parcel: &mut Parcel, range: &Range<usize>, failure: &Failure, reason: &str) {
        let refusal = Refusal {
            reason: reason.to_owned(),
            status: failure.status,
            answer: if failure.answer.is_empty() { failure.why.clone() } else { failure.answer.clone() },
        };
        self.meter.show_refused(REJECTED, parcel.events(range), &refusal);
        if self.rejects.take(parcel.events(range), &refusal, || parcel.acks_of(range)).await {
            parcel.refused(range);
        }
        self.meter.count_rejected(range.len() as u64);
    }
}
