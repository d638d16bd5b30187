//! Sinks that behave as the seed says, and write down what they have got: one that writes, and one that sends requests.

use crate::dice::Dice;
use evaltrail::delivery::{
    BoxFuture, Failure, Policy, Request, RequestSink, SendError, Sink, Work, WriteError,
};
use evaltrail::event::{Event, Invalid};
use evaltrail::sinks::SinkConfig;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a sink does once, at a certain operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its reader goes away.
    Gone,
    /// It panics.
    Panic,
    /// From then on it never works again, and never says that it won't.
    Stuck,
}

/// How a sink behaves.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    pub seed: u64,
    /// Failures that pass, of a hundred operations.
    pub transient: u64,
    /// Failures for good, likewise.
    pub permanent: u64,
    /// An operation takes up to so many milliseconds.
    pub slow_ms: u64,
    /// What happens at its operation of this number.
    pub fate: Option<(u64, Fate)>,
    /// Whether it sends requests, and how many at a time.
    pub requests: Option<usize>,
}

impl Manner {
    /// Whether a receiver of requests never takes the event of this number.
    fn is_bad(&self, number: u64) -> bool {
        Dice::new(self.seed ^ number).chance(self.permanent)
    }
}

/// What a sink has made durable, by number, in order; and how many events it refused.
#[derive(Debug, Default)]
pub struct Kept {
    pub numbers: Vec<u64>,
    pub refused: u64,
}

/// A sink that keeps what was written once it was flushed.
pub struct Keeper {
    pub manner: Manner,
    pub kept: Arc<Mutex<Kept>>,
}

impl SinkConfig for Keeper {
    fn build(&self) -> Result<Work, Invalid> {
        let Keeper { manner, kept } = self;
        let dice = Dice::new(manner.seed);
        if let Some(concurrency) = manner.requests {
            let state = Mutex::new((dice, 0));
            return Ok(Work::requests(
                Asking { manner: *manner, kept: Arc::clone(kept), state },
                policy(concurrency),
            ));
        }
        Ok(Work::writing(Keeping {
            manner: *manner,
            kept: Arc::clone(kept),
            dice,
            operations: 0,
            written: Vec::new(),
        }))
    }
}

struct Keeping {
    manner: Manner,
    kept: Arc<Mutex<Kept>>,
    dice: Dice,
    operations: u64,
    /// Not flushed yet.
    written: Vec<u64>,
}

impl Keeping {
    async fn operate(&mut self) -> Result<(), WriteError> {
        let Manner { transient, permanent, slow_ms, fate, .. } = self.manner;
        self.operations += 1;
        if slow_ms > 0 {
            tokio::time::sleep(Duration::from_millis(self.dice.within(0..=slow_ms))).await;
        }
        match fate.filter(|(at, _)| self.operations >= *at) {
            Some((_, Fate::Gone)) => return Err(WriteError::Gone),
            Some((_, Fate::Panic)) => resume_unwind(Box::new("the script says so")),
            Some((_, Fate::Stuck)) => return Err(WriteError::Transient("stuck".to_owned())),
            None => {}
        }
        if self.dice.chance(transient) {
            return Err(WriteError::Transient("not now".to_owned()));
        }
        match self.dice.chance(permanent) {
            true => Err(WriteError::Permanent("never".to_owned())),
            false => Ok(()),
        }
    }
}

impl Sink for Keeping {
    fn write<'a>(&'a mut self, events: &'a [Event]) -> BoxFuture<'a, Result<(), WriteError>> {
        Box::pin(async move {
            let done = self.operate().await;
            match &done {
                Ok(()) => self.written.extend(events.iter().map(|event| event.origin().offset())),
                Err(WriteError::Permanent(_)) => self.kept.lock().unwrap().refused += events.len() as u64,
                Err(_) => {}
            }
            done
        })
    }

    fn flush(&mut self) -> BoxFuture<'_, Result<(), WriteError>> {
        Box::pin(async move {
            let done = self.operate().await;
            let mut kept = self.kept.lock().unwrap();
            match &done {
                Ok(()) => kept.numbers.append(&mut self.written),
                Err(WriteError::Permanent(_)) => kept.refused += self.written.drain(..).len() as u64,
                Err(_) => {}
            }
            done
        })
    }
}

fn policy(concurrency: usize) -> Policy {
    Policy {
        bytes_max: 20 * NUMBER_BYTES,
        events_max: 15,
        timeout: Duration::from_millis(300),
        concurrency,
        attempts_max: None,
        backoff_initial: Duration::from_secs(1),
        backoff_max: Duration::from_secs(30),
    }
}

const NUMBER_BYTES: usize = 8;

/// A sink that sends its events to a receiver with moods.
struct Asking {
    manner: Manner,
    kept: Arc<Mutex<Kept>>,
    /// What chance says next, and how many operations there were.
    state: Mutex<(Dice, u64)>,
}

impl Asking {
    async fn ask(&self, request: Request<'_>) -> Result<(), SendError> {
        let Manner { transient, slow_ms, fate, .. } = self.manner;
        let (operation, slow_ms, fails, is_setup) = {
            let mut state = self.state.lock().unwrap();
            state.1 += 1;
            let dice = &mut state.0;
            let drawn = (dice.within(0..=slow_ms), dice.chance(transient), dice.chance(50));
            (state.1, drawn.0, drawn.1, drawn.2)
        };
        tokio::time::sleep(Duration::from_millis(slow_ms)).await;
        let failure = Failure { why: "not now".to_owned(), ..Failure::default() };
        match fate.filter(|(at, _)| operation >= *at) {
            Some((_, Fate::Panic)) => resume_unwind(Box::new("the script says so")),
            Some((_, Fate::Stuck | Fate::Gone)) => return Err(SendError::Transient(failure)),
            None if fails && is_setup => return Err(SendError::Setup(failure)),
            None if fails => return Err(SendError::Transient(failure)),
            None => {}
        }
        let numbers = request.events().map(|event| u64::from_be_bytes(event.try_into().unwrap()));
        let numbers: Vec<u64> = numbers.collect();
        assert!(numbers.len() <= 15 && numbers.len() == request.len() && !numbers.is_empty());
        let mut kept = self.kept.lock().unwrap();
        if numbers.iter().any(|number| self.manner.is_bad(*number)) {
            kept.refused += u64::from(numbers.len() == 1);
            return Err(SendError::Data(failure));
        }
        kept.numbers.extend(numbers);
        Ok(())
    }
}

impl RequestSink for Asking {
    fn encode(&self, event: &Event, out: &mut Vec<u8>) {
        out.extend_from_slice(&event.origin().offset().to_be_bytes());
    }

    fn send<'a>(&'a self, request: Request<'a>) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(self.ask(request))
    }
}
