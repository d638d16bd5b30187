//! The options of the transforms and of the console, as a user of a config file meets them.

use crate::harness::{Run, chain, through};
use crate::logs::*;
use serde_json::{Value, json};

fn evaluation(metadata: &Value) -> String {
    let record =
        json!({"message": "Evaluating code", "time": time(1), "metadata": metadata, "severity": "info"});
    format!("{record}\n")
}

#[test]
fn message_keeps_shortens_or_renders() {
    let code = "x = \"#{y}\" # ż\n\\";
    let text = legacy_text("default", &inspect(code));
    for (option, log, expected) in [
        ("", structured_json(1, code), "Evaluating code"),
        ("", legacy_json(1, &inspect(code)), text.as_str()),
        ("message = \"keep\"", legacy_json(1, &inspect(code)), &text),
        ("message = \"short\"", legacy_json(1, &inspect(code)), "Evaluating code"),
        ("message = \"short\"", structured_json(1, code), "Evaluating code"),
        ("message = \"legacy\"", structured_json(1, code), &text),
        ("message = \"legacy\"", legacy_json(1, &inspect(code)), &text),
        ("message = \"legacy\"", twins_json(1, code), &text),
    ] {
        let events = through(&chain(option, "", ""), log.clone()).events();
        assert_eq!(events.len(), 1, "{option} {log}");
        assert_eq!(events[0]["message"], expected, "{option} {log}");
        assert_eq!(events[0]["metadata"]["code"], code);
    }
}

#[test]
fn an_ambiguous_form_is_rendered_as_it_stands_and_marked() {
    let events = through(&chain("message = \"legacy\"", "", ""), structured_json(1, "<<97, 0>>")).events();
    assert_eq!(events[0]["message"], legacy_text("default", "<<97, 0>>"));
    assert_eq!(events[0]["metadata"]["code_incomplete"], true);
    let both = twins_json(1, "<<97, 0>>");
    let events = through(&chain("message = \"legacy\"", "", ""), both).events();
    assert_eq!(
        events[0]["message"],
        legacy_text("default", "\"<<97, 0>>\""),
        "its twin tells that it is text"
    );
    assert_eq!(events[0]["metadata"].get("code_incomplete"), None);
}

#[test]
fn a_rendered_message_escapes_as_elixir_does() {
    for (code, literal) in [
        ("", r#""""#),
        ("a#b #{c}", r##""a#b \#{c}""##),
        ("\u{7}\u{8}\t\n\u{b}\u{c}\r\u{1b}\u{7f}", r#""\a\b\t\n\v\f\r\e\d""#),
        ("\\n \"q\"", r#""\\n \"q\"""#),
        ("zażółć 🎉", "\"zażółć 🎉\""),
        ("a\u{200b}b\u{202e}c\u{feff}", r#""a\u200Bb\u202Ec\uFEFF""#),
        ("\u{1}a", "<<1, 97>>"),
        ("é\0", "<<195, 169, 0>>"),
    ] {
        let events = through(&chain("message = \"legacy\"", "", ""), structured_json(1, code)).events();
        assert_eq!(events[0]["message"], legacy_text("default", literal), "{code:?}");
    }
}

#[test]
fn other_events_are_dropped_or_passed() {
    let log = other_json(1) + &structured_json(2, "1") + "[Livebook] boot\n";
    let drops = through(&chain("", "", ""), log.clone());
    assert_eq!(codes(&drops.events()), ["1"]);
    let events = through(&chain("", "other_events = \"pass\"", ""), log).events();
    let messages: Vec<&str> = events.iter().map(|event| event["message"].as_str().unwrap()).collect();
    assert_eq!(messages, ["GET /public/health", "Evaluating code", "[Livebook] boot"]);
}

#[test]
fn deployed_apps_are_not_recorded_and_that_is_counted() {
    let app = |permanent: Value| {
        evaluation(
            &json!({"event": "code.evaluate", "session_mode": "app", "code": "1", "app_permanent": permanent}),
        )
    };
    let preview = evaluation(&json!({"event": "code.evaluate", "session_mode": "app", "code": "1"}));
    let outcome = through(&chain("", "", ""), app(json!(true)));
    assert_eq!(outcome.stdout, "");
    assert!(outcome.summary().contains("policy 1"), "{}", outcome.stderr);
    for log in [app(json!(false)), app(json!("true")), app(json!(null)), preview] {
        assert_eq!(codes(&through(&chain("", "", ""), log.clone()).events()), ["1"], "{log}");
    }
}

#[test]
fn default_level_is_for_what_no_rule_decides() {
    let known = structured_json(1, "known");
    let unknown = evaluation(&json!({"event": "code.evaluate", "session_mode": "kiosk", "code": "żaba()"}));
    let log = known + &unknown;
    let recorded = through(&chain("", "", ""), log.clone()).events();
    assert_eq!(codes(&recorded), ["known", "żaba()"]);
    let nothing = through(&chain("", "default_level = \"none\"", ""), log.clone()).events();
    assert_eq!(codes(&nothing), ["known"]);
    let outcome = through(&chain("message = \"legacy\"", "default_level = \"metadata\"", ""), log);
    let metadata = &outcome.events()[1]["metadata"];
    assert_eq!(metadata["session_mode"], "kiosk");
    assert_eq!(metadata["code_bytes"], 7);
    // printf "żaba()" | sha256sum
    assert_eq!(metadata["code_sha256"], "4efc26f581f013b8fa927edc438355bc5ad4d465e74ebccac23783e65c6484cc");
    assert_eq!(metadata.get("code"), None);
    assert!(!outcome.stdout.contains("żaba"), "not in the message either: {}", outcome.stdout);
}

#[test]
fn projection_gives_the_chosen_keys_in_the_chosen_order() {
    let log = evaluation(
        &json!({"event": "code.evaluate", "session_mode": "default", "code": "1", "extra": {"a": [1]}, "code_sha256": "x",
        "users": [{"name": "Ada", "payload": {"plan": "x"}, "email": "ada@example.org", "id": "7"}, {"id": "9"}]}),
    );
    for (options, expected) in [
        (r#"keys = ["extra", "event"]"#, r#"{"extra":{"a":[1]},"event":"code.evaluate"}"#),
        (r#"keys = "event, code,missing""#, r#"{"event":"code.evaluate","code":"1","code_sha256":"x"}"#),
        ("keys = []", "{}"),
        ("keys = [\"users\"]", r#"{"users":[{"id":"7","name":"Ada","email":"ada@example.org"},{"id":"9"}]}"#),
        (
            "keys = [\"code_incomplete\", \"session_mode\", \"code\", \"code_sha256\"]",
            r#"{"session_mode":"default","code":"1","code_sha256":"x"}"#,
        ),
        (
            "keys = [\"users\"]\nuser_fields = [\"email\", \"id\"]",
            r#"{"users":[{"email":"ada@example.org","id":"7"},{"id":"9"}]}"#,
        ),
        (
            "keys = [\"session_mode\", \"code\"]\nrename = { session_mode = \"mode\", code = \"source\" }",
            r#"{"mode":"default","source":"1","code_sha256":"x"}"#,
        ),
    ] {
        let outcome = through(&chain("", "", options), log.clone());
        let line = outcome.lines()[0];
        assert!(line.contains(&format!("\"metadata\":{expected},")), "{options}: {line}");
    }
}

#[test]
fn a_key_that_is_not_kept_is_not_renamed() {
    let options = "keys = [\"code\", \"%id\"]\nrename = { id = \"event_id\", code_sha256 = \"digest\", \"%id\" = \"x\", \
                   session_mode = \"mode\" }";
    let warned = Run::new(&["validate"]).config(&chain("", "", options)).run().exits(0).stderr;
    assert_eq!(warned.matches("warning: ").count(), 2, "{warned}");
    for words in
        ["`session_mode` is not kept", "`%id` is not kept", "an origin key is added as `id`: rename that"]
    {
        assert!(warned.contains(words), "{words}: {warned}");
    }
}

#[test]
fn a_key_brings_its_companions() {
    let cut = r#"[%{id: "1"}, ...]"#;
    let text = legacy_text("default", &format!("<<{}, ...>>", vec!["255"; 50].join(", ")));
    let record = json!({"message": text, "time": time(1), "metadata": {"users": cut}, "severity": "info"});
    let log = format!("{record}\n");
    let metadata = &through(&chain("", "", "keys = [\"code\"]"), log.clone()).events()[0]["metadata"];
    assert!(metadata["code_base64"].is_string() && metadata["code_incomplete"] == true, "{metadata}");
    assert_eq!(metadata.as_object().unwrap().len(), 2);
    let metadata = &through(&chain("", "", "keys = [\"users\"]"), log).events()[0]["metadata"];
    assert_eq!(metadata, &json!({"users": [{"id": "1"}], "users_incomplete": true}));
}

#[test]
fn message_can_be_left_out() {
    let outcome = through(&chain("", "", "message = false"), structured_json(1, "1"));
    assert!(outcome.stdout.starts_with("{\"time\":"), "{}", outcome.stdout);
}

#[test]
fn origin_keys_say_where_a_record_was_read() {
    let keys = r#"keys = ["%source", "%offset", "%id", "%received", "code"]"#;
    let log = other_json(1) + &structured_json(2, "1") + &structured_json(3, "1");
    let events = through(&chain("", "", keys), log.clone()).events();
    let metadata = &events[0]["metadata"];
    assert_eq!(metadata["source"], "livebook");
    assert_eq!(metadata["offset"], other_json(1).len());
    assert!(metadata["received"].as_str().unwrap().ends_with('Z'));
    let id = metadata["id"].as_str().unwrap();
    assert_ne!(id, events[1]["metadata"]["id"]);
    assert_ne!(
        id,
        through(&chain("", "", keys), log).events()[0]["metadata"]["id"],
        "another run, another stream"
    );
}

#[test]
fn the_console_writes_chosen_members_as_json_text_or_for_people() {
    let log = structured_json(1, "IO.puts(1)\n:ok");
    let with = |encoding: &str| {
        let outcome = through(&(chain("", "", "") + encoding + "\n"), log.clone());
        outcome.stdout
    };
    assert_eq!(with("encoding.codec = \"text\""), "Evaluating code\n");
    assert_eq!(
        with("encoding.only_fields = [\"metadata.code\"]"),
        "{\"metadata\":{\"code\":\"IO.puts(1)\\n:ok\"}}\n"
    );
    assert!(!with("encoding.except_fields = [\"metadata.code\"]").contains("IO.puts"));
    let logfmt = with("encoding.codec = \"logfmt\"");
    assert!(logfmt.starts_with("message=\"Evaluating code\" time="), "{logfmt}");
    assert!(
        logfmt.contains(" metadata.code=\"IO.puts(1)\\n:ok\"") && logfmt.lines().count() == 1,
        "{logfmt}"
    );
    // The function of VRL reads it back.
    let program = ".fields = parse_logfmt!(.message)";
    let read = Run::new(&["vrl", "--codec", "text", program]).stdin(logfmt).run().exits(0).events();
    assert_eq!(read[0]["fields"]["metadata.users.0.name"], "Ada");
    let pretty = with("encoding.codec = \"pretty\"");
    for part in ["IO.puts(1)\n", ":ok", "Ada", "default", "17:48"] {
        assert!(pretty.contains(part), "{part}: {pretty}");
    }
    let unsure =
        through(&(chain("", "", "") + "encoding.codec = \"pretty\"\n"), structured_json(1, "<<0>>")).stdout;
    let said = "(the log has lost a part of it, or does not say which of two sources it is)";
    assert!(unsure.contains("<<0>>\n") && unsure.contains(said), "{unsure}");
    assert!(!pretty.contains('\u{1b}'), "no colours where no terminal is: {pretty}");
}

#[test]
fn the_target_can_be_standard_error() {
    let config = chain("", "", "") + "target = \"stderr\"\n";
    let outcome = Run::new(&[]).config(&config).stdin(structured_json(1, "1")).run().exits(0);
    assert_eq!(outcome.stdout, "");
    assert!(outcome.stderr.contains("\"code\":\"1\""), "{}", outcome.stderr);
}

#[test]
fn a_number_out_of_range_is_told_with_its_range() {
    let source = "[sources.in]\ntype = \"file\"\ninclude = [\"a.log\"]\n";
    let sink = "[sinks.out]\ntype = \"blackhole\"\ninputs = [\"in\"]\n";
    let high = format!("shutdown_timeout_secs = 1000000000000\n{source}{sink}");
    let zero = format!("{source}remove_after_secs = 0\n{sink}");
    for (config, words) in [
        (high, "a whole number from 1 to 4294967295, found 1000000000000"),
        (zero, "a whole number, 1 or more, found 0"),
    ] {
        let outcome = Run::new(&["validate"]).config(&config).run().exits(2);
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    }
}
