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
mod twins;

use super::{Ports, Transform, TransformConfig};
use crate::event::{Acks, Batch, Demand, Event, Invalid};
use record::{Examined, Record, examine, write_canonical};
use serde::Deserialize;
use twins::{Fate, Held, Twins};

/// What becomes of `message`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// It stays as it came.
    #[default]
    Keep,
    /// `Evaluating code`.
    Short,
    /// The legacy text.
    Legacy,
}

/// What becomes of the two records of an evaluation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TwinsOption {
    /// One event.
    #[default]
    Merge,
    /// Two.
    Keep,
}

/// The options; see the [module](self).
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LegacyMessage {
    /// What becomes of `message`.
    pub message: Message,
    /// What becomes of twins.
    pub twins: TwinsOption,
    /// How long twins may be apart, in milliseconds.
    pub twin_wait_ms: u64,
}

impl Default for LegacyMessage {
    fn default() -> LegacyMessage {
        LegacyMessage { message: Message::Keep, twins: TwinsOption::Merge, twin_wait_ms: 1000 }
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
        Ok(Box::new(Parser { message: self.message, twins }))
    }

    fn demand(&self, downstream: Demand) -> Demand {
        downstream
    }
}

struct Parser {
    message: Message,
    twins: Option<Twins>,
}

impl Transform for Parser {
    fn apply(&mut self, batch: &mut Batch, _: &mut Ports) {
        let events = std::mem::take(&mut batch.events);
        batch.events.reserve(events.len());
        for mut event in events {
            match examine(&mut event) {
                Examined::Other => batch.events.push(event),
                Examined::Bare if self.twins.is_some() => batch.count_dropped("bare", 1),
                Examined::Bare => batch.events.push(event),
                Examined::Evaluation(record) => self.evaluation(event, record, batch),
            }
        }
        self.expire(batch, None);
    }

    fn wake_at(&self) -> Option<u64> {
        self.twins.as_ref().and_then(Twins::wake_at)
    }
}

impl Parser {
    fn evaluation(&mut self, event: Event, record: Record, batch: &mut Batch) {
        let Some(twins) = &mut self.twins else {
            return self.put_out(event, &record, batch);
        };
        let log_ms = record.time_ms;
        match twins.meet(Held { event, record, acks: Acks::default() }, &batch.acks, batch.now_ms) {
            Fate::Out(held) => self.let_go(held, batch),
            Fate::Joined(held) => {
                batch.count_dropped("twin", 1);
                self.let_go(held, batch);
            }
            // An event that is merged away is no loss: what it says has gone out, or will.
            Fate::Twin => batch.count_dropped("twin", 1),
            Fate::Held => {}
        }
        self.expire(batch, Some(log_ms));
    }

    fn expire(&mut self, batch: &mut Batch, log_ms: Option<i64>) {
        let Some(twins) = &mut self.twins else { return };
        if twins.wake_at().is_none() {
            return;
        }
        for held in twins.expire(batch.now_ms, log_ms, batch.last) {
            self.let_go(held, batch);
        }
    }

    fn let_go(&mut self, held: Held, batch: &mut Batch) {
        batch.acks.join(held.acks);
        self.put_out(held.event, &held.record, batch);
    }

    fn put_out(&mut self, mut event: Event, record: &Record, batch: &mut Batch) {
        write_canonical(&mut event, record, self.message);
        batch.events.push(event);
    }
}
