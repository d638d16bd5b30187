//! Where to listen.

use serde::Deserialize;
use std::net::SocketAddr;

/// An IP address and a port.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Address(pub SocketAddr);

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Address, String> {
        let example = "write an IP address and a port, such as `0.0.0.0:8080` or `[::1]:8080`";
        text.parse().map(Address).map_err(|_| format!("`{text}` is no address to listen on: {example}"))
    }
}
