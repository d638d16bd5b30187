//! The domain: what an evaluation is, and how Livebook writes one down.

pub mod inspect;
pub mod legacy;
pub mod people;
pub mod users;

/// The value of `metadata.event` in the record of an evaluation.
pub const EVALUATE: &str = "code.evaluate";

/// The message of an evaluation's structured record, and the beginning of its legacy one.
pub const MESSAGE: &str = "Evaluating code";
