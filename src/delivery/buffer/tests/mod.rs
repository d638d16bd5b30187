//! The log, its reader and its cursor together, without tasks: over restarts, and in any order of what happens.

mod anything;
mod damage;

use super::*;
use crate::event::{Acks, Batch, Event, Origin, Stream, Verdict};
use proptest::prelude::*;
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder that goes with the test.
pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new() -> TempDir {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("evaltrail-buffer-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        TempDir(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Less than a config may ask for, so that few events make several segments.
const SMALL: u64 = 128 * 1024;

pub fn event(number: u64, pad: usize) -> Event {
    let stream = Stream { source: "logs".into(), fingerprint: number % 3, ..Stream::default() };
    let text = format!("{{\"n\":{number},\"pad\":\"{}\"}}", "x".repeat(pad));
    Event::from_json(text.into(), Origin::new(Arc::new(stream), number, 5)).unwrap()
}

/// Which event it is; all of it has to be as it was.
pub fn number(found: &Event) -> u64 {
    let text = |event: &Event| {
        let mut text = Vec::new();
        event.write_json(&mut text);
        text
    };
    let number = found.origin().offset();
    let pad = serde_json::from_slice::<serde_json::Value>(&text(found)).unwrap();
    let expected = event(number, pad["pad"].as_str().unwrap().len());
    assert_eq!(text(found), text(&expected));
    assert_eq!(found.origin().id(), expected.origin().id());
    number
}

/// One run.
pub struct Life {
    pub log: Log,
    pub reader: Reader,
    pub shared: Arc<Shared>,
    pub meter: Arc<Meter>,
}

impl Life {
    pub fn start(folder: &Path, max_size_bytes: u64) -> Result<Life, String> {
        let survey = Survey::of(folder).unwrap();
        if let Some(refusal) = survey.refusal() {
            return Err(refusal);
        }
        let (settings, meter) = (Settings { max_size_bytes, when_full: WhenFull::Block }, Arc::default());
        let (log, reader, shared) = recover("out", survey, settings, &meter).unwrap();
        Ok(Life { log, reader, shared, meter })
    }

    /// Appends events where all of them have room; whether they had.
    pub fn append(&mut self, events: &[Event]) -> bool {
        let has_room = self.stage(events);
        self.log.commit().unwrap();
        has_room
    }

    /// The same, written when a segment is full.
    pub fn stage(&mut self, events: &[Event]) -> bool {
        let payloads = content::encode(events);
        if !self.log.has_room(&payloads) {
            return false;
        }
        for payload in payloads {
            match self.log.place(payload.bytes.len()) {
                log::Place::Full => panic!("there was room for all of them"),
                log::Place::NextSegment => {
                    self.log.commit().unwrap();
                    self.log.begin_segment().unwrap();
                }
                log::Place::Here => {}
            }
            self.log.stage(&payload);
        }
        self.log.end_batch();
        true
    }

    pub fn read(&mut self) -> Option<Batch> {
        self.reader.take().unwrap()
    }

    pub fn read_all(&mut self) -> Vec<u64> {
        let batches: Vec<Batch> = std::iter::from_fn(|| self.read()).collect();
        batches.iter().flat_map(|batch| &batch.events).map(number).collect()
    }

    pub fn bytes(&self, folder: &Path) -> u64 {
        folder::segments(folder).unwrap().iter().map(|(_, path)| fs::metadata(path).unwrap().len()).sum()
    }
}

/// What happens to a buffer.
#[derive(Clone, Debug)]
enum Step {
    /// So many events of so many bytes are appended.
    Append(usize, usize),
    Read,
    /// One of the batches that were read gets a verdict.
    Hear(usize, Verdict),
    /// The process is killed, and starts again.
    Kill,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1usize..40, 0usize..2_000).prop_map(|(events, pad)| Step::Append(events, pad)),
        4 => Just(Step::Read),
        4 => (any::<usize>(), prop_oneof![5 => Just(Verdict::Delivered), 1 => Just(Verdict::Rejected)])
            .prop_map(|(at, verdict)| Step::Hear(at, verdict)),
        1 => (any::<usize>(),).prop_map(|(at,)| Step::Hear(at, Verdict::Lost)),
        1 => Just(Step::Kill),
    ];
    proptest::collection::vec(step, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn nothing_is_lost_and_order_is_kept_whatever_happens(steps in steps()) {
        let dir = TempDir::new();
        let mut life = Life::start(dir.path(), SMALL).unwrap();
        let mut written = 0u64;
        // Everything before it is delivered without a gap.
        let mut delivered = 0u64;
        let mut next = 0u64;
        let mut out: Vec<(Vec<u64>, Acks)> = Vec::new();
        let mut heard: Vec<(Vec<u64>, bool)> = Vec::new();
        for step in steps {
            match step {
                Step::Append(count, pad) => {
                    let events: Vec<Event> = (0..count as u64).map(|at| event(written + at, pad)).collect();
                    let used = life.shared.used();
                    if life.append(&events) {
                        written += count as u64;
                    } else {
                        prop_assert!(used > SMALL / 5, "full with {} bytes", used);
                    }
                    prop_assert!(life.shared.used() <= SMALL);
                    prop_assert!(life.bytes(dir.path()) <= life.shared.used());
                }
                Step::Read => {
                    if let Some(batch) = life.read() {
                        let numbers: Vec<u64> = batch.events.iter().map(number).collect();
                        prop_assert_eq!(numbers[0], next);
                        prop_assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
                        next = numbers[numbers.len() - 1] + 1;
                        heard.push((numbers.clone(), false));
                        out.push((numbers, batch.acks));
                    } else {
                        prop_assert_eq!(next, written);
                    }
                }
                Step::Hear(at, verdict) if !out.is_empty() => {
                    let (numbers, acks) = out.remove(at % out.len());
                    acks.resolve(verdict);
                    life.shared.settle();
                    if let Some(entry) = heard.iter_mut().find(|(known, _)| *known == numbers) {
                        entry.1 = verdict != Verdict::Lost;
                    }
                    let passed = heard.iter().take_while(|(_, done)| *done);
                    delivered = passed.last().map_or(delivered, |(numbers, _)| numbers[numbers.len() - 1] + 1);
                }
                Step::Hear(..) => {}
                Step::Kill => {
                    out.clear();
                    heard.clear();
                    drop(life);
                    life = Life::start(dir.path(), SMALL).unwrap();
                    next = delivered;
                    prop_assert_eq!(life.meter.totals().events_in, written - delivered);
                }
            }
            prop_assert_eq!(life.meter.totals().events_buffered, written - delivered);
        }
        drop(out);
        drop(life);
        let mut life = Life::start(dir.path(), SMALL).unwrap();
        prop_assert_eq!(life.read_all(), (delivered..written).collect::<Vec<_>>());
    }
}

#[test]
fn space_comes_free_when_the_cursor_has_passed_it() {
    let dir = TempDir::new();
    let mut life = Life::start(dir.path(), SMALL).unwrap();
    let mut number = 0;
    while life.append(&[event(number, 2_000)]) {
        number += 1;
    }
    assert!(life.bytes(dir.path()) > SMALL / 2);
    while let Some(batch) = life.read() {
        batch.resolve(Verdict::Delivered);
        life.shared.settle();
    }
    let left = folder::segments(dir.path()).unwrap();
    assert_eq!(left.len(), 1, "the one that is written to: {left:?}");
    assert!(life.append(&[event(number, 2_000)]));
    let Some(batch) = life.read() else { panic!("nothing to read") };
    assert_eq!(batch.events.iter().map(self::number).collect::<Vec<_>>(), [number]);
}

#[test]
fn a_sink_that_forgets_moves_no_cursor() {
    let dir = TempDir::new();
    let mut life = Life::start(dir.path(), SMALL).unwrap();
    assert!(life.append(&[event(0, 70_000), event(1, 5), event(2, 5)]));
    let (first, second) = (life.read().unwrap(), life.read().unwrap());
    assert_eq!((first.events.len(), second.events.len()), (1, 2));
    drop(first);
    second.resolve(Verdict::Delivered);
    assert!(life.shared.is_lost() && life.shared.is_settled());
    life.shared.settle();
    drop(life);
    assert_eq!(Life::start(dir.path(), SMALL).unwrap().read_all(), [0, 1, 2]);
}

#[test]
fn numbers_go_on_where_everything_was_delivered_and_taken_away() {
    let dir = TempDir::new();
    let mut life = Life::start(dir.path(), SMALL).unwrap();
    assert!(life.append(&[event(0, 5)]));
    life.read().unwrap().resolve(Verdict::Delivered);
    life.shared.settle();
    drop(life);
    for (_, path) in folder::segments(dir.path()).unwrap() {
        fs::remove_file(path).unwrap();
    }
    let mut life = Life::start(dir.path(), SMALL).unwrap();
    assert!(life.append(&[event(1, 5)]));
    assert_eq!(life.read_all(), [1]);
    drop(life);
    assert_eq!(Life::start(dir.path(), SMALL).unwrap().read_all(), [1]);
}

/// Batches of some segments each, the last of which is written as far as it goes and never ended.
#[test]
fn a_batch_that_is_not_whole_is_not_read_and_can_be_taken_back() {
    let batch = |from: u64, count: u64| (from..from + count).map(|n| event(n, 2_000)).collect::<Vec<_>>();
    for whole in [0, 1, 20] {
        let dir = TempDir::new();
        let mut life = Life::start(dir.path(), SMALL).unwrap();
        assert!(whole == 0 || life.append(&batch(0, whole)));
        assert_eq!(life.read_all(), (0..whole).collect::<Vec<_>>());
        let mut torn = 0;
        for one in batch(whole, 30) {
            for payload in content::encode(&[one]) {
                if life.log.place(payload.bytes.len()) == log::Place::NextSegment {
                    life.log.commit().unwrap();
                    life.log.begin_segment().unwrap();
                    torn += 1;
                }
                life.log.stage(&payload);
            }
        }
        assert!(torn > 1, "{torn}");
        life.log.commit().unwrap();
        assert!(life.read().is_none());
        assert_eq!(life.meter.totals().events_buffered, whole);
        life.log.take_back().unwrap();
        assert!(life.read().is_none());
        drop(life);
        let survey = Survey::of(dir.path()).unwrap();
        assert!(survey.flaws.is_empty() && survey.torn.is_none(), "{survey:?}");
        let mut life = Life::start(dir.path(), SMALL).unwrap();
        assert_eq!(life.read_all(), (0..whole).collect::<Vec<_>>());
        assert!(life.append(&batch(whole, 5)));
        assert_eq!(life.read_all(), (whole..whole + 5).collect::<Vec<_>>());
    }
}

#[test]
fn a_stop_gets_half_of_its_time_at_most() {
    let grace = |secs| Grace::within(Duration::from_secs(secs));
    assert_eq!(grace(60), Grace { hand_out: HAND_OUT_MAX, in_hand: IN_HAND_MAX });
    assert_eq!(grace(1).hand_out + grace(1).in_hand, Duration::from_millis(500));
}

#[test]
fn a_buffer_that_no_sink_empties_is_noticed() {
    let dir = TempDir::new();
    assert!(!holds_events(dir.path()));
    let mut life = Life::start(dir.path(), SMALL).unwrap();
    assert!(life.append(&[event(0, 5)]));
    assert!(holds_events(dir.path()));
    life.read().unwrap().resolve(Verdict::Delivered);
    life.shared.settle();
    assert!(!holds_events(dir.path()));
}
