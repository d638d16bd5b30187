//! The main job: what the pipeline makes of Livebook's JSON records.

use crate::harness::{Run, TIMEOUT, chain, embedded, through};
use crate::logs::*;
use serde_json::{Value, json};
use std::io::Write;
use std::time::Duration;

/// The metadata that everything here should come to.
fn canonical(code: &str) -> Value {
    json!({"users": team(), "session_mode": "default", "code": code, "event": "code.evaluate"})
}

fn record(message: &str, metadata: &Value) -> String {
    format!("{}\n", json!({"message": message, "time": time(238), "metadata": metadata, "severity": "info"}))
}

#[test]
fn the_three_documented_shapes_give_the_same_metadata() {
    let code = "IO.puts(\"#{1 + 1}\")\n";
    let text = legacy_text("default", &inspect(code));
    let structured = record("Evaluating code", &canonical(code));
    let combined = record(&text, &canonical(code));
    let legacy = record(&text, &json!({"users": TEAM}));
    for line in [structured, combined, legacy] {
        let events = embedded(line.clone()).events();
        assert_eq!(events.len(), 1, "{line}");
        assert_eq!(events[0]["metadata"], canonical(code), "{line}");
        assert_eq!(events[0]["time"], time(238));
        assert_eq!(events[0]["severity"], "info");
        assert!(events[0]["message"].as_str().unwrap().starts_with("Evaluating code"));
    }
}

#[test]
fn members_leave_in_the_documented_order() {
    let line = format!(
        r#"{{"severity":"info","extra":1,"metadata":{{"event":"code.evaluate","noise":1,"code":"1","session_mode":"app","users":[]}},"time":"{}","message":"Evaluating code"}}"#,
        time(1)
    );
    let expected = format!(
        r#"{{"message":"Evaluating code","time":"{}","metadata":{{"users":[],"session_mode":"app","code":"1","event":"code.evaluate"}},"severity":"info","extra":1}}"#,
        time(1)
    );
    assert_eq!(embedded(line + "\n").lines(), [expected]);
}

#[test]
fn twins_are_one_event_in_either_order() {
    for (first, second) in [
        (legacy_json(10, "\"7 + 13\""), structured_json(12, "7 + 13")),
        (structured_json(10, "7 + 13"), legacy_json(12, "\"7 + 13\"")),
    ] {
        // Records of other processes fall between the two, and may be newer than both.
        let log = first + &other_json(500) + "[Livebook] a line of boot text\n\n" + &other_json(11) + &second;
        let events = embedded(log).events();
        assert_eq!(codes(&events), ["7 + 13"]);
        assert_eq!(events[0]["metadata"], canonical("7 + 13"));
        assert_eq!(events[0]["time"], time(10), "the time of the record that was read first");
    }
}

#[test]
fn twins_that_cross_are_paired_by_content() {
    let log = [
        legacy_json(1, "\"a\""),
        legacy_json(1, "\"b\""),
        structured_json(2, "b"),
        structured_json(3, "a"),
        structured_json(4, "c"),
        legacy_json(4, "\"d\""),
        legacy_json(5, "\"c\""),
        structured_json(5, "d"),
    ];
    let events = embedded(log.concat()).events();
    let mut seen = codes(&events);
    seen.sort_unstable();
    assert_eq!(seen, ["a", "b", "c", "d"]);
}

#[test]
fn the_same_cell_run_twice_is_two_evaluations() {
    let orders = [
        twins_json(7, "x") + &twins_json(7, "x"),
        [legacy_json(7, "\"x\""), legacy_json(7, "\"x\""), structured_json(7, "x"), structured_json(7, "x")]
            .concat(),
        [structured_json(7, "x"), legacy_json(7, "\"x\""), legacy_json(7, "\"x\""), structured_json(7, "x")]
            .concat(),
    ];
    for log in orders {
        assert_eq!(codes(&embedded(log.clone()).events()), ["x", "x"], "{log}");
    }
}

#[test]
fn an_odd_record_among_repeats_is_an_evaluation_too() {
    // Three runs, of which one lost its second record.
    let log = twins_json(7, "x") + &legacy_json(8, "\"x\"") + &twins_json(9, "x");
    assert_eq!(codes(&embedded(log).events()), ["x", "x", "x"]);
}

#[test]
fn a_record_whose_twin_is_lost_stands_alone() {
    let log = legacy_json(1, "\"a\"") + &structured_json(2, "b") + &twins_json(3, "c");
    assert_eq!(codes(&embedded(log).events()), ["a", "b", "c"]);
}

#[test]
fn twins_are_told_by_users_and_mode_too() {
    let others = structured_json(2, "a").replace("Ada", "Bob");
    assert_eq!(codes(&embedded(legacy_json(1, "\"a\"") + &others).events()), ["a", "a"]);
    let app = structured_json(2, "a").replace("\"default\"", "\"app\"");
    assert_eq!(codes(&embedded(legacy_json(1, "\"a\"") + &app).events()), ["a", "a"]);
}

#[test]
fn records_too_far_apart_are_no_twins() {
    let far = legacy_json(1, "\"a\"") + &structured_json(1002, "a");
    assert_eq!(codes(&embedded(far.clone()).events()), ["a", "a"]);
    let near = legacy_json(1, "\"a\"") + &structured_json(1001, "a");
    assert_eq!(codes(&embedded(near.clone()).events()), ["a"]);
    let patient = chain("twin_wait_ms = 2000", "", "");
    assert_eq!(codes(&through(&patient, far).events()), ["a"]);
    let hasty = chain("twin_wait_ms = 100", "", "");
    assert_eq!(codes(&through(&hasty, near).events()), ["a", "a"]);
}

#[test]
fn twins_keep_gives_both_records() {
    let events = through(&chain("twins = \"keep\"", "", ""), twins_json(5, "1 + 1")).events();
    assert_eq!(codes(&events), ["1 + 1", "1 + 1"]);
    for event in &events {
        assert_eq!(event["metadata"], canonical("1 + 1"));
    }
}

#[test]
fn a_bare_second_record_is_no_evaluation() {
    let users = json!({"users": team()});
    for metadata in [json!({}), users] {
        let legacy = record(&legacy_text("default", "\"1\""), &metadata);
        let bare = record("Evaluating code", &metadata);
        for log in [legacy.clone() + &bare, bare.clone() + &legacy] {
            let events = embedded(log).events();
            assert_eq!(codes(&events), ["1"]);
            assert_eq!(events[0]["metadata"].get("users"), metadata.get("users"));
        }
    }
    assert_eq!(embedded(record("Evaluating code", &json!({}))).stdout, "");
    // With somebody's name in it, and its twin lost, it does say something.
    let event = &embedded(record("Evaluating code", &json!({"users": team()}))).events()[0];
    assert_eq!(event["metadata"]["users"], team());
    assert_eq!(event["metadata"]["code_incomplete"], true);
}

#[test]
fn the_twin_tells_what_an_ambiguous_form_means() {
    let log = legacy_json(1, "\"<<0>>\"") + &structured_json(2, "<<0>>");
    assert_eq!(embedded(log).events()[0]["metadata"], canonical("<<0>>"));
    for log in [
        legacy_json(1, "<<0>>") + &structured_json(2, "<<0>>"),
        structured_json(1, "<<0>>") + &legacy_json(2, "<<0>>"),
        legacy_json(1, "<<0>>"),
    ] {
        let events = embedded(log.clone()).events();
        assert_eq!(events.len(), 1, "{log}");
        assert_eq!(events[0]["metadata"], canonical("\0"), "{log}");
    }
}

#[test]
fn an_ambiguous_form_alone_is_marked() {
    let cut_after = |items: usize| format!("<<{}, ...>>", vec!["0"; items].join(", "));
    let long = |chars: usize| format!("\"{}\" <> ...", "x".repeat(chars));
    for code in ["<<0>>".to_owned(), cut_after(50), cut_after(200), long(4096)] {
        let event = &embedded(structured_json(1, &code)).events()[0];
        assert_eq!(event["metadata"]["code_incomplete"], true, "{code}");
        assert_eq!(event["metadata"]["code"], code.as_str());
    }
    // No `inspect` form: printable bytes, a cut elsewhere, another length.
    for code in ["<<82, 101>>".to_owned(), cut_after(49), long(4095), "<<>>".to_owned(), "<<0, 1".to_owned()]
    {
        assert_eq!(embedded(structured_json(1, &code)).events()[0]["metadata"], canonical(&code));
    }
}

#[test]
fn an_incomplete_record_takes_the_best_of_its_twin() {
    // The structured record of an unprintable source is cut; that of a bad character further on keeps more.
    let bytes: Vec<String> = std::iter::repeat_n("97".to_owned(), 50).collect();
    let legacy = legacy_json(1, &format!("<<{}, ...>>", bytes.join(", ")));
    let structured = structured_json(2, &format!("\"{}\" <> ...", "a".repeat(4096)));
    for log in [legacy.clone() + &structured, structured.clone() + &legacy] {
        let events = embedded(log).events();
        assert_eq!(events.len(), 1);
        assert_eq!(events[0]["metadata"]["code"], "a".repeat(4096));
        assert_eq!(events[0]["metadata"]["code_incomplete"], true);
    }
}

#[test]
fn what_was_cut_keeps_the_longest_prefix() {
    // 8 whole characters of two bytes, and the first byte of another.
    let bytes = ["195, 169"; 8].join(", ");
    let rest: Vec<String> = (0..33).map(|_| "97".to_owned()).collect();
    let cut = format!("<<{bytes}, {}, 195, ...>>", rest.join(", "));
    let event = &embedded(legacy_json(1, &cut)).events()[0];
    assert_eq!(event["metadata"]["code"], format!("{}{}", "é".repeat(8), "a".repeat(33)));
    assert_eq!(event["metadata"]["code_incomplete"], true);
    // A message that was cut in the middle of an escape.
    let event = &embedded(legacy_json(1, "\"abc\\n\\ (truncated)")).events()[0];
    assert_eq!(event["metadata"]["code"], "abc\n");
    assert_eq!(event["metadata"]["code_incomplete"], true);
}

#[test]
fn a_source_that_is_not_utf8_is_given_as_base64() {
    let event = &embedded(legacy_json(1, "<<255, 49>>")).events()[0];
    assert_eq!(event["metadata"]["code_base64"], "/zE=");
    assert_eq!(event["metadata"].get("code"), None);
    assert_eq!(event["metadata"].get("code_incomplete"), None);
}

#[test]
fn cut_users_are_said_to_be() {
    let cut = r#"[%{id: "1", name: "Ann"}, %{id: "2", ...}, %{...}, ...]"#;
    let line = record(&legacy_text("default", "\"1\""), &json!({"users": cut}));
    let event = &embedded(line).events()[0];
    assert_eq!(event["metadata"]["users_incomplete"], true);
    assert_eq!(event["metadata"]["users"], json!([{"id": "1", "name": "Ann"}, {"id": "2"}]));
    let long = format!(r#"[%{{id: "1", name: "{}" <> ..."#, "m".repeat(30));
    let line = record(&legacy_text("default", "\"1\""), &json!({"users": long}));
    let event = &embedded(line).events()[0];
    assert_eq!(event["metadata"]["users_incomplete"], true);
    assert_eq!(event["metadata"]["users"], json!([{"id": "1", "name": "m".repeat(30)}]));
}

#[test]
fn nobody_is_an_empty_list_and_unlogged_users_are_none() {
    let line = record(&legacy_text("app", "\"1\""), &json!({"users": "[]"}));
    assert_eq!(embedded(line).events()[0]["metadata"]["users"], json!([]));
    let line = record(&legacy_text("app", "\"1\""), &json!({}));
    let event = &embedded(line).events()[0];
    assert_eq!(event["metadata"], json!({"session_mode": "app", "code": "1", "event": "code.evaluate"}));
}

#[test]
fn collapsed_white_space_is_read_as_well() {
    for message in [
        "Evaluating code\n Session mode: default\n Code: \"7 + 13\"",
        "Evaluating code\n  Session mode: default\n  Code: \"7 + 13\"",
    ] {
        let line = record(message, &json!({"users": team()}));
        assert_eq!(embedded(line).events()[0]["metadata"], canonical("7 + 13"), "{message}");
    }
}

#[test]
fn a_structured_member_wins_over_the_text() {
    let line = record(&legacy_text("app", "\"text\""), &canonical("member"));
    assert_eq!(embedded(line).events()[0]["metadata"], canonical("member"));
    // Except where it is an `inspect` form of what the text has whole.
    let line = record(&legacy_text("default", "<<0>>"), &canonical("<<0>>"));
    assert_eq!(embedded(line).events()[0]["metadata"], canonical("\0"));
}

#[test]
fn text_that_only_looks_like_an_evaluation_is_none() {
    for message in
        ["GET /?q=Evaluating%20code", "not Evaluating code\n  Session mode: default\n  Code: \"1\""]
    {
        assert_eq!(embedded(record(message, &json!({}))).stdout, "", "{message}");
    }
}

#[test]
fn a_reader_that_pauses_parts_no_twins() {
    // The pipeline is full for longer than a record waits for its twin, which has been read by then.
    let bytes = |at: u32| format!("<<0, {}{}, {}>>", "120, ".repeat(180), at / 250, at % 250);
    let twins = |at: u32| structured_json(at, &bytes(at)) + &legacy_json(at, &bytes(at));
    let log: String = (1..8000).map(twins).collect();
    let config = chain("twin_wait_ms = 600", "", "keys = [\"code_incomplete\"]") + "buffer.max_events = 1\n";
    let mut live = Run::new(&[]).config(&config).live();
    let mut input = live.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(log.as_bytes()).unwrap());
    for at in 1..8000 {
        if at % 1500 == 0 {
            std::thread::sleep(Duration::from_millis(800));
        }
        let event = live.event(TIMEOUT);
        assert_eq!(event["metadata"], json!({}), "{at}");
    }
    writer.join().unwrap();
    assert_eq!(live.rest(), b"");
}

#[test]
fn a_name_that_is_not_utf8_is_given_as_base64() {
    // printf 'caf\xe9' | base64
    let expected = json!([{"id": "5", "name_base64": "Y2Fm6Q=="}]);
    let inspected = "[%{id: \"5\", name: <<99, 97, 102, 233>>}]";
    let line = record(&legacy_text("default", "\"1\""), &json!({"users": inspected}));
    assert_eq!(embedded(line).events()[0]["metadata"]["users"], expected);
}

#[test]
fn whatever_metadata_a_server_logs_an_evaluation_is_one_event() {
    let all = ["users", "session_mode", "code", "event"];
    for chosen in 0..16 {
        let logs = |key: &str| chosen >> all.iter().position(|known| *known == key).unwrap() & 1 == 1;
        let mut structured = canonical("1 + 1");
        structured.as_object_mut().unwrap().retain(|key, _| logs(key));
        let mut legacy = json!({"users": team()});
        legacy.as_object_mut().unwrap().retain(|key, _| logs(key));
        let legacy = record(&legacy_text("default", "\"1 + 1\""), &legacy);
        let structured = record("Evaluating code", &structured);
        for log in [legacy.clone() + &structured, structured.clone() + &legacy] {
            let outcome = embedded(log.clone());
            let mut expected = canonical("1 + 1");
            if !logs("users") {
                expected.as_object_mut().unwrap().remove("users");
            }
            let found: Vec<Value> =
                outcome.events().into_iter().map(|event| event["metadata"].clone()).collect();
            assert_eq!(found, [expected], "{log}");
        }
    }
}
