//! The way back: what a schema has written, by Livebook's names again.
//!
//! Whoever reads a trail asks when, who, in which mode and what code, whatever names the trail is written with. So only
//! those members come back, and what a schema keeps beside them does not; a record is never written anew from this.

use super::record::rfc3339;
use crate::event::{Event, Place};
use bytes::Bytes;
use chrono::DateTime;
use serde_json::{Map, Value, json};

/// What makes a record Livebook's own, where it stands in `metadata`.
const OWN: [&str; 5] = ["session_mode", "code", "users", "code_base64", "code_sha256"];
/// The metadata that comes back.
const METADATA: [&str; 8] = [
    "users",
    "users_incomplete",
    "session_mode",
    "app_permanent",
    "code",
    "code_base64",
    "code_incomplete",
    "code_sha256",
];
const NS_PER_MS: i64 = 1_000_000;

/// `event` by Livebook's names, where a schema of ours has written it; else as it is.
///
/// In all schemas the time falls back to that of its receipt, as they define it.
pub fn livebook_form(event: Event) -> Event {
    let is_own = event.get(Place::Top, "time").is_some_and(|time| time.is_string())
        || OWN.iter().any(|name| event.has(Place::Metadata, name));
    if is_own {
        return event;
    }
    let read: fn(&Value) -> Option<Map<String, Value>> = if event.has(Place::Top, "resourceLogs") {
        from_otel
    } else if event.has(Place::Top, "@timestamp") {
        from_ecs
    } else if event.has(Place::Top, "class_uid") {
        from_ocsf
    } else {
        return event;
    };
    let mut text = Vec::new();
    event.write_json(&mut text);
    let form = serde_json::from_slice(&text).ok().and_then(|record: Value| read(&record));
    let form = form.and_then(|form| serde_json::to_vec(&Value::Object(form)).ok());
    // Each of these is read from valid JSON; a record without the parts of its schema is shown as it is.
    form.and_then(|text| Event::from_json(Bytes::from(text), event.origin().clone()).ok()).unwrap_or(event)
}

/// Puts members together, those that are there.
fn form(top: [(&str, Option<Value>); 3], metadata: Map<String, Value>) -> Map<String, Value> {
    let there = top.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let mut form: Map<String, Value> = there.filter(|(_, value)| !value.is_null()).collect();
    form.insert("metadata".to_owned(), Value::Object(metadata));
    form
}

/// The metadata, where `own` has what was known of it, and below `metadata` what was not of its type.
fn metadata_in(own: Option<&Value>) -> Map<String, Value> {
    let Some(own) = own else { return Map::new() };
    let find = |name: &str| own.get(name).or_else(|| own.get("metadata")?.get(name)).cloned();
    METADATA.iter().filter_map(|name| Some(((*name).to_owned(), find(name)?))).collect()
}

fn name_it(metadata: &mut Map<String, Value>, name: Option<&Value>) {
    if let Some(name) = name {
        metadata.insert("event".to_owned(), name.clone());
    }
}

fn from_ecs(record: &Value) -> Option<Map<String, Value>> {
    let mut metadata = metadata_in(record.get("livebook"));
    name_it(&mut metadata, record.pointer("/event/action"));
    let top = [
        ("message", record.get("message").cloned()),
        ("time", record.get("@timestamp").cloned()),
        ("severity", record.pointer("/log/level").cloned()),
    ];
    Some(form(top, metadata))
}

fn from_ocsf(record: &Value) -> Option<Map<String, Value>> {
    let mut metadata = metadata_in(record.get("unmapped"));
    name_it(&mut metadata, record.pointer("/metadata/event_code"));
    let content = record.pointer("/script/script_content");
    // Exact bytes count more than what can be read of them; nothing, cut to nothing, was never recorded.
    let code = content.and_then(|content| content.get("value")).filter(|code| code.is_string());
    let is_cut = content.and_then(|content| content.get("is_truncated")) == Some(&Value::Bool(true));
    if let Some(code) = code.filter(|code| !(is_cut && code.as_str() == Some("")))
        && !metadata.contains_key("code_base64")
    {
        metadata.insert("code".to_owned(), code.clone());
    }
    if let Some(digest) = record.pointer("/script/hashes/0/value") {
        metadata.insert("code_sha256".to_owned(), digest.clone());
    }
    let written = record.pointer("/metadata/original_time").and_then(Value::as_str);
    let written = written.filter(|text| DateTime::parse_from_rfc3339(text).is_ok()).map(str::to_owned);
    let ms = || record.get("time").and_then(Value::as_i64)?.checked_mul(NS_PER_MS);
    let top = [
        ("message", record.get("message").cloned()),
        ("time", written.or_else(|| ms().map(rfc3339)).map(Value::String)),
        ("severity", record.pointer("/metadata/log_level").cloned()),
    ];
    Some(form(top, metadata))
}

fn from_otel(request: &Value) -> Option<Map<String, Value>> {
    let record = request.pointer("/resourceLogs/0/scopeLogs/0/logRecords/0")?;
    let mut metadata = Map::new();
    for attribute in record.get("attributes").and_then(Value::as_array).into_iter().flatten() {
        let key = attribute.get("key").and_then(Value::as_str).unwrap_or_default();
        let name = key.strip_prefix("livebook.metadata.").or_else(|| key.strip_prefix("livebook."));
        if let Some(name) = name.filter(|name| METADATA.contains(name))
            && let Some(value) = attribute.get("value").and_then(plain_value)
        {
            metadata.insert(name.to_owned(), value);
        }
    }
    name_it(&mut metadata, record.get("eventName"));
    let ns = |name: &str| record.get(name).and_then(Value::as_str)?.parse::<i64>().ok();
    let time = ns("timeUnixNano").or_else(|| ns("observedTimeUnixNano"));
    let top = [
        ("message", record.get("body").and_then(plain_value)),
        ("time", time.map(rfc3339).map(Value::String)),
        ("severity", record.get("severityText").cloned()),
    ];
    Some(form(top, metadata))
}

/// A typed value of the model as JSON has it. It is no deeper than the JSON that it stands in.
fn plain_value(any: &Value) -> Option<Value> {
    let (kind, value) = any.as_object()?.iter().next()?;
    let list = || value.get("values").and_then(Value::as_array);
    Some(match kind.as_str() {
        "intValue" => json!(value.as_str()?.parse::<i64>().ok()?),
        "arrayValue" => list()?.iter().map(|item| plain_value(item).unwrap_or_default()).collect(),
        "kvlistValue" => {
            let member = |pair: &Value| {
                let value = pair.get("value").and_then(plain_value).unwrap_or_default();
                Some((pair.get("key")?.as_str()?.to_owned(), value))
            };
            Value::Object(list()?.iter().filter_map(member).collect())
        }
        _ => value.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, Schema};
    use super::*;
    use crate::event::Origin;

    fn event(text: &str) -> Event {
        Event::from_json(Bytes::copy_from_slice(text.as_bytes()), Origin::nowhere()).unwrap()
    }

    fn value(event: &Event) -> Value {
        let mut text = Vec::new();
        event.write_json(&mut text);
        serde_json::from_slice(&text).unwrap()
    }

    #[test]
    fn what_people_ask_for_comes_back_from_every_schema() {
        let users = json!([{"id": "1", "name": "Ann \"A\" \u{1f980}", "email": "a@b.c"}, {"id": 2}]);
        for metadata in [
            json!({"users": users, "session_mode": "default", "code": "a\n\t\"b\"", "event": "code.evaluate"}),
            json!({"users": users, "session_mode": "app", "app_permanent": false, "code": "", "event": "code.evaluate"}),
            json!({"session_mode": "app", "code_base64": "/w==", "event": "code.evaluate", "users_incomplete": true}),
            json!({"users": "odd", "session_mode": 7, "code_sha256": "ab".repeat(32), "event": "code.evaluate"}),
            json!({"users": [], "code": "x", "code_incomplete": true, "event": "code.evaluate"}),
            json!({"event": "other"}),
            json!({}),
        ] {
            let record = json!({"message": "m\n1", "time": "2025-10-03T17:48:22.238Z", "metadata": metadata, "severity": "info"});
            let before = event(&record.to_string());
            for schema in [Schema::Livebook, Schema::Ecs, Schema::Ocsf, Schema::Otel] {
                let mut text = Vec::new();
                schema.write(&before, Kind::of(&before), &mut text);
                let back = value(&livebook_form(event(&String::from_utf8(text).unwrap())));
                assert_eq!(back, record, "{}", schema.name());
            }
        }
    }

    #[test]
    fn what_only_looks_like_a_schema_does_no_harm() {
        for text in [
            r#"{"resourceLogs":[]}"#,
            r#"{"resourceLogs":7,"@timestamp":1}"#,
            r#"{"time":"t","class_uid":1009,"script":{"script_content":{"value":"other"}}}"#,
            r#"{"metadata":{"code":"mine"},"@timestamp":"t","livebook":{"code":"other"}}"#,
        ] {
            assert_eq!(value(&livebook_form(event(text))), value(&event(text)));
        }
        let odd =
            value(&livebook_form(event(r#"{"class_uid":1,"time":99999999999999999999,"unmapped":[1]}"#)));
        assert_eq!(odd, json!({"metadata": {}}));
        let odd = value(&livebook_form(event(
            r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"attributes":[{"key":"livebook.code","value":{}},7]}]}]}]}"#,
        )));
        assert_eq!(odd, json!({"metadata": {}}));
    }
}
