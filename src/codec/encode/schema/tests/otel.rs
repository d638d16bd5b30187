//! OpenTelemetry's log data model.

use super::*;
use expect_test::{Expect, expect};

fn record_of(mapped: &Value) -> Value {
    mapped["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0].clone()
}

/// A line for each field and each attribute.
fn shown(event: &Event) -> String {
    let mut record = record_of(&map(Schema::Otel, event));
    let attributes = record.as_object_mut().unwrap().remove("attributes").unwrap();
    let line = |a: &Value| format!("- {} {}\n", a["key"].as_str().unwrap(), a["value"]);
    lines(&record) + &attributes.as_array().unwrap().iter().map(line).collect::<String>()
}

fn check(record: &str, expected: Expect) {
    expected.assert_eq(&shown(&event(record)));
}

#[test]
fn a_sole_user() {
    check(
        SOLE,
        expect![[r#"
        body {"stringValue":"Evaluating code"}
        eventName "code.evaluate"
        observedTimeUnixNano "1795388400500000000"
        severityNumber 9
        severityText "info"
        timeUnixNano "1759513702238000000"
        - log.record.uid {"stringValue":"59dcb978871c445ce570885c7b2a59a3"}
        - log.file.path {"stringValue":"/log/a.log"}
        - livebook.users {"arrayValue":{"values":[{"kvlistValue":{"values":[{"key":"id","value":{"stringValue":"7"}},{"key":"name","value":{"stringValue":"Ada"}},{"key":"email","value":{"stringValue":"ada@example.org"}}]}}]}}
        - livebook.session_mode {"stringValue":"default"}
        - livebook.code {"stringValue":"1 + 1\n\"é\""}
    "#]],
    );
}

#[test]
fn a_sole_deployer() {
    check(
        DEPLOYER,
        expect![[r#"
        body {"stringValue":"Evaluating code"}
        eventName "code.evaluate"
        observedTimeUnixNano "1795388400500000000"
        severityNumber 9
        severityText "info"
        timeUnixNano "1759513702238000000"
        - log.record.uid {"stringValue":"59dcb978871c445ce570885c7b2a59a3"}
        - log.file.path {"stringValue":"/log/a.log"}
        - livebook.users {"arrayValue":{"values":[{"kvlistValue":{"values":[{"key":"id","value":{"stringValue":"7"}},{"key":"name","value":{"stringValue":"Ada"}},{"key":"email","value":{"stringValue":"ada@example.org"}}]}}]}}
        - livebook.session_mode {"stringValue":"app"}
        - livebook.app_permanent {"boolValue":false}
        - livebook.code {"stringValue":"2"}
    "#]],
    );
}

#[test]
fn several_users() {
    check(
        SEVERAL,
        expect![[r#"
        body {"stringValue":"Evaluating code"}
        eventName "code.evaluate"
        observedTimeUnixNano "1795388400500000000"
        severityNumber 9
        severityText "info"
        timeUnixNano "1759513702238000000"
        - log.record.uid {"stringValue":"59dcb978871c445ce570885c7b2a59a3"}
        - log.file.path {"stringValue":"/log/a.log"}
        - livebook.users {"arrayValue":{"values":[{"kvlistValue":{"values":[{"key":"id","value":{"stringValue":"7"}},{"key":"name","value":{"stringValue":"Ada"}},{"key":"email","value":{"stringValue":"ada@example.org"}}]}},{"kvlistValue":{"values":[{"key":"id","value":{"stringValue":"8"}},{"key":"name","value":{"stringValue":"Ada"}},{"key":"name_base64","value":{"stringValue":"Y+k="}}]}}]}}
        - livebook.users_incomplete {"boolValue":false}
        - livebook.session_mode {"stringValue":"app"}
        - livebook.code {"stringValue":"3"}
        - livebook.metadata.request_id {"stringValue":"r"}
    "#]],
    );
}

#[test]
fn nobody() {
    check(
        NOBODY,
        expect![[r#"
        eventName "code.evaluate"
        observedTimeUnixNano "1795388400500000000"
        severityNumber 9
        severityText "info"
        timeUnixNano "1759513702238000000"
        - log.record.uid {"stringValue":"59dcb978871c445ce570885c7b2a59a3"}
        - log.file.path {"stringValue":"/log/a.log"}
        - livebook.session_mode {"stringValue":"app"}
        - livebook.code {"stringValue":"4"}
    "#]],
    );
}

#[test]
fn a_digest_in_the_place_of_the_code() {
    check(
        DIGEST,
        expect![[r#"
        body {"stringValue":"Evaluating code"}
        eventName "code.evaluate"
        observedTimeUnixNano "1795388400500000000"
        severityNumber 9
        severityText "info"
        timeUnixNano "1759513702238000000"
        - log.record.uid {"stringValue":"59dcb978871c445ce570885c7b2a59a3"}
        - log.file.path {"stringValue":"/log/a.log"}
        - livebook.users {"arrayValue":{"values":[]}}
        - livebook.session_mode {"stringValue":"default"}
        - livebook.code_sha256 {"stringValue":"4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c"}
        - livebook.code_bytes {"intValue":"2"}
    "#]],
    );
}

#[test]
fn what_the_log_has_lost() {
    check(
        INCOMPLETE,
        expect![[r#"
        body {"stringValue":"Evaluating code"}
        eventName "code.evaluate"
        observedTimeUnixNano "1795388400500000000"
        severityNumber 9
        severityText "info"
        timeUnixNano "1759513702238000000"
        - log.record.uid {"stringValue":"59dcb978871c445ce570885c7b2a59a3"}
        - log.file.path {"stringValue":"/log/a.log"}
        - livebook.users {"arrayValue":{"values":[{"kvlistValue":{"values":[{"key":"id","value":{"stringValue":"7"}}]}}]}}
        - livebook.users_incomplete {"boolValue":true}
        - livebook.session_mode {"stringValue":"app"}
        - livebook.code {"stringValue":"5"}
        - livebook.code_incomplete {"boolValue":true}
    "#]],
    );
}

#[test]
fn a_source_that_is_not_utf8() {
    check(
        BASE64,
        expect![[r#"
        body {"stringValue":"Evaluating code"}
        eventName "code.evaluate"
        observedTimeUnixNano "1795388400500000000"
        severityNumber 9
        severityText "info"
        timeUnixNano "1759513702238000000"
        - log.record.uid {"stringValue":"59dcb978871c445ce570885c7b2a59a3"}
        - log.file.path {"stringValue":"/log/a.log"}
        - livebook.session_mode {"stringValue":"default"}
        - livebook.code_base64 {"stringValue":"Y+k="}
    "#]],
    );
}

#[test]
fn odd_members() {
    check(
        ODD,
        expect![[r#"
        body {"stringValue":"m"}
        eventName "code.evaluate"
        observedTimeUnixNano "1795388400500000000"
        severityText "loud"
        spanId "b7ad6b7169203331"
        traceId "0af7651916cd43dd8448eb211c80319c"
        - log.record.uid {"stringValue":"59dcb978871c445ce570885c7b2a59a3"}
        - log.file.path {"stringValue":"/log/a.log"}
        - livebook.metadata.session_mode {"intValue":"3"}
        - livebook.metadata.users {"stringValue":"[%{id: \"1\", ...}]"}
        - livebook.metadata.code_bytes {"intValue":"-1"}
        - livebook.record.time {"stringValue":"last Friday"}
    "#]],
    );
}

#[test]
fn another_event() {
    check(
        OTHER,
        expect![[r#"
        body {"kvlistValue":{"values":[{"key":"report","value":{"arrayValue":{"values":[{"stringValue":"a"},{"intValue":"1"},{"kvlistValue":{"values":[{"key":"b","value":{}}]}}]}}}]}}
        eventName "x"
        observedTimeUnixNano "1795388400500000000"
        severityNumber 17
        severityText "error"
        timeUnixNano "1759513702000000000"
        - log.record.uid {"stringValue":"59dcb978871c445ce570885c7b2a59a3"}
        - log.file.path {"stringValue":"/log/a.log"}
        - livebook.metadata.request_id {"stringValue":"r"}
        - livebook.record.time {"stringValue":"2025-10-03T19:48:22+02:00"}
        - livebook.record.request {"kvlistValue":{"values":[{"key":"client","value":{"kvlistValue":{"values":[{"key":"ip","value":{"stringValue":"::1"}}]}}},{"key":"n","value":{"arrayValue":{"values":[{"doubleValue":1.5},{"intValue":"-2"},{"stringValue":"12345678901234567890"}]}}}]}}
        - livebook.record.trace {"stringValue":"nonsense"}
        - livebook.record.span {"stringValue":"b7ad6b7169203331"}
    "#]],
    );
}

#[test]
fn a_fault() {
    expect![[r#"
        body {"stringValue":"byte 3: expected a value"}
        observedTimeUnixNano "1795388400500000000"
        - log.record.uid {"stringValue":"59dcb978871c445ce570885c7b2a59a3"}
        - log.file.path {"stringValue":"/log/a.log"}
        - error.type {"stringValue":"broken_json"}
        - log.record.original {"stringValue":"{\"a\u001f"}
        - livebook.record.truncated {"boolValue":false}
    "#]]
    .assert_eq(&shown(&fault()));
}

#[test]
fn a_line_is_a_whole_request() {
    let mut request = map(Schema::Otel, &event("{}"));
    assert_eq!(record_of(&request)["attributes"].as_array().unwrap().len(), 2);
    request["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0] = Value::Null;
    expect![[r#"
        resourceLogs [{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"livebook"}}]},"scopeLogs":[{"logRecords":[null],"scope":{"name":"evaltrail","version":"*"}}]}]
    "#]].assert_eq(&lines(&request));
}

#[test]
fn ids_of_traces_are_such_or_stay_as_they_are() {
    let ids = |trace: &str, span: &str| {
        let record = record_of(&map(Schema::Otel, &event(&format!(r#"{{"trace":{trace},"span":{span}}}"#))));
        let attributes = record["attributes"].as_array().unwrap().len() - 2;
        (record.get("traceId").is_some(), record.get("spanId").is_some(), attributes)
    };
    let (trace, span) = (r#""0af7651916cd43dd8448eb211c80319c""#, r#""b7ad6b7169203331""#);
    assert_eq!(ids(trace, span), (true, true, 0));
    assert_eq!(ids(trace, r#""0000000000000000""#), (true, false, 1));
    assert_eq!(ids(trace, "7"), (true, false, 1));
    for wrong in [r#""00000000000000000000000000000000""#, span, r#""é""#, "null", "{}"] {
        assert_eq!(ids(wrong, span), (false, false, 2), "{wrong}");
    }
}

#[test]
fn values_keep_their_types() {
    let value = |json: &str| {
        let record = record_of(&map(Schema::Otel, &event(&format!(r#"{{"message":{json}}}"#))));
        record["body"].to_string()
    };
    for (json, expected) in [
        ("true", r#"{"boolValue":true}"#),
        ("null", "{}"),
        ("0", r#"{"intValue":"0"}"#),
        ("-9223372036854775808", r#"{"intValue":"-9223372036854775808"}"#),
        ("9223372036854775808", r#"{"stringValue":"9223372036854775808"}"#),
        ("1.5", r#"{"doubleValue":1.5}"#),
        ("1e999", r#"{"stringValue":"1e999"}"#),
        ("[]", r#"{"arrayValue":{"values":[]}}"#),
        ("{ }", r#"{"kvlistValue":{"values":[]}}"#),
        (
            r#"[ "a\n" , [ ] ]"#,
            r#"{"arrayValue":{"values":[{"stringValue":"a\n"},{"arrayValue":{"values":[]}}]}}"#,
        ),
        (
            r#"{"a\"":1,"b":{}}"#,
            r#"{"kvlistValue":{"values":[{"key":"a\"","value":{"intValue":"1"}},{"key":"b","value":{"kvlistValue":{"values":[]}}}]}}"#,
        ),
    ] {
        assert_eq!(value(json), expected, "{json}");
    }
}

#[test]
fn what_lies_too_deep_is_kept_as_text() {
    let deep = format!("{}\"x\"{}", "[".repeat(100), "]".repeat(100));
    let record = record_of(&map(Schema::Otel, &event(&format!(r#"{{"message":{deep}}}"#))));
    let mut body = &record["body"];
    let mut depth = 0;
    while let Some(list) = body.get("arrayValue") {
        body = &list["values"][0];
        depth += 1;
    }
    assert_eq!(depth, 16);
    assert_eq!(body["stringValue"], format!("{}\"x\"{}", "[".repeat(84), "]".repeat(84)));
}
