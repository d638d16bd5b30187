//! Parcels and their requests, and the search for events at fault.

use super::parcel::Parcel;
use super::ship::Shipper;
use super::*;
use crate::delivery::rejects::Rejects;
use crate::delivery::{Consumers, DeadLetters, Limits, Meter, Outputs, Shutdown, WhenFull, queue};
use crate::event::{Acks, Origin, Share, Stream, Verdict};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

fn event(fingerprint: u64, offset: u64) -> Event {
    let stream = Arc::new(Stream { source: "in".into(), fingerprint, ..Stream::default() });
    Event::new(Origin::new(stream, offset, 0))
}

/// Batches of these sizes in one parcel; what is heard of each.
fn parcel(sizes: &[usize]) -> (Parcel, Arc<Mutex<Vec<Option<Verdict>>>>) {
    let heard = Arc::new(Mutex::new(vec![None; sizes.len()]));
    let (mut parcel, mut offset) = (Parcel::default(), 0u64);
    for (at, size) in sizes.iter().enumerate() {
        let ear = Arc::clone(&heard);
        let share = Share::new(move |verdict| ear.lock().unwrap()[at] = Some(verdict));
        let acks = Acks::of(share);
        for index in 0..*size {
            parcel.push(event(1, offset), &offset.to_be_bytes(), &acks, index == 0);
            offset += 1;
        }
        acks.resolve(Verdict::Delivered);
    }
    (parcel, heard)
}

/// A receiver that refuses every request with one of these events in it.
struct Picky {
    bad: BTreeSet<u64>,
    taken: Mutex<Vec<u64>>,
    asked: Mutex<usize>,
}

impl RequestSink for Arc<Picky> {
    fn encode(&self, _: &Event, _: &mut Vec<u8>) {}

    fn send<'a>(&'a self, request: Request<'a>) -> BoxFuture<'a, Result<(), SendError>> {
        *self.asked.lock().unwrap() += 1;
        let numbers: Vec<u64> =
            request.events().map(|event| u64::from_be_bytes(event.try_into().unwrap())).collect();
        let refused = numbers.iter().any(|number| self.bad.contains(number));
        if !refused {
            self.taken.lock().unwrap().extend(numbers);
        }
        let answer = if refused { Err(SendError::Data(Failure::default())) } else { Ok(()) };
        Box::pin(std::future::ready(answer))
    }
}

const POLICY: Policy = Policy {
    bytes_max: 1_000,
    events_max: 1_000,
    timeout: Duration::ZERO,
    concurrency: 1,
    attempts_max: None,
    backoff_initial: Duration::from_millis(1),
    backoff_max: Duration::from_millis(1),
};

/// Ships a parcel; gives back what was taken, what was rejected, and how many requests that took.
fn shipped(parcel: Parcel, bad: BTreeSet<u64>) -> (Vec<u64>, Vec<u64>, usize) {
    let picky = Arc::new(Picky { bad, taken: Mutex::default(), asked: Mutex::default() });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let limits = Limits { events_max: 10_000, kib_max: 10_000, when_full: WhenFull::Block };
    let (inlet, mut outlet) = queue(limits, Arc::default());
    let rejected = runtime.block_on(async {
        let (_stays, leave) = Shutdown::new();
        let port = Outputs::new(Consumers { main: vec![inlet], faults: Vec::new() });
        let letters = DeadLetters::new(Path::new("/nonexistent"), "out");
        let shipper = Shipper {
            id: "out".into(),
            sink: Arc::new(Arc::clone(&picky)),
            policy: POLICY,
            rejects: Rejects::new("out", port, letters, Arc::default()),
            meter: Arc::<Meter>::default(),
            leave,
        };
        let mut rejected = Vec::new();
        let shipping = async move { shipper.ship(parcel).await };
        let reading = async {
            while let Some(mut queued) = outlet.next().await {
                let batch = std::mem::take(&mut queued.batch);
                rejected.extend(batch.events.iter().map(|event| event.origin().offset()));
                batch.resolve(Verdict::Delivered);
            }
        };
        tokio::join!(shipping, reading);
        rejected
    });
    let (taken, asked) = (picky.taken.lock().unwrap().clone(), *picky.asked.lock().unwrap());
    (taken, rejected, asked)
}

#[test]
fn one_bad_event_of_a_thousand_takes_twenty_requests() {
    let (parcel, heard) = parcel(&[300, 700]);
    let (taken, rejected, asked) = shipped(parcel, BTreeSet::from([413]));
    assert_eq!(rejected, [413]);
    assert_eq!(taken, (0..1000).filter(|n| *n != 413).collect::<Vec<u64>>());
    assert!(asked <= 21, "{asked}");
    assert_eq!(*heard.lock().unwrap(), [Some(Verdict::Delivered); 2]);
}

#[test]
fn a_key_tells_where_events_were_read_and_what_is_sent_of_them() {
    let key = |events: &[(u64, u64, &str)]| {
        let (mut parcel, acks) = (Parcel::default(), Acks::default());
        for (fingerprint, offset, text) in events {
            parcel.push(event(*fingerprint, *offset), text.as_bytes(), &acks, false);
        }
        parcel.request(&(0..events.len())).key
    };
    let first = [(1, 0, "a"), (1, 7, "a")];
    assert_eq!(key(&first), key(&first));
    let others = [
        key(&first),
        key(&[(1, 0, "a")]),
        key(&[(1, 7, "a"), (1, 0, "a")]),
        key(&[(1, 0, "a"), (1, 8, "a")]),
        key(&[(2, 0, "a"), (2, 7, "a")]),
        key(&[(1, 0, "a"), (1, 7, "b")]),
    ];
    assert_eq!(others.iter().collect::<BTreeSet<_>>().len(), others.len());
}

proptest! {
    #[test]
    fn halving_finds_exactly_the_events_at_fault(
        sizes in proptest::collection::vec(1usize..20, 1..8),
        picks in proptest::collection::btree_set(0u64..160, 0..20),
    ) {
        let total = sizes.iter().sum::<usize>() as u64;
        let bad: BTreeSet<u64> = picks.into_iter().filter(|n| *n < total).collect();
        let (parcel, heard) = parcel(&sizes);
        let (taken, rejected, asked) = shipped(parcel, bad.clone());
        prop_assert_eq!(rejected, bad.iter().copied().collect::<Vec<u64>>());
        prop_assert_eq!(taken, (0..total).filter(|n| !bad.contains(n)).collect::<Vec<u64>>());
        prop_assert!((asked as u64) < 2 * total);
        prop_assert!(heard.lock().unwrap().iter().all(|heard| *heard == Some(Verdict::Delivered)));
    }

    #[test]
    fn a_part_is_acknowledged_when_all_of_it_is_settled(
        sizes in proptest::collection::vec(1usize..6, 1..6), refused in 0usize..30, cut in 0usize..30,
    ) {
        let total: usize = sizes.iter().sum();
        let (mut parcel, heard) = parcel(&sizes);
        let (refused, cut) = (refused % total, cut % (total + 1));
        parcel.refused(&(refused..refused + 1));
        parcel.settle(cut);
        let mut end = 0;
        for (size, heard) in sizes.iter().zip(heard.lock().unwrap().iter()) {
            let verdict = if (end..end + size).contains(&refused) { Verdict::Rejected } else { Verdict::Delivered };
            end += size;
            prop_assert_eq!(*heard, (end <= cut).then_some(verdict));
        }
    }
}

/// A receiver that takes so many requests and then none.
struct Tired {
    left: Mutex<usize>,
    taken: Mutex<Vec<u64>>,
}

impl RequestSink for Arc<Tired> {
    fn encode(&self, event: &Event, out: &mut Vec<u8>) {
        out.extend_from_slice(&event.origin().offset().to_be_bytes());
    }

    fn send<'a>(&'a self, request: Request<'a>) -> BoxFuture<'a, Result<(), SendError>> {
        let mut left = self.left.lock().unwrap();
        if *left == 0 {
            return Box::pin(std::future::ready(Err(SendError::Transient(Failure::default()))));
        }
        *left -= 1;
        let numbers = request.events().map(|event| u64::from_be_bytes(event.try_into().unwrap()));
        self.taken.lock().unwrap().extend(numbers);
        Box::pin(std::future::ready(Ok(())))
    }
}

proptest! {
    #[test]
    fn what_a_sink_leaves_is_what_was_not_taken_and_each_stream_is_in_order(
        sizes in proptest::collection::vec(1usize..30, 1..12),
        takes in 0usize..12,
        lanes in 1usize..4,
    ) {
        let total: u64 = sizes.iter().map(|size| *size as u64).sum();
        let tired = Arc::new(Tired { left: Mutex::new(takes), taken: Mutex::default() });
        let heard = Arc::new(Mutex::new(Vec::new()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let rest = runtime.block_on(async {
            let limits = Limits { events_max: 10_000, kib_max: 10_000, when_full: WhenFull::Block };
            let (inlet, outlet) = queue(limits, Arc::default());
            let mut offset = 0;
            for (at, size) in sizes.iter().enumerate() {
                let ear = Arc::clone(&heard);
                let share = Share::new(move |verdict| ear.lock().unwrap().push((at, verdict)));
                let events = (0..*size).map(|_| { offset += 1; event(offset % 3, offset - 1) }).collect();
                inlet.send(crate::event::Batch::new(events, 0, Acks::of(share))).await;
            }
            let (leaves, leave) = Shutdown::new();
            let letters = DeadLetters::new(Path::new("/nonexistent"), "out");
            let shipper = Shipper {
                id: "out".into(),
                sink: Arc::new(Arc::clone(&tired)),
                policy: Policy { events_max: 7, concurrency: lanes, ..POLICY },
                rejects: Rejects::new("out", Outputs::new(Consumers::default()), letters, Arc::default()),
                meter: Arc::<Meter>::default(),
                leave,
            };
            let running = RequestDriver { shipper, queue: outlet }.run();
            let leaving = async {
                tokio::time::sleep(Duration::from_secs(5)).await;
                leaves.trigger();
                inlet
            };
            let (ended, inlet) = tokio::join!(running, leaving);
            drop(inlet);
            let crate::delivery::Ended::Left(mut queue) = ended else { panic!("it was to leave") };
            let mut rest = Vec::new();
            while let Some(mut queued) = queue.next().await {
                let batch = std::mem::take(&mut queued.batch);
                rest.extend(batch.events.iter().map(|event| event.origin().offset()));
                batch.resolve(Verdict::Delivered);
            }
            rest
        });
        let taken = tired.taken.lock().unwrap().clone();
        let mut all: Vec<u64> = taken.iter().chain(&rest).copied().collect();
        for stream in 0..3 {
            let of_stream: Vec<u64> = all.iter().copied().filter(|offset| (offset + 1) % 3 == stream).collect();
            prop_assert!(of_stream.is_sorted(), "stream {}: {:?} then {:?}", stream, &taken, &rest);
        }
        all.sort_unstable();
        prop_assert_eq!(all, (0..total).collect::<Vec<u64>>());
        let mut heard = heard.lock().unwrap().clone();
        heard.sort_unstable_by_key(|(at, _)| *at);
        let delivered: Vec<_> = (0..sizes.len()).map(|at| (at, Verdict::Delivered)).collect();
        prop_assert_eq!(heard, delivered);
    }
}
