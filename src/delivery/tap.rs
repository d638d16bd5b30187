//! Taps: who is on call sees a sample of the events that pass a component, while they pass it.
//!
//! A tap must never slow the pipeline. Where nobody listens, an output costs one look at a number. Where somebody does,
//! an event is copied into that listener's queue if there is room, and passed over and counted if there is none: nothing
//! ever waits. Copies are whole: an event shares the large buffer that it was read into, and one that waits for a slow
//! listener would keep all of it in memory.

use super::rejects::marked;
use crate::event::{Event, Refusal};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::mpsc;

/// Events that may wait for one listener.
const WAITING_EVENTS_MAX: usize = 1_024;
/// Bytes of events that may wait for one listener; a single event that is larger still passes, alone.
const WAITING_BYTES_MAX: u64 = 1024 * 1024;

/// Who listens to the outputs of one component.
#[derive(Debug, Default)]
pub struct Taps {
    /// How many listeners there are: all that is looked at where there are none.
    count: AtomicUsize,
    listeners: Mutex<Vec<Listener>>,
}

#[derive(Debug)]
struct Listener {
    /// The port that it listens to; none for the main output.
    port: Option<String>,
    sender: mpsc::Sender<Event>,
    waiting: Arc<Waiting>,
}

/// What both ends of a tap know.
#[derive(Debug, Default)]
struct Waiting {
    bytes: AtomicU64,
    skipped: AtomicU64,
}

/// What a listener holds: events come out of it until it is dropped, or the component is gone.
#[derive(Debug)]
pub struct Tap {
    events: mpsc::Receiver<Event>,
    waiting: Arc<Waiting>,
    taps: Weak<Taps>,
}

impl Taps {
    /// A tap at the main output, or at a port. What passed before is not seen.
    pub fn listen(self: &Arc<Taps>, port: Option<&str>) -> Tap {
        let (sender, events) = mpsc::channel(WAITING_EVENTS_MAX);
        let waiting: Arc<Waiting> = Arc::default();
        let listener = Listener { port: port.map(str::to_owned), sender, waiting: Arc::clone(&waiting) };
        let mut listeners = self.listeners();
        listeners.push(listener);
        self.count.store(listeners.len(), Ordering::Relaxed);
        Tap { events, waiting, taps: Arc::downgrade(self) }
    }

    /// Shows `events` to whoever listens to the main output, or to `port`.
    #[inline]
    pub fn show(&self, port: Option<&str>, events: &[Event]) {
        if self.count.load(Ordering::Relaxed) > 0 {
            self.show_as(port, events, Event::alone);
        }
    }

    /// The same for events that a sink has rejected: they say why.
    #[inline]
    pub fn show_refused(&self, port: &str, events: &[Event], refusal: &Refusal) {
        if self.count.load(Ordering::Relaxed) > 0 {
            self.show_as(Some(port), events, |event| marked(&event.alone(), refusal));
        }
    }

    #[cold]
    fn show_as(&self, port: Option<&str>, events: &[Event], copy: impl Fn(&Event) -> Event) {
        for listener in self.listeners().iter().filter(|listener| listener.port.as_deref() == port) {
            listener.show(events, &copy);
        }
    }

    fn listeners(&self) -> MutexGuard<'_, Vec<Listener>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener {
    fn show(&self, events: &[Event], copy: impl Fn(&Event) -> Event) {
        let Waiting { bytes, skipped } = &*self.waiting;
        for (at, event) in events.iter().enumerate() {
            // Bytes that are taken out meanwhile make room for the next look.
            let size = event.size_bytes() as u64;
            let held = bytes.load(Ordering::Relaxed);
            let fits = held == 0 || held.saturating_add(size) <= WAITING_BYTES_MAX;
            let room = self.sender.try_reserve().ok().filter(|_| fits);
            let Some(room) = room else {
                // A full queue stays full for the rest of the batch, as good as always.
                skipped.fetch_add((events.len() - at) as u64, Ordering::Relaxed);
                return;
            };
            let copy = copy(event);
            bytes.fetch_add(copy.size_bytes() as u64, Ordering::Relaxed);
            room.send(copy);
        }
    }
}

impl Tap {
    /// The next event; none when the component is gone.
    pub async fn next(&mut self) -> Option<Event> {
        let event = self.events.recv().await;
        self.took(event)
    }

    /// The next event where one is waiting.
    pub fn next_now(&mut self) -> Option<Event> {
        let event = self.events.try_recv().ok();
        self.took(event)
    }

    /// How many events were passed over since nobody took those in front of them.
    pub fn skipped(&self) -> u64 {
        self.waiting.skipped.load(Ordering::Relaxed)
    }

    fn took(&self, event: Option<Event>) -> Option<Event> {
        let bytes = event.as_ref().map_or(0, |event| event.size_bytes() as u64);
        self.waiting.bytes.fetch_sub(bytes, Ordering::Relaxed);
        event
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let Some(taps) = self.taps.upgrade() else { return };
        let mut listeners = taps.listeners();
        listeners.retain(|listener| !Arc::ptr_eq(&listener.waiting, &self.waiting));
        taps.count.store(listeners.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Origin, Place};
    use bytes::Bytes;

    fn event(message: &str) -> Event {
        let text = format!("{{\"message\":\"{message}\"}}");
        Event::from_json(Bytes::from(text), Origin::nowhere()).unwrap()
    }

    fn messages(tap: &mut Tap) -> Vec<String> {
        let text = |event: Event| {
            let message = event.get(Place::Top, "message").unwrap().string().unwrap().into_owned();
            String::from_utf8(message).unwrap()
        };
        std::iter::from_fn(|| tap.next_now()).map(text).collect()
    }

    #[test]
    fn each_listener_sees_its_output_from_when_it_came_on() {
        let taps: Arc<Taps> = Arc::default();
        taps.show(None, &[event("before")]);
        let (mut main, mut port) = (taps.listen(None), taps.listen(Some("faults")));
        taps.show(None, &[event("a"), event("b")]);
        taps.show(Some("faults"), &[event("c")]);
        taps.show(Some("other"), &[event("d")]);
        assert_eq!(
            (messages(&mut main), messages(&mut port)),
            (vec!["a".into(), "b".into()], vec!["c".into()])
        );
        drop(main);
        taps.show(None, &[event("e")]);
        assert_eq!(taps.count.load(Ordering::Relaxed), 1);
        assert_eq!(port.skipped(), 0);
        drop(port);
        assert_eq!(taps.count.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_finds_no_room_is_counted_and_nothing_waits() {
        let taps: Arc<Taps> = Arc::default();
        let mut tap = taps.listen(None);
        let many: Vec<Event> = (0..WAITING_EVENTS_MAX + 7).map(|n| event(&n.to_string())).collect();
        taps.show(None, &many);
        assert_eq!((messages(&mut tap).len(), tap.skipped()), (WAITING_EVENTS_MAX, 7));
        // One that is larger than all that may wait passes alone.
        let huge = event(&"x".repeat(WAITING_BYTES_MAX as usize));
        taps.show(None, &[huge.clone(), huge.clone()]);
        assert_eq!((messages(&mut tap).len(), tap.skipped()), (1, 8));
        taps.show(None, &[event("small"), huge, event("behind it")]);
        assert_eq!((messages(&mut tap), tap.skipped()), (vec!["small".into()], 10));
    }

    #[test]
    fn a_component_that_is_gone_ends_its_taps() {
        let taps: Arc<Taps> = Arc::default();
        let mut tap = taps.listen(None);
        taps.show(None, &[event("last")]);
        drop(taps);
        assert_eq!(messages(&mut tap), ["last"]);
        assert!(matches!(tap.events.try_recv(), Err(mpsc::error::TryRecvError::Disconnected)));
    }
}
