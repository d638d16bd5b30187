//! The record, the batch, and JSON as text.
//!
//! The innermost layer: it does no I/O, reads no clock and knows no runtime.

mod batch;
mod demand;
mod invalid;
pub mod json;
mod origin;
mod receipt;
mod record;
mod secret;

pub use batch::{Batch, Drops, Hits, Reason};
pub use demand::Demand;
pub use invalid::Invalid;
pub use origin::{Origin, Refusal, Stream, fingerprint};
pub use receipt::{Acks, Share, Verdict};
pub use record::{Event, Names, Place};
pub use secret::Secret;
