//! From plan to running pipeline: wiring, driving, shutdown. Knows no TOML.

mod plan;

pub use plan::{Node, OutputId, Plan, QUEUE_KIB_MAX};
