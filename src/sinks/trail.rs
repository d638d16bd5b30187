//! `trail`: writes a tamper-evident trail, which proves by itself that nothing in it was changed, removed, inserted or
//! reordered since it was written.
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `path` | the folder of the trail; it has one writer | needed |
//! | `key_file` | what signs it, made by `evaltrail trail keygen` | needed |
//! | `origin` | the trail's name for the whole world; it has to be that of the key | the key's |
//! | `encoding.codec` | `json`, and no other: one object per line | `json` |
//! | `encoding.schema` | whose names an event is written with: `livebook`, `ecs`, `ocsf`, `otel`; the book (`docs/schemas.md`) has a table for each | `livebook` |
//! | `encoding.only_fields`, `encoding.except_fields` | the members of Livebook's event that are written, or not, by path, whatever the schema | all |
//! | `segment.max_bytes` | a file of records that would get longer is followed by another; from 1024 | `67108864` |
//! | `retention.days` | files of records that were written last so many days ago are removed; a new file is begun each day, in UTC | for ever |
//! | `retention.max_bytes` | the oldest files of records are removed while all together are longer than this | without end |
//! | `checkpoint.every_records` | from so many records on a checkpoint is signed; up to 100000 | `1000` |
//! | `checkpoint.every_secs` | how long a record waits for a checkpoint at most, in seconds; 0 to 3600 | `10` |
//!
//! **What is written.** `records/` holds plain lines of JSON, for grep and jq, in files named by the index of their first
//! record. They are the leaves of a Merkle tree (RFC 6962), whose hashes lie in `tile/` (C2SP tlog-tiles), and whose size
//! and root stand in `checkpoint` (C2SP tlog-checkpoint), signed with Ed25519. `evaltrail trail verify`, `prove`, `show`
//! read it, and so can every program that knows these formats.
//!
//! **An event is acknowledged** when a checkpoint covers it: records, tiles and checkpoint are on the disk then, in this
//! order. So a source may have to wait `checkpoint.every_secs`; with 0 each batch gets a checkpoint of its own. Under load
//! one covers thousands of records. What a crash has left without a signature is set aside in
//! `trails/<origin>+<key>/unsigned.jsonl` of the `data_dir`, and comes again from its source. A full disk blocks and
//! retries; it loses nothing.
//!
//! **Once.** The trail remembers the `%id`s of its last 450,000 records at least, in the `data_dir`. An event that comes
//! again, after a crash or from a client that repeats its request, is acknowledged and not written; it counts as dropped
//! for `repeat`. An event that reaches the trail by two ways has one `%id`, and is written once.
//!
//! **What was signed stays true.** The `data_dir` remembers what was signed last. A trail whose checkpoint, newest tiles or
//! number of records say less, or something else, since it was put back from a backup or since somebody has cut it, is not
//! written to: the sink waits, and says why. Where it is the `data_dir` that is older, a warning says so. A checkpoint
//! that is gone is put back from the `data_dir`; records without one that the `data_dir` does not know are refused like
//! another history. To begin anew, take an empty folder and a new key.
//!
//! **Anchors.** Every checkpoint also leaves by the port `<id>.checkpoints`, as an event whose `message` is the signed note,
//! with `origin`, `size` and `root` in its metadata. Send it to another machine: whoever holds a checkpoint can tell when
//! the end of the trail is cut off, or all of it is signed anew with a stolen key. A sink that can't deliver them holds up
//! the trail when its queue is full; give it `buffer.when_full = "drop_newest"` where it should not.
//!
//! **Retention** removes whole files of records, never the last one, and signs in `minimum-index` which record is the first
//! that is left. Hashes stay, 32 bytes a record, so that the rest can still be checked.
//!
//! ```toml
//! [sinks.evidence]
//! type = "trail"
//! inputs = ["project"]
//! path = "trail"
//! origin = "livebook.example.com/audit"
//! key_file = "trail.key"
//! retention.days = 400
//! ```

use super::SinkConfig;
use crate::codec::{Encoder, Encoding, EncodingCodec};
use crate::delivery::disk::Trouble;
use crate::delivery::{BoxFuture, Exclusive, Sink, Work, WriteError, clock, plain};
use crate::event::json::string::quote_into;
use crate::event::{Event, Invalid, Origin, Stream};
use crate::trail::key::{SignerKey, check_origin};
use crate::trail::{Retention, Settings, Writer, note::Checkpoint};
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat};
use schemars::JsonSchema;
use serde::Deserialize;
use std::future::ready;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The port that checkpoints leave by.
pub const CHECKPOINTS: &str = "checkpoints";
/// The folder in the `data_dir` for what is remembered of trails.
const MEMORY: &str = "trails";
const SEGMENT_BYTES_MIN: u64 = 1_024;
const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
const EVERY_RECORDS_MAX: u32 = 100_000;
const EVERY_SECS_MAX: u32 = 3_600;
/// Events that one checkpoint covers under load: it costs some rounds of the disk, however many there are.
const FLUSH_EVENTS_MAX: usize = 16_384;
/// How often retention looks.
const RETAIN_EVERY_MS: u64 = 3_600_000;
/// How long a trail that could not be opened is left alone while no event comes, at least, and in times of what finding
/// that out took: records may have to be read for it.
const OPEN_EVERY_MS: u64 = 5_000;
const OPEN_REST: u64 = 10;

/// The options; see the [module](self).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Trail {
    /// The folder of the trail.
    pub path: String,
    /// What signs it.
    pub key_file: PathBuf,
    /// The trail's name; that of the key where it is not given.
    pub origin: Option<String>,
    /// How events are written; the codec is `json`.
    #[serde(default)]
    pub encoding: Encoding,
    /// When a file of records ends and a new one begins.
    #[serde(default)]
    pub segment: SegmentOptions,
    /// Which records may go.
    #[serde(default)]
    pub retention: RetentionOptions,
    /// When a checkpoint is signed.
    #[serde(default)]
    pub checkpoint: CheckpointOptions,
}

/// The options `segment.*`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SegmentOptions {
    /// How long a file of records may get, in bytes.
    #[schemars(range(min = SEGMENT_BYTES_MIN))]
    pub max_bytes: u64,
}

impl Default for SegmentOptions {
    fn default() -> SegmentOptions {
        SegmentOptions { max_bytes: SEGMENT_BYTES }
    }
}

/// The options `retention.*`.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionOptions {
    /// For how many days records stay.
    pub days: Option<NonZeroU32>,
    /// How long all files of records together may be, in bytes.
    pub max_bytes: Option<NonZeroU64>,
}

/// The options `checkpoint.*`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CheckpointOptions {
    /// From how many records on a checkpoint is signed.
    #[schemars(range(max = EVERY_RECORDS_MAX))]
    pub every_records: NonZeroU32,
    /// How long a record waits for one at most, in seconds.
    #[schemars(range(max = EVERY_SECS_MAX))]
    pub every_secs: u32,
}

impl Default for CheckpointOptions {
    fn default() -> CheckpointOptions {
        CheckpointOptions { every_records: NonZeroU32::new(1_000).unwrap_or(NonZeroU32::MIN), every_secs: 10 }
    }
}

impl Trail {
    fn check(&self) -> Result<(), Invalid> {
        if self.path.is_empty() {
            return Err(Invalid::new("path", "is empty").help("name the folder of the trail"));
        }
        if self.encoding.codec != EncodingCodec::Json {
            let help = "a trail holds one JSON object per line, so that programs can read it";
            return Err(Invalid::new("encoding.codec", "a trail is written in `json` only").help(help));
        }
        if let Some(origin) = &self.origin {
            check_origin(origin).map_err(|why| Invalid::new("origin", why))?;
        }
        let most = |key, value: u64, most: u64| match value > most {
            true => Err(Invalid::new(key, format!("{value} is too much: {most} or less"))),
            false => Ok(()),
        };
        most(
            "checkpoint.every_records",
            self.checkpoint.every_records.get().into(),
            EVERY_RECORDS_MAX.into(),
        )?;
        most("checkpoint.every_secs", self.checkpoint.every_secs.into(), EVERY_SECS_MAX.into())?;
        if self.segment.max_bytes < SEGMENT_BYTES_MIN {
            let message = format!(
                "{} is too little for a file: {SEGMENT_BYTES_MIN} bytes or more",
                self.segment.max_bytes
            );
            return Err(Invalid::new("segment.max_bytes", message));
        }
        Ok(())
    }
}

impl Trail {
    /// Reads what signs.
    fn key(&self) -> Result<SignerKey, Trouble> {
        let key = SignerKey::read(&self.key_file).map_err(|why| Trouble(format!("the key: {why}")))?;
        match self.origin.as_deref().filter(|origin| *origin != key.origin()) {
            None => Ok(key),
            Some(origin) => {
                let why = format!("the key is for the origin {}, and `origin` is {origin}", key.origin());
                Err(Trouble::because(&self.key_file, &why))
            }
        }
    }
}

impl SinkConfig for Trail {
    fn build(&self) -> Result<Work, Invalid> {
        self.check()?;
        let encoder = Encoder::new(&self.encoding, false)?;
        Ok(Work::writing(TrailSink {
            options: self.clone(),
            encoder,
            id: String::new(),
            memory: PathBuf::from(MEMORY),
            writer: None,
            obstacle: None,
            open_at_ms: 0,
            waits_since_ms: 0,
            retain_at_ms: 0,
            notices: Vec::new(),
            bytes: 0,
            repeats: 0,
        }))
    }

    fn writes(&self) -> Option<String> {
        Some(format!("{}/records/00000000000000000000.jsonl", self.path.trim_end_matches('/')))
    }

    fn lacks(&self) -> Option<Invalid> {
        let help = "`evaltrail trail keygen` makes a key; it has to be readable for whom evaltrail runs as";
        let Trouble(why) = self.key().err()?;
        Some(Invalid::new("key_file", why).help(help))
    }

    fn claims(&self) -> Option<Exclusive> {
        Some(Exclusive::Key(PathBuf::from(plain(&self.key_file.to_string_lossy()))))
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.key_file.clone()]
    }

    fn ports(&self) -> Vec<String> {
        vec![CHECKPOINTS.to_owned()]
    }
}

/// The sink.
struct TrailSink {
    options: Trail,
    encoder: Encoder,
    /// Its id in the config.
    id: String,
    memory: PathBuf,
    /// Once the trail could be opened.
    writer: Option<Writer>,
    /// Why it could not be opened.
    obstacle: Option<String>,
    /// When that is tried again without an event, in milliseconds since 1970.
    open_at_ms: u64,
    /// When the oldest record that waits for a checkpoint was taken, in milliseconds since 1970.
    waits_since_ms: u64,
    retain_at_ms: u64,
    notices: Vec<Event>,
    bytes: u64,
    repeats: u64,
}

impl Sink for TrailSink {
    fn begin(&mut self, id: &str, data_dir: &Path) {
        (self.id, self.memory) = (id.to_owned(), data_dir.join(MEMORY));
    }

    fn blocks(&self) -> bool {
        true
    }

    fn write<'a>(&'a mut self, events: &'a [Event]) -> BoxFuture<'a, Result<(), WriteError>> {
        let taken = self.take(events);
        Box::pin(ready(taken.map_err(|Trouble(why)| WriteError::Transient(why))))
    }

    fn flush(&mut self) -> BoxFuture<'_, Result<(), WriteError>> {
        let done = self.commit();
        Box::pin(ready(done.map_err(|Trouble(why)| WriteError::Transient(why))))
    }

    fn flush_at(&self) -> Option<u64> {
        let waiting = self.writer.as_ref().map_or(0, Writer::pending);
        let is_due = waiting == 0 || waiting >= self.options.checkpoint.every_records.get() as usize;
        let wait_ms = u64::from(self.options.checkpoint.every_secs) * 1_000;
        Some(self.waits_since_ms + wait_ms).filter(|_| !is_due)
    }

    fn flush_events_max(&self) -> usize {
        FLUSH_EVENTS_MAX
    }

    fn repeats(&self) -> u64 {
        self.repeats
    }

    fn take_notices(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.notices)
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn wake_at(&self) -> Option<u64> {
        match &self.writer {
            None => Some(self.open_at_ms),
            Some(_) if self.retention() != Retention::default() => Some(self.retain_at_ms),
            Some(_) => None,
        }
    }

    fn obstacle(&self) -> Option<String> {
        self.obstacle.clone()
    }

    fn wake(&mut self) -> BoxFuture<'_, ()> {
        let now_ms = clock::now_ms();
        match &self.writer {
            None => self.try_to_open(),
            Some(writer) => {
                self.retain_at_ms = now_ms + RETAIN_EVERY_MS;
                if let Err(Trouble(why)) = writer.retain(now_ms) {
                    tracing::warn!(sink = self.id, "retention has to wait: {why}");
                }
            }
        }
        Box::pin(ready(()))
    }
}

impl TrailSink {
    fn retention(&self) -> Retention {
        Retention { days: self.options.retention.days, max_bytes: self.options.retention.max_bytes }
    }

    /// Opens the trail before there is an event for it, and says once what is in the way.
    fn try_to_open(&mut self) {
        let (before, begun_ms) = (self.obstacle.take(), clock::now_ms());
        match self.open().map(drop) {
            Ok(()) if before.is_some() => tracing::info!(sink = self.id, "the trail can be written now"),
            Ok(()) => {}
            Err(Trouble(why)) => {
                if before.as_ref() != Some(&why) {
                    tracing::warn!(sink = self.id, "the first event will have to wait: {why}");
                }
                let now_ms = clock::now_ms();
                let wait_ms = OPEN_EVERY_MS.max(now_ms.saturating_sub(begun_ms) * OPEN_REST);
                (self.obstacle, self.open_at_ms) = (Some(why), now_ms + wait_ms);
            }
        }
    }

    /// Opens the trail; what is wrong may be mended by an operator, and the next call sees it.
    fn open(&mut self) -> Result<&mut Writer, Trouble> {
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => {
                let key = self.options.key()?;
                if key.is_open() {
                    let path = self.options.key_file.display();
                    tracing::warn!(sink = self.id, %path, "others can read the key that signs: take the permission away");
                }
                let settings = Settings {
                    folder: PathBuf::from(&self.options.path),
                    memory: self.memory.clone(),
                    segment_max_bytes: self.options.segment.max_bytes,
                    retention: self.retention(),
                };
                let writer = Writer::open(settings, key)?;
                self.obstacle = None;
                self.retain_at_ms = clock::now_ms();
                self.notices.extend(writer.checkpoint().and_then(|now| notice(&self.id, &writer, now)));
                writer
            }
        };
        Ok(self.writer.insert(writer))
    }

    fn take(&mut self, events: &[Event]) -> Result<(), Trouble> {
        let now_ms = clock::now_ms();
        self.open()?;
        let Some(writer) = &mut self.writer else { return Ok(()) };
        for event in events {
            if writer.pending() == 0 {
                self.waits_since_ms = now_ms;
            }
            let (encoder, bytes) = (&self.encoder, &mut self.bytes);
            let is_new = writer.append(event.origin().id_number(), |out| {
                let before = out.len();
                encoder.encode(event, out);
                *bytes += (out.len() - before) as u64;
                // The trail ends its lines itself.
                out.pop();
            });
            self.repeats += u64::from(!is_new);
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Trouble> {
        let Some(writer) = self.writer.as_mut().filter(|writer| writer.pending() > 0) else { return Ok(()) };
        writer.commit(clock::now_ms())?;
        self.notices.extend(writer.checkpoint().and_then(|now| notice(&self.id, writer, now)));
        Ok(())
    }
}

/// The event that tells of a checkpoint.
fn notice(sink: &str, writer: &Writer, now: &Checkpoint) -> Option<Event> {
    let now_ms = clock::now_ms();
    let time = DateTime::from_timestamp_millis(now_ms.cast_signed()).unwrap_or_default();
    let time = time.to_rfc3339_opts(SecondsFormat::Millis, true);
    let mut text = Vec::from(&b"{\"message\":"[..]);
    quote_into(&now.note, &mut text);
    let about = format!(",\"time\":\"{time}\",\"metadata\":{{\"event\":\"trail.checkpoint\",\"origin\":");
    text.extend_from_slice(about.as_bytes());
    quote_into(writer.key().origin().as_bytes(), &mut text);
    let tree = format!(",\"size\":{},\"root\":\"{}\"}},\"severity\":\"info\"}}", now.size, now.root);
    text.extend_from_slice(tree.as_bytes());
    let stream = Stream { source: sink.to_owned(), ..Stream::default() };
    Event::from_json(Bytes::from(text), Origin::new(Arc::new(stream), now.size, now_ms)).ok()
}
