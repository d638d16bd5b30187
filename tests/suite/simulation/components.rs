//! Sources, transforms and sinks that behave as the seed says, and write down what they saw.

use super::world::{Item, Kind, Step};
use bytes::Bytes;
use evaltrail::delivery::{Emission, Receipt, SourceContext};
use evaltrail::event::{Acks, Batch, Demand, Event, Invalid, Origin, Stream, Verdict};
use evaltrail::sources::{SourceConfig, Task};
use evaltrail::transforms::{Ports, Transform, TransformConfig};
use std::collections::{BTreeMap, VecDeque};
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;

/// When all batches were received: long past, so that whoever holds events back finds its time come as soon as
/// nothing else is to do, whatever the machine's clock says.
const RECEIVED_MS: u64 = 1_759_513_702_238;

/// How a source ends when its script is through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceEnd {
    Well,
    Failure,
    Panic,
}

/// What became of the batches of a source, by their number: a verdict for each time that one was heard.
pub type Heard = Arc<Mutex<BTreeMap<usize, Vec<Verdict>>>>;

/// A source that plays its script.
pub struct Player {
    pub script: Vec<Step>,
    /// Number of the first step that is played.
    pub from: usize,
    /// Batches that may be without a verdict.
    pub in_flight: usize,
    pub end: SourceEnd,
    pub heard: Heard,
}

impl SourceConfig for Player {
    fn build(&self, cx: SourceContext) -> Result<Task, Invalid> {
        let heard = Arc::clone(&self.heard);
        let steps = self.script.iter().cloned().enumerate().skip(self.from).collect();
        let before = self.script.iter().take(self.from).cloned().collect();
        Ok(Box::pin(play(cx, before, steps, self.in_flight, self.end, heard)))
    }
}

async fn play(
    mut cx: SourceContext,
    before: Vec<Step>,
    steps: Vec<(usize, Step)>,
    in_flight: usize,
    end: SourceEnd,
    heard: Heard,
) -> Result<(), String> {
    let room = Arc::new(Semaphore::new(in_flight));
    let fingerprint = cx.id.bytes().map(u64::from).sum();
    let stream = Arc::new(Stream { source: cx.id.clone(), fingerprint, ..Stream::default() });
    let make = |items: &[Item]| items.iter().map(|item| event(item, &stream)).collect();
    for step in before {
        // What was delivered before the restart is shown again to whoever remembers records.
        let (events, faults) = (make(&step.events), Vec::new());
        cx.out.send(Emission { events, faults, now_ms: RECEIVED_MS, replayed: true }).await;
    }
    for (at, step) in steps {
        let permit = tokio::select! {
            biased;
            () = cx.shutdown.wait() => return Ok(()),
            permit = ready(&room, step.pause) => permit,
        };
        let records = step.events.len() + step.faults.len();
        let (events, faults) = (make(&step.events), make(&step.faults));
        cx.meter.count_in(records as u64);
        heard.lock().unwrap().insert(at, Vec::new());
        let receipt = cx.out.send(Emission { events, faults, now_ms: RECEIVED_MS, replayed: false }).await;
        // Who waits for the verdict outlives the pipeline: it has to come even where that is aborted.
        let heard = Arc::clone(&heard);
        tokio::spawn(async move {
            listen(receipt, &heard, at).await;
            drop(permit);
        });
    }
    match end {
        SourceEnd::Well => Ok(()),
        SourceEnd::Failure => Err("the script says so".to_owned()),
        // Unwinds without the message that a panic prints.
        SourceEnd::Panic => resume_unwind(Box::new("the script says so")),
    }
}

async fn ready(room: &Arc<Semaphore>, pause: Duration) -> tokio::sync::OwnedSemaphorePermit {
    tokio::time::sleep(pause).await;
    Arc::clone(room).acquire_owned().await.unwrap()
}

async fn listen(receipt: Receipt, heard: &Heard, at: usize) {
    let verdict = receipt.verdict().await;
    heard.lock().unwrap().get_mut(&at).unwrap().push(verdict);
}

/// The record of an item. Its number is its offset, which no transform changes.
fn event(item: &Item, stream: &Arc<Stream>) -> Event {
    let number = item.number;
    // Unprintable source: its twin in metadata may stand for two things, and waits.
    let digits: Vec<String> = (0..6).map(|at| (1 + number / 6u64.pow(at) % 6).to_string()).collect();
    let ambiguous = format!("<<{}>>", digits.join(", "));
    let text = match item.kind {
        Kind::Plain => format!(r#"{{"message":"plain {number}"}}"#),
        Kind::Legacy => legacy(&format!("\\\"code{number}\\\"")),
        Kind::Structured => structured(&format!("code{number}")),
        Kind::LegacyBytes => legacy(&ambiguous),
        Kind::StructuredBytes => structured(&ambiguous),
    };
    Event::from_json(Bytes::from(text), Origin::new(Arc::clone(stream), number, RECEIVED_MS)).unwrap()
}

fn legacy(literal: &str) -> String {
    format!(
        r#"{{"message":"Evaluating code\n  Session mode: default\n  Code: {literal}","time":"2025-10-03T17:48:20Z"}}"#
    )
}

fn structured(code: &str) -> String {
    format!(
        r#"{{"message":"Evaluating code","time":"2025-10-03T17:48:20Z","metadata":{{"event":"code.evaluate","session_mode":"default","code":"{code}"}}}}"#
    )
}

/// What a transform does to an item, judged by its number alone, so that the model can say it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Passes everything on.
    Pass,
    /// Drops one in three.
    Drop,
    /// One in three stays, the others leave by the ports `a` and `b`.
    Route,
    /// Holds one in two back for so many calls.
    Hold(u64),
    /// The real `legacy_message`.
    Twins,
}

impl Way {
    /// The port that an item leaves by, the empty one being the main output; none where it is dropped.
    pub fn port(self, number: u64) -> Option<&'static str> {
        match (self, number % 3) {
            (Way::Drop, 0) => None,
            (Way::Route, 0) => Some("a"),
            (Way::Route, 1) => Some("b"),
            _ => Some(""),
        }
    }
}

struct Worker {
    way: Way,
    held: VecDeque<(u64, Event, Acks)>,
    calls: u64,
}

impl TransformConfig for Way {
    fn build(&self) -> Result<Box<dyn Transform>, Invalid> {
        Ok(Box::new(Worker { way: *self, held: VecDeque::new(), calls: 0 }))
    }

    fn demand(&self, _: Demand) -> Demand {
        Demand::Everything
    }

    fn ports(&self) -> Vec<String> {
        if *self == Way::Route { vec!["a".to_owned(), "b".to_owned()] } else { Vec::new() }
    }
}

impl Transform for Worker {
    fn apply(&mut self, batch: &mut Batch, ports: &mut Ports) {
        self.calls += 1;
        match self.way {
            Way::Pass | Way::Twins => {}
            Way::Drop => {
                batch.retain("simulated", |event| Way::Drop.port(event.origin().offset()).is_some());
            }
            Way::Route => {
                for event in std::mem::take(&mut batch.events) {
                    match Way::Route.port(event.origin().offset()).unwrap() {
                        "" => batch.events.push(event),
                        port => ports.send(port, event),
                    }
                }
            }
            Way::Hold(calls) => self.hold(calls, batch),
        }
    }

    fn wake_at(&self) -> Option<u64> {
        self.held.front().map(|_| RECEIVED_MS)
    }
}

impl Worker {
    fn hold(&mut self, calls: u64, batch: &mut Batch) {
        if batch.replayed {
            return;
        }
        let acks = batch.acks.clone();
        for event in std::mem::take(&mut batch.events) {
            match event.origin().offset() % 2 {
                0 => self.held.push_back((self.calls + calls, event, acks.clone())),
                _ => batch.events.push(event),
            }
        }
        // This clone is no event's: it says nothing.
        acks.resolve(Verdict::Delivered);
        while self.held.front().is_some_and(|(until, ..)| batch.last || self.calls >= *until) {
            let (_, event, acks) = self.held.pop_front().unwrap();
            batch.acks.join(acks);
            batch.events.push(event);
        }
    }
}
