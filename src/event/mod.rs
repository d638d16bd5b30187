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
pub use invalid::{Invalid, Mark};
pub use origin::{Origin, Refusal, Stream, fingerprint};
pub use receipt::{Acks, Share, Verdict};
pub use record::{Event, Made, Names, Notes, Place, Tree, write_value};
pub use secret::Secret;
