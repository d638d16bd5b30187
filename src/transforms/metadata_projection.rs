//! `metadata_projection`: keeps the metadata that you chose, in the order that you chose.
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `keys` | which metadata are kept, in this order: an array of names, or one comma-separated string as in `LIVEBOOK_LOG_METADATA`; origin keys (`%source`, `%file`, `%container`, `%peer`, `%offset`, `%received`, `%id`; behind the port `rejected` of a sink `%reject_reason`, `%reject_status`, `%reject_answer`) are added to the metadata under their name without the sign | `["users", "session_mode", "code", "event"]` |
//! | `user_fields` | what is kept of each user, of `id`, `name`, `email`, in this order | all three |
//! | `rename` | a table of new names for keys | none |
//! | `message` | whether `message` is kept | `true` |
//!
//! A key brings its companions: `code` brings `code_base64`, `code_incomplete`, `code_sha256`, `code_bytes`; `users`
//! brings `users_incomplete`. The members of the record come in the order `message`, `time`, `metadata`, `severity`,
//! then others.
//!
//! ```toml
//! [transforms.project]
//! type = "metadata_projection"
//! inputs = ["policy"]
//! keys = ["users", "session_mode", "code", "event", "%id"]
//! user_fields = ["id", "email"]
//! rename = { "session_mode" = "mode" }
//! ```

use super::{Ports, Transform, TransformConfig};
use crate::event::json::Json;
use crate::event::json::string::quote_into;
use crate::event::{Batch, Demand, Event, Invalid, Names, Place};
use chrono::{DateTime, SecondsFormat};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

/// The options; see the [module](self).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MetadataProjection {
    /// Which metadata are kept.
    #[serde(deserialize_with = "names")]
    #[schemars(schema_with = "names_schema")]
    pub keys: Vec<String>,
    /// What is kept of each user.
    pub user_fields: Vec<UserField>,
    /// New names for keys.
    pub rename: BTreeMap<String, String>,
    /// Whether `message` is kept.
    pub message: bool,
}

/// A member of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserField {
    /// What the identity provider calls them.
    Id,
    /// What they call themselves.
    Name,
    /// Their address.
    Email,
}

impl UserField {
    fn names(self) -> [&'static str; 2] {
        match self {
            UserField::Id => ["id", "id_base64"],
            UserField::Name => ["name", "name_base64"],
            UserField::Email => ["email", "email_base64"],
        }
    }
}

const ALL_FIELDS: [UserField; 3] = [UserField::Id, UserField::Name, UserField::Email];
const ORIGIN_KEYS: [&str; 10] = [
    "%source",
    "%file",
    "%container",
    "%peer",
    "%offset",
    "%received",
    "%id",
    "%reject_reason",
    "%reject_status",
    "%reject_answer",
];

impl Default for MetadataProjection {
    fn default() -> MetadataProjection {
        MetadataProjection {
            keys: ["users", "session_mode", "code", "event"].map(str::to_owned).to_vec(),
            user_fields: ALL_FIELDS.to_vec(),
            rename: BTreeMap::new(),
            message: true,
        }
    }
}

/// Reads an array of names, or names with commas between them.
fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct Names;
    impl<'de> serde::de::Visitor<'de> for Names {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an array of names, or names with commas between them")
        }

        fn visit_str<E>(self, text: &str) -> Result<Vec<String>, E> {
            Ok(text.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect())
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Vec<String>, A::Error> {
            let mut names = Vec::new();
            while let Some(name) = list.next_element()? {
                names.push(name);
            }
            Ok(names)
        }
    }
    deserializer.deserialize_any(Names)
}

fn names_schema(_: &mut SchemaGenerator) -> Schema {
    let origin = ORIGIN_KEYS.join("|");
    let name = format!("([^%,\\s][^,]*|{origin})?");
    let names = format!("^\\s*{name}\\s*(,\\s*{name}\\s*)*$");
    let item = json!({"type": "string", "pattern": format!("^([^%]|$)|^({origin})$")});
    json_schema!({"type": ["array", "string"], "items": item, "pattern": names})
}

impl TransformConfig for MetadataProjection {
    fn build(&self) -> Result<Box<dyn Transform>, Invalid> {
        let strange = |key: &String| key.starts_with('%') && !ORIGIN_KEYS.contains(&key.as_str());
        if let Some((index, key)) = self.keys.iter().enumerate().find(|(_, key)| strange(key)) {
            let help = format!("the origin keys are {}", ORIGIN_KEYS.join(", "));
            return Err(
                Invalid::new(&format!("keys[{index}]"), format!("`{key}` is no origin key")).help(help)
            );
        }
        let mut selected = Vec::new();
        for key in &self.keys {
            let name = key.strip_prefix('%').unwrap_or(key);
            selected.push(name.to_owned());
            selected.extend(companions(name).iter().map(|&name| name.to_owned()));
        }
        for (at, (from, to)) in self.rename.iter().enumerate() {
            let taken = selected.contains(to) || self.rename.values().take(at).any(|other| other == to);
            if to.is_empty() || (taken && from != to) {
                let help = "give each renamed key a name that no other key has";
                let message = format!("`{from}` can't become `{to}`: it would replace another member");
                return Err(Invalid::new("rename", message).help(help));
            }
        }
        let narrows = ALL_FIELDS.iter().any(|field| !self.user_fields.contains(field));
        Ok(Box::new(Projector { options: self.clone(), selected: selected.into_iter().collect(), narrows }))
    }

    fn passes_code(&self) -> bool {
        self.message || self.keys.iter().any(|key| key == "code" || key == "code_base64")
    }

    fn demand(&self, downstream: Demand) -> Demand {
        downstream
    }
}

fn companions(key: &str) -> &'static [&'static str] {
    match key {
        "code" => &["code_base64", "code_incomplete", "code_sha256", "code_bytes"],
        "users" => &["users_incomplete"],
        _ => &[],
    }
}

struct Projector {
    options: MetadataProjection,
    /// The keys with their companions.
    selected: Names,
    /// Whether any member of a user is left out.
    narrows: bool,
}

impl Transform for Projector {
    fn apply(&mut self, batch: &mut Batch, _: &mut Ports) {
        for event in &mut batch.events {
            self.project(event);
        }
    }
}

impl Projector {
    fn project(&self, event: &mut Event) {
        for key in self.options.keys.iter().filter(|key| key.starts_with('%')) {
            add_origin(event, key);
        }
        event.select(Place::Metadata, &self.selected);
        if self.narrows {
            self.narrow_users(event);
        }
        for (from, to) in &self.options.rename {
            event.rename(Place::Metadata, from, to);
        }
        if !self.options.message {
            event.remove(Place::Top, "message");
        }
        event.bring_forward(Place::Top, &["message", "time", "metadata", "severity"]);
    }

    fn narrow_users(&self, event: &mut Event) {
        let Some(users) =
            event.get(Place::Metadata, "users").filter(|users| users.is_array()).map(Json::to_value)
        else {
            return;
        };
        event.set(Place::Metadata, "users", |out| {
            out.push(b'[');
            for (at, user) in users.as_array().into_iter().flatten().enumerate() {
                out.extend_from_slice(if at == 0 { b"{" } else { b",{" });
                let mut first = true;
                for name in self.options.user_fields.iter().flat_map(|field| field.names()) {
                    if let Some(value) = user.get(name) {
                        out.extend_from_slice(if first { b"\"" } else { b",\"" });
                        out.extend_from_slice(name.as_bytes());
                        out.extend_from_slice(b"\":");
                        out.extend_from_slice(value.to_string().as_bytes());
                        first = false;
                    }
                }
                out.push(b'}');
            }
            out.push(b']');
        });
    }
}

/// Adds an origin key to the metadata, where the record's origin has it.
fn add_origin(event: &mut Event, key: &str) {
    let origin = event.origin().clone();
    let refusal = origin.stream().refusal.as_ref();
    let text = match key {
        "%source" => Some(origin.stream().source.clone()),
        "%file" => origin.stream().file.clone(),
        "%container" => origin.stream().container.clone(),
        "%peer" => origin.stream().peer.clone(),
        "%id" => Some(origin.id()),
        "%reject_reason" => refusal.map(|refusal| refusal.reason.clone()),
        "%reject_answer" => refusal.map(|refusal| refusal.answer.clone()),
        "%received" => i64::try_from(origin.received_ms())
            .ok()
            .and_then(DateTime::from_timestamp_millis)
            .map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true)),
        _ => None,
    };
    let number = match key {
        "%offset" => Some(origin.offset()),
        "%reject_status" => refusal.and_then(|refusal| refusal.status).map(u64::from),
        _ => None,
    };
    let name = key.trim_start_matches('%');
    if event.is_percent_written() {
        // A program has the last word, also on what is no more.
        event.set_from_percent(Place::Metadata, name);
    } else if let Some(text) = text {
        event.set(Place::Metadata, name, |out| quote_into(text.as_bytes(), out));
    } else if let Some(number) = number {
        event.set(Place::Metadata, name, |out| out.extend_from_slice(number.to_string().as_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Acks, Origin, Stream};
    use bytes::Bytes;
    use std::sync::Arc;

    fn project(options: &str, record: &str) -> String {
        let options: MetadataProjection = toml::from_str(options).unwrap();
        let stream = Stream {
            source: "livebook".into(),
            container: Some("web".into()),
            peer: Some("::1".into()),
            ..Stream::default()
        };
        let origin = Origin::new(Arc::new(stream), 7, 1_760_000_000_123);
        let event = Event::from_json(Bytes::copy_from_slice(record.as_bytes()), origin).unwrap();
        let mut batch = Batch::new(vec![event], 0, Acks::default());
        options.build().unwrap().apply(&mut batch, &mut Ports::default());
        let mut out = Vec::new();
        batch.events[0].write_json(&mut out);
        String::from_utf8(out).unwrap()
    }

    const RECORD: &str = r#"{"severity":"info","x":1,"metadata":{"request_id":"r","code_incomplete":true,"code":"1","users":[{"name":"A","id":"1","email":"e"}],"event":"code.evaluate"},"time":"t","message":"m"}"#;

    #[test]
    fn keys_are_kept_in_their_order_with_their_companions() {
        let expected = r#"{"message":"m","time":"t","metadata":{"event":"code.evaluate","code":"1","code_incomplete":true},"severity":"info","x":1}"#;
        assert_eq!(project(r#"keys = ["event", "code", "missing"]"#, RECORD), expected);
        assert_eq!(project(r#"keys = "event, code ,""#, RECORD), expected);
    }

    #[test]
    fn users_are_narrowed_keys_renamed_and_the_message_left_out() {
        let options = "keys = \"users\"\nuser_fields = [\"email\", \"id\"]\nmessage = false\nrename = { users = \"who\" }";
        let expected = r#"{"time":"t","metadata":{"who":[{"email":"e","id":"1"}]},"severity":"info","x":1}"#;
        assert_eq!(project(options, RECORD), expected);
    }

    #[test]
    fn a_new_name_may_replace_nothing() {
        for rename in [r#"{ code = "users" }"#, r#"{ code = "" }"#, r#"{ code = "x", users = "x" }"#] {
            let options: MetadataProjection = toml::from_str(&format!("rename = {rename}")).unwrap();
            assert!(options.build().is_err_and(|invalid| invalid.key == "rename"), "{rename}");
        }
    }

    #[test]
    fn origin_keys_are_added() {
        let shown = project(
            r#"keys = ["%source", "%container", "%peer", "%offset", "%received", "%file"]"#,
            r#"{"metadata":{}}"#,
        );
        assert_eq!(
            shown,
            r#"{"metadata":{"source":"livebook","container":"web","peer":"::1","offset":7,"received":"2025-10-09T08:53:20.123Z"}}"#
        );
        let wrong = MetadataProjection { keys: vec!["%host".into()], ..MetadataProjection::default() };
        assert!(wrong.build().is_err_and(|invalid| invalid.key == "keys[0]"));
    }
}
