//! A buffer on disk in front of a sink: what is in it is acknowledged to its source, and outlives the process.
//!
//! The sink's queue leads to a *writer*, which appends to segments in a folder of the buffer's own, syncs, and then
//! acknowledges. A *reader* reads them again, in order, into a second queue, from which the sink takes. What the sink
//! has delivered moves the *cursor*; a segment that it has passed is deleted, which makes room.
//!
//! A log of our own, since a damaged place in it costs what stands there and nothing else: every record has checksums
//! and a number, so that what is wrong is found, and what stands behind it too.

mod content;
mod cursor;
mod folder;
mod frame;
mod log;
mod reader;
mod repair;
mod shared;
mod show;
mod survey;
mod writer;

pub use repair::{Repaired, repair};
pub use show::show;

use super::disk::{Trouble, make_folder};
use super::{BoxFuture, Limits, Meter, Outlet, Shutdown, WhenFull, queue};
use cursor::{Cursor, Found, Marks};
use folder::NotLocked;
use log::Log;
use reader::Reader;
use shared::{Seg, Shared};
use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use survey::{Segment, Start, Survey};
use writer::Writer;

/// The least that `max_size_bytes` may be: eight segments that a few records fit into.
pub const SIZE_BYTES_MIN: u64 = 1024 * 1024;
/// The folder in `data_dir` that has a folder for each buffer.
const BUFFERS: &str = "buffers";
/// What was read ahead of the sink.
const READ_AHEAD: Limits = Limits { events_max: 10_000, kib_max: 4 * 1024, when_full: WhenFull::Block };
/// When a stop is asked for, what is in the buffer goes on to the sink for so long at most.
const HAND_OUT_MAX: Duration = Duration::from_secs(2);
/// Then the sink has so long at most for what it has in hand.
const IN_HAND_MAX: Duration = Duration::from_secs(3);

/// How a buffer on disk was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes that its files take at most; a single record that is larger still passes, alone.
    pub max_size_bytes: u64,
    /// What happens beyond.
    pub when_full: WhenFull,
}

/// What is left of a run after a stop was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grace {
    /// So long the buffer hands out what it has.
    pub hand_out: Duration,
    /// So long after that the sink has for what it has in hand.
    pub in_hand: Duration,
}

impl Grace {
    /// What fits into the time that a stop may take: half of it at most, since all before the buffer needs some too.
    pub fn within(shutdown_timeout: Duration) -> Grace {
        let whole = HAND_OUT_MAX + IN_HAND_MAX;
        let share = (shutdown_timeout.as_secs_f64() / 2.0 / whole.as_secs_f64()).min(1.0);
        Grace { hand_out: HAND_OUT_MAX.mul_f64(share), in_hand: IN_HAND_MAX.mul_f64(share) }
    }
}

/// The moment so long after a stop was asked for.
#[derive(Clone, Debug)]
pub struct Cutoff {
    /// The signal to stop.
    pub stop: Shutdown,
    /// How long after it.
    pub after: Duration,
}

/// What a buffer gets from the topology.
pub struct BufferContext {
    /// Id of its sink.
    pub id: String,
    /// Where the program keeps its data; the buffer has `buffers/<id>` in it.
    pub data_dir: PathBuf,
    /// How it was asked for.
    pub settings: Settings,
    /// Where its batches come from.
    pub queue: Outlet,
    /// The sink's counters.
    pub meter: Arc<Meter>,
    /// The signal to stop.
    pub stop: Shutdown,
    /// How long a stop may take.
    pub grace: Grace,
}

/// One of the two ends of a buffer at work.
pub type BufferTask = BoxFuture<'static, Result<(), String>>;

/// A buffer that is ready to run.
pub struct Buffer {
    /// Where the sink takes its batches from.
    pub queue: Outlet,
    /// When the sink is no longer waited for.
    pub cutoff: Cutoff,
    /// What writes and what reads: each needs a thread of its own. An error is the buffer's failure.
    pub tasks: [BufferTask; 2],
}

/// Opens a buffer and looks at everything in it. An error says what is wrong, for whoever runs the program.
pub fn open(cx: BufferContext) -> Result<Buffer, String> {
    let BufferContext { id, data_dir, settings, queue: outlet, meter, stop, grace } = cx;
    let folder = data_dir.join(BUFFERS).join(&id);
    let trouble = |e: io::Error| format!("can't open its buffer on disk: {}", Trouble::at(&folder, &e).0);
    make_folder(&folder, true).map_err(trouble)?;
    let lock = match folder::lock(&folder) {
        Ok(lock) => lock,
        Err(NotLocked::Taken) => {
            let folder = folder.display();
            return Err(format!(
                "another evaltrail has its buffer in {folder}: give each its own `data_dir`"
            ));
        }
        Err(NotLocked::Failed(why)) => return Err(format!("can't open its buffer on disk: {why}")),
    };
    let survey = Survey::of(&folder).map_err(trouble)?;
    if let Some(refusal) = survey.refusal() {
        return Err(refusal);
    }
    let (log, reader, shared) = recover(&id, survey, settings, &meter).map_err(trouble)?;
    let (inlet, queue) = queue(READ_AHEAD, Arc::default());
    let cutoff = Cutoff { stop: stop.clone(), after: grace.hand_out + grace.in_hand };
    let writer = Writer {
        id,
        settings,
        queue: outlet,
        log,
        shared,
        meter,
        waiting: Vec::new(),
        is_full: false,
        cutoff: cutoff.clone().passed(),
    };
    // The folder is kept until both have ended.
    let lock = Arc::new(lock);
    let lock_too = Arc::clone(&lock);
    let writing = async move {
        let _lock = lock_too;
        writer.run().await
    };
    let reading = async move {
        let _lock = lock;
        reader.run(inlet, stop, grace).await
    };
    Ok(Buffer { queue, cutoff, tasks: [Box::pin(writing), Box::pin(reading)] })
}

/// Takes up what an earlier run has left.
fn recover(
    id: &str,
    survey: Survey,
    settings: Settings,
    meter: &Arc<Meter>,
) -> io::Result<(Log, Reader, Arc<Shared>)> {
    let was_delivered = survey.is_torn_behind_delivery();
    let Survey { folder, mut segments, cursor, torn, next, start, undelivered_events, .. } = survey;
    if let Some((path, at)) = torn {
        let bytes = at.end - at.start;
        let file = path.display();
        let offset = at.start;
        let why = if was_delivered { "all of it was delivered" } else { "nothing of it was acknowledged" };
        tracing::info!(sink = id, %file, offset, bytes, "the buffer on disk has a torn end: it is cut off, {why}");
        if segments.last().is_some_and(|last| last.end == 0) {
            fs::remove_file(&path)?;
            segments.pop();
        }
    }
    let marks = match cursor {
        Found::Marks(marks, _) => Marks { written: next, ..marks },
        Found::Nothing | Found::Damaged => {
            let delivered = segments.first().map_or(next, |first| first.number);
            if undelivered_events > 0 {
                tracing::warn!(
                    sink = id,
                    "nothing says how much of the buffer on disk was delivered: all of it comes again"
                );
            }
            Marks { delivered, written: next }
        }
    };
    if undelivered_events > 0 {
        meter.count_in(undelivered_events);
        tracing::info!(
            sink = id,
            events = undelivered_events,
            "the buffer on disk holds events of an earlier run"
        );
    }
    let seg = |one: &Segment| Seg { first: one.number, len: one.end, readable: one.end, next: one.next };
    let list: VecDeque<Seg> = segments.iter().map(seg).collect();
    // Where everything was delivered, and the end of it is gone, numbers go on behind what the cursor knows.
    let follows = segments.last().map_or(next, |last| last.next);
    let tail = segments.last().filter(|last| last.next == next).map(|last| (last.number, last.end));
    let start = start.or(segments.last().map(|last| Start {
        segment: last.number,
        offset: last.end,
        sequence: next,
    }));
    let shared = Shared::new(
        folder.clone(),
        Cursor::new(&folder, cursor),
        list,
        marks,
        undelivered_events,
        Arc::clone(meter),
    );
    let mut log = Log::new(folder.clone(), Arc::clone(&shared), settings.max_size_bytes, next, follows);
    if let Some((number, end)) = tail {
        log.reopen(number, end)?;
    }
    shared.collect();
    let reader = Reader::new(folder, Arc::clone(&shared), start);
    Ok((log, reader, shared))
}

/// Warns of buffers that an earlier run has left in `data_dir` and that no sink empties now; `is_open` says which ids
/// have a buffer on disk. Only the cursor is looked at.
pub fn warn_of_forgotten(data_dir: &Path, is_open: impl Fn(&str) -> bool) {
    // Without a folder there is nothing to tell of; one that can't be read is another's.
    let Ok(folders) = fs::read_dir(data_dir.join(BUFFERS)) else { return };
    for entry in folders.flatten() {
        let (name, folder) = (entry.file_name(), entry.path());
        let Some(id) = name.to_str().filter(|id| !is_open(id)) else { continue };
        if folder::is_locked(&folder) || !holds_events(&folder) {
            continue;
        }
        let folder = folder.display();
        tracing::warn!(
            "{folder} holds events of an earlier run that are not delivered, and no sink has this buffer now: give a \
             sink the id `{id}` and `buffer.type = \"disk\"` to deliver them, or remove the folder"
        );
    }
}

fn holds_events(folder: &Path) -> bool {
    match Found::read(folder) {
        Ok(Found::Marks(marks, _)) => marks.delivered < marks.written,
        _ => folder::segments(folder).is_ok_and(|segments| !segments.is_empty()),
    }
}

#[cfg(test)]
mod tests;
