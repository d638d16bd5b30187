//! Our own functions of VRL: everywhere where there is VRL, and as the transforms see the same things.

use crate::harness::{Run, through};
use crate::logs::*;
use serde_json::{Value, json};

#[test]
fn a_legacy_message_reads_as_the_transform_reads_it() {
    let literals = [
        "\"1 + 1\"",
        "\"a\\n\\\"b\\\" \\#{c} é\\u200D\"",
        "<<104, 0>>",
        "<<104, 255>>",
        "<<104, 105, ...>>",
        "\"cut\" <> ...",
        "\"cut off\\ (truncated)",
        "nil",
    ];
    let record = |literal: &str| {
        let message = format!("Evaluating code\n  Session mode: app\n  Code: {literal}");
        json!({"message": message, "time": "2025-10-06T09:00:00.000Z", "metadata": {}, "severity": "info"})
    };
    let log: String = literals.iter().map(|literal| format!("{}\n", record(literal))).collect();
    let config = |transform: &str| {
        format!(
            "[sources.in]\ntype = \"stdin\"\n[transforms.t]\ninputs = [\"in\"]\n{transform}\n\
             [sinks.out]\ntype = \"console\"\ninputs = [\"t\"]\n"
        )
    };
    // Incomplete records wait for their twins, so the order may be another.
    let metadata = |transform: &str| {
        let events = through(&config(transform), log.as_str()).events();
        let mut all: Vec<(String, Value)> =
            events.iter().map(|event| (event["message"].to_string(), event["metadata"].clone())).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    };
    let remap = "type = \"remap\"\nsource = \".metadata = parse_livebook_legacy!(.message)\"";
    assert_eq!(metadata("type = \"legacy_message\""), metadata(remap));
}

#[test]
fn functions_fail_and_are_typed_as_others_of_vrl() {
    let vrl = |program: &str| Run::new(&["vrl", "-n", "-r", program]).run();
    for (program, result) in [
        ("a, err = parse_livebook_legacy(\"GET /\"); [a, err]", "no legacy message of Livebook"),
        ("a, err = parse_elixir_inspect(\"[1, ...]\"); [a, err]", "byte 7: Elixir has left out the rest"),
        ("parse_elixir_inspect(\"x y\") ?? \"other\"", "other"),
        ("upcase(to_elixir_inspect([null, 1.5]))", "[NIL, 1.5]"),
        (
            "m = parse_livebook_legacy(\"\") ?? {\"session_mode\": \"none\"}; upcase(string!(m.session_mode))",
            "NONE",
        ),
        ("parse_elixir_inspect!(\"%User{id: 7}\").id", "7"),
    ] {
        let outcome = vrl(program).exits(0);
        assert!(outcome.stdout.contains(result), "{program}: {}", outcome.stdout);
    }
    for (program, said) in [
        ("parse_livebook_legacy(\"x\")", "unhandled error"),
        ("parse_elixir_inspect(\"1\")", "unhandled error"),
        ("parse_elixir_inspect!(1)", "invalid argument type"),
        ("to_elixir_inspect(1) ?? 2", "never"),
    ] {
        let outcome = vrl(program);
        assert!(outcome.stderr.contains(said), "{program}: {}", outcome.stderr);
    }
}

#[test]
fn conditions_know_them_too() {
    let filter = "[sources.in]\ntype = \"stdin\"\n\
        [transforms.f]\ntype = \"filter\"\ninputs = [\"in\"]\n\
        condition = 'exists(parse_livebook_legacy!(.message).code)'\n\
        [transforms.r]\ntype = \"route\"\ninputs = [\"f\"]\n\
        route.long = 'length(to_elixir_inspect(.message)) > 10'\n\
        [sinks.out]\ntype = \"console\"\ninputs = [\"r.long\"]\n";
    let outcome = through(filter, legacy_json(1, "1 + 1") + &other_json(2));
    assert_eq!(outcome.lines().len(), 1, "{}", outcome.stderr);
}
