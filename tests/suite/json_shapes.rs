//! JSON is JSON: an evaluation is found however its record is written.

use crate::harness::embedded;
use crate::logs::*;
use serde_json::{Value, json};

fn metadata(record: &str) -> Value {
    let outcome = embedded(format!("{}{record}\n{}", other_json(1), other_json(2)));
    let events = outcome.events();
    assert_eq!(events.len(), 1, "{record}\n{}", outcome.stderr);
    events[0]["metadata"].clone()
}

/// Every character as `\uHHHH`.
fn escaped(text: &str) -> String {
    text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect()
}

#[test]
fn members_come_in_any_order_and_with_any_white_space() {
    let expected =
        json!({"users": [{"id": "7"}], "session_mode": "default", "code": "1 + 1", "event": "code.evaluate"});
    for record in [
        r#"{"metadata":{"users":[{"id":"7"}],"session_mode":"default","code":"1 + 1","event":"code.evaluate"},"message":"Evaluating code","severity":"info"}"#,
        r#"{"severity":"info","time":"2025-10-03T17:48:22.238Z","message":"Evaluating code","metadata":{"event":"code.evaluate","code":"1 + 1","session_mode":"default","users":[{"id":"7"}]}}"#,
        "  { \"message\" : \"Evaluating code\" ,\t\"metadata\" : { \"code\" : \"1 + 1\" , \"users\" : [ { \"id\" : \"7\" } ] , \"event\" : \"code.evaluate\" , \"session_mode\" : \"default\" } }  ",
    ] {
        assert_eq!(metadata(record), expected, "{record}");
    }
}

#[test]
fn escapes_hide_no_evaluation() {
    let structured = |message: &str, key: &str, event_key: &str, event: &str, code: &str| {
        format!(
            r#"{{"message":"{message}","{key}":{{"{event_key}":"{event}","session_mode":"default","code":"{code}"}}}}"#
        )
    };
    let expected = json!({"session_mode": "default", "code": "1", "event": "code.evaluate"});
    for record in [
        structured(r"Evaluating\u0020code", "metadata", "event", "code.evaluate", "1"),
        structured("Evaluating code", r"meta\u0064ata", "event", "code.evaluate", "1"),
        structured("Evaluating code", "metadata", r"\u0065vent", r"code\u002eevaluate", "1"),
        structured(
            &escaped("Evaluating code"),
            &escaped("metadata"),
            &escaped("event"),
            &escaped("code.evaluate"),
            r"\u0031",
        ),
    ] {
        assert_eq!(metadata(&record), expected, "{record}");
    }
}

#[test]
fn an_escaped_legacy_message_is_found_and_read() {
    let text = legacy_text("default", r#""\"\\u{1F389}\" 🎉""#);
    let record = format!(r#"{{"{}":"{}","metadata":{{}}}}"#, escaped("message"), escaped(&text));
    let expected = json!({"session_mode": "default", "code": "\"\\u{1F389}\" 🎉", "event": "code.evaluate"});
    assert_eq!(metadata(&record), expected);
}

#[test]
fn every_character_of_a_source_comes_through() {
    let code = "a\\b/\"c\"\u{8}\u{c}\n\r\t\u{7f}\u{2028}é\u{fffd}🎉<\u{1b}[0m";
    let record = json!({"message": "Evaluating code", "metadata": {"code": code, "event": "code.evaluate"}});
    let escaped = format!(
        r#"{{"message":"Evaluating code","metadata":{{"code":"{}","event":"code.evaluate"}}}}"#,
        escaped(code)
    );
    for record in [record.to_string(), escaped] {
        assert_eq!(metadata(&record)["code"], code, "{record}");
    }
}

#[test]
fn a_member_that_is_there_twice_comes_out_once() {
    // What readers of JSON do in most languages, and logs are read by programs: the last one counts.
    let record = r#"{"message":"GET /","message":"Evaluating code","metadata":{"code":"no","code":"yes","event":"code.evaluate"}}"#;
    let outcome = embedded(format!("{record}\n"));
    assert_eq!(outcome.stdout.matches("\"code\":").count(), 1, "{}", outcome.stdout);
    assert_eq!(outcome.stdout.matches("\"message\":").count(), 1, "{}", outcome.stdout);
    assert_eq!(outcome.events()[0]["metadata"]["code"], "yes");
    assert_eq!(outcome.events()[0]["message"], "Evaluating code");
}

#[test]
fn odd_values_do_no_harm() {
    let odd = [
        r#"{"message":{"a":["Evaluating code"]},"metadata":{}}"#,
        r#"{"message":"","metadata":null}"#,
        r#"{"message":null,"metadata":[1]}"#,
        r#"{"message":12,"metadata":"code.evaluate"}"#,
        r#"{}"#,
        r#"[1,2]"#,
        r#""Evaluating code""#,
        "null",
    ];
    for record in odd {
        let outcome = embedded(format!("{record}\n{}", structured_json(1, "1")));
        assert_eq!(codes(&outcome.events()), ["1"], "{record}");
    }
}

#[test]
fn other_members_of_the_record_are_kept() {
    let record = r#"{"message":"Evaluating code","request":{"client":{"ip":"192.0.2.1"}},"metadata":{"code":"1","event":"code.evaluate"},"span":"5","trace":"6"}"#;
    let event = &embedded(format!("{record}\n")).events()[0];
    assert_eq!(event["request"], json!({"client": {"ip": "192.0.2.1"}}));
    assert_eq!((&event["span"], &event["trace"]), (&json!("5"), &json!("6")));
}

#[test]
fn a_byte_order_mark_hides_nothing() {
    assert_eq!(codes(&embedded(format!("\u{feff}{}", twins_json(1, "1"))).events()), ["1"]);
}

#[test]
fn large_cells_that_run_at_once_pair_once() {
    let cells: Vec<String> = ["a", "b", "c"].map(|name| name.repeat(2_000_000)).to_vec();
    let legacy: String = cells.iter().map(|code| legacy_json(1, &inspect(code))).collect();
    let structured: String = cells.iter().map(|code| structured_json(2, code)).collect();
    assert_eq!(embedded(legacy + &structured).events().len(), 3);
}
