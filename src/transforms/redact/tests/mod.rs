//! Rules as data: that all of them can be used.

use super::*;
use crate::transforms::redact::rule::compile;
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
