//! What the framework does for every component: queues, acknowledgements, retries, metrics, shutdown.
//!
//! A source emits batches and hears a verdict for each; a sink writes and says whether a failure is permanent.
//! Everything in between is here, and knows no concrete source or sink.

pub mod buffer;
pub mod clock;
mod dead_letters;
pub mod disk;
mod door;
mod drive;
mod emitter;
mod exclusive;
mod intake;
mod ledger;
mod meter;
mod outputs;
mod plain;
mod progress;
mod queue;
mod rejects;
mod requests;
mod retry;
mod shutdown;
mod sink;
mod tap;
mod trouble;
mod words;

pub use dead_letters::{DeadLetters, TakeError, Taken, read_letter};
pub use door::Door;
pub use drive::{Ended, SinkContext, SinkTask, Work};
pub use emitter::{Emission, Emitter, FAULTS, Receipt};
pub use exclusive::Exclusive;
pub use intake::{Intake, Told};
pub use ledger::{Ledger, Noted, Tally};
pub use meter::{Meter, Totals, Trouble};
pub use outputs::{Consumers, Exchange, Outputs, Wanted};
pub use plain::plain;
pub use progress::{Position, Progress};
pub use queue::{Inlet, Limits, Outlet, Queued, WeakInlet, WhenFull, queue};
pub use rejects::{REJECTED, Rejects};
pub use requests::{Failure, Policy, Request, RequestSink, SendError};
pub use retry::Backoff;
pub use shutdown::{Shutdown, ShutdownTrigger};
pub use sink::{Sink, WriteError};
pub use tap::Tap;
pub use trouble::{Failing, Lasting};
pub use words::{are, counted};

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

/// A future behind a pointer, as traits that are objects need it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a source gets from the topology.
pub struct SourceContext {
    /// Its id in the config.
    pub id: String,
    /// Where its events go.
    pub out: Emitter,
    /// Says when to stop reading.
    pub shutdown: Shutdown,
    /// What its consumers can use, which may change while it runs.
    pub wanted: Wanted,
    /// Its counters.
    pub meter: Arc<Meter>,
    /// Folder that it may keep checkpoints in; it need not exist yet.
    pub data_dir: PathBuf,
    /// Where it listens, if it does.
    pub door: Door,
    /// Whether to read what is there, to its end, and finish.
    pub once: bool,
}
