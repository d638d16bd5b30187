//! Tells what a file that was found is: one that is watched, one that was watched before a restart, a copy that rotation
//! has made of one of them, or a new one.
//!
//! In doubt a file is new: better twice than never.

use super::Piece;
use super::ReadFrom;
use super::checkpoints::Checkpoint;
use super::discover::{Found, stem};
use super::input::{Input, Place};
use super::mark::Mark;
use super::reader::{LOOKS_MAX, Reader, Stopped};
use super::tail::fits;
use super::watched::{Phase, Watched};
use crate::codec::framing::Parked;
use crate::delivery::{Position, Progress, clock};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// A copy of a file that is still watched may be about to take its place, as `copytruncate` makes it; where nothing
/// comes of it for this long, it is a file of its own.
const SUSPECT_MAX: Duration = Duration::from_secs(10);

/// What became of a file between the look and the opening.
enum Opened {
    Input(Input),
    /// It can't be opened for now.
    Closed,
    /// It has another name by now, or none.
    Renamed,
}

impl Reader {
    /// Looks for files, and finds out what has become of those that are known.
    pub(super) fn scan(&mut self) -> Result<(), Stopped> {
        let now = clock::monotonic();
        let mut failed = Vec::new();
        let found = match self.once {
            true => self.patterns.find_settled(&mut failed),
            false => self.patterns.find(|why| failed.push(why)),
        };
        self.tell_of_folders(failed);
        if found.is_empty() && self.is_first_scan {
            let patterns = self.options.include.join(", ");
            tracing::warn!(source = self.id, "no file matches {patterns}");
        }
        let mut fresh = Vec::new();
        let mut seen = Vec::new();
        let known: std::collections::BTreeMap<Place, u64> =
            self.files.iter().filter_map(|(key, file)| Some((file.place?, *key))).collect();
        for found in found {
            match known.get(&found.place).and_then(|key| Some((*key, self.files.get_mut(key)?))) {
                Some((key, file)) => {
                    file.saw(&found, now);
                    seen.push(key);
                }
                None => fresh.push(found),
            }
        }
        seen.sort_unstable();
        self.look_for_missing(&seen)?;
        // Rotation may be at work: a name leads to another file by now, and the next look tells which.
        fresh.retain(|found| {
            let is_still_there = Found::at(&found.path).is_some_and(|again| again.place == found.place);
            if !is_still_there {
                self.look_again();
            }
            is_still_there
        });
        let fresh: Vec<Found> = fresh.into_iter().filter(|found| !self.claim_by_inode(found)).collect();
        for found in fresh {
            if !self.claim_as_copy(&found) && !self.is_suspect(&found) {
                self.begin(&found);
            }
        }
        if self.is_first_scan {
            self.look_for_rotated();
            // From now on it is known where to begin.
            self.next_save = now;
        }
        self.is_first_scan = false;
        // What could not be told yet has been there from the start, too.
        self.is_first_run &= self.again && self.looks < LOOKS_MAX;
        Ok(())
    }

    /// A look into all folders is over; `failed` says which could not be looked into, and why.
    fn tell_of_folders(&mut self, failed: Vec<String>) {
        let (source, now) = (&self.id, clock::monotonic());
        let again = if self.once { "" } else { "; it is tried again" };
        for why in &failed {
            if self.troubles.looking.failed(why, now).is_some() {
                tracing::warn!(source, "can't look into a folder: {why}{again}");
            }
        }
        let last = failed.last().map(|why| format!("can't look into a folder: {why}"));
        if last.is_none() && self.troubles.looking.worked(now).is_some() {
            tracing::info!(source, "can look into every folder again");
        }
        self.troubles.look(&self.meter, last.as_deref().filter(|_| !self.once));
        self.failures.extend(last.filter(|_| self.once));
    }

    /// Files that were not found where they should be: renamed, deleted, or replaced.
    fn look_for_missing(&mut self, seen: &[u64]) -> Result<(), Stopped> {
        let now = clock::monotonic();
        let missing = |(key, file): (&u64, &Watched)| {
            (file.is_there() && seen.binary_search(key).is_err()).then_some(*key)
        };
        let missing: Vec<u64> = self.files.iter().filter_map(missing).collect();
        for key in missing {
            let Some(file) = self.files.get_mut(&key).filter(|file| !is_closed(&file.path)) else { continue };
            file.was_rotated(now);
            let links =
                file.input.as_ref().map(|input| input.metadata().map_or(0, |metadata| metadata.nlink()));
            match links {
                // It is read to its end by the handle; a rotated one may still be written to.
                Some(1..) => {}
                Some(0) if file.phase != Phase::Done => {}
                Some(0) => {
                    if file.is_delivered() {
                        file.vanish(clock::now_ms());
                    }
                }
                None if file.phase == Phase::Done && file.len <= file.tail.last.end() => {
                    file.vanish(clock::now_ms());
                }
                None => self.find_again(key)?,
            }
        }
        Ok(())
    }

    /// Looks for a file that is not open and has lost its name; or else for its copy.
    fn find_again(&mut self, key: u64) -> Result<(), Stopped> {
        let Some(file) = self.files.get(&key) else { return Ok(()) };
        let place = file.place;
        let siblings = self.siblings(&file.path, Some(key));
        let by_place = siblings.iter().find(|found| Some(found.place) == place).cloned();
        let again = match by_place {
            Some(found) => Some((found, None)),
            None => self.find_copy(key, siblings),
        };
        let now = clock::monotonic();
        let Some(file) = self.files.get_mut(&key) else { return Ok(()) };
        match again {
            Some((found, input)) => {
                file.goes_on_in(&found, input, now);
                Ok(())
            }
            None => {
                file.vanish(clock::now_ms());
                if std::mem::take(&mut file.told) { self.send(Piece::Finish(key)) } else { Ok(()) }
            }
        }
    }

    /// The file that was read is another one by now: what was not read of it is in its copy, if rotation has made one.
    pub(super) fn replace(&mut self, key: u64) -> Result<(), Stopped> {
        let now = clock::monotonic();
        let Some(file) = self.files.get_mut(&key) else { return Ok(()) };
        let (Some(place), Some(input)) = (file.place.take(), file.input.take()) else { return Ok(()) };
        let (path, family) = (file.path.clone(), file.family);
        file.rotated = Some(now);
        file.due = None;
        tracing::info!(
            source = self.id,
            "{} was cut off or written anew: it is read from its beginning",
            path.display()
        );
        if input.is_packed() {
            // It may be what has become of a log just now: the next look tells.
            self.look_again();
            return self.find_again(key);
        }
        let found = Found::at(&path).filter(|found| found.place == place);
        let found = found.unwrap_or(Found { path, place, len: 0, modified_ms: 0 });
        let mut new = Watched::new(&found, family, None, now);
        new.tail.earlier = self.earlier(place);
        new.input = Some(input);
        self.add(new);
        // What its ids are has to be the same after a crash: the checkpoint of the old one may be needed for it.
        self.next_save = now;
        self.find_again(key)
    }

    /// A file with the inode of a checkpoint that also begins and ends like it; or one that has been renamed since it was
    /// found, of which the next look tells: as a new file, its records would have other ids.
    fn claim_by_inode(&mut self, found: &Found) -> bool {
        let all = self.unclaimed.iter().enumerate().filter(|(_, known)| known.is_at(found.place));
        let likely = |known: &Checkpoint| {
            (known.gone_since_ms.is_none(), Path::new(&known.path) == found.path, known.generation)
        };
        let Some((likeliest, _)) = all.max_by_key(|(_, known)| likely(known)) else { return false };
        let at = match self.look_into(found) {
            Opened::Input(mut input) => self
                .unclaimed
                .iter()
                .position(|known| known.is_at(found.place) && is_in(known, found, &mut input)),
            Opened::Renamed => return true,
            // Once it can be read, its first turn finds out whether it is another one.
            Opened::Closed => Some(likeliest),
        };
        at.is_some_and(|at| self.claim(at, found))
    }

    /// Opens a file that was found; where it has another name by now, the next look tells what it is.
    fn look_into(&mut self, found: &Found) -> Opened {
        match Input::open_at(&found.path, Some(found.place)) {
            Ok(Some(input)) => Opened::Input(input),
            Ok(None) => {
                self.look_again();
                Opened::Renamed
            }
            Err(_) => Opened::Closed,
        }
    }

    /// A copy of a file that is gone, by its name and by what stands in it; or one that has been renamed.
    fn claim_as_copy(&mut self, found: &Found) -> bool {
        let log = stem(&found.path);
        let may_be = |known: &Checkpoint| stem(Path::new(&known.path)) == log && known.can_be_copied();
        if !self.unclaimed.iter().any(may_be) {
            return false;
        }
        let mut input = match self.look_into(found) {
            Opened::Input(input) => input,
            Opened::Closed => return false,
            Opened::Renamed => return true,
        };
        let at = self.unclaimed.iter().position(|known| may_be(known) && is_in(known, found, &mut input));
        at.is_some_and(|at| self.claim(at, found))
    }

    /// Goes on with `found` from a checkpoint on.
    fn claim(&mut self, at: usize, found: &Found) -> bool {
        let checkpoint = self.unclaimed.swap_remove(at);
        let family = self.family(&found.path);
        self.add(Watched::new(found, family, Some(&checkpoint), clock::monotonic()));
        true
    }

    /// Whether a file has all that was read of one that is still watched: then rotation may be about to put it in that
    /// one's place.
    fn is_suspect(&mut self, found: &Found) -> bool {
        let now = clock::monotonic();
        let log = stem(&found.path);
        let Some(family) = self.families.get(&log).copied() else { return false };
        // Under the name of the log itself, there is what is written now; copies have another.
        if self.once || log == found.path {
            return false;
        }
        let mut input = match self.look_into(found) {
            Opened::Input(input) => input,
            Opened::Closed => return false,
            Opened::Renamed => return true,
        };
        let mut originals = self.files.values().filter(|file| file.family == family && file.is_there());
        let is_copy = originals.any(|file| file.tail.may_come_in(&mut input, found.len));
        // An original that has just vanished goes on in its copy.
        let gone: Vec<u64> = self
            .files
            .iter()
            .filter(|(_, file)| file.family == family && !file.is_there())
            .map(|(key, _)| *key)
            .collect();
        for key in gone {
            if let Some(file) = self.files.get_mut(&key)
                && file.tail.is_in(&mut input).unwrap_or(false)
            {
                file.goes_on_in(found, None, now);
                self.suspects.remove(&found.place);
                return true;
            }
        }
        // As long as it grows, nobody can say. For one that is seen for the first time, that goes by when anything about
        // it was changed last: restarts, one after the other, do not put it off.
        let age = input.metadata().map(|metadata| age_of(&metadata)).unwrap_or_default();
        let first = (now.checked_sub(age).unwrap_or(now), found.len);
        let (since, len) = self.suspects.get(&found.place).copied().unwrap_or(first);
        let since = if len == found.len { since } else { now };
        self.suspects.remove(&found.place);
        let waits = is_copy && since + SUSPECT_MAX > now;
        if waits {
            self.suspects.insert(found.place, (since, found.len));
        }
        waits
    }

    /// A new file.
    fn begin(&mut self, found: &Found) {
        let age_ms = clock::now_ms().saturating_sub(found.modified_ms);
        if self.options.ignore_older_secs.is_some_and(|secs| age_ms / 1000 > secs) {
            return;
        }
        let family = self.family(&found.path);
        let mut file = Watched::new(found, family, None, clock::monotonic());
        file.tail.earlier = self.earlier(found.place);
        if self.is_first_run && self.options.read_from == ReadFrom::End {
            let at = match self.look_into(found) {
                Opened::Input(mut input) => end_of_lines(&mut input, found.len).unwrap_or(0),
                Opened::Closed => 0,
                // It would be read from its beginning.
                Opened::Renamed => return,
            };
            file.tail.parked = Parked::at(at);
            file.progress = Progress::new(Position { delivered: at, context: at });
        }
        self.add(file);
    }

    /// First lines of the files that had this inode before.
    fn earlier(&self, place: Place) -> Vec<(Mark, u64)> {
        let unclaimed = self.unclaimed.iter().filter(|known| known.is_at(place));
        let unclaimed = unclaimed.map(|known| (known.head, known.generation));
        let watched = self.files.values().filter(|file| file.inode == place.inode);
        let watched = watched.filter_map(|file| Some((file.tail.head?, file.tail.generation)));
        unclaimed.chain(watched).collect()
    }

    pub(super) fn add(&mut self, file: Watched) {
        self.files.insert(self.next_key, file);
        self.next_key += 1;
    }

    fn family(&mut self, path: &Path) -> u32 {
        let next = self.families.len() as u32;
        *self.families.entry(stem(path)).or_insert(next)
    }

    /// Files that were rotated while nobody looked, and have a name by now that no pattern matches.
    fn look_for_rotated(&mut self) {
        // The oldest is added last, in front of all others.
        for mut checkpoint in std::mem::take(&mut self.unclaimed).into_iter().rev() {
            let path = Path::new(&checkpoint.path).to_owned();
            // It is where it was, and not asked for any more.
            let is_watched = |place| self.files.values().any(|file| file.place == Some(place));
            let is_there = |found: Found| checkpoint.is_at(found.place) && !is_watched(found.place);
            if !checkpoint.rotated && Found::at(&path).is_some_and(is_there) {
                // Or it is, and had another name when it was looked for.
                if self.patterns.fits(&checkpoint.path) {
                    self.unclaimed.push(checkpoint);
                    self.look_again();
                }
                continue;
            }
            let siblings = self.siblings(&path, None);
            let again = siblings.into_iter().find(|found| {
                let may_be = checkpoint.is_at(found.place) || checkpoint.can_be_copied();
                let input = open(found).filter(|_| may_be);
                input.is_some_and(|mut input| is_in(&checkpoint, found, &mut input))
            });
            match again {
                Some(found) => {
                    let family = self.family(&found.path);
                    let now = clock::monotonic();
                    let mut file = Watched::new(&found, family, Some(&checkpoint), now);
                    // Its time has run while nobody looked.
                    let age = Duration::from_millis(clock::now_ms().saturating_sub(found.modified_ms));
                    file.news = now.checked_sub(age).unwrap_or(now);
                    file.rotated = Some(file.news);
                    self.add_first(file);
                }
                None => {
                    if !is_closed(&path) {
                        checkpoint.gone_since_ms = checkpoint.gone_since_ms.or(Some(clock::now_ms()));
                    }
                    self.unclaimed.push(checkpoint);
                }
            }
        }
    }

    /// Adds a file that is older than those that are known.
    fn add_first(&mut self, file: Watched) {
        let files = std::mem::take(&mut self.files);
        self.files = files.into_iter().map(|(key, file)| (key + 1, file)).collect();
        self.files.insert(0, file);
        self.next_key += 1;
    }

    /// Files whose names say that they are of the same log, and that nobody watches.
    fn siblings(&self, path: &Path, own: Option<u64>) -> Vec<Found> {
        let log = stem(path);
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let paths =
            entries.map(|entry| path.with_file_name(entry.file_name())).filter(|path| stem(path) == log);
        let is_watched = |found: &Found| {
            self.files.iter().any(|(key, file)| Some(*key) != own && file.place == Some(found.place))
        };
        paths.filter_map(|path| Found::at(&path)).filter(|found| !is_watched(found)).collect()
    }

    fn find_copy(&self, key: u64, siblings: Vec<Found>) -> Option<(Found, Option<Input>)> {
        let tail = &self.files.get(&key)?.tail;
        siblings.into_iter().find_map(|found| {
            let mut input = open(&found)?;
            tail.is_in(&mut input).is_ok_and(|is_in| is_in).then_some((found, Some(input)))
        })
    }
}

fn open(found: &Found) -> Option<Input> {
    Input::open_at(&found.path, Some(found.place)).ok().flatten()
}

/// Whether nobody can say what lies beside a file: its folder can't be looked into.
fn is_closed(path: &Path) -> bool {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // The dot asks for the right to search the folder.
    let looked = std::fs::read_dir(folder).and_then(|_| std::fs::metadata(folder.join(".")));
    looked.is_err_and(|e| !matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory))
}

/// How long ago a file was changed, renamed, or anything else was done to it.
fn age_of(metadata: &std::fs::Metadata) -> Duration {
    let changed_ms = metadata.ctime().saturating_mul(1_000).saturating_add(metadata.ctime_nsec() / 1_000_000);
    Duration::from_millis(clock::now_ms().saturating_sub(u64::try_from(changed_ms).unwrap_or(0)))
}

/// Whether the file has all that the checkpoint has seen of it.
fn is_in(checkpoint: &Checkpoint, found: &Found, input: &mut Input) -> bool {
    let is_long_enough = input.is_packed() || found.len >= checkpoint.offset;
    is_long_enough
        && fits(&checkpoint.head, input).unwrap_or(false)
        && (checkpoint.tail.bytes == 0 || fits(&checkpoint.tail, input).unwrap_or(false))
}

/// Where the line begins that may still be written to.
fn end_of_lines(input: &mut Input, len: u64) -> Option<u64> {
    const STEP: u64 = 64 * 1024;
    let mut end = if input.is_packed() { return None } else { len };
    while end > 0 {
        let start = end.saturating_sub(STEP);
        let mut bytes = vec![0; (end - start) as usize];
        let read = input.fill_at(&mut bytes, start).ok()?;
        if let Some(newline) = memchr::memrchr(b'\n', bytes.get(..read)?) {
            return Some(start + newline as u64 + 1);
        }
        end = start;
    }
    Some(0)
}
