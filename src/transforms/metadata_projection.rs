//! `metadata_projection`: keeps the metadata that you chose, in the order that you chose.
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `keys` | which metadata are kept, in this order, each once: an array of names, or one comma-separated string as in `LIVEBOOK_LOG_METADATA`; origin keys (`%source`, `%file`, `%container`, `%peer`, `%offset`, `%received`, `%id`; behind the port `rejected` of a sink `%reject_reason`, `%reject_status`, `%reject_answer`) are added to the metadata under their name without the sign | `["users", "session_mode", "code", "event"]` |
//! | `user_fields` | what is kept of each user, of `id`, `name`, `email`, in this order, and nothing else | all three |
//! | `rename` | a table of new names for keys | none |
//! | `message` | whether `message` is kept | `true` |
//!
//! A key brings its companions: `code` brings `code_base64`, `code_incomplete`, `code_sha256`, `code_bytes`; `users`
//! brings `users_incomplete`. That also says that `users` was no list, of which nothing could be chosen: where `user_fields`
//! are not all three, it is left out. One that is named itself as well stands where the first of the two says. The members
//! of the record come in the order `message`, `time`, `metadata`, `severity`, then others.
//!
//! ```toml
//! [transforms.project]
//! type = "metadata_projection"
//! inputs = ["policy"]
//! keys = ["users", "session_mode", "code", "event", "%id"]
//! user_fields = ["id", "email"]
//! rename = { "session_mode" = "mode" }
//! ```

mod users;

pub use users::UserField;

use super::{Ports, Transform, TransformConfig};
use crate::event::json::string::quote_into;
use crate::event::{Batch, Demand, Event, Invalid, Names, Place};
use chrono::{DateTime, SecondsFormat};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use serde_json::json;
use std::collections::BTreeMap;
use users::{ALL_FIELDS, Narrow};

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

/// What a key may be besides a name in the metadata.
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
        self.check_keys()?;
        let narrow = Narrow::new(&self.user_fields)?;
        let selected = self.selected();
        for (at, (from, to)) in self.rename.iter().enumerate() {
            let taken = selected.contains(to) || self.rename.values().take(at).any(|other| other == to);
            if to.is_empty() || (taken && from != to) {
                let help = "give each renamed key a name that no other key has";
                let message = format!("`{from}` can't become `{to}`: it would replace another member");
                return Err(Invalid::new("rename", message).help(help));
            }
        }
        Ok(Box::new(Projector { options: self.clone(), selected: selected.into_iter().collect(), narrow }))
    }

    fn warnings(&self) -> Vec<Invalid> {
        let selected = self.selected();
        let idle = self.rename.keys().filter(|from| !selected.contains(from));
        let warning = |from: &String| {
            let help = match from.strip_prefix('%') {
                Some(name) => format!("an origin key is added as `{name}`: rename that"),
                None => "put it among the `keys`, or leave it out here".to_owned(),
            };
            Invalid::new("rename", format!("`{from}` is not kept, so it can't be renamed")).help(help)
        };
        idle.map(warning).collect()
    }

    fn passes_code(&self) -> bool {
        self.message || self.keys.iter().any(|key| key == "code" || key == "code_base64")
    }

    fn demand(&self, downstream: Demand) -> Demand {
        downstream
    }
}

impl MetadataProjection {
    /// Refuses keys that mean nothing, and those that would make a second member of one name.
    fn check_keys(&self) -> Result<(), Invalid> {
        for (index, key) in self.keys.iter().enumerate() {
            let refused = |message: String, help: String| {
                Err(Invalid::new(&format!("keys[{index}]"), message).help(help))
            };
            if key.starts_with('%') && !ORIGIN_KEYS.contains(&key.as_str()) {
                let help = format!("the origin keys are {}", ORIGIN_KEYS.join(", "));
                return refused(format!("`{key}` is no origin key"), help);
            }
            if key.is_empty() || key.contains(|c: char| c.is_whitespace() || c == ',') {
                let help = "each key is a string of its own: `[\"users\", \"code\"]`".to_owned();
                return refused(format!("`{key}` is no name of a member"), help);
            }
            let path = key.strip_prefix('.').unwrap_or(key);
            if let Some(name) = path.strip_prefix("metadata.") {
                return refused(
                    format!("`{key}` is no name of a member of the metadata"),
                    format!("`keys` are names inside `metadata`: write `{name}`"),
                );
            }
            let mut before = self.keys.iter().take(index);
            if let Some(other) = before.find(|other| name_of(other) == name_of(key)) {
                let (message, help) = match other == key {
                    true => (format!("`{key}` stands twice"), "leave one of the two out"),
                    false => (
                        format!("`{other}` and `{key}` would be two members of one name"),
                        "keep one of them, or rename the other by a `remap` in front",
                    ),
                };
                return refused(message, help.to_owned());
            }
        }
        Ok(())
    }

    /// The names of all that is kept, companions included, each once.
    fn selected(&self) -> Vec<String> {
        let mut selected: Vec<String> = Vec::new();
        for key in &self.keys {
            let name = name_of(key);
            for name in [name].iter().chain(companions(name)) {
                if !selected.iter().any(|other| other == name) {
                    selected.push((*name).to_owned());
                }
            }
        }
        selected
    }
}

/// The name that a key has in the metadata.
fn name_of(key: &str) -> &str {
    key.strip_prefix('%').unwrap_or(key)
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
    narrow: Narrow,
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
        self.narrow.apply(event);
        for (from, to) in &self.options.rename {
            event.rename(Place::Metadata, from, to);
        }
        if !self.options.message {
            event.remove(Place::Top, "message");
        }
        event.bring_forward(Place::Top, &["message", "time", "metadata", "severity"]);
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
    let name = name_of(key);
    if event.is_percent_written() {
        // A program has the last word, also on what is no more.
        event.set_from_percent(Place::Metadata, name);
    } else if let Some(text) = text {
        event.set(Place::Metadata, name, |out| quote_into(text.as_bytes(), out));
    } else if let Some(number) = number {
        event.set(Place::Metadata, name, |out| out.extend_from_slice(number.to_string().as_bytes()));
    } else {
        // What the record says of itself is no origin.
        event.remove(Place::Metadata, name);
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
    fn users_hold_what_is_chosen_and_nothing_else() {
        let kept = |options: &str, users: &str| {
            let record = format!("{{\"metadata\":{{\"users\":{users}}}}}");
            let shown = project(&format!("keys = \"users\"\n{options}"), &record);
            let users =
                shown.strip_prefix("{\"metadata\":{\"users\":").and_then(|rest| rest.strip_suffix("}}"));
            users.unwrap().to_owned()
        };
        for same in [
            r#"[{"id":"1","name":"A","email":"e"},{"id":"2"},{}]"#,
            r#"[]"#,
            r#"[{ "id" : 1.00 , "name_base64":"//8=" }]"#,
            r#""[%{id: 1}]""#,
        ] {
            assert_eq!(kept("", same), same);
        }
        for (users, chosen) in [
            (r#"[{"email":"e","payload":{"id":"x"},"id":"1"}]"#, r#"[{"id":"1","email":"e"}]"#),
            (
                r#"[{"id":"1","\u0069d":12345678901234567890123,"n\u0061me":"B"}]"#,
                r#"[{"id":12345678901234567890123,"name":"B"}]"#,
            ),
            (r#"[{"payload":1},null,"ada",[{"id":"1"}]]"#, r#"[{},null,"ada",[{"id":"1"}]]"#),
        ] {
            assert_eq!(kept("", users), chosen);
        }
        let ids = "user_fields = [\"id\"]";
        assert_eq!(
            kept(ids, r#"[{"id":"1","name":"A"},"ada",{"id_base64":"//8="}]"#),
            r#"[{"id":"1"},{},{"id_base64":"//8="}]"#
        );
        let back = "user_fields = [\"email\", \"name\", \"id\"]";
        assert_eq!(
            kept(back, r#"[{"id":"1","name":"A","email":"e"}]"#),
            r#"[{"email":"e","name":"A","id":"1"}]"#
        );
        assert_eq!(kept("user_fields = []", r#"[{"id":"1"}]"#), "[{}]");
        // What can't be narrowed is left out.
        let options = "keys = \"users\"\nuser_fields = [\"id\"]";
        assert_eq!(
            project(options, r#"{"metadata":{"users":"[%{name: \"Ada"}}"#),
            r#"{"metadata":{"users_incomplete":true}}"#
        );
        assert_eq!(kept(ids, "null"), "null");
    }

    #[test]
    fn a_companion_that_is_named_stands_once() {
        let record = r#"{"metadata":{"code":"1","code_sha256":"x","code_bytes":1}}"#;
        let before = r#"keys = ["code_bytes", "code", "code_sha256"]"#;
        assert_eq!(project(before, record), r#"{"metadata":{"code_bytes":1,"code":"1","code_sha256":"x"}}"#);
        let behind = r#"keys = ["code", "code_sha256", "code_bytes"]"#;
        assert_eq!(project(behind, record), record);
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
        assert_eq!(
            project(r#"keys = ["%file", "code"]"#, r#"{"metadata":{"file":"/forged","code":"1"}}"#),
            r#"{"metadata":{"code":"1"}}"#
        );
        for key in ["", " users", "users,code"] {
            let wrong = MetadataProjection { keys: vec![key.into()], ..MetadataProjection::default() };
            assert!(wrong.build().is_err_and(|invalid| invalid.key == "keys[0]"), "{key}");
        }
        let wrong = MetadataProjection { keys: vec!["%host".into()], ..MetadataProjection::default() };
        assert!(wrong.build().is_err_and(|invalid| invalid.key == "keys[0]"));
    }
}
