//! Who consumes what a source or a port sends. They can be exchanged between two batches while it runs: that is how a
//! pipeline changes without a gap.

use super::queue::Inlet;
use crate::event::Demand;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use tokio::sync::{OwnedRwLockWriteGuard, RwLock, RwLockReadGuard};

/// The consumers, by output.
#[derive(Clone, Default)]
pub struct Consumers {
    /// Of the main output; of the only one, where a sink has a port.
    pub main: Vec<Inlet>,
    /// Of the port `faults`.
    pub faults: Vec<Inlet>,
}

impl Consumers {
    /// Whether both lead to the same queues.
    pub fn are_same(&self, other: &Consumers) -> bool {
        let same = |own: &[Inlet], others: &[Inlet]| {
            own.len() == others.len() && own.iter().zip(others).all(|(own, other)| own.is_same(other))
        };
        same(&self.main, &other.main) && same(&self.faults, &other.faults)
    }
}

/// Consumers that can be exchanged. Whoever sends holds them still for as long as a batch is on its way into their
/// queues; whoever exchanges them holds up the next batch.
pub struct Outputs(Arc<RwLock<Consumers>>);

/// The right to exchange consumers: until it is dropped, nothing is sent.
pub type Exchange = OwnedRwLockWriteGuard<Consumers>;

impl Outputs {
    /// With these consumers.
    pub fn new(consumers: Consumers) -> Arc<Outputs> {
        Arc::new(Outputs(Arc::new(RwLock::new(consumers))))
    }

    /// The consumers as they are; they stay so until this is dropped.
    pub(super) async fn hold(&self) -> RwLockReadGuard<'_, Consumers> {
        self.0.read().await
    }

    /// Waits until what is being sent is in the queues, and keeps more from being sent.
    pub async fn exchange(&self) -> Exchange {
        Arc::clone(&self.0).write_owned().await
    }

    /// The consumers now; none where they are being exchanged.
    pub fn peek(&self) -> Option<Consumers> {
        self.0.try_read().ok().map(|consumers| consumers.clone())
    }
}

/// What the consumers of a source can use. It may change while the source runs.
#[derive(Clone, Debug, Default)]
pub struct Wanted(Arc<AtomicU8>);

/// The bit for faults; those below it are the demand.
const FAULTS: u8 = 4;

impl Wanted {
    /// Of what is on the main output, `demand`; `faults` says whether every record has to be checked, also one that
    /// nobody wants: somebody consumes the faults, or the run is to fail on one.
    pub fn new(demand: Demand, faults: bool) -> Wanted {
        let wanted = Wanted::default();
        wanted.set(demand, faults);
        wanted
    }

    /// Changes it, for what is read from now on.
    pub fn set(&self, demand: Demand, faults: bool) {
        let demand = match demand {
            Demand::Nothing => 0,
            Demand::Evaluations => 1,
            Demand::Everything => 2,
        };
        self.0.store(demand | if faults { FAULTS } else { 0 }, Ordering::Relaxed);
    }

    /// The demand, and whether every record has to be checked.
    pub fn now(&self) -> (Demand, bool) {
        let bits = self.0.load(Ordering::Relaxed);
        let demand = match bits & !FAULTS {
            0 => Demand::Nothing,
            1 => Demand::Evaluations,
            _ => Demand::Everything,
        };
        (demand, bits & FAULTS != 0)
    }
}
