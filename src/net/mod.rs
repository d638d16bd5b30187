//! What components that talk over a network share, whichever way they talk: who they are, and files of TLS.

mod auth;
mod pem;

pub use crate::event::Secret;
pub use auth::{Auth, Credentials};
pub use pem::{certificates, key};
