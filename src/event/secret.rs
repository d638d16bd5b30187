//! A value that is never shown.

use schemars::JsonSchema;
use serde::Deserialize;
use std::fmt;

/// A password or a token out of a config. Its `Debug` text does not tell it, so that no message can by accident.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// A secret that was read from elsewhere.
    pub fn new(text: &str) -> Secret {
        Secret(text.to_owned())
    }

    /// The value itself, for whoever it is meant for.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}
