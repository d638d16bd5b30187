//! The rules of `audit_policy`, through the program: what is kept, what the last line says, what is never shown.

use crate::harness::{Run, chain, through};
use crate::logs::*;
use serde_json::json;

/// An evaluation by users in a mode, as Livebook writes it.
fn by(at: u32, mode: &str, names: &[&str], code: &str) -> String {
    let users: Vec<_> = names
        .iter()
        .map(|name| json!({"id": *name, "name": name, "email": format!("{name}@x.example")}))
        .collect();
    let metadata = json!({"users": users, "session_mode": mode, "code": code, "event": "code.evaluate"});
    let record =
        json!({"message": "Evaluating code", "time": time(at), "metadata": metadata, "severity": "info"});
    format!("{record}\n")
}

const RULES: &str = "digest_key = \"${KEY}\"\n\
    [[transforms.policy.rules]]\nname = \"robots\"\nusers = [\"robot-*\"]\nlevel = \"none\"\n\
    [[transforms.policy.rules]]\nname = \"previews\"\nsession_modes = [\"app\"]\nlevel = \"metadata\"\n\
    [[transforms.policy.rules]]\nname = \"the rest\"\nlevel = \"code\"\n";

#[test]
fn rules_decide_and_their_hits_are_told() {
    let log = [
        by(1, "default", &["ann"], "1 + 1"),
        by(2, "default", &["robot-1"], "2 + 2"),
        by(3, "default", &["robot-1", "ann"], "3 + 3"),
        by(4, "app", &["bob"], "secret_code()"),
    ];
    let config = chain("", RULES, "keys = [\"code\"]");
    let run = Run::new(&[]).config(&config).env("KEY", "not-to-be-seen-ever").stdin(log.concat());
    let outcome = run.run().exits(0);
    let events = outcome.events();
    let codes: Vec<_> = events.iter().map(|event| event["metadata"]["code"].as_str()).collect();
    assert_eq!(codes, [Some("1 + 1"), Some("3 + 3"), None], "a robot is not alone in the second one");
    assert_eq!(events[2]["metadata"]["code_bytes"], 13);
    assert_eq!(events[2]["metadata"]["code_sha256"].as_str().unwrap().len(), 64);
    assert!(!outcome.stdout.contains("secret_code"), "{}", outcome.stdout);
    let summary = outcome.summary();
    let hits = "hits=\"4 (previews 1, robots 1, the rest 2)\"";
    assert!(outcome.stderr.contains(hits), "{}", outcome.stderr);
    assert!(summary.contains("dropped=\"1 (policy 1)\""), "{summary}");
    assert!(!outcome.stderr.contains("not-to-be-seen-ever"), "{}", outcome.stderr);
}

#[test]
fn nobody_is_recorded_less_for_the_name_that_they_chose() {
    let log = [
        by(1, "default", &["robot-1"], "1 + 1"),
        by(2, "default", &["robot-1"], "2 + 2").replace("robot-1@x.example", "eve@x.example"),
        by(3, "default", &["eve"], "3 + 3").replace("\"name\":\"eve\"", "\"name\":\"robot-1@x.example\""),
    ];
    let rules = "[[transforms.policy.rules]]\nname = \"robots\"\nuser_emails = [\"robot-*@x.example\"]\nlevel = \"none\"\n";
    let outcome = through(&chain("", rules, "keys = [\"code\"]"), log.concat());
    let events = outcome.events();
    let codes: Vec<_> = events.iter().map(|event| event["metadata"]["code"].as_str()).collect();
    assert_eq!(codes, [Some("2 + 2"), Some("3 + 3")]);
    let explained =
        Run::new(&["explain"]).config(&chain("", rules, "")).stdin(log.concat()).run().exits(0).stdout;
    assert!(explained.contains("not by `robots` (user_emails)"), "{explained}");
}

#[test]
fn the_key_of_digests_may_stand_in_a_file() {
    let config = |key: &str| chain("", &format!("default_level = \"metadata\"\n{key}"), "keys = [\"code\"]");
    let log = by(1, "default", &["ann"], "1 + 1");
    let run = |key: &str| Run::new(&[]).config(&config(key)).file("key", "0123456789abcdef0123\n");
    let from_file = run("digest_key_file = \"key\"").stdin(log.clone()).run().exits(0).events();
    let written = run("digest_key = \"0123456789abcdef0123\"").stdin(log.clone()).run().exits(0).events();
    assert_eq!(from_file[0]["metadata"]["code_sha256"], written[0]["metadata"]["code_sha256"]);
    let refused = run("digest_key_file = \"none\"").stdin(log).run().exits(2);
    assert!(refused.stderr.contains("`none` can't be read"), "{}", refused.stderr);
}

#[test]
fn a_rule_asks_in_vrl() {
    let rules = "other_events = \"drop\"\n\
        [[transforms.policy.rules]]\nname = \"deletions\"\nlevel = \"code\"\n\
        when = 'contains(string!(.metadata.code), \"delete\")'\n\
        [[transforms.policy.rules]]\nname = \"the rest\"\nlevel = \"metadata\"\n";
    let without_code = by(3, "default", &["ann"], "x").replace("\"code\":\"x\",", "");
    let log = [by(1, "default", &["ann"], "Repo.delete(u)"), by(2, "default", &["ann"], "1"), without_code];
    let config = chain("", rules, "keys = [\"code\"]");
    let outcome = through(&config, log.concat());
    let events = outcome.events();
    assert_eq!(events[0]["metadata"]["code"], "Repo.delete(u)");
    assert_eq!(events[1]["metadata"]["code_bytes"], 1);
    assert_eq!(events.len(), 3, "where a rule can't say, the event is kept");
    assert!(outcome.stderr.contains("hits=\"3 (deletions 2, the rest 1)\""), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("the program of policy has failed"), "{}", outcome.stderr);
}

#[test]
fn a_digest_without_a_key_can_be_checked_by_anybody() {
    let config = chain(
        "",
        "default_level = \"metadata\"\n[[transforms.policy.rules]]\nname = \"x\"\nusers = [\"nobody\"]\nlevel = \"code\"\n",
        "keys = [\"code\"]",
    );
    let events = through(&config, by(1, "default", &["ann"], "1 + 1")).events();
    // printf '1 + 1' | sha256sum
    let digest = "72fce59447a01f488b1169d2d742679cfe306a89772d67fef018bcfe95431f68";
    assert_eq!(events[0]["metadata"]["code_sha256"], digest);
}
