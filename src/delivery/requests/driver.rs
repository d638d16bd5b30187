//! Fills the lanes of a sink from its queue, and keeps one request of each under way.

use super::lane::{Lane, Sorting};
use super::ship::Shipper;
use crate::delivery::BoxFuture;
use crate::delivery::drive::Ended;
use crate::delivery::queue::Outlet;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

/// A sink of requests with its queue.
pub struct RequestDriver {
    pub shipper: Shipper,
    pub queue: Outlet,
}

impl RequestDriver {
    /// Runs until the queue is closed and everything is delivered or rejected.
    pub async fn run(self) -> Ended {
        let RequestDriver { shipper, mut queue } = self;
        if let Err(why) = shipper.sink.open() {
            tracing::error!(sink = shipper.id, "can't deliver until somebody sees to it: {why}");
        }
        let mut lanes: Vec<Lane> = Vec::new();
        lanes.resize_with(shipper.policy.concurrency.max(1), Lane::default);
        let mut under_way: FuturesUnordered<BoxFuture<'_, usize>> = FuturesUnordered::new();
        // The batch that is being sorted into lanes: it waits where one of them is full.
        let mut sorting: Option<Sorting> = None;
        let (mut batches, mut is_closed) = (0, false);
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
                    has_gone = true;
                    let shipping = shipper.ship(parcel);
                    under_way.push(Box::pin(async move {
                        shipping.await;
                        at
                    }));
                }
            }
            // A lane that has just been emptied has room for what waits.
            if has_gone && sorting.is_some() {
                continue;
            }
            if is_last && under_way.is_empty() {
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
                Some(at) = under_way.next(), if !under_way.is_empty() => {
                    if let Some(lane) = lanes.get_mut(at) {
                        lane.is_busy = false;
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
                () = due => {}
            }
        }
    }
}
