//! `remap` through the whole program: what it changes, what it drops, and that a failure loses nothing.

use crate::harness::{Run, through};
use crate::logs::*;
use serde_json::{Value, json};

/// Standard input, one remap, standard output.
fn remap(options: &str) -> String {
    format!(
        "[sources.in]\ntype = \"stdin\"\ndecoding.codec = \"json\"\n\n\
         [transforms.fix]\ntype = \"remap\"\ninputs = [\"in\"]\n{options}\n\n\
         [sinks.out]\ntype = \"console\"\ninputs = [\"fix\"]\n"
    )
}

fn with_port(options: &str) -> String {
    remap(&format!("{options}\nreroute_dropped = true"))
        + "\n[transforms.why]\ntype = \"remap\"\ninputs = [\"fix.dropped\"]\nsource = '.dropped = %dropped'\n\
           [sinks.bad]\ntype = \"console\"\ntarget = \"stderr\"\ninputs = [\"why\"]\n"
}

#[test]
fn what_a_program_does_not_write_keeps_its_bytes() {
    let line = r#"{"z":1.50,"n":18446744073709551616,"message":"\u00e9","metadata":{"b":{"y":1,"x":2},"a":1e2},"k":1}"#;
    let outcome = through(&remap("source = '''.metadata.new = upcase(string!(.message))\ndel(.k)'''"), line);
    let expected = line.replace("1e2}", "1e2,\"new\":\"É\"}").replace(",\"k\":1", "");
    assert_eq!(outcome.stdout, expected + "\n");
}

#[test]
fn percent_is_where_a_record_was_read_and_what_programs_put_there() {
    let config = "[sources.in]\ntype = \"stdin\"\n\
        [transforms.a]\ntype = \"remap\"\ninputs = [\"in\"]\n\
        source = '''%note.deep = 7\n%source = \"other\"\n.metadata.seen = %source\n.metadata.at = %offset'''\n\
        [transforms.b]\ntype = \"remap\"\ninputs = [\"a\"]\nsource = '''.metadata.note = %note.deep\n.metadata.id = %id'''\n\
        [transforms.project]\ntype = \"metadata_projection\"\ninputs = [\"b\"]\n\
        keys = [\"note\", \"seen\", \"at\", \"id\", \"%source\", \"%received\"]\n\
        [sinks.out]\ntype = \"console\"\ninputs = [\"project\"]\n";
    let outcome = through(config, other_json(1) + &other_json(2));
    let events = outcome.events();
    let metadata = &events[1]["metadata"];
    assert_eq!(metadata["note"], 7);
    assert_eq!((&metadata["seen"], &metadata["source"]), (&json!("other"), &json!("other")));
    assert_eq!(metadata["at"], other_json(1).len());
    assert!(metadata["received"].as_str().unwrap().ends_with('Z'), "{metadata}");
    assert_ne!(metadata["id"], events[0]["metadata"]["id"]);
}

#[test]
fn a_failure_loses_nothing() {
    let program = "source = '''.x = to_int!(.n)\nif .x == 0 { abort \"none\" }\n.y = 1'''";
    let log = "{\"n\":\"1\"}\n{\"n\":\"secret-word\"}\n{\"n\":0}\n";
    let outcome = through(&remap(program), log);
    assert_eq!(outcome.lines(), [r#"{"n":"1","x":1,"y":1}"#, r#"{"n":"secret-word"}"#]);
    assert!(outcome.summary().contains("abort 1"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("the program of fix has failed"), "{}", outcome.stderr);
    // What a program says of an event may quote it.
    assert!(!outcome.stderr.contains("secret-word"), "{}", outcome.stderr);

    let outcome = through(&remap(&format!("{program}\ndrop_on_error = true\ndrop_on_abort = false")), log);
    assert_eq!(outcome.lines(), [r#"{"n":"1","x":1,"y":1}"#, r#"{"n":0}"#]);
    assert!(outcome.summary().contains("error 1"), "{}", outcome.stderr);

    let outcome = through(&with_port(&format!("{program}\ndrop_on_error = true")), log);
    assert_eq!(outcome.lines(), [r#"{"n":"1","x":1,"y":1}"#]);
    let dropped: Vec<Value> =
        outcome.stderr.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert_eq!(dropped.len(), 2, "{}", outcome.stderr);
    assert_eq!(dropped[0]["n"], "secret-word");
    let why = &dropped[0]["dropped"];
    assert_eq!((&why["reason"], &why["component_id"]), (&json!("error"), &json!("fix")));
    assert!(why["message"].as_str().unwrap().contains("to_int"), "{why}");
    assert_eq!(dropped[1]["dropped"]["message"], "none");
    assert!(outcome.summary().contains("dropped=\"0\""), "{}", outcome.stderr);
}

#[test]
fn an_event_that_goes_on_says_why_it_was_not_changed() {
    let config = remap("source = '.x = to_int!(.n)'").replace("inputs = [\"fix\"]", "inputs = [\"why\"]")
        + "[transforms.why]\ntype = \"remap\"\ninputs = [\"fix\"]\nsource = '.why = %error.component_id'\n";
    let outcome = through(&config, "{\"n\":\"z\"}\n{\"n\":\"1\"}\n");
    assert_eq!(outcome.lines(), [r#"{"n":"z","why":"fix"}"#, r#"{"n":"1","x":1,"why":null}"#]);
}

#[test]
fn a_type_that_json_does_not_have_lasts_until_the_end() {
    let config = remap("source = '.t = parse_timestamp!(.t, \"%+\")'")
        .replace("inputs = [\"fix\"]", "inputs = [\"then\"]")
        + "[transforms.then]\ntype = \"remap\"\ninputs = [\"fix\"]\nsource = '.day = format_timestamp!(.t, \"%d\")'\n";
    let outcome = through(&config, "{\"t\":\"2025-10-03T17:48:22.238Z\"}\n");
    assert_eq!(outcome.lines(), [r#"{"t":"2025-10-03T17:48:22.238Z","day":"03"}"#]);
}

#[test]
fn one_event_becomes_several_in_its_place() {
    let config = remap("source = '. = if is_array(.list) { array!(.list) } else { . }'");
    let outcome = through(&config, "{\"a\":1}\n{\"list\":[{\"b\":1},\"text\"]}\n{\"list\":[]}\n{\"c\":1}\n");
    assert_eq!(outcome.lines(), [r#"{"a":1}"#, r#"{"b":1}"#, r#"{"message":"text"}"#, r#"{"c":1}"#]);
    assert!(outcome.summary().contains("empty_array 1"), "{}", outcome.stderr);
}

#[test]
fn a_program_may_stand_in_a_file() {
    let run = |program: &str| {
        Run::new(&[]).file("p.vrl", program).config(&remap("file = \"p.vrl\"")).stdin("{}\n").run()
    };
    assert_eq!(run(".a = 1\n").exits(0).lines(), [r#"{"a":1}"#]);
    let refused = run(".a = 1\n.b = nope(.c)\n").exits(2);
    assert!(refused.stderr.contains("p.vrl:2:6: call to undefined function"), "{}", refused.stderr);
}

#[test]
fn a_warning_is_shown_and_can_be_denied() {
    let config = remap("source = '''\n.a = 1\nupcase(\"a\")\n.b = 2\n'''");
    let warned = Run::new(&["validate"]).config(&config).run().exits(0);
    assert!(warned.stderr.contains("evaltrail.toml:10:1"), "{}", warned.stderr);
    Run::new(&["validate", "--deny-warnings"]).config(&config).run().exits(2);
}

#[test]
fn a_secret_in_a_program_is_not_shown() {
    let config = remap("source = '.a = nope(\"${TOKEN}\")'");
    let refused = Run::new(&["validate"]).env("TOKEN", "hunter2").config(&config).run().exits(2);
    assert!(!refused.stderr.contains("hunter2"), "{}", refused.stderr);
    assert!(refused.stderr.contains("undefined function"), "{}", refused.stderr);
}

#[test]
fn behind_the_transforms_of_the_mission() {
    let config = chain_with_remap();
    let events = through(&config, twins_json(1, "1 + 1") + &twins_json(2, "2")).events();
    assert_eq!(codes(&events), ["1 + 1", "2"]);
    assert_eq!(events[0]["metadata"]["lines"], 1);
    assert_eq!(events[0]["metadata"]["who"], "Ada");
}

fn chain_with_remap() -> String {
    crate::harness::chain("", "", "keys = [\"code\", \"lines\", \"who\"]").replace(
        "type = \"metadata_projection\"\ninputs = [\"policy\"]",
        "type = \"metadata_projection\"\ninputs = [\"count\"]",
    ) + "[transforms.count]\ntype = \"remap\"\ninputs = [\"policy\"]\nsource = '''\n\
         .metadata.lines = length(split(string!(.metadata.code), \"\\n\"))\n\
         .metadata.who = .metadata.users[0].name\n'''\n"
}
