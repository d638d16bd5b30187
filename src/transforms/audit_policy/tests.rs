//! Policies as tables: rules, event, decision.

use super::*;
use crate::event::{Acks, Origin};
use bytes::Bytes;

/// What is kept, what is dropped by reason, and the hits of rules.
type Applied = (Vec<String>, Vec<(&'static str, u64)>, Vec<(String, u64)>);

fn apply(options: &str, records: &[&str]) -> Applied {
    let options: AuditPolicy = toml::from_str(options).unwrap();
    let mut policy = options.build().unwrap();
    let event = |text: &&str| Event::from_json(Bytes::copy_from_slice(text.as_bytes()), Origin::nowhere());
    let events = records.iter().map(|text| event(text).unwrap()).collect();
    let mut batch = Batch::new(events, 0, Acks::default());
    policy.apply(&mut batch, &mut Ports::default());
    let json = |event: &Event| {
        let mut out = Vec::new();
        event.write_json(&mut out);
        String::from_utf8(out).unwrap()
    };
    let hits = batch.take_hits().into_iter().map(|(name, hits)| (name.to_string(), hits)).collect();
    (batch.events.iter().map(json).collect(), batch.take_drops().into_iter().collect(), hits)
}

const DEFAULT: &str = r#"{"metadata":{"event":"code.evaluate","session_mode":"default","code":"1"}}"#;
const PREVIEW: &str = r#"{"metadata":{"event":"code.evaluate","session_mode":"app"}}"#;
const DEPLOYED: &str = r#"{"metadata":{"event":"code.evaluate","session_mode":"app","app_permanent":true}}"#;
const UNKNOWN: &str = r#"{"message":"Evaluating code\n  x","metadata":{"event":"code.evaluate","code":"é"}}"#;
const OTHER: &str = r#"{"message":"GET /"}"#;

#[test]
fn the_built_in_policy_is_livebooks_own() {
    let (kept, drops, hits) = apply("", &[DEFAULT, PREVIEW, DEPLOYED, UNKNOWN, OTHER]);
    assert_eq!(kept, [DEFAULT, PREVIEW, UNKNOWN]);
    assert_eq!(drops, [("other_event", 1), ("policy", 1)]);
    assert_eq!(hits, []);
}

#[test]
fn what_no_rule_decides_is_as_the_default_level_says() {
    let options = "default_level = \"none\"\nother_events = \"pass\"";
    assert_eq!(apply(options, &[UNKNOWN, OTHER]).0, [OTHER]);
    let digest = "4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c";
    let expected = format!(
        r#"{{"message":"Evaluating code","metadata":{{"event":"code.evaluate","code_sha256":"{digest}","code_bytes":2}}}}"#
    );
    assert_eq!(apply("default_level = \"metadata\"", &[UNKNOWN]).0, [expected]);
}

/// An evaluation in a mode by these users.
fn evaluation(mode: &str, users: &str, more: &str) -> String {
    format!(
        r#"{{"metadata":{{"event":"code.evaluate","session_mode":"{mode}","users":[{users}],"code":"1"{more}}}}}"#
    )
}

const ANN: &str = r#"{"id":"1","name":"Ann","email":"ann@ops.example.com"}"#;
const BOB: &str = r#"{"id":"2","name":"Bob"}"#;
const ROBOT: &str = r#"{"id":"robot-7"}"#;

/// What a policy of one rule, behind which everything else is kept whole, makes of an evaluation.
fn decided(rule: &str, event: &str) -> &'static str {
    let options = format!("[[rules]]\nname = \"r\"\n{rule}");
    let (kept, _, hits) = apply(&options, &[event]);
    match kept.as_slice() {
        [] => "dropped",
        _ if hits.is_empty() => "no rule",
        [kept] if kept.contains("code_sha256") => "digest",
        _ => "kept",
    }
}

#[test]
fn a_rule_decides_where_all_its_conditions_hold() {
    let both = format!("{ANN},{BOB}");
    let none = "level = \"none\"\n";
    for (conditions, mode, users, more, decision) in [
        ("", "default", "", "", "dropped"),
        ("session_modes = [\"app\"]", "app", "", "", "dropped"),
        ("session_modes = [\"app\"]", "default", "", "", "no rule"),
        ("session_modes = [\"app\", \"default\"]", "default", "", "", "dropped"),
        ("app_permanent = true", "app", "", ",\"app_permanent\":true", "dropped"),
        ("app_permanent = true", "app", "", ",\"app_permanent\":false", "no rule"),
        ("app_permanent = true", "app", "", "", "no rule"),
        ("app_permanent = false", "app", "", "", "dropped"),
        ("app_permanent = false", "app", "", ",\"app_permanent\":true", "no rule"),
        ("events = [\"code.*\"]", "app", "", "", "dropped"),
        ("events = [\"session.*\"]", "app", "", "", "no rule"),
        ("users = [\"1\"]", "default", ANN, "", "dropped"),
        ("users = [\"ann\"]", "default", ANN, "", "dropped"),
        ("users = [\"*@OPS.example.com\"]", "default", ANN, "", "dropped"),
        ("users = [\"*@example.com\"]", "default", ANN, "", "no rule"),
        ("users = [\"robot-[0-9]\"]", "default", ROBOT, "", "dropped"),
        ("users = [\"*\"]", "default", "", "", "no rule"),
        ("users = [\"ann\"]", "default", both.as_str(), "", "no rule"),
        ("users = [\"ann\", \"b?b\"]", "default", both.as_str(), "", "dropped"),
        ("users = [\"ann\"]", "default", ANN, ",\"users_incomplete\":true", "no rule"),
        ("users = [\"ann\"]\nsession_modes = [\"app\"]", "default", ANN, "", "no rule"),
        ("users = [\"ann\"]\nsession_modes = [\"app\"]", "app", ANN, "", "dropped"),
        ("user_ids = [\"robot-*\"]", "default", ROBOT, "", "dropped"),
        ("user_ids = [\"robot-*\"]", "default", "[\"robot-7\"]", "", "no rule"),
        ("user_ids = [\"ann\"]", "default", ANN, "", "no rule"),
        ("user_emails = [\"*@ops.example.com\"]", "default", ANN, "", "dropped"),
        ("user_emails = [\"ann\"]", "default", ANN, "", "no rule"),
        ("user_emails = [\"*\"]", "default", both.as_str(), "", "no rule"),
        ("user_emails = [\"*\"]\nuser_ids = [\"1\"]\nusers = [\"ann\"]", "default", ANN, "", "dropped"),
        ("user_emails = [\"*\"]\nuser_ids = [\"2\"]", "default", ANN, "", "no rule"),
        ("when = '.metadata.code == \"1\"'", "app", ANN, "", "dropped"),
        ("when = '.metadata.code == \"2\"'", "app", ANN, "", "no rule"),
        ("when = { type = \"vrl\", source = 'exists(.metadata.users)' }", "app", ANN, "", "dropped"),
        ("when = 'true'\nsession_modes = [\"app\"]", "default", ANN, "", "no rule"),
    ] {
        let event = evaluation(mode, users, more);
        assert_eq!(decided(&format!("{none}{conditions}"), &event), decision, "{conditions}: {event}");
    }
}

#[test]
fn a_condition_that_fails_never_keeps_less() {
    let fails = "when = 'int!(.metadata.code) == 1'\n";
    let rule = |level: &str, more: &str| format!("[[rules]]\nlevel = \"{level}\"\n{more}");
    let event = evaluation("default", ANN, "");
    for (first, second, decision) in [
        ("none", "none", "dropped"),
        ("none", "metadata", "digest"),
        ("none", "code", "kept"),
        ("metadata", "none", "digest"),
        ("metadata", "code", "kept"),
        ("code", "none", "kept"),
        ("code", "metadata", "kept"),
    ] {
        let options = rule(first, fails) + &rule(second, "");
        let (kept, ..) = apply(&options, &[&event]);
        let decided = match kept.as_slice() {
            [] => "dropped",
            [kept] if kept.contains("code_sha256") => "digest",
            _ => "kept",
        };
        assert_eq!(decided, decision, "{first}, then {second}");
    }
    let (kept, _, hits) = apply(&rule("code", fails), &[&event]);
    assert_eq!((kept.len(), hits), (1, vec![]), "the default keeps as much without it");
}

#[test]
fn one_user_who_fits_is_enough_to_keep_all_and_never_to_keep_less() {
    let event = evaluation("default", &format!("{ROBOT},{BOB}"), "");
    for (level, decision) in [("code", "kept"), ("metadata", "no rule"), ("none", "no rule")] {
        assert_eq!(decided(&format!("level = \"{level}\"\nusers = [\"robot-*\"]"), &event), decision);
    }
    // It has to be the same one.
    let both = evaluation("default", &format!("{ANN},{BOB}"), "");
    assert_eq!(decided("level = \"code\"\nuser_ids = [\"2\"]\nuser_emails = [\"ann@*\"]", &both), "no rule");
    assert_eq!(decided("level = \"code\"\nuser_ids = [\"1\"]\nuser_emails = [\"ann@*\"]", &both), "kept");
    let alone = evaluation("default", ROBOT, "");
    for (level, decision) in [("code", "kept"), ("metadata", "digest"), ("none", "dropped")] {
        assert_eq!(decided(&format!("level = \"{level}\"\nusers = [\"robot-*\"]"), &alone), decision);
    }
}

#[test]
fn the_first_rule_that_fits_decides_and_is_counted() {
    let options = "default_level = \"none\"\n\
        [[rules]]\nname = \"admins\"\nusers = [\"*@ops.example.com\"]\nlevel = \"code\"\n\
        [[rules]]\nsession_modes = [\"app\"]\nlevel = \"metadata\"\n";
    let records = [
        evaluation("app", ANN, ""),
        evaluation("app", BOB, ""),
        evaluation("default", BOB, ""),
        evaluation("default", ANN, ""),
    ];
    let records: Vec<&str> = records.iter().map(String::as_str).chain([OTHER]).collect();
    let (kept, drops, hits) = apply(options, &records);
    assert_eq!((&*kept[0], &*kept[2], kept.len()), (records[0], records[3], 3));
    assert!(kept[1].contains("code_sha256"));
    assert_eq!(drops, [("other_event", 1), ("policy", 1)]);
    assert_eq!(hits, [("admins".to_owned(), 2), ("rule 2".to_owned(), 1)]);
}

#[test]
fn only_a_rule_about_events_decides_about_others() {
    let session = r#"{"metadata":{"event":"session.start"}}"#;
    let rule = |level: &str| format!("[[rules]]\nevents = [\"session.*\"]\nlevel = \"{level}\"\n");
    let catch_all = "[[rules]]\nname = \"all\"\nlevel = \"code\"\n";
    let (kept, drops, _) = apply(&(rule("code") + catch_all), &[session, OTHER, DEFAULT]);
    assert_eq!((kept, drops), (vec![session.to_owned(), DEFAULT.to_owned()], vec![("other_event", 1)]));
    let (kept, drops, _) =
        apply(&("other_events = \"pass\"\n".to_owned() + &rule("none")), &[session, OTHER]);
    assert_eq!((kept, drops), (vec![OTHER.to_owned()], vec![("policy", 1)]));
    let demand = |options: &str| toml::from_str::<AuditPolicy>(options).unwrap().demand(Demand::Everything);
    assert_eq!(demand(""), Demand::Evaluations);
    assert_eq!(demand(catch_all), Demand::Evaluations);
    assert_eq!(demand(&rule("code")), Demand::Everything);
    assert_eq!(demand(&rule("none")), Demand::Evaluations);
}

#[test]
fn a_digest_stands_wherever_the_code_stood() {
    let code = "IO.puts(\\\"secret\\\")";
    let event = format!(
        r#"{{"message":"Evaluating code\n  Code: {code}","copy":"see {code} here","deep":{{"a":["{code}"],"b":1}},"metadata":{{"event":"code.evaluate","session_mode":"default","code":"{code}","source":"{code}","other":"IO"}}}}"#
    );
    let (kept, ..) = apply(
        "default_level = \"metadata\"\n[[rules]]\nsession_modes = [\"app\"]\nlevel = \"code\"",
        &[&event],
    );
    let kept: serde_json::Value = serde_json::from_str(&kept[0]).unwrap();
    assert!(!kept.to_string().contains("secret"), "{kept}");
    assert_eq!(kept["metadata"]["other"], "IO");
    let digest = kept["metadata"]["code_sha256"].as_str().unwrap();
    assert_eq!(kept["metadata"]["source"], format!("code_sha256:{digest}"));
    assert_eq!(kept["deep"], format!("code_sha256:{digest}"));
    assert_eq!(kept["metadata"]["code_bytes"], 17);
}

#[test]
fn a_short_code_is_not_looked_for_inside_of_other_members() {
    let event =
        r#"{"time":"2025-01-01","note":"1","metadata":{"event":"code.evaluate","code":"1","pid":"<0.1.0>"}}"#;
    let (kept, ..) = apply("default_level = \"metadata\"", &[event]);
    let kept: serde_json::Value = serde_json::from_str(&kept[0]).unwrap();
    assert_eq!((&kept["time"], &kept["metadata"]["pid"]), (&"2025-01-01".into(), &"<0.1.0>".into()));
    assert!(kept["note"].as_str().unwrap().starts_with("code_sha256:"));
}

#[test]
fn with_a_key_the_digest_is_an_hmac() {
    // The first test case of RFC 4231.
    let event = r#"{"metadata":{"event":"code.evaluate","code":"Hi There"}}"#;
    let key = "\\u000b".repeat(20);
    let (kept, ..) = apply(&format!("default_level = \"metadata\"\ndigest_key = \"{key}\""), &[event]);
    let hmac = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
    assert!(kept[0].contains(hmac), "{}", kept[0]);
    let options: AuditPolicy = toml::from_str("digest_key = \"not-to-be-seen-at-all\"").unwrap();
    assert!(!format!("{options:?}").contains("not-to-be"));
}

#[test]
fn what_can_not_be_a_rule_is_told() {
    for (rules, key) in [
        ("[[rules]]\nlevel = \"none\"\nusers = []", "rules[0].users"),
        ("[[rules]]\nlevel = \"none\"\nevents = []", "rules[0].events"),
        ("[[rules]]\nlevel = \"none\"\nsession_modes = []", "rules[0].session_modes"),
        ("[[rules]]\nlevel = \"none\"\nusers = [\"a\", \"[\"]", "rules[0].users[1]"),
        ("[[rules]]\nlevel = \"none\"\nwhen = \".a\"", "rules[0].when"),
        ("[[rules]]\nlevel = \"none\"\nwhen = { type = \"vrl\", source = \"x\" }", "rules[0].when.source"),
        ("[[rules]]\nlevel = \"none\"\n[[rules]]\nlevel = \"code\"", "rules[0]"),
        (
            "[[rules]]\nname = \"a\"\nlevel = \"none\"\nusers = [\"x\"]\n[[rules]]\nname = \"a\"\nlevel = \"code\"",
            "rules[1].name",
        ),
        ("digest_key = \"\"", "digest_key"),
        ("digest_key_file = \"never read\"", "digest_key_file"),
    ] {
        let options: AuditPolicy = toml::from_str(rules).unwrap();
        assert_eq!(options.build().err().unwrap_or_else(|| panic!("{rules}")).key, key, "{rules}");
    }
}
