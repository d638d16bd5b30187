//! Where to listen.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// What an address looks like; that its numbers are not too large, parsing finds.
const PATTERN: &str = r"^([0-9]{1,3}(\.[0-9]{1,3}){3}|\[[0-9A-Fa-f:.]+(%[0-9]+)?\]):[0-9]{1,5}$";

/// An IP address and a port.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(extend("pattern" = PATTERN))]
pub struct Address(pub SocketAddr);

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Address, String> {
        let example = "write an IP address and a port, such as `0.0.0.0:8080` or `[::1]:8080`";
        text.parse().map(Address).map_err(|_| format!("`{text}` is no address to listen on: {example}"))
    }
}
