//! From plan to running pipeline: wiring, driving, shutdown. Knows no TOML.

mod drawing;
mod explain;
mod flow;
mod jobs;
mod near;
mod plan;
mod reload;
mod replay;
mod run;
mod segment;
mod sinks;
mod status;
mod trial;
mod undelivered;
mod wire;

pub use drawing::{Drawing, draw};
pub use explain::explaining;
pub use near::{nearest, slips};
pub use plan::{DATA_DIR, Node, OutputId, Plan, QUEUE_KIB_MAX, TapPolicy};
pub use reload::Changes;
pub use replay::{ReplayError, Replayed, replay};
pub use run::{Doors, Outcome, Pipeline, Reload, Reloaded};
pub use status::{Status, Watched};
pub use trial::{Check, Finding, Insertion, Passage, Trace, Trial, Unmet, downstream};
pub use wire::{RunMode, Unbuildable};
