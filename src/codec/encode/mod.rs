//! Events to bytes.

mod logfmt;
mod pretty;
mod schema;

pub use pretty::harmless_into;
pub use schema::{Schema, livebook_form};

use crate::event::json::Json;
use crate::event::{Event, Invalid, Place};
use schema::Kind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How an event is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EncodingCodec {
    /// One JSON object per line.
    #[default]
    Json,
    /// The `message` alone.
    Text,
    /// `key=value` on a line, members of members by their paths.
    Logfmt,
    /// For people: time, users, mode, and the code as written.
    Pretty,
}

/// The options `encoding.*`, the same for every sink.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend(
    // What other standards name is written as JSON.
    "if" = {"required": ["codec"], "properties": {"codec": {"enum": [EncodingCodec::Text, EncodingCodec::Logfmt, EncodingCodec::Pretty]}}},
    "then" = {"properties": {"schema": {"not": {"enum": [Schema::Ecs, Schema::Ocsf, Schema::Otel]}}}},
))]
pub struct Encoding {
    /// How an event is written; `json` by default.
    pub codec: EncodingCodec,
    /// Whose names an event is written with; `livebook` by default, others need the codec `json`.
    pub schema: Schema,
    /// Members that are written, by path (`message`, `metadata.code`); all, where there are none.
    #[schemars(inner(regex(pattern = PATH_PATTERN)))]
    pub only_fields: Option<Vec<String>>,
    /// Members that are not written.
    #[schemars(inner(regex(pattern = PATH_PATTERN)))]
    pub except_fields: Vec<String>,
}

/// What a path looks like.
const PATH_PATTERN: &str = r#"^\.?(metadata\.)?[^%.\[\]"][^.\[\]"]*$"#;
/// What a path may name.
const PATHS: &str = "name a member of the record (`message`) or of its metadata (`metadata.code`)";

/// Names that are meant in the metadata: who leaves the code out by `code` must not find it written.
const OF_METADATA: [&str; 8] = [
    "users",
    "session_mode",
    "code",
    "code_base64",
    "code_incomplete",
    "code_sha256",
    "code_bytes",
    "users_incomplete",
];

/// A member by its place in the record.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Path {
    place: Place,
    name: String,
}

impl Path {
    fn parse(key: &str, path: &str) -> Result<Path, Invalid> {
        let (written, path) = (path, path.strip_prefix('.').unwrap_or(path));
        let (place, name) = match path.strip_prefix("metadata.") {
            Some(name) => (Place::Metadata, name),
            None => (Place::Top, path),
        };
        if name.is_empty() || name.contains(['.', '[', ']', '"']) {
            return Err(Invalid::new(key, format!("`{path}` is no path to a member")).help(PATHS));
        }
        if let Some(origin) = name.strip_prefix('%') {
            let help = format!(
                "put `%{origin}` among the `keys` of `metadata_projection`: then it is `metadata.{origin}` here"
            );
            let message = format!("`{path}` is no member of the record");
            return Err(Invalid::new(key, message).help(help));
        }
        if place == Place::Top && written == name && OF_METADATA.contains(&name) {
            let message = format!("`{name}` stands in the metadata");
            let help = format!("write `metadata.{name}`, or `.{name}` for a member of the record itself");
            return Err(Invalid::new(key, message).help(help));
        }
        Ok(Path { place, name: name.to_owned() })
    }
}

/// Encodes events as one sink wants them.
#[derive(Clone, Debug)]
pub struct Encoder {
    codec: EncodingCodec,
    schema: Schema,
    only: Option<Vec<Path>>,
    except: Vec<Path>,
    colour: bool,
}

impl Encoder {
    /// An encoder; `colour` is for `pretty` on a terminal.
    pub fn new(options: &Encoding, colour: bool) -> Result<Encoder, Invalid> {
        let Encoding { codec, schema, .. } = *options;
        if schema != Schema::Livebook && codec != EncodingCodec::Json {
            let message =
                format!("`{}` is written as JSON, and `encoding.codec` is not `json`", schema.name());
            let help = "leave out `encoding.codec`, or set it to \"json\"";
            return Err(Invalid::new("encoding.schema", message).help(help));
        }
        let explain = |invalid: Invalid| match schema {
            Schema::Livebook => invalid,
            _ if invalid.help.as_deref() != Some(PATHS) => invalid,
            _ => invalid.help(format!("{PATHS}, as they are before the schema renames them")),
        };
        let parse = |key: &str, paths: &[String]| {
            let numbered = paths.iter().enumerate();
            let read = |(index, path): (usize, &String)| Path::parse(&format!("{key}[{index}]"), path);
            numbered.map(|entry| read(entry).map_err(explain)).collect()
        };
        let only =
            options.only_fields.as_deref().map(|paths| parse("encoding.only_fields", paths)).transpose()?;
        let except = parse("encoding.except_fields", &options.except_fields)?;
        Ok(Encoder { codec, schema, only, except, colour })
    }

    /// Appends `event` with the newline that ends it.
    pub fn encode(&self, event: &Event, out: &mut Vec<u8>) {
        // What an event is shows in its members, even in those that are not to be written.
        let is_mapped = self.schema != Schema::Livebook;
        let kind = if is_mapped { Kind::of(event) } else { Kind::Other };
        if self.only.is_none() && self.except.is_empty() {
            return self.write(event, kind, out);
        }
        let mut event = event.clone();
        if let Some(only) = &self.only {
            narrow(&mut event, only);
        }
        for path in &self.except {
            event.remove(path.place, &path.name);
        }
        self.write(&event, kind, out);
    }

    fn write(&self, event: &Event, kind: Kind, out: &mut Vec<u8>) {
        match self.codec {
            EncodingCodec::Json => self.schema.write(event, kind, out),
            EncodingCodec::Logfmt => logfmt::write(event, out),
            EncodingCodec::Pretty => pretty::write(event, self.colour, out),
            EncodingCodec::Text => {
                if let Some(message) = event.get(Place::Top, "message") {
                    match message.string() {
                        Some(text) => out.extend_from_slice(&text),
                        None => out.extend_from_slice(message.text()),
                    }
                }
            }
        }
        out.push(b'\n');
    }
}

/// Keeps the members that `only` names.
fn narrow(event: &mut Event, only: &[Path]) {
    let names = |place| only.iter().filter(move |path| path.place == place).map(|path| path.name.clone());
    let mut top: Vec<String> = names(Place::Top).collect();
    if !top.iter().any(|name| name == "metadata") {
        event.select(Place::Metadata, &names(Place::Metadata).collect());
        if names(Place::Metadata).next().is_some() {
            top.push("metadata".to_owned());
        }
    }
    event.select(Place::Top, &top.into_iter().collect());
}

/// A member as text, where it is a string.
fn text_of(event: &Event, place: Place, name: &str) -> Option<String> {
    let value: Json<'_> = event.get(place, name)?;
    Some(String::from_utf8_lossy(&value.string()?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Origin;
    use bytes::Bytes;

    const RECORD: &str =
        r#"{"message":"a\nb","time":"2025-10-03T17:48:22.238Z","metadata":{"code":"1","event":"e"},"n":1}"#;

    fn encode(options: &str, record: &str) -> String {
        let options: Encoding = toml::from_str(options).unwrap();
        let event = Event::from_json(Bytes::copy_from_slice(record.as_bytes()), Origin::nowhere()).unwrap();
        let mut out = Vec::new();
        Encoder::new(&options, false).unwrap().encode(&event, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fields_are_chosen_by_path() {
        let only = r#"only_fields = ["metadata.code", "n"]"#;
        assert_eq!(encode(only, RECORD), "{\"n\":1,\"metadata\":{\"code\":\"1\"}}\n");
        let whole = r#"only_fields = ["metadata"]"#;
        assert_eq!(encode(whole, RECORD), "{\"metadata\":{\"code\":\"1\",\"event\":\"e\"}}\n");
        let except = r#"except_fields = ["message", ".metadata.code", "time", "missing"]"#;
        assert_eq!(encode(except, RECORD), "{\"metadata\":{\"event\":\"e\"},\"n\":1}\n");
    }

    #[test]
    fn a_path_that_leads_nowhere_is_named() {
        let options = Encoding { except_fields: vec!["metadata.users[0]".into()], ..Encoding::default() };
        assert!(Encoder::new(&options, false).unwrap_err().message.contains("metadata.users[0]"));
    }

    #[test]
    fn fields_are_chosen_from_the_event_before_it_is_mapped() {
        let record = RECORD.replace("\"event\":\"e\"", "\"event\":\"code.evaluate\"");
        let mapped = |options: &str| -> serde_json::Value {
            serde_json::from_str(&encode(&format!("schema = \"ecs\"\n{options}"), &record)).unwrap()
        };
        assert_eq!(mapped("")["livebook"], serde_json::json!({"code": "1", "record": {"n": 1}}));
        let except = mapped(r#"except_fields = ["metadata.code", "n", "message"]"#);
        assert_eq!((except.get("livebook"), except.get("message")), (None, None));
        let only = mapped(r#"only_fields = ["metadata.code"]"#);
        assert_eq!(only["livebook"], serde_json::json!({"code": "1"}));
        assert_eq!(only["event"]["action"], "code.evaluate", "what it is does not depend on what is written");
    }

    #[test]
    fn a_schema_needs_the_codec_json() {
        for codec in [EncodingCodec::Text, EncodingCodec::Logfmt, EncodingCodec::Pretty] {
            let options = Encoding { codec, schema: Schema::Ocsf, ..Encoding::default() };
            assert_eq!(Encoder::new(&options, false).unwrap_err().key, "encoding.schema");
            let options = Encoding { codec, ..Encoding::default() };
            assert!(Encoder::new(&options, false).is_ok());
        }
    }

    #[test]
    fn text_is_the_message() {
        assert_eq!(encode("codec = \"text\"", RECORD), "a\nb\n");
        assert_eq!(encode("codec = \"text\"", r#"{"message":{"a":1}}"#), "{\"a\":1}\n");
        assert_eq!(encode("codec = \"text\"", "{}"), "\n");
    }
}
