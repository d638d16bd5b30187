//! The domain: what an evaluation is, and how Livebook writes one down.

pub mod inspect;
