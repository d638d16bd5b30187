//! `filter`, `route`, `dedupe` and `throttle` through the whole program: what passes, and that the rest is counted.

use crate::harness::{Run, TempDir, through};
use serde_json::json;
use std::fmt::Write;

/// Standard input and one transform of this type; `inputs` are those of a console.
fn config(transform: &str, inputs: &str) -> String {
    format!(
        "[sources.in]\ntype = \"stdin\"\ndecoding.codec = \"json\"\n\n\
         [transforms.t]\ninputs = [\"in\"]\n{transform}\n\n\
         [sinks.out]\ntype = \"console\"\ninputs = [{inputs}]\n"
    )
}

const LOG: &str = "{\"a\":1}\n{\"a\":2}\n{\"a\":\"x\"}\n{\"b\":1}\n{\"a\":1}\n";

#[test]
fn filter_passes_what_the_condition_holds_for() {
    for condition in ["'.a == 1'", "{ type = \"vrl\", source = \".a == 1\" }"] {
        let outcome = through(&config(&format!("type = \"filter\"\ncondition = {condition}"), "\"t\""), LOG);
        assert_eq!(outcome.lines(), [r#"{"a":1}"#, r#"{"a":1}"#]);
        assert!(outcome.summary().contains("filtered 3"), "{}", outcome.stderr);
    }
}

#[test]
fn a_condition_that_fails_does_not_hold() {
    let outcome = through(&config("type = \"filter\"\ncondition = 'to_int!(.a) > 0'", "\"t\""), LOG);
    assert_eq!(outcome.lines(), [r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":1}"#]);
    assert!(outcome.stderr.contains("the program of t has failed"), "{}", outcome.stderr);
}

#[test]
fn route_sends_each_event_to_all_ports_that_want_it() {
    let routes = "type = \"route\"\nroute.one = '.a == 1'\nroute.any = 'exists(.a)'";
    let lines = |inputs: &str| {
        let outcome = through(&config(routes, inputs), LOG);
        (outcome.lines().len(), outcome.summary().to_owned())
    };
    let (count, summary) = lines("\"t.one\"");
    assert_eq!(count, 2);
    assert!(summary.contains("port_unwired 5"), "{summary}");
    assert_eq!(lines("\"t.any\"").0, 4);
    assert_eq!(lines("\"t._unmatched\"").0, 1);
    let (count, summary) = lines("\"t.*\"");
    assert_eq!(count, 7);
    assert!(summary.contains("dropped=\"0\""), "{summary}");
    let outcome = through(&config(&format!("{routes}\nreroute_unmatched = false"), "\"t.*\""), LOG);
    assert!(outcome.summary().contains("unmatched 1"), "{}", outcome.stderr);
}

#[test]
fn route_has_no_output_but_its_ports() {
    let config = config("type = \"route\"\nroute.one = '.a == 1'", "\"t\"");
    let refused = Run::new(&["validate"]).config(&config).run().exits(2);
    assert!(refused.stderr.contains("`t.one`, `t._unmatched`"), "{}", refused.stderr);
}

#[test]
fn dedupe_drops_what_was_there_before() {
    let outcome = through(&config("type = \"dedupe\"\nfields.match = [\"a\"]", "\"t\""), LOG);
    assert_eq!(outcome.lines(), [r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":"x"}"#, r#"{"b":1}"#]);
    assert!(outcome.summary().contains("duplicate 1"), "{}", outcome.stderr);
    let options = "type = \"dedupe\"\nfields.ignore = [\"a\"]\ncache.num_events = 1";
    assert_eq!(through(&config(options, "\"t\""), LOG).lines().len(), 3);
}

#[test]
fn dedupe_remembers_over_a_restart_what_was_read_from_a_file() {
    let dir = TempDir::new();
    let config = "data_dir = \"data\"\n[sources.in]\ntype = \"file\"\ninclude = [\"a.log\"]\ndecoding.codec = \"json\"\n\
        [transforms.t]\ntype = \"dedupe\"\ninputs = [\"in\"]\nfields.match = [\"a\"]\n\
        [sinks.out]\ntype = \"console\"\ninputs = [\"t\"]\n";
    dir.write("c.toml", config);
    let mut log = String::new();
    for (new, expected) in [("1", vec![r#"{"a":1}"#]), ("1", vec![]), ("2", vec![r#"{"a":2}"#])] {
        writeln!(log, "{{\"a\":{new}}}").unwrap();
        dir.write("a.log", &log);
        let run = Run::new(&["--once", "-c", "c.toml"]).current_dir(dir.path()).run().exits(0);
        assert_eq!(run.lines(), expected, "{}", run.stderr);
    }
}

#[test]
fn a_key_without_a_field_is_warned_of_and_shown() {
    let config = |key: &str| {
        format!(
            "[sources.in]\ntype = \"stdin\"\n\n[transforms.slow]\ntype = \"throttle\"\ninputs = [\"in\"]\nthreshold = 2\n\
             window_secs = 1\nkey_field = \"{key}\"\n\n[sinks.out]\ntype = \"console\"\ninputs = [\"slow\"]\n"
        )
    };
    let validated = |key: &str| Run::new(&["validate"]).config(&config(key)).run();
    let warned = validated("metadata.users[0].id").exits(0).stderr;
    for words in ["warning: ", "key_field = \"metadata.users[0].id\"", "`{{ metadata.users[0].id }}`"] {
        assert!(warned.contains(words), "{words}: {warned}");
    }
    assert_eq!(validated("per {{ metadata.users[0].id }}").exits(0).stderr, "");
    let refused = validated("{{ a b }}").exits(2).stderr;
    assert!(
        refused.contains("key_field = \"{{ a b }}\"") && refused.contains("` a b ` is no path"),
        "{refused}"
    );
}

#[test]
fn throttle_passes_so_many_in_a_window() {
    let options = "type = \"throttle\"\nthreshold = 2\nwindow_secs = 3600";
    let outcome = through(&config(options, "\"t\""), LOG);
    assert_eq!(outcome.lines(), [r#"{"a":1}"#, r#"{"a":2}"#]);
    assert!(outcome.summary().contains("throttled 3"), "{}", outcome.stderr);
    let options = "type = \"throttle\"\nthreshold = 1\nwindow_secs = 3600\nkey_field = \"{{ a }}\"\nexclude = 'exists(.b)'";
    let outcome = through(&config(options, "\"t\""), LOG);
    assert_eq!(outcome.lines(), [r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":"x"}"#, r#"{"b":1}"#]);
}

#[test]
fn a_value_that_is_too_deep_is_a_failure_of_its_event_alone() {
    let deep = format!("{}1{}", "<a>".repeat(8_000), "</a>".repeat(8_000));
    let log = [json!({"n": 1}), json!({"n": 2, "s": deep, "o": {"a.".repeat(8_000): 1}}), json!({"n": 3})];
    let log: String = log.iter().map(|record| format!("{record}\n")).collect();
    for (program, failed) in [
        (".x = parse_xml!(string(.s) ?? \"<a>1</a>\")", 1),
        ("x, err = parse_xml(.s)\n.ok = err == null", 0),
        (".x = unflatten(object(.o) ?? {})", 1),
    ] {
        let config = format!(
            "[sources.in]\ntype = \"stdin\"\ndecoding.codec = \"json\"\n\
             [transforms.deep]\ntype = \"remap\"\ninputs = [\"in\"]\nsource = '''\n{program}\n'''\n\
             [sinks.out]\ntype = \"console\"\ninputs = [\"deep\"]\nencoding.only_fields = [\"n\"]\n"
        );
        let outcome = Run::new(&[]).config(&config).stdin(log.clone()).run().exits(0);
        let numbers: Vec<u64> = outcome.events().iter().map(|event| event["n"].as_u64().unwrap()).collect();
        assert_eq!(numbers, [1, 2, 3], "{program}: {}", outcome.stderr);
        assert_eq!(
            outcome.stderr.contains("the program of deep has failed"),
            failed > 0,
            "{program}: {}",
            outcome.stderr
        );
    }
}

#[test]
fn a_long_program_is_compiled() {
    let chain: String = (0..500).map(|at| format!("else if .n == {at} {{ .found = {at} }}\n")).collect();
    let program = format!("if .n == -1 {{ .found = -1 }}\n{chain}");
    let run = Run::new(&["vrl", "-f", "long.vrl"]).file("long.vrl", &program).stdin("{\"n\":499}\n");
    assert_eq!(run.run().exits(0).events()[0]["found"], 499);
}
