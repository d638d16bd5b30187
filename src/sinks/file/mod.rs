//! `file`: writes to files, one line for each event, and acknowledges what is on the disk.
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `path` | the file; parts such as `%Y-%m-%d` and `{{ metadata.session_mode }}` depend on the event | needed |
//! | `encoding.codec` | `json`: one object per line; `text`: the message alone; `logfmt`: `key=value` on a line, by path; `pretty`: for people, without colour | `json` |
//! | `encoding.schema` | whose names an event is written with, in `json`: `livebook`, `ecs`, `ocsf`, `otel`; the book (`docs/schemas.md`) has a table for each | `livebook` |
//! | `encoding.only_fields`, `encoding.except_fields` | the members of Livebook's event that are written, or not, by path, whatever the schema | all |
//! | `rotation.max_bytes` | a file that would get longer is rotated first; from 1024 | none |
//! | `rotation.interval` | `hourly` or `daily`: a file is rotated when its hour or day is over, in UTC | none |
//! | `rotation.keep` | how many rotated files of one name stay; the oldest are removed | all |
//! | `rotation.compression` | `none`, `gzip` or `zstd`: what is done with rotated files | `none` |
//! | `mode` | the permissions of files that are made, in octal, whatever the umask | `"0640"` |
//! | `fsync` | `batch`: an event is acknowledged when it would outlive a loss of power; `never`: when it is written | `batch` |
//! | `idle_timeout_secs` | a file that has got nothing for so long is closed | `30` |
//!
//! **The path.** `%Y`, `%m`, `%d`, `%H` and the other specifiers of strftime stand for the event's own `time` in UTC,
//! or for the moment at which it was received where it has none; `%%` is a percent sign. `{{ severity }}`,
//! `{{ metadata.session_mode }}`, `{{ %source }}`, `{{ %file }}` and `{{ %container }}` stand for a field; one that is not there gives
//! `_missing`, an empty one `_empty`. Of a value, ASCII letters, digits and `-_.@+=,` stand for themselves; every other
//! byte, a dot at the front too, becomes `%` and two hexadecimal digits (`../a` becomes `%2E.%2Fa`), and what would be
//! longer than 200 bytes ends in `~` and a digest: no value leaves the folder in front of the first part that changes,
//! hides its file, or gets the file of another value. Behind that folder no symbolic link is followed. Folders that
//! are missing are made, with mode 0750. Give files named by values a folder of their own, since a value may name
//! anything in it. At most 256 files are open at a time.
//!
//! **What is written stays.** A batch is written, synced, and only then acknowledged; under load a batch grows to
//! thousands of events. What could not be written whole, because the disk is full or fails, is taken back, waits, and
//! is tried again for ever; the log says when that begins, once a minute, and when it works again. A file that somebody moves or removes is made anew, one that
//! somebody cuts is continued at its new end. A file is locked: a second evaltrail that is to write it waits and says
//! so. When a file is opened, a line without its end, as a crash leaves it, is cut; it was never acknowledged. (Of a
//! record of several lines, in `text` and `pretty`, the lines that are whole stay.) A longer one than 64 MiB is not
//! cut but ended.
//!
//! **Rotation** happens when the next event comes. The file is renamed to `audit.jsonl.20261122T220000Z`, after the
//! moment, with `-1`, `-2`, ... where one second sees several, and never over another file. The interval goes by when
//! events were received, and, for a file that was there at the start, by its time of modification. An event longer
//! than `max_bytes` gets a file of its own. Compressing is done on the side, and finished before the run ends or after
//! the next start: until it is, the rotated file stays as it was. `keep` counts the rotated files of one path: with
//! `%Y-%m-%d` in `path` each day has its own.
//!
//! ```toml
//! [sinks.archive]
//! type = "file"
//! inputs = ["project"]
//! path = "trail/{{ metadata.session_mode }}/audit.jsonl"
//! rotation.interval = "daily"
//! rotation.max_bytes = 1_000_000_000
//! rotation.compression = "zstd"
//! rotation.keep = 400
//! ```

mod housekeeping;
mod name;
mod output;
mod rotated;
mod target;
mod template;

use super::SinkConfig;
use crate::codec::{Compression, Encoder, Encoding};
use crate::delivery::disk::Trouble;
use crate::delivery::{BoxFuture, Sink, Work, WriteError, clock};
use crate::event::{Event, Invalid};
use housekeeping::{Housekeeper, Rules};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::future::ready;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use target::Target;
use template::Template;

/// Files that are open at a time.
const OPEN_MAX: usize = 256;
const MAX_BYTES_MIN: u64 = 1_024;
/// How often a file is tried that could not be opened while no event comes.
const OPEN_EVERY_MS: u64 = 5_000;
/// What a file's buffer keeps of its memory: where there is one file, and where there may be many.
const ROOM_BYTES_ONE: usize = 1024 * 1024;
const ROOM_BYTES_MANY: usize = 16 * 1024;

/// The options; see the [module](self).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Where to.
    pub path: String,
    /// How events are written.
    #[serde(default)]
    pub encoding: Encoding,
    /// When a file ends and a new one begins.
    #[serde(default)]
    pub rotation: Rotation,
    /// The permissions of new files.
    #[serde(default)]
    pub mode: Mode,
    /// What an acknowledgement waits for.
    #[serde(default)]
    pub fsync: Fsync,
    /// When a file that gets nothing is closed.
    #[serde(default = "idle_timeout_secs")]
    pub idle_timeout_secs: NonZeroU32,
}

fn idle_timeout_secs() -> NonZeroU32 {
    NonZeroU32::new(30).unwrap_or(NonZeroU32::MIN)
}

/// The options `rotation.*`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rotation {
    /// How long a file may get.
    #[schemars(range(min = MAX_BYTES_MIN))]
    pub max_bytes: Option<u64>,
    /// How long it is written.
    pub interval: Option<Interval>,
    /// How many rotated files stay.
    pub keep: Option<NonZeroU32>,
    /// What is done with them.
    pub compression: Compression,
}

impl Rotation {
    fn is_on(&self) -> bool {
        self.max_bytes.is_some() || self.interval.is_some()
    }

    /// Whether rotated files need looking after.
    fn is_kept_house(&self) -> bool {
        self.is_on() && (self.keep.is_some() || self.compression != Compression::None)
    }

    fn check(&self) -> Result<(), Invalid> {
        if let Some(bytes) = self.max_bytes.filter(|bytes| *bytes < MAX_BYTES_MIN) {
            let message = format!("{bytes} is too little for a file: {MAX_BYTES_MIN} bytes or more");
            return Err(Invalid::new("rotation.max_bytes", message));
        }
        let idle = match (self.keep, self.compression) {
            (Some(_), _) => "rotation.keep",
            (None, Compression::Gzip | Compression::Zstd) => "rotation.compression",
            (None, Compression::None) => return Ok(()),
        };
        if self.is_on() {
            return Ok(());
        }
        let help = "say when files are rotated: `rotation.interval = \"daily\"`, or by `rotation.max_bytes`";
        Err(Invalid::new(idle, "no file is ever rotated").help(help))
    }
}

/// How long a file is written before it is rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Interval {
    /// Until the full hour.
    Hourly,
    /// Until midnight, UTC.
    Daily,
}

/// What an acknowledgement waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fsync {
    /// That a batch is on the disk.
    #[default]
    Batch,
    /// That the operating system has it.
    Never,
}

/// Octal, with which the owner may read and write.
const MODE_PATTERN: &str = "^(0o)?0*[67][0-7]{2}$";

/// Permissions, written in octal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = MODE_PATTERN))]
pub struct Mode(u32);

impl Default for Mode {
    fn default() -> Mode {
        Mode(0o640)
    }
}

impl TryFrom<String> for Mode {
    type Error = String;

    fn try_from(text: String) -> Result<Mode, String> {
        let digits = text.strip_prefix("0o").unwrap_or(&text);
        let is_octal = !digits.is_empty() && digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        let bits = u32::from_str_radix(digits, 8).ok().filter(|bits| is_octal && *bits <= 0o777);
        let Some(bits) = bits else {
            return Err(format!("`{text}` is no mode: write it in octal, from \"0600\" to \"0777\""));
        };
        if bits & 0o600 != 0o600 {
            return Err(format!(
                "with `{text}` a file could not be opened again: its owner has to read and write"
            ));
        }
        Ok(Mode(bits))
    }
}

impl From<Mode> for String {
    fn from(mode: Mode) -> String {
        format!("{:04o}", mode.0)
    }
}

/// How files are made and written.
#[derive(Debug)]
struct Manner {
    mode: u32,
    fsync: Fsync,
    rotation: Rotation,
    /// The folder that no path leaves, where paths depend on events.
    prefix: Option<PathBuf>,
    /// What a buffer keeps of its memory.
    room_bytes: usize,
}

impl Manner {
    fn syncs(&self) -> bool {
        self.fsync == Fsync::Batch
    }
}

impl SinkConfig for File {
    fn writes(&self) -> Option<String> {
        Some(Template::parse(&self.path).ok()?.sample())
    }

    fn build(&self) -> Result<Work, Invalid> {
        let template = Template::parse(&self.path)?;
        self.rotation.check()?;
        let encoder = Encoder::new(&self.encoding, false)?;
        let rules = Rules {
            keep: self.rotation.keep.map(|keep| keep.get() as usize),
            compression: self.rotation.compression,
        };
        let manner = Manner {
            mode: self.mode.0,
            fsync: self.fsync,
            rotation: self.rotation.clone(),
            prefix: template.prefix().map(PathBuf::from),
            room_bytes: if template.is_plain() { ROOM_BYTES_ONE } else { ROOM_BYTES_MANY },
        };
        Ok(Work::writing(Files {
            id: String::new(),
            template,
            encoder,
            manner,
            idle_ms: u64::from(self.idle_timeout_secs.get()) * 1_000,
            housekeeper: Housekeeper::new(rules),
            targets: BTreeMap::new(),
            path: String::new(),
            open_at_ms: Some(0),
            obstacle: None,
            bytes: 0,
        }))
    }
}

/// The sink: all of its files.
struct Files {
    /// Its id in the config.
    id: String,
    template: Template,
    encoder: Encoder,
    manner: Manner,
    idle_ms: u64,
    housekeeper: Housekeeper,
    /// Files that are open, and those that something waits for, by path.
    targets: BTreeMap<String, Target>,
    /// The path of the last event.
    path: String,
    /// When to open the file whose name is known before any event, in milliseconds since 1970; none where that has
    /// worked, or something was written.
    open_at_ms: Option<u64>,
    /// Why that has failed.
    obstacle: Option<String>,
    /// How much was encoded in all.
    bytes: u64,
}

impl Sink for Files {
    fn begin(&mut self, id: &str, _data_dir: &Path) {
        id.clone_into(&mut self.id);
    }

    fn blocks(&self) -> bool {
        true
    }

    fn write<'a>(&'a mut self, events: &'a [Event]) -> BoxFuture<'a, Result<(), WriteError>> {
        self.take(events);
        Box::pin(ready(Ok(())))
    }

    fn flush(&mut self) -> BoxFuture<'_, Result<(), WriteError>> {
        let flushed = self.write_out();
        Box::pin(ready(flushed.map_err(|Trouble(why)| WriteError::Transient(why))))
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn wake_at(&self) -> Option<u64> {
        let open = self.targets.values().filter(|target| target.is_open());
        open.map(|target| target.used_ms + self.idle_ms).chain(self.open_at_ms).min()
    }

    fn obstacle(&self) -> Option<String> {
        self.obstacle.clone()
    }

    fn wake(&mut self) -> BoxFuture<'_, ()> {
        let (now_ms, idle_ms) = (clock::now_ms(), self.idle_ms);
        if self.open_at_ms.is_some_and(|at| at <= now_ms) {
            self.start(now_ms);
        }
        self.targets.retain(|_, target| target.is_pending() || target.used_ms + idle_ms > now_ms);
        Box::pin(ready(()))
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        self.targets.clear();
        self.housekeeper.finish();
        Box::pin(ready(()))
    }
}

impl Files {
    /// Opens the file whose name is known before any event: what is wrong with it is said at the start, and what a
    /// crash has left is put in order.
    fn start(&mut self, now_ms: u64) {
        self.open_at_ms = None;
        let Some(path) = self.template.plain() else { return };
        let target = self.targets.entry(path.to_owned()).or_insert_with(|| Target::new(PathBuf::from(path)));
        target.used_ms = now_ms;
        let before = self.obstacle.take();
        match target.open(&self.manner, &self.housekeeper) {
            Ok(_) if before.is_some() => tracing::info!(sink = self.id, "the file can be written now"),
            Ok(_) => {}
            Err(Trouble(why)) => {
                if before.as_ref() != Some(&why) {
                    tracing::warn!(sink = self.id, "the first event will have to wait: {why}");
                }
                (self.obstacle, self.open_at_ms) = (Some(why), Some(clock::now_ms() + OPEN_EVERY_MS));
            }
        }
    }

    fn take(&mut self, events: &[Event]) {
        let now_ms = clock::now_ms();
        if let Some(path) = self.template.plain() {
            let target =
                self.targets.entry(path.to_owned()).or_insert_with(|| Target::new(PathBuf::from(path)));
            target.used_ms = now_ms;
            for event in events {
                self.bytes += target.push(event, &self.encoder, &self.manner);
            }
            return;
        }
        for event in events {
            self.template.render(event, &mut self.path);
            let target = match self.targets.get_mut(&self.path) {
                Some(target) => target,
                None => {
                    self.targets.entry(self.path.clone()).or_insert(Target::new(PathBuf::from(&self.path)))
                }
            };
            target.used_ms = now_ms;
            self.bytes += target.push(event, &self.encoder, &self.manner);
        }
    }

    /// Writes what is pending to every file; one that can't be written does not keep the others.
    fn write_out(&mut self) -> Result<(), Trouble> {
        self.open_at_ms = None;
        let mut open = self.targets.values().filter(|target| target.is_open()).count();
        let waiting: Vec<String> = self
            .targets
            .iter()
            .filter(|(_, target)| target.is_pending())
            .map(|(path, _)| path.clone())
            .collect();
        let mut first_trouble = Ok(());
        for path in &waiting {
            let Some(target) = self.targets.get(path) else { continue };
            if !target.is_open() && open >= OPEN_MAX {
                self.close_oldest();
                open -= 1;
            }
            if let Some(target) = self.targets.get_mut(path) {
                let was_open = target.is_open();
                let flushed = target.flush(&self.manner, &self.housekeeper);
                open = open + usize::from(target.is_open()) - usize::from(was_open);
                first_trouble = first_trouble.and(flushed);
            }
        }
        if first_trouble.is_ok() {
            self.obstacle = None;
        }
        first_trouble
    }

    /// Closes the file that has got nothing for the longest time, and forgets it where nothing waits for it.
    fn close_oldest(&mut self) {
        let open = self.targets.iter().filter(|(_, target)| target.is_open());
        let oldest = open.min_by_key(|(_, target)| (target.is_pending(), target.used_ms));
        let Some(path) = oldest.map(|(path, _)| path.clone()) else { return };
        if let Some(target) = self.targets.get_mut(&path) {
            target.close();
            if !target.is_pending() {
                self.targets.remove(&path);
            }
        }
    }
}

#[cfg(test)]
mod tests;
