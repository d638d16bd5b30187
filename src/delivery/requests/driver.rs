//! Fills the lanes of a sink from its queue, and keeps one request of each under way.

use super::lane::{Lane, Sorting};
use super::ship::Shipper;
use crate::delivery::BoxFuture;
use crate::delivery::drive::Ended;
use crate::delivery::meter::Trouble;
use crate::delivery::queue::{Outlet, Queued};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::time::Duration;

/// A sink that is exchanged, and waits longer than this for an answer, tells of it.
const ANSWER_EXPECTED: Duration = Duration::from_secs(5);
/// How often a sink that could not get ready tries that while it has nothing to send.
const OPEN_EVERY: Duration = Duration::from_secs(5);

/// A sink of requests with its queue.
pub struct RequestDriver {
    pub shipper: Shipper,
    pub queue: Outlet,
}

impl RequestDriver {
    /// Runs until the queue is closed and everything is delivered or rejected, or until it is asked to leave.
    pub async fn run(self) -> Ended {
        let RequestDriver { shipper, mut queue } = self;
        let mut leave = shipper.leave.clone();
        let mut setup = Setup::begin(&shipper);
        let mut lanes: Vec<Lane> = Vec::new();
        lanes.resize_with(shipper.policy.concurrency.max(1), Lane::default);
        let mut under_way: FuturesUnordered<BoxFuture<'_, (usize, Vec<Queued>)>> = FuturesUnordered::new();
        // The batch that is being sorted into lanes: it waits where one of them is full.
        let mut sorting: Option<Sorting> = None;
        let (mut batches, mut is_closed) = (0, false);
        // What came back unfinished, by lane.
        let mut left: Vec<(usize, Vec<Queued>)> = Vec::new();
        loop {
            if let Some(mut batch) = sorting.take() {
                match batch.go_on(&mut lanes, &*shipper.sink, &shipper.policy) {
                    true => batch.finish(),
                    false => sorting = Some(batch),
                }
            }
            let is_last = is_closed && sorting.is_none();
            let mut has_gone = false;
            for (at, lane) in lanes.iter_mut().enumerate() {
                if let Some(parcel) = lane.take(is_last) {
                    // From now on it is the request that tells.
                    (has_gone, setup) = (true, Setup(None));
                    let shipping = shipper.ship(parcel);
                    under_way.push(Box::pin(async move { (at, shipping.await) }));
                }
            }
            // A lane that has just been emptied has room for what waits.
            if has_gone && sorting.is_some() {
                continue;
            }
            if is_last && under_way.is_empty() && left.is_empty() {
                return Ended::Drained;
            }
            let due = lanes.iter().filter_map(Lane::due).min();
            let due = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = leave.wait() => {
                    let later = finish(&shipper, &mut under_way, &mut queue, &mut left).await;
                    drop(under_way);
                    queue.give_back(later);
                    queue.give_back(in_order(left, lanes, sorting));
                    return Ended::Left(queue);
                }
                Some((at, rest)) = under_way.next(), if !under_way.is_empty() => {
                    // It may have heard of the leave first: its lane stays closed then.
                    match lanes.get_mut(at).filter(|_| rest.is_empty()) {
                        Some(lane) => lane.is_busy = false,
                        None => left.push((at, rest)),
                    }
                }
                queued = queue.next(), if sorting.is_none() && !is_closed => match queued {
                    Some(mut queued) => {
                        batches += 1;
                        let batch = std::mem::take(&mut queued.batch);
                        sorting = Some(Sorting::new(batch.events, batch.acks, batches));
                    }
                    None => is_closed = true,
                },
                () = setup.mended(&shipper) => {}
                () = due => {}
            }
        }
    }
}

/// What keeps a sink from sending before it has anything to send.
struct Setup(Option<Trouble>);

impl Setup {
    fn begin(shipper: &Shipper) -> Setup {
        let Err(why) = shipper.sink.open() else { return Setup(None) };
        tracing::error!(sink = shipper.id, "can't deliver until somebody sees to it: {why}");
        Setup(Some(shipper.meter.trouble(&why)))
    }

    /// Waits until that is over; for ever, where there is nothing.
    async fn mended(&mut self, shipper: &Shipper) {
        let Some(trouble) = &self.0 else { return std::future::pending().await };
        loop {
            tokio::time::sleep(OPEN_EVERY).await;
            match shipper.sink.open() {
                Ok(()) => break,
                Err(why) => trouble.go_on(&why),
            }
        }
        tracing::info!(sink = shipper.id, "can deliver now");
        self.0 = None;
    }
}

/// Waits for the answers to the requests that are under way: what a receiver may be taking, nobody else is to send again.
/// What comes meanwhile is taken out of the queue, so that it does not stand still for the number of its batches; that
/// counts in its other limits.
async fn finish(
    shipper: &Shipper,
    under_way: &mut FuturesUnordered<BoxFuture<'_, (usize, Vec<Queued>)>>,
    queue: &mut Outlet,
    left: &mut Vec<(usize, Vec<Queued>)>,
) -> Vec<Queued> {
    let (mut later, mut is_open, mut is_told) = (Vec::new(), true, false);
    let long = tokio::time::sleep(ANSWER_EXPECTED);
    tokio::pin!(long);
    loop {
        tokio::select! {
            biased;
            shipped = under_way.next() => match shipped {
                Some(shipped) => left.push(shipped),
                None => return later,
            },
            queued = queue.next(), if is_open => match queued {
                Some(queued) => later.push(queued),
                None => is_open = false,
            },
            () = &mut long, if !is_told => {
                is_told = true;
                tracing::warn!(
                    sink = shipper.id,
                    "its new options wait for the answer to a request that is under way, as long as that may take"
                );
            }
        }
    }
}

/// What is not delivered, so that the events of each lane, and by that of each stream, stay in their order.
fn in_order(
    mut under_way: Vec<(usize, Vec<Queued>)>,
    lanes: Vec<Lane>,
    sorting: Option<Sorting>,
) -> Vec<Queued> {
    let mut all: Vec<Queued> = Vec::new();
    for (at, mut lane) in lanes.into_iter().enumerate() {
        let sent = under_way.iter_mut().filter(|(lane, _)| *lane == at);
        all.extend(sent.flat_map(|(_, rest)| std::mem::take(rest)));
        all.extend(lane.leave().rest(0));
    }
    all.extend(sorting.map(|batch| Queued::from(batch.rest())));
    all.retain_mut(|queued| {
        let is_empty = queued.batch.events.is_empty();
        if is_empty {
            std::mem::take(&mut queued.batch).resolve(crate::event::Verdict::Delivered);
        }
        !is_empty
    });
    all
}
