//! `legacy_message`: makes one canonical event of each evaluation.
//!
//! Livebook logs an evaluation twice: as a text with an Elixir literal inside (*legacy*), and with metadata
//! (*structured*). This transform reads both into `metadata.event`, `metadata.session_mode`, `metadata.code` and
//! `metadata.users`, and gives out one event for the two.
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `message` | `keep`: as it came; `short`: `Evaluating code`; `legacy`: the legacy text, rendered from the structured form byte for byte as Elixir's `inspect` would | `keep` |
//! | `twins` | `merge`: one event for the two records; `keep`: each record is an event | `merge` |
//! | `twin_wait_ms` | how far the times of twins are apart at most, and how long an incomplete record waits for its twin, in milliseconds | `1000` |
//!
//! A complete record is passed on at once, and its twin dropped when it comes (counted as `twin`). An incomplete one
//! (cut, or an ambiguous `inspect` form) waits. What the log itself lost is said: `metadata.code_incomplete`,
//! `metadata.users_incomplete`. The bare second record that Livebook writes where its metadata are not logged says
//! nothing, and is dropped (counted as `bare`).
//!
//! ```toml
//! [transforms.parse]
//! type = "legacy_message"
//! inputs = ["livebook"]
//! message = "short"
//! ```

mod record;
mod transcode;
mod twins;

use super::{Memory, Ports, Transform, TransformConfig};
use crate::event::{Batch, Demand, Event, Invalid};
use record::{Examined, Lists, examine, write_canonical};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use twins::{Held, Met, Twins, join};

/// What becomes of `message`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageOption {
    /// It stays as it came.
    #[default]
    Keep,
    /// `Evaluating code`.
    Short,
    /// The legacy text.
    Legacy,
}

/// What becomes of the two records of an evaluation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TwinsOption {
    /// One event.
    #[default]
    Merge,
    /// Two.
    Keep,
}

/// The options; see the [module](self).
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LegacyMessage {
    /// What becomes of `message`.
    pub message: MessageOption,
    /// What becomes of twins.
    pub twins: TwinsOption,
    /// How long twins may be apart, in milliseconds.
    #[schemars(range(max = WAIT_MS_MAX))]
    pub twin_wait_ms: u64,
}

impl Default for LegacyMessage {
    fn default() -> LegacyMessage {
        LegacyMessage { message: MessageOption::Keep, twins: TwinsOption::Merge, twin_wait_ms: 1000 }
    }
}

/// A longer wait would hold acknowledgements back for no gain: twins are milliseconds apart.
const WAIT_MS_MAX: u64 = 60_000;

impl TransformConfig for LegacyMessage {
    fn build(&self) -> Result<Box<dyn Transform>, Invalid> {
        if self.twin_wait_ms > WAIT_MS_MAX {
            let help = format!("twins are milliseconds apart; use a value from 0 to {WAIT_MS_MAX}");
            return Err(Invalid::new("twin_wait_ms", "longer than a minute").help(help));
        }
        let twins = (self.twins == TwinsOption::Merge).then(|| Twins::new(self.twin_wait_ms));
        let leaving = None;
        Ok(Box::new(Parser { message: self.message, twins, leaving, lists: Lists::default() }))
    }

    fn demand(&self, downstream: Demand) -> Demand {
        downstream
    }
}

struct Parser {
    message: MessageOption,
    twins: Option<Twins>,
    /// What waited for its twin where twins are no longer merged: it leaves with the next batch.
    leaving: Option<Twins>,
    lists: Lists,
}

impl Transform for Parser {
    fn apply(&mut self, batch: &mut Batch, _: &mut Ports) {
        let mut events = std::mem::take(&mut batch.events);
        // Events that were held back go out in front of the one at which their time had come.
        let mut released: Vec<(usize, Event)> = Vec::new();
        let mut kept = 0;
        events.retain_mut(|event| {
            let keep = self.event(event, batch, |event| released.push((kept, event)));
            kept += usize::from(keep);
            keep
        });
        self.expire(batch, None, |event| released.push((kept, event)));
        for (before, (at, event)) in released.into_iter().enumerate() {
            events.insert(at + before, event);
        }
        batch.events = events;
    }

    fn wake_at(&self) -> Option<u64> {
        let leaving = self.leaving.as_ref().map(|_| 0);
        leaving.or_else(|| self.twins.as_ref().and_then(Twins::wake_at))
    }

    fn hand_over(&mut self) -> Option<Memory> {
        Some(Box::new(self.twins.take()?))
    }

    fn take_over(&mut self, memory: Memory) {
        let Ok(mut before) = memory.downcast::<Twins>() else { return };
        match &mut self.twins {
            Some(twins) => {
                before.wait_as(twins);
                *twins = *before;
            }
            None => self.leaving = Some(*before),
        }
    }
}

impl Parser {
    /// Works on one event in place; says whether it stays.
    fn event(&mut self, event: &mut Event, batch: &mut Batch, mut release: impl FnMut(Event)) -> bool {
        let record = match examine(event, &mut self.lists) {
            Examined::Other => return true,
            Examined::Bare if self.twins.is_none() => return true,
            Examined::Bare => {
                batch.count_dropped("bare", 1);
                return false;
            }
            Examined::Evaluation(record) => record,
        };
        let Some(twins) = &mut self.twins else {
            write_canonical(event, &record, self.message);
            return true;
        };
        let log_ms = record.time_ms;
        let stays = match twins.meet(event, &record, batch.replayed) {
            Met::Nobody if record.is_complete() => {
                write_canonical(event, &record, self.message);
                twins.remember(event, record);
                true
            }
            Met::Nobody => {
                twins.hold(event, record, batch);
                false
            }
            // An event that is merged away is no loss: what it says has gone out, or does now.
            Met::GoneOut => {
                batch.count_dropped("twin", 1);
                false
            }
            Met::Held(first) => {
                // One that was delivered before was not counted when it came in.
                batch.count_dropped("twin", u64::from(!first.replayed));
                let Held { event: joined, record, acks, .. } = join(*first, event, record);
                batch.acks.join(acks);
                *event = joined;
                write_canonical(event, &record, self.message);
                true
            }
            Met::NeedsNone => {
                write_canonical(event, &record, self.message);
                true
            }
        };
        self.expire(batch, Some(log_ms), &mut release);
        stays
    }

    /// Lets go of the events that have waited long enough.
    fn expire(&mut self, batch: &mut Batch, log_ms: Option<i64>, mut release: impl FnMut(Event)) {
        // What is let go leaves with the batch, and a replayed one goes nowhere.
        if batch.replayed {
            return;
        }
        let left = self.leaving.take().map(|mut before| before.expire(batch.now_ms, None, true));
        let twins = self.twins.as_mut().filter(|twins| twins.wake_at().is_some());
        let expired = twins.map(|twins| twins.expire(batch.now_ms, log_ms, batch.last));
        for Held { mut event, record, acks, replayed } in left.into_iter().chain(expired).flatten() {
            batch.acks.join(acks);
            if replayed {
                continue;
            }
            write_canonical(&mut event, &record, self.message);
            release(event);
        }
    }
}
