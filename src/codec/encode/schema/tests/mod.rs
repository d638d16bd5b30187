//! The same events by the names of each schema, and that nothing of any event is lost.

mod ecs;
mod kept;
mod ocsf;
mod otel;

use super::{Kind, Schema};
use crate::codec::{Fault, FaultKind};
use crate::event::{Event, Origin, Stream};
use bytes::Bytes;
use serde_json::Value;
use std::sync::Arc;

/// 2026-11-22T23:00:00.5Z
const RECEIVED_MS: u64 = 1_795_388_400_500;

const SOLE: &str = r#"{"message":"Evaluating code","time":"2025-10-03T17:48:22.238Z","metadata":{"users":[{"id":"7","name":"Ada","email":"ada@example.org"}],"session_mode":"default","code":"1 + 1\n\"é\"","event":"code.evaluate"},"severity":"info"}"#;
const DEPLOYER: &str = r#"{"message":"Evaluating code","time":"2025-10-03T17:48:22.238Z","metadata":{"users":[{"id":"7","name":"Ada","email":"ada@example.org"}],"session_mode":"app","app_permanent":false,"code":"2","event":"code.evaluate"},"severity":"info"}"#;
const SEVERAL: &str = r#"{"message":"Evaluating code","time":"2025-10-03T17:48:22.238Z","metadata":{"users":[{"id":"7","name":"Ada","email":"ada@example.org"},{"id":"8","name":"Ada","name_base64":"Y+k="}],"session_mode":"app","code":"3","event":"code.evaluate","request_id":"r","users_incomplete":false},"severity":"info"}"#;
const NOBODY: &str = r#"{"time":"2025-10-03T17:48:22.238Z","metadata":{"session_mode":"app","code":"4","event":"code.evaluate"},"severity":"info"}"#;
const DIGEST: &str = r#"{"message":"Evaluating code","time":"2025-10-03T17:48:22.238Z","metadata":{"users":[],"session_mode":"default","code_sha256":"4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c","code_bytes":2,"event":"code.evaluate"},"severity":"info"}"#;
const INCOMPLETE: &str = r#"{"message":"Evaluating code","time":"2025-10-03T17:48:22.238Z","metadata":{"users":[{"id":"7"}],"users_incomplete":true,"session_mode":"app","code":"5","code_incomplete":true,"event":"code.evaluate"},"severity":"info"}"#;
const BASE64: &str = r#"{"message":"Evaluating code","time":"2025-10-03T17:48:22.238Z","metadata":{"session_mode":"default","code_base64":"Y+k=","event":"code.evaluate"},"severity":"info"}"#;
const ODD: &str = r#"{"message":"m","time":"last Friday","metadata":{"event":"code.evaluate","session_mode":3,"users":"[%{id: \"1\", ...}]","code_bytes":-1},"severity":"loud","trace":"0af7651916cd43dd8448eb211c80319c","span":"b7ad6b7169203331"}"#;
const OTHER: &str = r#"{"message":{"report":["a",1,{"b":null}]},"time":"2025-10-03T19:48:22+02:00","metadata":{"request_id":"r","event":"x"},"severity":"error","request":{"client":{"ip":"::1"},"n":[1.50,-2,12345678901234567890]},"trace":"nonsense","span":"b7ad6b7169203331"}"#;

fn origin() -> Origin {
    let stream = Stream {
        source: "livebook".into(),
        file: Some("/log/a.log".into()),
        fingerprint: 1,
        ..Stream::default()
    };
    Origin::new(Arc::new(stream), 7, RECEIVED_MS)
}

fn event(text: &str) -> Event {
    Event::from_json(Bytes::copy_from_slice(text.as_bytes()), origin()).unwrap()
}

fn fault() -> Event {
    Fault::new(FaultKind::BrokenJson, "byte 3: expected a value".into(), b"{\"a\x1f", false, origin()).event
}

fn map(schema: Schema, event: &Event) -> Value {
    let mut out = Vec::new();
    schema.write(event, Kind::of(event), &mut out);
    let text = String::from_utf8(out).unwrap();
    assert!(!text.contains('\n'), "{text}");
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// A line for each member, the version of evaltrail left out.
fn lines(object: &Value) -> String {
    let line = |(name, value): (&String, &Value)| format!("{name} {value}\n");
    let lines: String = object.as_object().unwrap().iter().map(line).collect();
    lines.replace(&format!("\"version\":\"{}\"", env!("CARGO_PKG_VERSION")), "\"version\":\"*\"")
}
