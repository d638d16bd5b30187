//! Transforms: pure functions over a batch, one file each.
//!
//! A transform reads no clock and does no I/O: a batch says when it was received. Whoever holds events back says
//! until when ([`Transform::wake_at`]); the topology then hands it an empty batch with the time, and a last one at
//! the end of the stream.

pub mod audit_policy;
pub mod dedupe;
mod digest_key;
pub mod filter;
pub mod legacy_message;
pub mod metadata_projection;
pub mod redact;
pub mod remap;
pub mod route;
pub mod throttle;

use crate::event::{Batch, Demand, Event, Invalid};
use std::any::Any;
use std::path::Path;

/// One stage of a pipeline.
pub trait Transform: Send {
    /// Works on `batch` in place. What leaves the main path is dropped by [`Batch::retain`] (counted), or sent to a
    /// port.
    fn apply(&mut self, batch: &mut Batch, ports: &mut Ports);

    /// Tells it the id that it has in the config.
    fn set_id(&mut self, _id: &str) {}

    /// When it has to be called even though no batch comes, in milliseconds since 1970, UTC.
    fn wake_at(&self) -> Option<u64> {
        None
    }

    /// Gives away what it remembers and holds back, for one of its type with other options that takes its place. Where
    /// there is none, it is handed a last batch instead.
    fn hand_over(&mut self) -> Option<Memory> {
        None
    }

    /// Takes over what the one in whose place it stands has given away.
    fn take_over(&mut self, _memory: Memory) {}
}

/// What a transform remembers, known to those of its type only.
pub type Memory = Box<dyn Any + Send>;

/// The options of a transform, as written in a config.
pub trait TransformConfig: Send + Sync {
    /// Makes the transform.
    fn build(&self) -> Result<Box<dyn Transform>, Invalid>;

    /// Makes a transform that puts in the place of each event that this one would decide about one whose `message` says, in
    /// a line behind `label`, what it decides and why. None where it decides nothing.
    fn explain(&self, _label: &str) -> Option<Result<Box<dyn Transform>, Invalid>> {
        None
    }

    /// What is hardly as meant in options that can be built.
    fn warnings(&self) -> Vec<Invalid> {
        Vec::new()
    }

    /// Whether anything comes out by another way than its ports.
    fn has_main_output(&self) -> bool {
        true
    }

    /// Takes in the files that its options name, by `read`, which gives a text or why there is none. A transform does no
    /// I/O: whoever reads the config calls this before anything is built.
    fn take_files(&mut self, _read: &dyn Fn(&Path) -> Result<String, String>) -> Result<(), Invalid> {
        Ok(())
    }

    /// Whether an evaluation may leave it with its code.
    fn passes_code(&self) -> bool {
        true
    }

    /// What it can use of its input, where its own consumers can use `downstream`.
    fn demand(&self, downstream: Demand) -> Demand;

    /// The names of its ports besides the main output.
    fn ports(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Where a transform puts events that leave the main path by name.
#[derive(Debug, Default)]
pub struct Ports {
    sent: Vec<(String, Vec<Event>)>,
}

impl Ports {
    /// Sends `event` to the port `name`, one of [`TransformConfig::ports`].
    pub fn send(&mut self, name: &str, event: Event) {
        match self.sent.iter_mut().find(|(port, _)| port == name) {
            Some((_, events)) => events.push(event),
            None => self.sent.push((name.to_owned(), vec![event])),
        }
    }

    /// What was sent since the last call, by port.
    pub fn take(&mut self) -> Vec<(String, Vec<Event>)> {
        std::mem::take(&mut self.sent)
    }
}
