//! A digest in the place of the code.

use crate::event::json::Json;
use crate::event::json::string::quote_into;
use crate::event::{Event, Place};
use crate::livebook::MESSAGE;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::borrow::Cow;

/// A shorter source may stand in another member by chance.
const HELD_BYTES_MIN: usize = 8;

/// Makes digests, of code alone or with a key.
#[derive(Clone)]
pub struct Digester {
    /// A state that has taken the key in.
    keyed: Option<Hmac<Sha256>>,
}

impl Digester {
    /// With a key, nobody without it can find out by trying which code it was.
    pub fn new(keyed: Option<Hmac<Sha256>>) -> Digester {
        Digester { keyed }
    }

    fn digest(&self, source: &[u8]) -> String {
        let digest: [u8; 32] = match &self.keyed {
            None => Sha256::digest(source).into(),
            Some(keyed) => keyed.clone().chain_update(source).finalize().into_bytes().into(),
        };
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Puts a digest in the place of the source, in `message` and wherever else it stands.
    pub fn put(&self, event: &mut Event) {
        let encoded = event.get(Place::Metadata, "code_base64").and_then(Json::string);
        let decoded = encoded.and_then(|text| STANDARD.decode(&*text).ok()).map(Cow::Owned);
        let source = decoded.or_else(|| event.get(Place::Metadata, "code").and_then(Json::string));
        let source = source.map(Cow::into_owned);
        for name in ["code", "code_base64"] {
            event.remove(Place::Metadata, name);
        }
        let message = event.get(Place::Top, "message").and_then(Json::string);
        if message.is_none_or(|message| *message != *MESSAGE.as_bytes()) {
            event.set_string(Place::Top, "message", MESSAGE.as_bytes());
        }
        let Some(source) = source else { return };
        let digest = self.digest(&source);
        hide(event, &source, &digest);
        event.set(Place::Metadata, "code_sha256", |out| quote_into(digest.as_bytes(), out));
        let bytes = source.len().to_string();
        event.set(Place::Metadata, "code_bytes", |out| out.extend_from_slice(bytes.as_bytes()));
    }
}

/// Replaces every other member that holds the source.
fn hide(event: &mut Event, source: &[u8], digest: &str) {
    let Ok(source) = std::str::from_utf8(source) else { return };
    let holds = |value: &Json<'_>| {
        serde_json::from_slice(value.text()).is_ok_and(|value: Value| holds(&value, source))
    };
    for place in [Place::Top, Place::Metadata] {
        let members = event.members(place).filter(|(name, value)| *name != b"metadata" && holds(value));
        let names: Vec<String> =
            members.map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect();
        for name in names {
            event.set_string(place, &name, format!("code_sha256:{digest}").as_bytes());
        }
    }
}

/// Whether a string in `value` is the source, or holds it where that can't be by chance.
fn holds(value: &Value, source: &str) -> bool {
    match value {
        Value::String(text) if source.len() < HELD_BYTES_MIN => text == source && !source.is_empty(),
        Value::String(text) => text.contains(source),
        Value::Array(items) => items.iter().any(|item| holds(item, source)),
        Value::Object(members) => members.iter().any(|(name, value)| {
            name.contains(source) && source.len() >= HELD_BYTES_MIN || holds(value, source)
        }),
        _ => false,
    }
}
