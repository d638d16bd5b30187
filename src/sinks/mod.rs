//! Sinks: where events go. One file or folder each; they know neither each other nor the topology.

pub mod blackhole;
pub mod console;
pub mod file;
pub mod http;
pub mod trail;

use crate::delivery::{Exclusive, Work};
use crate::event::Invalid;
use std::path::PathBuf;

/// The options of a sink, as written in a config.
pub trait SinkConfig: Send + Sync {
    /// Makes the sink. Nothing is opened before the first write.
    fn build(&self) -> Result<Work, Invalid>;

    /// A path that it writes to, as an event might make it; none where it writes no files.
    fn writes(&self) -> Option<String> {
        None
    }

    /// What is not on this machine as the options need it, such as a certificate that can't be read: `validate` asks.
    fn lacks(&self) -> Option<Invalid> {
        None
    }

    /// What it needs that no other component can have at the same time.
    fn claims(&self) -> Option<Exclusive> {
        None
    }

    /// Whether anything is left of what it gets.
    fn keeps(&self) -> bool {
        true
    }

    /// Files besides the config that it reads when it starts, and not later: certificates.
    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Whether it writes to a terminal.
    fn shows(&self) -> bool {
        false
    }

    /// The names of its ports.
    fn ports(&self) -> Vec<String> {
        Vec::new()
    }
}
