//! When a batch is acknowledged.

use super::*;
use crate::delivery::sink::FLUSH_EVENTS_MAX;
use crate::delivery::{BoxFuture, Consumers, Limits, WhenFull, queue};
use crate::event::{Acks, Batch, Origin, Share};
use std::future::ready;
use std::sync::Mutex;

type Diary = Arc<Mutex<Vec<String>>>;

/// Writes down what is asked of it; its first flushes fail.
struct Diarist {
    diary: Diary,
    failures: u32,
    /// With how many events it does not wait for more; it never does with none.
    company: usize,
}

impl Diarist {
    fn note(&self, what: impl Into<String>) {
        self.diary.lock().unwrap().push(what.into());
    }
}

impl Sink for Diarist {
    fn write<'a>(&'a mut self, events: &'a [Event]) -> BoxFuture<'a, Result<(), WriteError>> {
        self.note(format!("write {}", events.len()));
        Box::pin(ready(Ok(())))
    }

    fn flush(&mut self) -> BoxFuture<'_, Result<(), WriteError>> {
        if self.failures > 0 {
            self.failures -= 1;
            self.note("flush fails");
            return Box::pin(ready(Err(WriteError::Transient("no space".into()))));
        }
        self.note("flush");
        Box::pin(ready(Ok(())))
    }

    fn flush_at(&self) -> Option<u64> {
        let diary = self.diary.lock().unwrap();
        let written = diary.iter().rev().take_while(|line| *line != "flush");
        let events: usize =
            written.filter_map(|line| line.strip_prefix("write ")?.parse::<usize>().ok()).sum();
        Some(u64::MAX / 2).filter(|_| events < self.company)
    }

    fn wake_at(&self) -> Option<u64> {
        let woken = self.diary.lock().unwrap().iter().any(|line| line == "wake");
        if woken { None } else { Some(0) }
    }

    fn wake(&mut self) -> BoxFuture<'_, ()> {
        self.note("wake");
        Box::pin(ready(()))
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        self.note("close");
        Box::pin(ready(()))
    }
}

fn batch(diary: &Diary, events: usize) -> Batch {
    let heard = Arc::clone(diary);
    let share = Share::new(move |verdict| heard.lock().unwrap().push(format!("{verdict:?}")));
    Batch::new(vec![Event::new(Origin::nowhere()); events], 0, Acks::of(share))
}

fn new_driver(sink: Box<Diarist>, queue: Outlet, leave: Shutdown) -> SinkDriver {
    SinkDriver {
        id: "out".into(),
        sink,
        queue,
        meter: Arc::default(),
        leave,
        port: Outputs::new(Consumers::default()),
        data_dir: PathBuf::new(),
        counted: Counted::default(),
        obstacle: None,
    }
}

fn driven(sizes: &[usize], failures: u32) -> Vec<String> {
    let diary = Diary::default();
    let limits = Limits { events_max: 100_000, kib_max: 100_000, when_full: WhenFull::Block };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (inlet, queue) = queue(limits, Arc::default());
        for &events in sizes {
            inlet.send(batch(&diary, events)).await;
        }
        drop(inlet);
        let sink = Box::new(Diarist { diary: Arc::clone(&diary), failures, company: 0 });
        let (_stays, leave) = Shutdown::new();
        let driver = new_driver(sink, queue, leave);
        assert!(matches!(driver.run().await, Ended::Drained));
    });
    let mut lines = diary.lock().unwrap().clone();
    assert_eq!(lines.remove(0), "wake", "what is due at the start comes first");
    lines
}

#[test]
fn a_batch_is_delivered_when_it_is_flushed_and_not_before() {
    assert_eq!(driven(&[1], 0), ["write 1", "flush", "Delivered", "close"]);
    assert_eq!(driven(&[1], 2), ["write 1", "flush fails", "flush fails", "flush", "Delivered", "close"]);
}

#[test]
fn batches_that_wait_share_a_flush_up_to_a_limit() {
    assert_eq!(
        driven(&[1, 2, 3], 0),
        ["write 1", "write 2", "write 3", "flush", "Delivered", "Delivered", "Delivered", "close"]
    );
    let (large, small) = (FLUSH_EVENTS_MAX, FLUSH_EVENTS_MAX - 1);
    let written = |events: usize| format!("write {events}");
    assert_eq!(driven(&[large, 1], 0)[..3], [written(large), "flush".into(), "Delivered".into()]);
    assert_eq!(driven(&[small, 1], 0)[..3], [written(small), written(1), "flush".into()]);
}

#[test]
fn a_sink_is_woken_while_nothing_comes() {
    let diary = Diary::default();
    let limits = Limits { events_max: 10, kib_max: 10, when_full: WhenFull::Block };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (inlet, queue) = queue(limits, Arc::default());
        let sink = Box::new(Diarist { diary: Arc::clone(&diary), failures: 0, company: 0 });
        let (_stays, leave) = Shutdown::new();
        let driver = new_driver(sink, queue, leave);
        let running = driver.run();
        tokio::pin!(running);
        while !diary.lock().unwrap().contains(&"wake".to_owned()) {
            tokio::select! {
                _ = &mut running => panic!("the queue is open"),
                () = tokio::task::yield_now() => {}
            }
        }
        inlet.send(batch(&diary, 1)).await;
        drop(inlet);
        running.await;
    });
    assert_eq!(*diary.lock().unwrap(), ["wake", "write 1", "flush", "Delivered", "close"]);
}

#[test]
fn a_sink_that_fails_leaves_what_it_has_to_its_successor_in_order() {
    let (first, second) = (Diary::default(), Diary::default());
    let limits = Limits { events_max: 100, kib_max: 100, when_full: WhenFull::Block };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (inlet, queue) = queue(limits, Arc::default());
        for events in [1, 2, 3] {
            inlet.send(batch(&second, events)).await;
        }
        let (leaves, leave) = Shutdown::new();
        let sink = Box::new(Diarist { diary: Arc::clone(&first), failures: u32::MAX, company: 0 });
        let driver = new_driver(sink, queue, leave);
        let running = driver.run();
        tokio::pin!(running);
        let queue = loop {
            tokio::select! {
                ended = &mut running => match ended {
                    Ended::Left(queue) => break queue,
                    _ => panic!("it was to leave"),
                },
                () = tokio::task::yield_now() => {}
            }
            if first.lock().unwrap().contains(&"flush fails".to_owned()) {
                leaves.trigger();
            }
        };
        inlet.send(batch(&second, 4)).await;
        drop(inlet);
        assert_eq!(*second.lock().unwrap(), [""; 0], "nobody has heard of anything");
        let (_stays, leave) = Shutdown::new();
        let sink = Box::new(Diarist { diary: Arc::clone(&second), failures: 0, company: 0 });
        let driver = new_driver(sink, queue, leave);
        assert!(matches!(driver.run().await, Ended::Drained));
    });
    assert_eq!(first.lock().unwrap().last().unwrap(), "close");
    let seen = second.lock().unwrap();
    assert_eq!(seen[..6], ["wake", "write 1", "write 2", "write 3", "write 4", "flush"]);
    assert_eq!(seen.iter().filter(|line| *line == "Delivered").count(), 4);
}

/// Runs a sink that waits for `company` over batches of one event that come one by one; it is asked to leave at the end, or
/// its queue closes.
fn in_company(company: usize, batches: usize, leaves: bool) -> Vec<String> {
    let diary = Diary::default();
    let limits = Limits { events_max: 100, kib_max: 100, when_full: WhenFull::Block };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (inlet, queue) = queue(limits, Arc::default());
        let (leaver, leave) = Shutdown::new();
        let sink = Box::new(Diarist { diary: Arc::clone(&diary), failures: 0, company });
        let running = new_driver(sink, queue, leave).run();
        let feeding = async {
            for number in 1..=batches {
                inlet.send(batch(&diary, 1)).await;
                let written = || diary.lock().unwrap().iter().filter(|line| *line == "write 1").count();
                while written() < number {
                    tokio::task::yield_now().await;
                }
            }
            if leaves { leaver.trigger() } else { drop(inlet) }
        };
        let (ended, ()) = tokio::join!(running, feeding);
        assert_eq!(matches!(ended, Ended::Left(_)), leaves);
    });
    diary.lock().unwrap().clone()
}

#[test]
fn a_sink_may_wait_for_company_and_nobody_hears_before() {
    let delivered = ["wake", "write 1", "write 1", "flush", "Delivered", "Delivered"];
    assert_eq!(in_company(2, 2, false), [&delivered[..], &["close"]].concat());
    // What waits is not left behind, neither at the end nor by one who leaves.
    for leaves in [false, true] {
        let expected = [&delivered[..], &["write 1", "flush", "Delivered", "close"]].concat();
        assert_eq!(in_company(2, 3, leaves), expected, "{leaves}");
    }
}
