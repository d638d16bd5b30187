//! `evaltrail explain`: which rule has decided about an evaluation, and why.

use crate::harness::{Run, chain};
use crate::logs::*;
use serde_json::json;

/// Both records of an evaluation, as Livebook writes them.
fn both(at: u32, mode: &str, names: &[&str], code: &str) -> String {
    let users: Vec<_> = names.iter().map(|name| json!({"id": name, "name": name})).collect();
    let metadata = json!({"users": users, "session_mode": mode, "code": code, "event": "code.evaluate"});
    let time = time(at);
    let record =
        json!({"message": "Evaluating code", "time": time, "metadata": metadata, "severity": "info"});
    let legacy = json!({
        "message": legacy_text(mode, &inspect(code)),
        "time": time,
        "metadata": {"users": users},
        "severity": "info",
    });
    format!("{legacy}\n{record}\n")
}

/// The structured one alone.
fn structured(at: u32, mode: &str, names: &[&str], code: &str) -> String {
    both(at, mode, names, code).lines().nth(1).unwrap().to_owned() + "\n"
}

const RULES: &str = r#"
[[transforms.policy.rules]]
name = "robots"
users = ["robot-*"]
level = "none"

[[transforms.policy.rules]]
name = "deletions"
when = 'contains(string!(.metadata.note), "x")'
level = "code"

[[transforms.policy.rules]]
name = "previews"
session_modes = ["app"]
level = "metadata"

[[transforms.policy.rules]]
name = "the rest"
when = '.metadata.session_mode == "default"'
level = "metadata"
"#;

fn explain(config: &str, log: String) -> (String, String) {
    // What the sinks and sources of the config are does not count.
    let outcome = Run::new(&["explain"]).config(config).stdin(log).run().exits(0);
    (outcome.stdout, outcome.stderr)
}

#[test]
fn each_evaluation_has_a_line_that_says_which_rule_decided_and_why() {
    let with_note = structured(3, "app", &["ann"], "z").replace("\"event\":", "\"note\":\"y\",\"event\":");
    let log = [
        both(1, "default", &["robot-7"], "secret()"),
        both(2, "app", &["ann", "b\u{1b}[31mob"], "x"),
        with_note,
        "[Livebook] Application running at http://localhost:8080/?token=abc\n".to_owned(),
    ];
    let config = chain("", RULES, "keys = [\"code\"]")
        .replace("\"console\"", "\"http\"\nuri = \"https://siem.example.com/\"\nauth = { strategy = \"bearer\", token = \"${NOT_SET}\" }");
    let (stdout, stderr) = explain(&config, log.concat());
    let expected = "\
        2025-10-03T17:48:00.001Z default robot-7: none, by `robots` (users)\n\
        2025-10-03T17:48:00.002Z app ann, b\\u{1b}[31mob: code, since `deletions` can't say: its `when` fails, and it keeps more; not by `robots` (users)\n\
        2025-10-03T17:48:00.003Z app ann: metadata, by `previews` (session_modes); not by `robots` (users), `deletions` (when)\n";
    assert_eq!(stdout, expected);
    assert_eq!(stderr, "policy: code 1, metadata 1, none 1\n");
}

#[test]
fn the_built_in_policy_and_the_default_level_are_told_too() {
    let deployed = structured(2, "app", &[], "x").replace("\"event\":", "\"app_permanent\":true,\"event\":");
    let log = both(1, "default", &["a", "b", "c", "d", "e", "f", "g"], "x") + &deployed;
    let outcome = Run::new(&["explain"]).stdin(log.clone()).run().exits(0);
    let expected = "\
        2025-10-03T17:48:00.001Z default a, b, c, d, e, 2 more: code, by Livebook's policy\n\
        2025-10-03T17:48:00.002Z app (permanent) (no users): none, by Livebook's policy (a deployed app)\n";
    assert_eq!(outcome.stdout, expected);
    let rules = "default_level = \"metadata\"\nrules = [{ level = \"code\", session_modes = [\"app\"], events = [\"x\"] }]\n";
    let (stdout, _) = explain(&chain("", rules, "keys = [\"code\"]"), log);
    let lines: Vec<&str> = stdout.lines().collect();
    assert!(
        lines[0]
            .ends_with(": metadata, by `default_level`, as no rule fits; not by `rule 1` (session_modes)")
    );
    assert!(lines[1].ends_with(": metadata, by `default_level`, as no rule fits; not by `rule 1` (events)"));
}

#[test]
fn of_two_policies_each_tells_what_it_sees() {
    let policies = "[sources.in]\ntype = \"file\"\ninclude = [\"/nowhere/*.log\"]\n\
        [transforms.first]\ntype = \"audit_policy\"\ninputs = [\"in\"]\n\
        rules = [{ name = \"apps\", level = \"none\", session_modes = [\"app\"] }]\n\
        [transforms.second]\ntype = \"audit_policy\"\ninputs = [\"first\", \"in.faults\"]\n\
        rules = [{ name = \"all\", level = \"metadata\" }]\n\
        [sinks.out]\ntype = \"blackhole\"\ninputs = [\"second\"]\n";
    let record = |at, mode| structured(at, mode, &["ann"], "x");
    let (stdout, stderr) = explain(policies, record(1, "app") + &record(2, "default"));
    let mut lines: Vec<&str> = stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "first: 2025-10-03T17:48:00.001Z app ann: none, by `apps` (session_modes)",
            "first: 2025-10-03T17:48:00.002Z default ann: code, by `default_level`, as no rule fits; not by `apps` (session_modes)",
            "second: 2025-10-03T17:48:00.002Z default ann: metadata, by `all` (no conditions)",
        ]
    );
    assert_eq!(stderr, "first: code 1, none 1\nsecond: metadata 1\n");
}

#[test]
fn without_a_policy_there_is_nothing_to_explain() {
    let config = "[sources.in]\ntype = \"stdin\"\n[sinks.out]\ntype = \"console\"\ninputs = [\"in\"]\n";
    let outcome = Run::new(&["explain"]).config(config).stdin("").run().exits(2);
    assert!(outcome.stderr.contains("no `audit_policy`"), "{}", outcome.stderr);
}
