//! Lines that stand inside other lines: what Docker, containerd, journald and log shippers make of a log.
//!
//! * [`shape`] recognises a wrapped line and says what stands in it; [`cri`] does so for the one shape that is no JSON.
//! * [`own`] says at a glance of most lines that they are not wrapped.
//! * [`lanes`] keeps the lines of each container and stream apart, joins those that came in parts ([`lane`]), and has
//!   each decoded as if it had come alone.
//!
//! A wrapper that is found out (`auto`) may stand around another one. One that is named is taken off once, from each
//! line that has its shape; a line that has not is decoded as it is.

pub mod cri;
pub mod lane;
pub mod lanes;
pub mod own;
pub mod shape;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Wrappers around each other that are taken off; what stands inside more is decoded as it is.
pub const NESTING_MAX: usize = 4;

/// What stands around the lines of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unwrap {
    /// Found out line by line, for the codec `livebook`; nothing, for the others.
    #[default]
    Auto,
    /// Nothing.
    None,
    /// Docker's `json-file` log driver.
    Docker,
    /// containerd and CRI-O.
    Cri,
    /// `journalctl -o json`.
    Journald,
    /// Fly.io's log shipper.
    Fly,
}

impl Unwrap {
    /// The wrapper, where one is named.
    pub fn named(self) -> Option<Unwrap> {
        (!matches!(self, Unwrap::Auto | Unwrap::None)).then_some(self)
    }
}

/// Whether a line is wrapped, as far as it can be told from this line alone. Asked of every line that is passed over, so
/// the answer for nearly all of them has to be in their first bytes, or in their last.
#[inline(always)]
pub fn is_wrapped(line: &[u8]) -> bool {
    match line.first() {
        Some(b'{') => !own::is_own(line) && shape::is_wrapped(line),
        Some(b'0'..=b'9') => line.get(10) == Some(&b'T') && cri::is_wrapped(line),
        Some(b' ' | b'\t') => {
            let indent = line.iter().position(|b| !matches!(b, b' ' | b'\t')).unwrap_or_default();
            line.get(indent) == Some(&b'{') && shape::is_wrapped(own::without_front(line))
        }
        Some(0xEF | 0x1B) => shape::is_wrapped(own::without_front(line)),
        _ => false,
    }
}
