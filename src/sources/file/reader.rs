//! The thread that reads: a turn for each file that has something new, and now and then a look for new files.
//!
//! Files of one log are read oldest first, so that its records stay in order over a rotation; logs have their turns side
//! by side. A file waits closed where more are there than may be open.

use super::checkpoints::{Checkpoint, Earlier, Store};
use super::discover::{Found, Patterns};
use super::input::{Input, Place};
use super::tail::{End, Tools};
use super::trouble::{Troubles, UNFINISHED_MAX};
use super::watched::{Phase, Watched};
use super::{FileSource, Piece, Stop};
use crate::codec::Settings;
use crate::codec::framing::Buffers;
use crate::codec::sieve::Sieve;
use crate::delivery::{Failing, Meter, SourceContext, Wanted, clock};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

/// How often checkpoints are written, where they have moved.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// How often is looked how far a run with `--once` is.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long a checkpoint outlives its file: rotation may bring the file back under another name.
const GONE_KEPT_MS: u64 = 60_000;
/// A file that waits until another may be closed is tried again after this long.
const ROOM_WAIT: Duration = Duration::from_millis(4);
/// The first look for files is repeated so often, where they are renamed meanwhile.
pub const LOOKS_MAX: u32 = 100;
/// The last verdicts are waited for in steps of this.
const SETTLE_STEP: Duration = Duration::from_millis(2);

/// Nobody takes what is read any more.
pub struct Stopped;

/// Reads the files of one source.
pub struct Reader {
    pub(super) id: String,
    pub(super) options: FileSource,
    pub(super) patterns: Patterns,
    pub(super) once: bool,
    /// In the order of their age: of files found together, the oldest has the lowest key.
    pub(super) files: BTreeMap<u64, Watched>,
    pub(super) next_key: u64,
    /// Numbers of logs, by what the names of their files have in common.
    pub(super) families: HashMap<PathBuf, u32>,
    /// Checkpoints whose file has not been found.
    pub(super) unclaimed: Vec<Checkpoint>,
    /// Whether the files that are found next are those of the very first run.
    pub(super) is_first_run: bool,
    pub(super) is_first_scan: bool,
    /// Files that look like a copy that rotation is about to make: since when they have had which length.
    pub(super) suspects: BTreeMap<Place, (Instant, u64)>,
    /// What could not be read in a run with `--once`.
    pub(super) failures: Vec<String>,
    /// When to look for files; none where once is enough.
    next_scan: Option<Instant>,
    /// Whether something was renamed while it was looked for: where it lies, another look tells.
    pub(super) again: bool,
    pub(super) looks: u32,
    store: Store,
    pub(super) next_save: Instant,
    saving: Failing,
    next_look: Instant,
    /// What there is to read in a run with `--once`, in bytes on the disk; none before that is known.
    total: Option<u64>,
    tools: Tools,
    pieces: Sender<Piece>,
    runtime: Handle,
    stop: Arc<Stop>,
    pub(super) meter: Arc<Meter>,
    pub(super) troubles: Troubles,
    wanted: Wanted,
}

impl Reader {
    /// A reader that has yet to look for files.
    #[allow(clippy::too_many_arguments, reason = "it is called once, with what its thread takes along")]
    pub fn new(
        cx: &SourceContext,
        options: FileSource,
        patterns: Patterns,
        settings: Settings,
        store: Store,
        earlier: Earlier,
        pieces: Sender<Piece>,
        stop: Arc<Stop>,
    ) -> Reader {
        let now = clock::monotonic();
        let sieve = Sieve::new(&settings);
        Reader {
            id: cx.id.clone(),
            options,
            patterns,
            once: cx.once,
            files: BTreeMap::new(),
            next_key: 0,
            families: HashMap::new(),
            unclaimed: earlier.checkpoints,
            is_first_run: earlier.is_first_run,
            is_first_scan: true,
            suspects: BTreeMap::new(),
            failures: Vec::new(),
            next_scan: Some(now),
            again: false,
            looks: 0,
            store,
            next_save: now + SAVE_EVERY,
            saving: Failing::default(),
            next_look: now,
            total: None,
            tools: Tools { settings, buffers: Buffers::default(), sieve },
            pieces,
            runtime: Handle::current(),
            stop,
            meter: Arc::clone(&cx.meter),
            troubles: Troubles::default(),
            wanted: cx.wanted.clone(),
        }
    }

    /// Reads until it is told to stop or, where it should, until everything is read. `closing` says by its end that
    /// nothing more is sent.
    pub fn run(mut self, closing: &Receiver<()>) -> Result<(), String> {
        while self.work().is_ok() {
            let is_read = self.files.values().all(|file| file.phase != Phase::Live);
            if self.once && is_read && !self.again {
                break;
            }
            if self.stop.wait(self.pause()) {
                break;
            }
        }
        // Whoever decodes hears that nothing more comes, and closes what leads on.
        let (closed, _) = tokio::sync::mpsc::channel(1);
        self.pieces = closed;
        // It ends without a message: the other end is dropped.
        closing.recv().unwrap_or_default();
        while !self.files.values().all(|file| file.progress.is_settled()) {
            self.look_if_due();
            std::thread::sleep(SETTLE_STEP);
        }
        self.save().map_err(|e| format!("can't write checkpoints: {e}; what was read will be read again"))?;
        match self.failures.as_slice() {
            [] => Ok(()),
            [one] => Err(one.clone()),
            [first, others @ ..] => Err(format!("{first}; and {} more", others.len())),
        }
    }

    fn work(&mut self) -> Result<(), Stopped> {
        let now = clock::monotonic();
        let (demand, check_all) = self.wanted.now();
        self.tools.settings.want(demand, check_all);
        self.tools.sieve.want(&self.tools.settings);
        if std::mem::take(&mut self.again) || self.next_scan.is_some_and(|at| at <= now) {
            self.looks = self.looks.saturating_add(1);
            let cooldown = Duration::from_millis(self.options.glob_minimum_cooldown_ms);
            self.next_scan = (!self.once).then_some(now + cooldown);
            self.scan()?;
        }
        self.round()?;
        self.save_if_due();
        Ok(())
    }

    /// Something was renamed just now: asks for another look; says whether there will be one. A run with `--once` does not
    /// look for ever.
    pub(super) fn look_again(&mut self) -> bool {
        self.again = !self.once || self.looks < LOOKS_MAX;
        if !self.again && self.failures.is_empty() {
            self.failures.push("files are renamed faster than they can be opened".to_owned());
        }
        self.again
    }

    /// How long nothing is to be done.
    fn pause(&self) -> Duration {
        if self.again {
            return Duration::ZERO;
        }
        let looks = self.files.values().filter_map(|file| file.due);
        let next = looks.chain([self.next_save]).chain(self.next_scan).min();
        let now = clock::monotonic();
        next.map_or(SAVE_EVERY, |at| at.saturating_duration_since(now))
    }

    /// A turn for every file that is due.
    fn round(&mut self) -> Result<(), Stopped> {
        let now = clock::monotonic();
        let due = self.files.iter().filter(|(_, file)| file.is_due(now));
        let due: Vec<u64> = due.map(|(key, _)| *key).collect();
        self.find_heads(&due)?;
        // Younger files of a log wait until the older ones are read.
        let mut waiting = BTreeSet::new();
        let mut is_full = false;
        for key in due {
            let Some(file) = self.files.get_mut(&key) else { continue };
            let family = if self.options.oldest_first { 0 } else { file.family };
            if waiting.contains(&family) {
                continue;
            }
            let is_open = file.input.is_some();
            // There was no room to look at its first line: as little is there to read on.
            is_full = is_full || (!is_open && (file.tail.head.is_none() || !self.make_room()?));
            let is_ready = is_open || (!is_full && self.open(key));
            if let Some(file) = self.files.get_mut(&key).filter(|file| !is_ready && file.is_due(now)) {
                file.due = Some(now + ROOM_WAIT);
            }
            if !is_ready || !self.turn(key)? {
                waiting.insert(family);
            }
        }
        Ok(())
    }

    /// Looks at the first lines of files that are new. They are in the checkpoints before anything of them is handed on:
    /// after a crash, a copy of such a file is known for what it is, and its records keep their ids.
    fn find_heads(&mut self, due: &[u64]) -> Result<(), Stopped> {
        let now = clock::monotonic();
        let mut found = false;
        for key in due {
            let is_new = |file: &&mut Watched| file.tail.head.is_none();
            let Some(file) = self.files.get_mut(key).filter(is_new) else { continue };
            if file.input.is_none() {
                if !self.make_room()? {
                    break;
                }
                if !self.open(*key) {
                    continue;
                }
            }
            let finish = self.files.get(key).is_some_and(|file| self.finishes(file, now));
            let once = self.once;
            let Some(file) = self.files.get_mut(key) else { continue };
            let waits = !once && file.news + UNFINISHED_MAX > now;
            if let (Some(input), Some(place)) = (file.input.as_mut(), file.place) {
                found |= match file.tail.find_head(input, place, finish) {
                    Ok(is_there) => is_there,
                    // It is broken right away: its turn reads what there is, and tells.
                    Err(trouble) if trouble.is_of_packing() && !waits => {
                        file.tail.make_head(input, place);
                        true
                    }
                    // What is wrong with it, its turn will tell.
                    Err(_) => false,
                };
            }
        }
        if found {
            self.try_save();
        }
        Ok(())
    }

    /// Whether what is there of a file is all that comes.
    fn finishes(&self, file: &Watched, now: Instant) -> bool {
        let wait = Duration::from_secs(self.options.rotate_wait_secs);
        let is_packed = file.input.as_ref().is_some_and(Input::is_packed);
        self.once || is_packed || (file.phase == Phase::Live && file.is_left(wait, now))
    }

    /// Reads on in one file; says whether it has been read to its end.
    fn turn(&mut self, key: u64) -> Result<bool, Stopped> {
        self.look_if_due();
        let now = clock::monotonic();
        let Some(file) = self.files.get(&key) else { return Ok(true) };
        let finish = self.finishes(file, now);
        let Some(file) = self.files.get_mut(&key) else { return Ok(true) };
        let Some(input) = file.input.as_mut() else { return Ok(true) };
        let mut turn = file.tail.turn(input, &mut self.tools, finish);
        let end = std::mem::take(&mut turn.end);
        let had_news = !turn.pieces.is_empty();
        self.hand_on(key, turn)?;
        let Some(file) = self.files.get_mut(&key) else { return Ok(true) };
        if had_news {
            file.news = now;
        }
        if !matches!(end, End::Trouble(_)) {
            file.failing = None;
        }
        match end {
            End::Idle if !finish => {
                file.had_nothing(now);
                self.remove_if_old(key, now)?;
                return Ok(true);
            }
            End::Read if !finish => {
                if had_news {
                    file.had_news(now)
                } else {
                    file.had_nothing(now)
                }
                return Ok(true);
            }
            End::Idle | End::Read => self.finish(key)?,
            End::More => {
                file.had_news(now);
                file.due = Some(now);
                return Ok(false);
            }
            End::Replaced => self.replace(key)?,
            End::Trouble(trouble) => return self.trouble(key, trouble),
        }
        Ok(true)
    }

    /// Waits for room; checkpoints are written meanwhile.
    pub(super) fn send(&mut self, piece: Piece) -> Result<(), Stopped> {
        let piece = match self.pieces.try_send(piece) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Closed(_)) => return Err(Stopped),
            Err(TrySendError::Full(piece)) => piece,
        };
        let pause = if self.once { LOOK_EVERY } else { SAVE_EVERY };
        loop {
            let room = self
                .runtime
                .block_on(async { tokio::time::timeout(pause, self.pieces.clone().reserve_owned()).await });
            match room {
                Ok(Ok(room)) => {
                    room.send(piece);
                    return Ok(());
                }
                Ok(Err(_)) => return Err(Stopped),
                Err(_) => {
                    self.look_if_due();
                    self.save_if_due();
                }
            }
        }
    }

    /// The file has been read to its end, its last line included.
    pub(super) fn finish(&mut self, key: u64) -> Result<(), Stopped> {
        let now = clock::monotonic();
        let Some(file) = self.files.get_mut(&key) else { return Ok(()) };
        file.phase = Phase::Done;
        let is_packed = file.input.as_ref().is_some_and(Input::is_packed);
        let is_told = std::mem::take(&mut file.told);
        file.tail.replay_from = Some(file.progress.position().context);
        if self.once || is_packed {
            file.checkpoint();
            (file.input, file.due) = (None, None);
        } else {
            file.had_nothing(now);
        }
        if is_told { self.send(Piece::Finish(key)) } else { Ok(()) }
    }

    /// Whether one more file may be opened. Where too many are open, one that waits for news is closed.
    fn make_room(&mut self) -> Result<bool, Stopped> {
        let now = clock::monotonic();
        let open = self.files.values().filter(|file| file.input.is_some()).count();
        if open < self.options.max_open_files.get() {
            return Ok(true);
        }
        let can_close = |file: &Watched| {
            file.input.is_some()
                && file.due.is_none_or(|due| due > now)
                && file.is_delivered()
                && (file.rotated.is_none() || file.phase == Phase::Done)
        };
        let idle = self.files.iter().filter(|(_, file)| can_close(file)).min_by_key(|(_, file)| file.news);
        let Some(idle) = idle.map(|(key, _)| *key) else { return Ok(false) };
        if let Some(file) = self.files.get_mut(&idle) {
            file.close();
        }
        self.send(Piece::Close(idle))?;
        Ok(true)
    }

    /// Opens a file that is not; says whether it is open then.
    fn open(&mut self, key: u64) -> bool {
        let Some(file) = self.files.get_mut(&key) else { return false };
        match Input::open_at(&file.path, file.place) {
            Ok(Some(input)) => {
                file.input = Some(input);
                file.trouble.clear();
                true
            }
            Ok(None) => {
                file.lose();
                if !self.look_again()
                    && let Some(file) = self.files.get_mut(&key)
                {
                    file.phase = Phase::Done;
                }
                false
            }
            Err(e) => {
                let what = format!("can't open {}: {e}", file.path.display());
                self.cant_read(key, what);
                false
            }
        }
    }

    /// Deletes a file that has been delivered whole, where that is wanted.
    fn remove_if_old(&mut self, key: u64, now: Instant) -> Result<(), Stopped> {
        let Some(after) = self.options.remove_after_secs.map(|secs| Duration::from_secs(secs.get())) else {
            return Ok(());
        };
        let Some(file) = self.files.get_mut(&key).filter(|file| file.is_delivered()) else { return Ok(()) };
        let len = file.input.as_ref().and_then(|input| input.metadata().ok()).map(|metadata| metadata.len());
        let is_its_name = Found::at(&file.path).is_some_and(|found| Some(found.place) == file.place);
        if file.news + after > now || len != Some(file.tail.offset()) || !is_its_name {
            return Ok(());
        }
        let path = file.path.display();
        match std::fs::remove_file(&file.path) {
            Ok(()) => tracing::info!(
                source = self.id,
                "{path} is delivered and deleted, as `remove_after_secs` asks"
            ),
            Err(e) => {
                let what = format!("can't delete {path}: {e}");
                self.try_later(key, what);
                return Ok(());
            }
        }
        file.vanish(clock::now_ms());
        if std::mem::take(&mut file.told) { self.send(Piece::Finish(key)) } else { Ok(()) }
    }

    fn save_if_due(&mut self) {
        let now = clock::monotonic();
        if now < self.next_save {
            return;
        }
        self.try_save();
        self.measure(now);
    }

    /// Says how far the delivery is behind the ends of the files.
    fn measure(&mut self, now: Instant) {
        let (mut bytes, mut time) = (0, Duration::ZERO);
        for file in self.files.values_mut().filter(|file| file.is_there()) {
            let (more, longer) = file.behind(now);
            bytes += more;
            time = time.max(longer);
        }
        self.meter.set_lag(bytes, time.as_millis() as u64);
    }

    /// In a run with `--once`, says how much there is to read, and how much of it is not delivered.
    fn look_if_due(&mut self) {
        let now = clock::monotonic();
        if !self.once || now < self.next_look {
            return;
        }
        self.next_look = now + LOOK_EVERY;
        let left: u64 = self.files.values().map(Watched::left).sum();
        // A file that grows meanwhile may be read further than it was long.
        self.total = self.total.max(Some(left));
        self.meter.set_files(self.total.unwrap_or(left), left);
    }

    fn try_save(&mut self) {
        self.next_save = clock::monotonic() + SAVE_EVERY;
        let (saved, now) = (self.save(), clock::monotonic());
        self.troubles.save(&self.meter, &saved);
        match saved {
            Ok(()) if self.saving.worked(now).is_some() => {
                tracing::info!(source = self.id, "can write checkpoints again");
            }
            Ok(()) => {}
            Err(e) if self.saving.failed(&e.to_string(), now).is_some() => {
                tracing::warn!(source = self.id, "can't write checkpoints: {e}; it is tried again");
            }
            Err(_) => {}
        }
    }

    fn save(&mut self) -> std::io::Result<()> {
        let oldest = clock::now_ms().saturating_sub(GONE_KEPT_MS);
        let is_kept = |gone_since_ms: Option<u64>| gone_since_ms.is_none_or(|since| since > oldest);
        self.unclaimed.retain(|checkpoint| is_kept(checkpoint.gone_since_ms));
        self.files.retain(|_, file| match file.phase {
            Phase::Gone { since_ms } => since_ms > oldest || !file.progress.is_settled(),
            Phase::Live | Phase::Done => true,
        });
        let watched = self.files.values_mut().filter_map(Watched::checkpoint);
        let all = watched.chain(self.unclaimed.iter().cloned()).collect();
        self.store.save(all)
    }
}
