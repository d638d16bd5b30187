//! What components that talk over a network share, whichever way they talk: who they are, and files of TLS.

mod address;
mod auth;
mod pem;

pub use crate::event::Secret;
pub use address::Address;
pub use auth::{Auth, Credentials};
pub use pem::{LACKS_HELP, certificates, key};
