//! Any event becomes valid JSON, and nothing of it is lost.

use super::*;
use proptest::prelude::*;
use std::collections::HashSet;

/// Strings that mean something somewhere, and any other.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => any::<String>(),
        1 => proptest::sample::select(vec![
            "code.evaluate", "default", "app", "2025-10-03T17:48:22.238Z", "2025-10-03 17:48:22+02:00",
            "1969-12-31T23:59:59Z", "2016-12-31T23:59:60Z", "9999-01-01T00:00:00Z", "info", "alert", "broken_json",
            "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "Y+k=", "\u{2028}\\\"",
            "4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c",
        ]).prop_map(str::to_owned),
    ]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => proptest::sample::select(vec![
            "message", "time", "severity", "metadata", "users", "users_incomplete", "session_mode", "app_permanent",
            "code", "code_base64", "code_incomplete", "code_sha256", "code_bytes", "event", "trace", "span", "request",
            "reason", "detail", "raw", "raw_base64", "truncated", "id", "name", "email", "record",
        ]).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => word().prop_map(Value::String),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<u64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::Bool),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array), object(inner),]
    })
}

fn object(inner: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Value> {
    let members = proptest::collection::btree_map(name(), inner, 0..8);
    members.prop_map(|members| Value::Object(members.into_iter().collect())).boxed()
}

/// A record with a good chance of being an evaluation.
fn record() -> impl Strategy<Value = Value> {
    (object(value().boxed()), proptest::option::weighted(0.8, object(value().boxed())), any::<bool>())
        .prop_map(|(mut record, metadata, is_evaluation)| {
            if let Some(mut metadata) = metadata {
                if is_evaluation {
                    metadata["event"] = "code.evaluate".into();
                }
                record["metadata"] = metadata;
            }
            record
        })
}

fn strings<'v>(value: &'v Value, found: &mut HashSet<&'v str>) {
    match value {
        Value::String(text) => {
            found.insert(text);
        }
        Value::Array(list) => list.iter().for_each(|value| strings(value, found)),
        Value::Object(members) => members.values().for_each(|value| strings(value, found)),
        _ => {}
    }
}

/// Of time, OpenTelemetry has the nanoseconds; whether those say the same.
fn is_told_in_ns(text: &str, mapped: &Value) -> bool {
    let ns = &mapped["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["timeUnixNano"];
    let time = chrono::DateTime::parse_from_rfc3339(text).ok().and_then(|time| time.timestamp_nanos_opt());
    time.is_some_and(|time| ns.as_str().and_then(|ns| ns.parse().ok()) == Some(time))
}

proptest! {
    #[test]
    fn every_string_of_any_event_is_kept(record in record()) {
        let event = event(&record.to_string());
        let mut wanted = HashSet::new();
        strings(&record, &mut wanted);
        for schema in [Schema::Livebook, Schema::Ecs, Schema::Ocsf, Schema::Otel] {
            let mapped = map(schema, &event);
            let mut kept = HashSet::new();
            strings(&mapped, &mut kept);
            for text in &wanted {
                prop_assert!(kept.contains(text) || is_told_in_ns(text, &mapped), "{schema:?} {text:?}: {mapped}");
            }
        }
    }

    #[test]
    fn any_bytes_of_a_fault_are_kept(raw in proptest::collection::vec(any::<u8>(), 0..40), lost in any::<bool>()) {
        let fault = Fault::new(FaultKind::TooLong, "d".into(), &raw, lost, origin());
        let livebook = map(Schema::Livebook, &fault.event);
        let mut wanted = HashSet::new();
        strings(&livebook, &mut wanted);
        for schema in [Schema::Ecs, Schema::Ocsf, Schema::Otel] {
            let mapped = map(schema, &fault.event);
            let mut kept = HashSet::new();
            strings(&mapped, &mut kept);
            prop_assert!(wanted.is_subset(&kept), "{schema:?}: {mapped}");
        }
    }
}

#[test]
fn an_event_of_several_lines_becomes_one() {
    let event =
        event("{\"a\":[1,\n\"b\"],\r\n\"metadata\":{\"users\":[\n{\"id\":\"1\"}\r\n]},\"message\":{\n}}");
    for schema in [Schema::Livebook, Schema::Ecs, Schema::Ocsf, Schema::Otel] {
        map(schema, &event);
    }
}

#[test]
fn a_source_that_can_not_know_its_stream_again_gives_no_id() {
    let stdin = Event::from_json(Bytes::from_static(b"{}"), Origin::nowhere()).unwrap();
    assert_eq!(map(Schema::Ecs, &stdin)["event"].get("id"), None);
    assert_eq!(map(Schema::Ecs, &event("{}"))["event"]["id"], origin().id());
    assert!(!map(Schema::Otel, &stdin).to_string().contains("log.record.uid"));
}
