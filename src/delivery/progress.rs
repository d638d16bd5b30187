//! How far a stream has been delivered: what a checkpoint may say.
//!
//! Verdicts come in any order; a checkpoint moves only past what is delivered without a gap. A batch that is lost stops
//! it for good: what stands behind it is read again after a restart.

use crate::event::Verdict;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// How far behind the delivered position [`Position::context`] stands at least, in bytes, where the stream is that
/// long: twins that a restart falls between are closer than this.
const CONTEXT_BYTES_MIN: u64 = 64 * 1024;

/// Where to go on after a restart. Both are the beginning of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Everything in front of this offset is delivered, dropped on purpose, or rejected.
    pub delivered: u64,
    /// From here on it is read again, so that what remembers records (twins, for one) knows those before.
    pub context: u64,
}

/// The progress of one stream.
#[derive(Debug)]
pub struct Progress(Mutex<State>);

#[derive(Debug)]
struct State {
    position: Position,
    /// The latest delivered position that may become the next `context`.
    next_context: u64,
    /// What was sent and is not yet passed by `position`, in order.
    sent: VecDeque<Sent>,
    /// Number of the first of `sent`.
    first: u64,
    unheard: usize,
}

#[derive(Debug)]
struct Sent {
    /// The beginning of the first record behind it.
    up_to: u64,
    verdict: Option<Verdict>,
}

impl Progress {
    /// Of a stream that is delivered up to `position`.
    pub fn new(position: Position) -> Arc<Progress> {
        let state =
            State { position, next_context: position.delivered, sent: VecDeque::new(), first: 0, unheard: 0 };
        Arc::new(Progress(Mutex::new(state)))
    }

    /// Takes note that everything in front of `up_to` is on its way; what comes back has to be told what became of it.
    /// Dropped without being told, it counts as lost.
    pub fn send(self: &Arc<Progress>, up_to: u64) -> impl FnOnce(Verdict) + Send + 'static {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = state.first + state.sent.len() as u64;
        state.sent.push_back(Sent { up_to, verdict: None });
        state.unheard += 1;
        let ear = Ear { progress: Arc::clone(self), number, heard: Verdict::Lost };
        move |verdict| {
            let mut ear = ear;
            ear.heard = verdict;
        }
    }

    /// Where to go on after a restart, by what is known now.
    pub fn position(&self) -> Position {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).position
    }

    /// Whether nothing is on its way.
    pub fn is_settled(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).unheard == 0
    }

    fn hear(&self, number: u64, verdict: Verdict) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.unheard -= 1;
        let at = (number - state.first) as usize;
        if let Some(sent) = state.sent.get_mut(at) {
            sent.verdict = Some(verdict);
        }
        while let Some(Sent { up_to, verdict: Some(Verdict::Delivered | Verdict::Rejected) }) =
            state.sent.front()
        {
            let up_to = *up_to;
            state.sent.pop_front();
            state.first += 1;
            state.advance(up_to);
        }
    }
}

impl State {
    fn advance(&mut self, to: u64) {
        self.position.delivered = to;
        if to.saturating_sub(self.next_context) >= CONTEXT_BYTES_MIN {
            self.position.context = self.next_context;
            self.next_context = to;
        }
    }
}

/// Hears one verdict.
struct Ear {
    progress: Arc<Progress>,
    number: u64,
    heard: Verdict,
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.progress.hear(self.number, self.heard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_checkpoint_never_passes_what_was_lost_or_forgotten() {
        for lose in [true, false] {
            let progress = Progress::new(Position::default());
            let [first, second, third] = [10, 20, 30].map(|up_to| progress.send(up_to));
            first(Verdict::Rejected);
            if lose {
                second(Verdict::Lost)
            } else {
                drop(second)
            }
            third(Verdict::Delivered);
            assert_eq!(progress.position().delivered, 10);
            assert!(progress.is_settled());
        }
    }

    #[test]
    fn the_context_stands_well_behind_and_on_a_record() {
        let progress = Progress::new(Position { delivered: 1000, context: 500 });
        let mut ends = vec![1000];
        for _ in 0..500 {
            let up_to = ends[ends.len() - 1] + 999;
            ends.push(up_to);
            progress.send(up_to)(Verdict::Delivered);
            let Position { delivered, context } = progress.position();
            assert_eq!(delivered, up_to);
            assert!(context == 500 || ends.contains(&context));
            assert!(delivered < 500 + 2 * CONTEXT_BYTES_MIN || delivered - context >= CONTEXT_BYTES_MIN);
            assert!(delivered - context <= 2 * CONTEXT_BYTES_MIN + 2 * 999);
        }
    }

    proptest! {
        #[test]
        fn in_whatever_order_verdicts_come(order in Just((0..20usize).collect::<Vec<_>>()).prop_shuffle()) {
            let progress = Progress::new(Position::default());
            let mut sent: Vec<_> = (1..=20).map(|up_to| Some(progress.send(up_to))).collect();
            let mut heard = [false; 20];
            for at in order {
                sent[at].take().unwrap()(Verdict::Delivered);
                heard[at] = true;
                let delivered = heard.iter().take_while(|heard| **heard).count();
                prop_assert_eq!(progress.position().delivered, delivered as u64);
            }
            prop_assert!(progress.is_settled());
        }
    }
}
