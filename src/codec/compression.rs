//! How bytes that leave are packed: rotated files, bodies of requests.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A way of packing.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// They stay as they are.
    #[default]
    None,
    /// As by `gzip`.
    Gzip,
    /// As by `zstd`.
    Zstd,
}

impl Compression {
    /// What the name of such a file ends in.
    pub fn ending(self) -> &'static str {
        match self {
            Compression::None => "",
            Compression::Gzip => ".gz",
            Compression::Zstd => ".zst",
        }
    }
}
