//! From plan to running pipeline: wiring, driving, shutdown. Knows no TOML.

mod plan;
mod replay;
mod run;
mod segment;
mod trial;
mod wire;

pub use plan::{Node, OutputId, Plan, QUEUE_KIB_MAX};
pub use replay::{ReplayError, Replayed, replay};
pub use run::{Outcome, Pipeline};
pub use trial::{Check, Finding, Insertion, Passage, Trace, Trial, Unmet, downstream};
pub use wire::{RunMode, Unbuildable};
