//! Sends dead letters again, to one sink of a plan.

use super::plan::Plan;
use super::wire::Unbuildable;
use crate::delivery::{
    Consumers, DeadLetters, Ended, Inlet, Meter, Outputs, Rejects, Shutdown, SinkContext, SinkTask,
    TakeError, Taken, clock, queue, read_letter,
};
use crate::event::{Acks, Batch, Share, Verdict};
use std::future::Future;
use std::io::{self, BufRead, BufReader, ErrorKind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// Unreadable lines that are named; the others are counted.
const NAMED_MAX: usize = 20;

/// What became of a file of dead letters.
#[derive(Debug, Default)]
pub struct Replayed {
    /// Letters that are delivered now.
    pub delivered: u64,
    /// Letters that were refused again; they stand among the dead letters of the sink again.
    pub rejected: u64,
    /// Lines that hold no letter, by number from 1, and why; the first ones.
    pub unreadable: Vec<(u64, String)>,
    /// How many of those there are.
    pub unreadable_total: u64,
    /// Lines that were put back into the file.
    pub left: u64,
}

/// Why letters can't be sent again.
#[derive(Debug)]
pub enum ReplayError {
    /// The plan has no such sink.
    NoSuchSink,
    /// The sink can't be made.
    Unbuildable(Unbuildable),
    /// The file can't be had.
    NotTaken(TakeError),
    /// What is left can't be put back into the file.
    NotGivenBack(Replayed, io::Error),
}

/// What became of each line, by number from 0.
type Verdicts = Arc<Mutex<Vec<Option<Verdict>>>>;

/// Sends the letters in `file` to `sink`, until all are delivered or rejected, or `stop` comes. The others are put back
/// then. A process that is killed leaves all of them aside, and the next one sends all of them again.
pub async fn replay(
    plan: &Plan,
    sink: &str,
    file: &Path,
    stop: impl Future<Output = ()>,
) -> Result<Replayed, ReplayError> {
    let node = plan.sinks.iter().find(|node| node.id == sink).ok_or(ReplayError::NoSuchSink)?;
    let unbuildable = |why| ReplayError::Unbuildable(Unbuildable::new(&node.id, why));
    let work = node.config.build().map_err(unbuildable)?;
    let taken = Taken::take(file).map_err(ReplayError::NotTaken)?;
    let reader = taken.lines().map_err(|e| ReplayError::NotTaken(e.into()))?;
    let meter: Arc<Meter> = Arc::default();
    let (inlet, outlet) = queue(node.limits, Arc::clone(&meter));
    let letters = DeadLetters::new(plan.data_dir(), sink);
    let port = Outputs::new(Consumers::default());
    let rejects = Rejects::new(sink, Arc::clone(&port), letters, Arc::clone(&meter));
    let data_dir = plan.data_dir().to_owned();
    // Kept to the end: nobody asks it to leave.
    let (_stays, leave) = Shutdown::new();
    let task =
        work.task(SinkContext { id: sink.to_owned(), queue: outlet, meter, rejects, port, data_dir, leave });
    let verdicts: Verdicts = Arc::default();
    let mut replayed = Replayed::default();
    let mut failed = None;
    {
        let mut sinks = JoinSet::new();
        start(&mut sinks, task);
        let feeding = async {
            let fed = feed(reader, &inlet, &verdicts, &mut replayed).await;
            failed = fed.err();
            drop(inlet);
            while sinks.join_next().await.is_some() {}
        };
        tokio::select! {
            () = feeding => {}
            () = stop => {}
        }
    }
    let verdicts = verdicts.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let count = |wanted| verdicts.iter().filter(|verdict| **verdict == Some(wanted)).count() as u64;
    replayed.delivered = count(Verdict::Delivered);
    replayed.rejected = count(Verdict::Rejected);
    let stays = |at: usize| !matches!(verdicts.get(at), Some(Some(Verdict::Delivered | Verdict::Rejected)));
    match taken.give_back(stays) {
        Ok(left) => replayed.left = left,
        Err(e) => return Err(ReplayError::NotGivenBack(replayed, e)),
    }
    match failed {
        Some(e) => Err(ReplayError::NotTaken(TakeError::Io(e))),
        None => Ok(replayed),
    }
}

fn start(tasks: &mut JoinSet<Ended>, task: SinkTask) {
    let SinkTask { blocks, run } = task;
    if blocks {
        let runtime = Handle::current();
        tasks.spawn_blocking(move || runtime.block_on(run));
    } else {
        tasks.spawn(run);
    }
}

/// Puts every letter into `inlet`, each with a verdict of its own.
async fn feed(
    mut reader: BufReader<std::fs::File>,
    inlet: &Inlet,
    verdicts: &Verdicts,
    replayed: &mut Replayed,
) -> io::Result<()> {
    let mut line = Vec::new();
    for at in 0.. {
        line.clear();
        let length = loop {
            match reader.read_until(b'\n', &mut line) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        if length == 0 {
            return Ok(());
        }
        // Nobody is writing any more: a last line without its end is whole, or no letter.
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        verdicts.lock().unwrap_or_else(PoisonError::into_inner).push(None);
        match read_letter(text) {
            Ok(event) => {
                let heard = Arc::clone(verdicts);
                let share = Share::new(move |verdict| {
                    let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(slot) = heard.get_mut(at) {
                        *slot = Some(verdict);
                    }
                });
                inlet.send(Batch::new(vec![event], clock::now_ms(), Acks::of(share))).await;
            }
            Err(why) => {
                replayed.unreadable_total += 1;
                if replayed.unreadable.len() < NAMED_MAX {
                    replayed.unreadable.push((at as u64 + 1, why));
                }
            }
        }
    }
    Ok(())
}
