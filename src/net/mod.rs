//! What components that talk over a network share, whichever way they talk: secrets, and files of TLS.

mod pem;
mod secret;

pub use pem::{certificates, key};
pub use secret::Secret;
