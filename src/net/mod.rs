//! What components that talk over a network share, whichever way they talk: secrets, and files of TLS.

mod auth;
mod pem;
mod secret;

pub use auth::{Auth, Credentials};
pub use pem::{certificates, key};
pub use secret::Secret;
