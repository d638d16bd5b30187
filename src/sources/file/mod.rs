//! `file`: reads log files, and goes on with them as they grow, are rotated, cut off, compressed or deleted.
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `include` | files to read: paths and patterns (`*`, `?`, `[…]`, `**` for folders) | required |
//! | `exclude` | files to leave out, likewise | none |
//! | `read_from` | where to begin with the files of the first run: `beginning` or `end`; files that come later are read from their beginning | `beginning` |
//! | `ignore_older_secs` | files not written to for so many seconds are left alone when they are first seen | none are |
//! | `oldest_first` | read the oldest file to its end before the next, instead of all in turns | `false` |
//! | `glob_minimum_cooldown_ms` | how often to look for new files, in milliseconds, from 50 | `1000` |
//! | `rotate_wait_secs` | how long a rotated or deleted file may have nothing new until it is taken for finished, in seconds | `5` |
//! | `remove_after_secs` | delete a file that has been delivered whole and not written to for so many seconds, from 1 | never |
//! | `max_open_files` | files that are open at the same time | `512` |
//! | `decoding.codec` | `livebook`: JSON and text records, detected line by line, any other line as `{message}`; `json`; `text` | `livebook` |
//! | `decoding.unwrap` | what stands around each line: `docker` (`json-file`), `cri` (containerd, CRI-O), `journald` (`journalctl -o json`), `fly`, `none`; `auto` finds out, shippers such as Fluent Bit and Vector too | `auto` |
//! | `decoding.timezone` | the zone of text records, whose times have none | the machine's |
//! | `max_record_bytes` | length of the longest record, in bytes; a longer one is a fault | `4194304` |
//!
//! Files packed by gzip or Zstandard are told by their first bytes. Where the reading of each file stands is kept in
//! `data_dir/<id>/checkpoints.json`, and moves only past what is delivered: after a crash, some records come twice, with
//! the same `%id`, and none is missing.
//!
//! A file is known by its first line *and* its inode, and by what stands in front of the place where the reading stands;
//! one that is shorter than that, or has something else there, is a new file. The files of one log (`app.log`,
//! `app.log.1`, `app.log.2.gz`) are read oldest first. A copy that rotation makes (`copytruncate`, compression, also by way
//! of an `app.log.2.tmp`) is read on from where its original was left.
//!
//! A last line without a newline waits until it is whole; it is handed on as it stands when its file is finished: rotated
//! or deleted, or at the end of a run with `--once`. What can't be decoded leaves by the port `faults`, as
//! `{reason, detail, raw | raw_base64, truncated}`.
//!
//! ```toml
//! [sources.livebook]
//! type = "file"
//! include = ["/var/log/livebook/*.log"]
//! exclude = ["/var/log/livebook/debug*"]
//! ```

mod checkpoints;
mod discover;
mod hand_on;
mod input;
mod lag;
mod mark;
mod reader;
mod scan;
mod tail;
mod trouble;
mod watched;

use super::{SourceConfig, Task};
use crate::codec::{Chunk, Decoder, Decoding, FaultKind, RecordBytes, Settings};
use crate::delivery::{Intake, Progress, SourceContext, Told, clock};
use crate::event::{Invalid, Stream};
use checkpoints::Store;
use discover::Patterns;
use reader::Reader;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Pieces that may be ahead of the decoder.
const PIECES_AHEAD: usize = 2;

/// Where to begin with a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReadFrom {
    /// At its first line.
    #[default]
    Beginning,
    /// Behind its last line.
    End,
}

/// The options; see the [module](self).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSource {
    /// Files to read.
    #[schemars(length(min = 1))]
    pub include: Vec<String>,
    /// Files to leave out.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Where to begin with the files of the first run.
    #[serde(default)]
    pub read_from: ReadFrom,
    /// Files not written to for so long are left alone when they are first seen, in seconds.
    #[serde(default)]
    pub ignore_older_secs: Option<u64>,
    /// Whether to read the oldest file to its end before the next.
    #[serde(default)]
    pub oldest_first: bool,
    /// How often to look for new files, in milliseconds.
    #[serde(default = "FileSource::cooldown_ms")]
    #[schemars(range(min = COOLDOWN_MS_MIN))]
    pub glob_minimum_cooldown_ms: u64,
    /// How long a rotated file may have nothing new until it is finished, in seconds.
    #[serde(default = "FileSource::rotate_wait")]
    pub rotate_wait_secs: u64,
    /// After how long to delete a file that has been delivered whole, in seconds.
    #[serde(default)]
    pub remove_after_secs: Option<NonZeroU64>,
    /// Files that are open at the same time.
    #[serde(default = "FileSource::open_files")]
    pub max_open_files: NonZeroUsize,
    /// How bytes become events.
    #[serde(default)]
    pub decoding: Decoding,
    /// Length of the longest record, in bytes.
    #[serde(default)]
    pub max_record_bytes: RecordBytes,
}

/// A shorter cooldown would spend more on looking for files than on reading them.
const COOLDOWN_MS_MIN: u64 = 50;

impl FileSource {
    fn cooldown_ms() -> u64 {
        1000
    }

    fn rotate_wait() -> u64 {
        5
    }

    fn open_files() -> NonZeroUsize {
        NonZeroUsize::MIN.saturating_add(511)
    }

    fn patterns(&self) -> Result<Patterns, Invalid> {
        if self.include.is_empty() {
            return Err(Invalid::new("include", "no file is named").help("name a file or a pattern"));
        }
        Patterns::new(&self.include, &self.exclude).map_err(|(pattern, e)| {
            let key = if self.include.contains(&pattern) { "include" } else { "exclude" };
            let help = "`*` stands for any characters but `/`, `**` for any folders, `[…]` for one of some characters";
            Invalid::new(key, format!("`{pattern}` is no pattern: {} at character {}", e.msg, e.pos + 1)).help(help)
        })
    }
}

impl SourceConfig for FileSource {
    fn reads(&self, path: &str) -> bool {
        self.patterns().is_ok_and(|patterns| patterns.fits(path))
    }

    fn check(&self) -> Result<(), Invalid> {
        if self.glob_minimum_cooldown_ms < COOLDOWN_MS_MIN {
            let help =
                format!("use {COOLDOWN_MS_MIN} or more; records are read much sooner than files are found");
            return Err(Invalid::new("glob_minimum_cooldown_ms", "too short").help(help));
        }
        self.patterns().map(drop)
    }

    fn build(&self, cx: SourceContext) -> Result<Task, Invalid> {
        let (demand, check_all) = cx.wanted.now();
        let max_record_bytes = self.max_record_bytes.0;
        let settings = Settings { max_record_bytes, demand, check_all, ..Settings::new(self.decoding) };
        let patterns = self.patterns()?;
        Ok(Box::pin(run(cx, self.clone(), patterns, settings)))
    }
}

/// What the reading thread hands to the task that decodes.
enum Piece {
    /// A log begins, or goes on.
    Open {
        key: u64,
        stream: Stream,
        progress: Arc<Progress>,
        /// The file whose place this one takes.
        after: Option<u64>,
    },
    /// What was delivered before.
    Context(u64, Chunk),
    /// What is new, up to this offset.
    Lines(u64, Chunk, u64),
    /// What comes next is a line without its newline, of this fingerprint.
    Cut(u64, u64),
    /// What can't be read.
    Fault { key: u64, kind: FaultKind, detail: String, offset: u64 },
    /// The log has ended: what is open is complete.
    Finish(u64),
    /// Nothing more comes for now, and nothing is open.
    Close(u64),
}

/// Ends the waiting of the thread.
#[derive(Default)]
struct Stop {
    is_set: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    fn set(&self) {
        *self.is_set.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Waits for so long at most; says whether it is time to stop.
    fn wait(&self, at_most: Duration) -> bool {
        let is_set = self.is_set.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(is_set, at_most, |is_set| !*is_set);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

async fn run(
    cx: SourceContext,
    options: FileSource,
    patterns: Patterns,
    settings: Settings,
) -> Result<(), String> {
    let (store, earlier) = Store::open(&cx.data_dir, &cx.id)?;
    let (sender, mut pieces) = mpsc::channel(PIECES_AHEAD);
    let stop = Arc::new(Stop::default());
    // The thread waits for the last verdicts until this is dropped, and there will be no more.
    let (ours, theirs) = std::sync::mpsc::sync_channel::<()>(0);
    let (ended, end) = oneshot::channel();
    let reader = Reader::new(&cx, options, patterns, settings, store, earlier, sender, Arc::clone(&stop));
    std::thread::Builder::new()
        .name("files".to_owned())
        .spawn(move || ended.send(reader.run(&theirs)).unwrap_or_default())
        .map_err(|e| format!("can't start a thread to read files: {e}"))?;
    let mut shutdown = cx.shutdown.clone();
    let mut decoders = Decoders { cx, settings, told: Arc::default(), intakes: BTreeMap::new() };
    loop {
        let silence = decoders.silence();
        tokio::select! {
            biased;
            () = shutdown.wait() => break,
            piece = pieces.recv() => match piece {
                Some(piece) => decoders.take(piece).await,
                None => break,
            },
            () = silence => decoders.silent().await,
        }
    }
    // What is open in a decoder is not delivered, and read again after a restart.
    drop((decoders, pieces));
    stop.set();
    drop(ours);
    end.await.unwrap_or_else(|_| Err("the thread that reads files has failed".to_owned()))
}

/// The decoders of all files that are read.
struct Decoders {
    cx: SourceContext,
    settings: Settings,
    told: Arc<Told>,
    intakes: BTreeMap<u64, Intake>,
}

impl Decoders {
    async fn take(&mut self, piece: Piece) {
        match piece {
            Piece::Open { key, stream, progress, after } => {
                let (out, meter) = (self.cx.out.clone(), Arc::clone(&self.cx.meter));
                let (decoder, wanted) = (Decoder::new(self.settings), self.cx.wanted.clone());
                let mut intake = Intake::new(decoder, wanted, stream, out, meter)
                    .following(progress, Arc::clone(&self.told));
                if let Some(before) = after.and_then(|after| self.intakes.get(&after)) {
                    intake.succeed(before);
                }
                self.intakes.insert(key, intake);
            }
            Piece::Context(key, chunk) => {
                if let Some(intake) = self.intakes.get_mut(&key) {
                    intake.replay(chunk).await;
                }
            }
            Piece::Lines(key, chunk, end) => {
                if let Some(intake) = self.intakes.get_mut(&key) {
                    intake.take_up_to(chunk, end).await;
                }
            }
            Piece::Cut(key, fingerprint) => {
                if let Some(intake) = self.intakes.get_mut(&key) {
                    intake.fingerprinted(fingerprint);
                }
            }
            Piece::Fault { key, kind, detail, offset } => {
                if let Some(intake) = self.intakes.get_mut(&key) {
                    intake.fault(kind, detail, b"", offset).await;
                }
            }
            Piece::Finish(key) => {
                if let Some(mut intake) = self.intakes.remove(&key) {
                    intake.complete().await;
                }
            }
            Piece::Close(key) => drop(self.intakes.remove(&key)),
        }
    }

    /// Waits until a record that is open may be complete.
    fn silence(&self) -> impl Future<Output = ()> + use<> {
        let deadline_ms = self.intakes.values().filter_map(Intake::deadline_ms).min();
        async move {
            match deadline_ms {
                Some(at) => {
                    tokio::time::sleep(Duration::from_millis(at.saturating_sub(clock::now_ms()))).await
                }
                None => std::future::pending().await,
            }
        }
    }

    async fn silent(&mut self) {
        let now_ms = clock::now_ms();
        for intake in self.intakes.values_mut() {
            if intake.deadline_ms().is_some_and(|at| at <= now_ms) {
                intake.silent().await;
            }
        }
    }
}
