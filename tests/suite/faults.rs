//! One bad record never costs its neighbours, and never goes unseen.

use crate::harness::{Outcome, Run, chain};
use crate::logs::*;
use serde_json::{Value, json};

/// Runs `bad` between two good records.
fn between(args: &[&str], bad: &[u8]) -> Outcome {
    let log = [twins_json(1, "before").as_bytes(), bad, b"\n", twins_json(2, "after").as_bytes()].concat();
    Run::new(args).stdin(log).run()
}

#[track_caller]
fn one_fault(bad: &[u8], reason: &str) {
    let outcome = between(&[], bad).exits(0);
    assert_eq!(codes(&outcome.events()), ["before", "after"], "{reason}");
    let told = outcome.summary().contains(&format!("faults=\"1 ({reason} 1)\""));
    assert!(told, "{reason}: {}", outcome.stderr);
    let offset = twins_json(1, "before").len();
    assert!(outcome.stderr.contains(&offset.to_string()), "{reason} at {offset}: {}", outcome.stderr);
    let denied = between(&["--deny-faults"], bad).exits(1);
    assert_eq!(codes(&denied.events()), ["before", "after"], "{reason}");
}

#[test]
fn broken_json_is_a_fault() {
    let structured = structured_json(3, "x");
    let torn = &structured.trim_end()[..structured.len() - 20];
    one_fault(torn.as_bytes(), "broken_json");
    let unescaped = structured.trim_end().replace("\"x\"", "\"x\u{1}\"");
    one_fault(unescaped.as_bytes(), "broken_json");
    let surplus = format!("{}}}", structured.trim_end());
    one_fault(surplus.as_bytes(), "broken_json");
    let mangled = structured.trim_end().replace("\"x\"", r#""\x{1F389}""#);
    one_fault(mangled.as_bytes(), "broken_json");
}

#[test]
fn bytes_that_are_no_text_are_a_fault() {
    let mut latin1 = structured_json(3, "x").trim_end().as_bytes().to_vec();
    let at = latin1.windows(3).position(|three| three == b"\"x\"").unwrap() + 1;
    latin1[at] = 0xe9;
    one_fault(&latin1, "invalid_utf8");
    // A code unit of UTF-16 on its own, an overlong form, and a byte too few.
    for bytes in [&b"\xed\xa0\x80"[..], b"\xc0\xaf", b"\xf0\x9f\x8e"] {
        latin1.splice(at..at + 1, bytes.iter().copied());
        one_fault(&latin1, "invalid_utf8");
        latin1.splice(at..at + bytes.len(), [b'x']);
    }
}

#[test]
fn a_mangled_twin_is_a_fault_though_the_other_is_clean() {
    let mut mangled = legacy_json(3, "\"caf~\"").into_bytes();
    let at = mangled.iter().position(|&byte| byte == b'~').unwrap();
    mangled[at] = 0xe9;
    let log = [mangled, structured_json(3, "café").into_bytes()].concat();
    let outcome = Run::new(&[]).stdin(log).run().exits(0);
    assert_eq!(codes(&outcome.events()), ["café"]);
    assert!(outcome.summary().contains("invalid_utf8 1"), "{}", outcome.stderr);
}

#[test]
fn a_torn_last_line_is_a_fault() {
    let torn = structured_json(3, "torn");
    let log = twins_json(1, "whole") + &torn[..torn.len() / 2];
    let outcome = Run::new(&[]).stdin(log.clone()).run().exits(0);
    assert_eq!(codes(&outcome.events()), ["whole"]);
    assert!(outcome.summary().contains("broken_json 1"), "{}", outcome.stderr);
    Run::new(&["--deny-faults"]).stdin(log).run().exits(1);
}

#[test]
fn a_record_over_the_limit_is_a_fault() {
    let config = chain("", "", "").replacen("\"stdin\"", "\"stdin\"\nmax_record_bytes = 2048", 1);
    let long = structured_json(3, &"x".repeat(2048));
    let log = twins_json(1, "before") + &long + &twins_json(2, "after");
    for args in [&[][..], &["--deny-faults"]] {
        let outcome = Run::new(args).config(&config).stdin(log.clone()).run().exits(args.len() as i32);
        assert_eq!(codes(&outcome.events()), ["before", "after"]);
        assert!(outcome.summary().contains("record_too_long 1"), "{}", outcome.stderr);
    }
    // The limit is that of the whole record, with its newline.
    let fits = "x".repeat(2048 - structured_json(3, "").len());
    let outcome = Run::new(&[]).config(&config).stdin(structured_json(3, &fits)).run().exits(0);
    assert_eq!(codes(&outcome.events()), [fits.as_str()]);
}

#[test]
fn deep_nesting_harms_nobody() {
    let depth = 100_000;
    let arrays = format!(
        r#"{{"message":"Evaluating code","metadata":{{"code":"deep","event":"code.evaluate","deep":{}{}}}}}"#,
        "[".repeat(depth),
        "]".repeat(depth)
    );
    let objects = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    let open = "[".repeat(depth);
    let torn = "{\"metadata\":".repeat(depth);
    for nested in [arrays, objects, open, torn] {
        let outcome = between(&[], nested.as_bytes()).exits(0);
        let mut events = outcome.events();
        events.retain(|event| event["metadata"]["code"] != "deep");
        assert_eq!(codes(&events), ["before", "after"], "{}", &nested[..80]);
    }
}

#[test]
fn nul_bytes_and_other_rubbish_harm_nobody() {
    for rubbish in
        [&b"\0\0\0\0"[..], b"\0{\"message\":1}", b"{\0}", b"\xff\xfe\0\0", b"\r", b"\x1b[22m", b"}", b"{\r"]
    {
        for args in [&[][..], &["--deny-faults"]] {
            let outcome = between(args, rubbish);
            assert!(matches!(outcome.code, Some(0 | 1)), "{rubbish:?}: {}", outcome.stderr);
            assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
            assert_eq!(codes(&outcome.events()), ["before", "after"], "{rubbish:?}");
        }
    }
    let zeros = vec![0; 300_000];
    assert_eq!(codes(&between(&[], &zeros).events()), ["before", "after"]);
}

#[test]
fn what_is_no_record_is_no_fault() {
    for line in
        ["", "[Livebook] Application running", "{:ok, 1}", "{1, 2}", "[1, 2", "    at foo.ex:12", "null"]
    {
        let outcome = between(&["--deny-faults"], line.as_bytes()).exits(0);
        assert_eq!(codes(&outcome.events()), ["before", "after"], "{line}");
    }
}

const FAULTS: &str =
    "\n[sinks.faults]\ntype = \"console\"\ninputs = [\"livebook.faults\"]\ntarget = \"stderr\"\n";

/// The events of a port that is wired to standard error.
fn faults(config: &str, log: &[u8]) -> (Outcome, Vec<Value>) {
    let outcome = Run::new(&["-q"]).config(config).stdin(log).run().exits(0);
    let events = outcome.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (outcome, events)
}

#[test]
fn faults_leave_by_their_port() {
    let config = chain("", "", "") + FAULTS;
    let log = [b"{\"torn\":\n{\"a\":\"\xe9\"}\n", twins_json(1, "good").as_bytes()].concat();
    let (outcome, faults) = faults(&config, &log);
    assert_eq!(codes(&outcome.events()), ["good"]);
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert_eq!(
        (&faults[0]["reason"], &faults[0]["raw"], &faults[0]["truncated"]),
        (&json!("broken_json"), &json!("{\"torn\":"), &json!(false))
    );
    assert_eq!(faults[0].get("raw_base64"), None);
    // printf '{"a":"\xe9"}' | base64
    assert_eq!(
        (&faults[1]["reason"], &faults[1]["raw_base64"], &faults[1]["truncated"]),
        (&json!("invalid_utf8"), &json!("eyJhIjoi6SJ9"), &json!(false))
    );
    assert_eq!(faults[1].get("raw"), None);
}

#[test]
fn a_fault_keeps_the_beginning_of_what_was_too_long() {
    let config = chain("", "", "").replacen("\"stdin\"", "\"stdin\"\nmax_record_bytes = 1024", 1) + FAULTS;
    let long = format!("{{\"message\":\"{}\"}}\n", "é".repeat(50_000));
    let log = twins_json(1, "before") + &long + &twins_json(2, "after");
    let (outcome, faults) = faults(&config, log.as_bytes());
    assert_eq!(codes(&outcome.events()), ["before", "after"]);
    assert_eq!(faults.len(), 1);
    assert_eq!((&faults[0]["reason"], &faults[0]["truncated"]), (&json!("record_too_long"), &json!(true)));
    let raw = faults[0]["raw"].as_str().expect("a cut is made between two characters");
    assert!(raw.len() >= 512 && long.starts_with(raw), "{raw}");
}

#[test]
fn faults_have_a_position() {
    let config = chain("", "", "")
        + "\n[transforms.where]\ntype = \"metadata_projection\"\ninputs = [\"livebook.faults\"]\nkeys = [\"%offset\", \"%source\"]\n"
        + &FAULTS.replace("livebook.faults", "where");
    let before = twins_json(1, "good");
    let (_, faults) = faults(&config, format!("{before}{{\"broken\n{{\"\n").as_bytes());
    assert_eq!(faults[0]["metadata"]["offset"], before.len(), "{faults:?}");
    assert_eq!(faults[0]["metadata"]["source"], "livebook");
}

#[test]
fn many_faults_are_told_of_now_and_then() {
    let log = "{\"broken\n".repeat(5000) + &twins_json(1, "good");
    let outcome = Run::new(&[]).stdin(log).run().exits(0);
    assert!(outcome.summary().contains("broken_json 5000"), "{}", outcome.stderr);
    let lines = outcome.stderr.lines().count();
    assert!(lines <= 60, "at most one a second for a reason, not {lines} lines");
}
