//! Rules as data: that all of them can be used.

use super::*;
use crate::transforms::redact::rule::compile;
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeSet;

#[test]
fn every_built_in_rule_compiles_and_has_a_name_of_its_own() {
    let mut ids = BTreeSet::new();
    for rule in rules::all() {
        let regex = compile(rule.regex);
        assert!(regex.is_ok(), "{}: {}", rule.id, regex.unwrap_err());
        assert!(!rule.keywords.is_empty() && !rule.keywords.contains(&""), "{}", rule.id);
        assert!(!rule.description.is_empty(), "{}", rule.id);
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(ids.insert(rule.id) && rule.id.chars().all(is_plain), "{}", rule.id);
    }
    assert!(ids.len() >= 80, "{}", ids.len());
}

/// Pieces of cells, such that secrets begin, end, and lie over each other anywhere.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("password: \"".to_owned()),
        Just("token = \\\"".to_owned()),
        Just("https://u:".to_owned()),
        Just("@h/".to_owned()),
        Just("-----BEGIN PRIVATE KEY-----\\n".to_owned()),
        Just("-----END PRIVATE KEY-----".to_owned()),
        Just("\"".to_owned()),
        Just("\\".to_owned()),
        Just("ż🎉".to_owned()),
        "ghp_[A-Za-z0-9]{36}",
        "[A-Za-z0-9+/]{8,40}",
        "[ \n,;(){}<>#'é\\\\\"]{1,4}",
        any::<String>(),
    ];
    proptest::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

fn built_in() -> RuleSet {
    RuleSet::new(rules::all().map(Rule::from).collect(), Vec::new()).unwrap()
}

proptest! {
    #[test]
    fn what_is_found_stands_apart_and_in_order(text in pieces()) {
        thread_local!(static RULES: RuleSet = built_in());
        let found = RULES.with(|rules| rules.find(text.as_bytes()));
        let mut at = 0;
        for one in found {
            prop_assert!(at <= one.start && one.start < one.end && one.end <= text.len());
            prop_assert!(text.is_char_boundary(one.start) && text.is_char_boundary(one.end));
            at = one.end;
        }
    }

    #[test]
    fn events_of_any_shape_stay_valid(text in pieces(), cut in 0usize..200) {
        thread_local!(static RULES: RuleSet = built_in());
        let mut literal = Vec::new();
        crate::livebook::inspect::write_literal(text.as_bytes(), &mut literal);
        let literal = String::from_utf8(literal).unwrap();
        let cut: String = literal.chars().take(cut).collect();
        let front = "Evaluating code\n  Session mode: default\n  Code: ";
        for record in [
            json!({"message": text, "metadata": {"code": text, "list": [text, {"password": text}]}}),
            json!({"message": format!("{front}{literal}"), "metadata": {"code": text}}),
            json!({"message": format!("{front}{cut}"), "metadata": {"code": text}}),
            json!({"message": format!("{front}{cut} (truncated)")}),
        ] {
            let bytes = bytes::Bytes::from(record.to_string());
            let mut event = Event::from_json(bytes, crate::event::Origin::nowhere()).unwrap();
            let secrets = RULES.with(|rules| event::redact(&mut event, rules));
            let mut out = Vec::new();
            event.write_json(&mut out);
            let back = serde_json::from_slice::<serde_json::Value>(&out);
            prop_assert!(back.is_ok(), "{}", String::from_utf8_lossy(&out));
            prop_assert!(!secrets.is_empty() || back.unwrap() == record);
        }
    }
}
