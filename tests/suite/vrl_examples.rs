//! What VRL's published reference promises of its functions, held against `evaltrail vrl`: each call in a process of its
//! own. The calls and their results (`tests/vrl/examples.toml`) are those of the reference at
//! vector.dev/docs/reference/vrl/functions, version 0.34.

use crate::harness::{PROGRAM, Run, root};
use serde_json::{Value, json};
use std::process::Command;

/// Name of the function, program, and documented result.
fn examples() -> Vec<(String, String, Value)> {
    let text = std::fs::read_to_string(root().join("tests/vrl/examples.toml")).unwrap();
    let table: toml::Table = text.parse().unwrap();
    let of = |(name, cases): (String, toml::Value)| {
        let cases = cases.as_array().unwrap().clone();
        let text = |case: &toml::Value, key: &str| case[key].as_str().unwrap().to_owned();
        cases.into_iter().map(move |case| {
            let result = serde_json::from_str(&text(&case, "result")).unwrap();
            (name.clone(), text(&case, "program"), result)
        })
    };
    table.into_iter().flat_map(of).collect()
}

#[test]
fn functions_give_what_the_reference_says() {
    let examples = examples();
    assert!(examples.len() >= 60, "{}", examples.len());
    let mut faults = Vec::new();
    for (name, program, expected) in &examples {
        let mut command = Command::new(PROGRAM);
        command.env_clear().env("TZ", "UTC").args(["vrl", "--result", "--no-input", program]);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let shown = String::from_utf8_lossy(&output.stdout);
        let found: Value = serde_json::from_str(&shown).unwrap_or_else(|_| json!({ "no JSON": shown }));
        if found != *expected || output.status.code() != Some(0) {
            faults.push(format!("{name}: {program}\n  expected {expected}\n  found    {found}\n{said}"));
        }
    }
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), examples.len(), faults.join("\n"));
}

#[test]
fn our_own_functions_do_as_their_examples_say() {
    let mut count = 0;
    for (name, example) in evaltrail::language::function_examples() {
        if !name.contains("elixir") && !name.contains("livebook") {
            continue;
        }
        count += 1;
        let outcome = Run::new(&["vrl", "--result", "--no-input", example.source]).run().exits(0);
        let expected: Value = serde_json::from_str(example.result.unwrap()).unwrap();
        let found: Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!(found, expected, "{name}: {}", example.source);
        assert_eq!(outcome.stderr, "", "{name}: {}", example.source);
    }
    assert!(count >= 9);
}
