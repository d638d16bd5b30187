//! Sources: where records come from. One file or folder each; they know neither each other nor the topology.

pub mod demo_logs;
pub mod file;
pub mod http_server;
pub mod stdin;

pub use crate::delivery::FAULTS;

use crate::delivery::{BoxFuture, Door, Exclusive, SourceContext};
use crate::event::Invalid;
use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::PathBuf;
use std::pin::Pin;

/// A running source: ends when its input does, or soon after [`SourceContext::shutdown`] says so. An error is a
/// failure of the component as a whole.
pub type Task = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// A number that no other stream has but for a rare chance, of this run or another: the fingerprint of what can't be
/// found again after a restart, so that no two runs give one `%id` to two records.
fn number_of_this_run() -> u64 {
    // The keys of a hasher are the randomness that the standard library has.
    RandomState::new().build_hasher().finish()
}

/// The options of a source, as written in a config.
pub trait SourceConfig: Send + Sync {
    /// Whether the source can be made from its options.
    fn check(&self) -> Result<(), Invalid> {
        Ok(())
    }

    /// Whether another one can take its place while the program runs; if not, why.
    fn can_be_exchanged(&self) -> Result<(), &'static str> {
        Ok(())
    }

    /// Whether the one that takes its place may begin before it has ended. If not, that one waits.
    fn overlaps(&self) -> bool {
        false
    }

    /// Does what may fail of the start, before anything is changed for it: where one of its id is running, that one goes
    /// on until this has worked. An error says why it can't start.
    fn prepare<'a>(&'a self, _door: &'a Door) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Files besides the config that it reads when it starts, and not later: certificates.
    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// What is not on this machine as the options need it, such as a certificate that can't be read: `validate` asks.
    fn lacks(&self) -> Option<Invalid> {
        None
    }

    /// What it needs that no other component can have at the same time.
    fn claims(&self) -> Option<Exclusive> {
        None
    }

    /// Makes the source. Nothing is opened before the task is first polled.
    fn build(&self, cx: SourceContext) -> Result<Task, Invalid>;

    /// Whether it would read a file of this path, by the path alone.
    fn reads(&self, _path: &str) -> bool {
        false
    }

    /// The names of its ports besides the main output.
    fn ports(&self) -> Vec<String> {
        vec![FAULTS.to_owned()]
    }
}
