//! `demo_logs`: the log of a Livebook that does not exist, for a first look at a pipeline, for its tests, and for
//! benchmarks.
//!
//! What Livebook writes is reproduced with what makes it hard to read: every evaluation twice, other processes'
//! records between the two, `inspect` literals, raw newlines in text records, messages cut at Logger's limit. The
//! people, their notebooks and their requests are invented.
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `format` | `livebook_json` or `livebook_text` | `livebook_json` |
//! | `count` | how many records (calls of the logger) until it ends; it never does where this is left out | none |
//! | `evaluations` | the share of records that belong to an evaluation, from 0 to 1 | `0.05` |
//! | `seed` | the same seed gives the same log | `1` |
//! | `interval_secs` | seconds between records; `0` writes as fast as they are taken | `1.0` |
//! | `rate` | records per second, in the place of `interval_secs` | none |
//! | `decoding.codec`, `decoding.unwrap`, `decoding.timezone`, `max_record_bytes` | as in `stdin` | |
//!
//! Where records come at a pace, the first bears the time at which the source starts; at full speed it bears a fixed
//! time, so that the log is the same byte for byte and a benchmark can name its input by four settings; only the `%id`s
//! of its records are others in each run. The times of
//! `livebook_text` are UTC, whatever `decoding.timezone` says.
//!
//! ```toml
//! [sources.livebook]
//! type = "demo_logs"
//! format = "livebook_text"
//! interval_secs = 0.2
//! ```

mod cells;
mod evaluation;
mod generate;
mod holes;
mod noise;
mod people;
mod prng;
mod record;
mod template;

pub use generate::{Generator, Settings};

use super::{SourceConfig, Task, number_of_this_run};
use crate::codec::zone::Zone;
use crate::codec::{Chunk, Decoder, Decoding, RecordBytes};
use crate::delivery::{Intake, SourceContext, clock};
use crate::event::{Invalid, Stream};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// At full speed, records are handed on in pieces of this many bytes.
const CHUNK_BYTES: usize = 128 * 1024;
/// The time of the first record at full speed: 2025-10-06T08:00:00Z, in milliseconds since 1970.
const FIXED_START_MS: u64 = 1_759_737_600_000;

/// The shape of the log: what `LIVEBOOK_LOG_FORMAT` says, with
/// `LIVEBOOK_LOG_METADATA=users,session_mode,code,event,request_id`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Format {
    /// One JSON object per line.
    #[default]
    #[serde(rename = "livebook_json")]
    LivebookJson,
    /// Elixir's default text format: a record may be several lines, and its times are in UTC.
    #[serde(rename = "livebook_text")]
    LivebookText,
}

/// The options; see the [module](self).
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DemoLogs {
    /// The shape of the log.
    pub format: Format,
    /// Records until the source ends.
    pub count: Option<u64>,
    /// The share of records that belong to an evaluation.
    #[schemars(range(min = 0, max = 1))]
    pub evaluations: f64,
    /// What the log depends on.
    pub seed: u64,
    /// Seconds between records.
    #[schemars(range(min = 0, max = INTERVAL_SECS_MAX))]
    pub interval_secs: Option<f64>,
    /// Records per second.
    #[schemars(range(min = 1.0 / INTERVAL_SECS_MAX))]
    pub rate: Option<f64>,
    /// How bytes become events.
    pub decoding: Decoding,
    /// Length of the longest record, in bytes.
    pub max_record_bytes: RecordBytes,
}

impl Default for DemoLogs {
    fn default() -> DemoLogs {
        DemoLogs {
            format: Format::default(),
            count: None,
            evaluations: 0.05,
            seed: 1,
            interval_secs: None,
            rate: None,
            decoding: Decoding::default(),
            max_record_bytes: RecordBytes::default(),
        }
    }
}

/// The longest pause between two records, in seconds.
const INTERVAL_SECS_MAX: f64 = 86_400.0;
/// The default of `interval_secs`.
const INTERVAL_SECS: f64 = 1.0;

impl DemoLogs {
    /// The pause between two records; none at full speed.
    fn interval(&self) -> Result<Option<Duration>, Invalid> {
        if !(0.0..=1.0).contains(&self.evaluations) {
            return Err(Invalid::new("evaluations", "a share is a number from 0 to 1"));
        }
        let secs = match (self.interval_secs, self.rate) {
            (Some(_), Some(_)) => {
                let help = "leave one of them out";
                return Err(
                    Invalid::new("rate", "`rate` and `interval_secs` say the same thing twice").help(help)
                );
            }
            (None, Some(rate)) if rate > 0.0 && rate.is_finite() => 1.0 / rate,
            (None, Some(_)) => return Err(Invalid::new("rate", "a rate is a number of records above 0")),
            (Some(secs), None) => secs,
            (None, None) => INTERVAL_SECS,
        };
        if !(0.0..=INTERVAL_SECS_MAX).contains(&secs) {
            let key = if self.rate.is_some() { "rate" } else { "interval_secs" };
            return Err(Invalid::new(key, "the pause between records is from 0 up to 86400 seconds"));
        }
        Ok((secs > 0.0).then(|| Duration::from_secs_f64(secs)))
    }
}

impl SourceConfig for DemoLogs {
    fn check(&self) -> Result<(), Invalid> {
        self.interval().map(drop)
    }

    fn build(&self, cx: SourceContext) -> Result<Task, Invalid> {
        let interval = self.interval()?;
        let max_record_bytes = self.max_record_bytes.0;
        let ((demand, check_all), zone) = (cx.wanted.now(), Zone::Named(chrono_tz::UTC));
        let settings = crate::codec::Settings::new(self.decoding);
        let settings = crate::codec::Settings { max_record_bytes, demand, check_all, zone, ..settings };
        let start_ms = if interval.is_some() { clock::now_ms() } else { FIXED_START_MS };
        let DemoLogs { format, evaluations, seed, .. } = *self;
        let generator = Generator::new(Settings { format, evaluations, seed, start_ms });
        let left = self.count.unwrap_or(u64::MAX);
        Ok(Box::pin(run(cx, Decoder::new(settings), generator, left, interval)))
    }
}

async fn run(
    cx: SourceContext,
    decoder: Decoder,
    mut generator: Generator,
    mut left: u64,
    interval: Option<Duration>,
) -> Result<(), String> {
    let SourceContext { id, out, wanted, mut shutdown, meter, .. } = cx;
    let stream = Stream { source: id, fingerprint: number_of_this_run(), ..Stream::default() };
    let mut intake = Intake::new(decoder, wanted, stream, out, meter);
    let mut pace = interval.map(tokio::time::interval);
    let mut offset = 0;
    let mut pending = Vec::new();
    while left > 0 && !shutdown.is_triggered() {
        if let Some(pace) = &mut pace {
            tokio::select! {
                _ = pace.tick() => {}
                () = shutdown.wait() => break,
                () = intake.silence() => {
                    intake.silent().await;
                    continue;
                }
            }
        }
        while left > 0 && (pending.is_empty() || pace.is_none() && pending.len() < CHUNK_BYTES) {
            generator.next_record(&mut pending);
            left -= 1;
        }
        let bytes = Bytes::from(std::mem::take(&mut pending));
        let len = bytes.len() as u64;
        intake.take(Chunk::Lines { bytes, offset }).await;
        offset += len;
    }
    intake.complete().await;
    Ok(())
}
