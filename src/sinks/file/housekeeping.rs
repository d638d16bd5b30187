//! Rotated files are compressed and removed on a thread of their own: acknowledgements do not wait for it.
//!
//! The thread is told of a path, never of a rotated file: it looks what is there. So it also finishes what a crash
//! has interrupted, and what has failed for want of space is tried again at the next rotation. It runs only while
//! there is something to do.

use super::rotated::{self, Suffix};
use super::target::with_suffix;
use crate::codec::Compression;
use crate::delivery::disk;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

const COPY_BYTES: usize = 256 * 1024;
/// The default of the `zstd` command.
const ZSTD_LEVEL: i32 = 3;

/// What becomes of rotated files.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// How many stay; all of them, where it is not said.
    pub keep: Option<usize>,
    /// How they are compressed.
    pub compression: Compression,
}

/// Paths whose rotated files have to be looked after. Bounded by the number of paths: each is in it once.
#[derive(Default)]
struct Work {
    waiting: BTreeSet<PathBuf>,
    is_running: bool,
}

/// Looks after the rotated files of a sink.
pub struct Housekeeper {
    rules: Rules,
    work: Arc<Mutex<Work>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Housekeeper {
    /// One that has nothing to do yet.
    pub fn new(rules: Rules) -> Housekeeper {
        Housekeeper { rules, work: Arc::default(), thread: Mutex::default() }
    }

    /// Looks after the rotated files of `path`, soon.
    pub fn look_after(&self, path: PathBuf) {
        let mut work = locked(&self.work);
        work.waiting.insert(path);
        if work.is_running {
            return;
        }
        let (rules, shared) = (self.rules, Arc::clone(&self.work));
        let spawned = std::thread::Builder::new().name("rotated".to_owned()).spawn(move || {
            while let Some(path) = next(&shared) {
                tidy_up(&path, rules);
            }
        });
        match spawned {
            Ok(thread) => {
                work.is_running = true;
                *locked(&self.thread) = Some(thread);
            }
            Err(e) => tracing::warn!("rotated files wait to be looked after: can't start a thread: {e}"),
        }
    }

    /// Waits until everything is done.
    pub fn finish(&self) {
        let thread = locked(&self.thread).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("looking after rotated files failed unexpectedly; none is lost");
        }
    }
}

fn next(work: &Mutex<Work>) -> Option<PathBuf> {
    let mut work = locked(work);
    let path = work.waiting.pop_first();
    work.is_running = path.is_some();
    path
}

/// Removes what is too old of the rotated files of `path`, and compresses the others.
fn tidy_up(path: &Path, rules: Rules) {
    if let Err((at, e)) = remove_old(path, rules.keep).and_then(|()| compress_all(path, rules.compression)) {
        let path = at.display();
        tracing::warn!(%path, "can't look after a rotated file, nothing is lost: {e}; it is tried again later");
    }
}

type Failed = (PathBuf, io::Error);

fn at(path: &Path) -> impl FnOnce(io::Error) -> Failed + '_ {
    move |e| (path.to_owned(), e)
}

fn list(path: &Path) -> Result<Vec<Suffix>, Failed> {
    rotated::list(path).map_err(at(disk::folder_of(path)))
}

fn remove_old(path: &Path, keep: Option<usize>) -> Result<(), Failed> {
    let Some(keep) = keep else { return Ok(()) };
    let there = list(path)?;
    let moments: BTreeSet<_> = there.iter().map(|suffix| &suffix.moment).collect();
    let newest_to_go = moments.iter().rev().nth(keep);
    for suffix in there.iter().filter(|suffix| newest_to_go.is_some_and(|last| suffix.moment <= **last)) {
        remove(&with_suffix(path, suffix))?;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), Failed> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err((path.to_owned(), e)),
        _ => Ok(()),
    }
}

fn compress_all(path: &Path, compression: Compression) -> Result<(), Failed> {
    let there = list(path)?;
    for suffix in there.iter().filter(|suffix| suffix.is_unfinished) {
        // A crash came in between. What it was made from is still there: it is removed last.
        remove(&with_suffix(path, suffix))?;
    }
    if compression == Compression::None {
        return Ok(());
    }
    // One that can't be compressed does not keep the others.
    let mut first_failure = Ok(());
    for suffix in there.into_iter().filter(|suffix| suffix.compression == Compression::None) {
        let plain = with_suffix(path, &suffix);
        let done = Suffix { compression, ..suffix };
        let unfinished = Suffix { is_unfinished: true, ..done.clone() };
        let (done, unfinished) = (with_suffix(path, &done), with_suffix(path, &unfinished));
        first_failure =
            first_failure.and(compress(&plain, &unfinished, &done, compression).map_err(at(&plain)));
    }
    first_failure
}

/// Compresses `plain` into `done`. At every moment one of the two is whole and synced.
fn compress(plain: &Path, unfinished: &Path, done: &Path, compression: Compression) -> io::Result<()> {
    let mut from = File::open(plain)?;
    let found = from.metadata()?;
    if !done.exists() {
        let mode = found.permissions().mode() & 0o777;
        let to = OpenOptions::new().write(true).create_new(true).mode(mode).open(unfinished)?;
        let written = copy_compressed(&mut from, &to, compression).and_then(|()| {
            to.set_permissions(found.permissions())?;
            to.set_modified(found.modified()?)?;
            to.sync_all()?;
            disk::rename_new(unfinished, done)
        });
        if let Err(e) = written {
            fs::remove_file(unfinished)?;
            return Err(e);
        }
        disk::sync_folder_of(done)?;
    } else if !holds(done, compression, plain)? {
        let why = format!("{} is there already and holds something else", done.display());
        return Err(io::Error::new(ErrorKind::AlreadyExists, why));
    }
    fs::remove_file(plain)
}

fn copy_compressed(from: &mut File, to: &File, compression: Compression) -> io::Result<()> {
    match compression {
        Compression::None => copy(from, &mut { to }),
        Compression::Gzip => {
            let mut encoder = GzEncoder::new(to, flate2::Compression::default());
            copy(from, &mut encoder)?;
            encoder.finish().map(drop)
        }
        Compression::Zstd => {
            let mut encoder = zstd::Encoder::new(to, ZSTD_LEVEL)?;
            encoder.include_checksum(true)?;
            copy(from, &mut encoder)?;
            encoder.finish().map(drop)
        }
    }
}

fn copy(from: &mut File, to: &mut impl Write) -> io::Result<()> {
    io::copy(&mut BufReader::with_capacity(COPY_BYTES, from), to).map(drop)
}

/// Whether `compressed` is what `plain` becomes: a crash came between its last two steps.
fn holds(compressed: &Path, compression: Compression, plain: &Path) -> io::Result<bool> {
    let packed = BufReader::with_capacity(COPY_BYTES, File::open(compressed)?);
    let unpacked: Box<dyn Read> = match compression {
        Compression::None => Box::new(packed),
        Compression::Gzip => Box::new(MultiGzDecoder::new(packed)),
        Compression::Zstd => Box::new(zstd::Decoder::new(packed)?),
    };
    let (mut one, mut other) = (BufReader::new(unpacked), BufReader::new(File::open(plain)?));
    loop {
        let (left, right) = (io::BufRead::fill_buf(&mut one), io::BufRead::fill_buf(&mut other)?);
        // Bytes that can't be unpacked are something else.
        let Ok(left) = left else { return Ok(false) };
        let same = left.len().min(right.len());
        if left.get(..same) != right.get(..same) || (same == 0 && left.len() != right.len()) {
            return Ok(false);
        }
        if same == 0 {
            return Ok(true);
        }
        io::BufRead::consume(&mut one, same);
        io::BufRead::consume(&mut other, same);
    }
}
