//! Trails whose records have the names of other standards: written by the program itself.

use super::path;
use crate::harness::{Outcome, Run, TempDir, chain};
use crate::logs::*;
use serde_json::json;

/// A trail that holds what a pipeline has written by a schema; its policy keeps no source of the last evaluation.
fn trail(schema: &str) -> TempDir {
    let dir = TempDir::new();
    let policy = "[[transforms.policy.rules]]\nlevel = \"metadata\"\nwhen = '.metadata.code == \"secret\"'\n";
    let config = format!("{}\n", chain("", policy, "")).replace(
        "type = \"console\"",
        &format!("type = \"file\"\npath = \"{}\"\nencoding.schema = \"{schema}\"", path(0)),
    );
    let raw = json!({"message": "Evaluating code", "time": time(600), "severity": "info", "metadata":
        {"event": "code.evaluate", "session_mode": "app", "users": [{"id": "5"}], "code_base64": "R1JFUP8="}});
    dir.write("evaltrail.toml", &config);
    let log = twins_json(1, "IO.puts(\"ż\")\n:ok") + &format!("{raw}\n") + &structured_json(1_500, "secret");
    Run::new(&["-c", "evaltrail.toml"]).current_dir(dir.path()).stdin(log).run().exits(0);
    dir
}

#[test]
fn when_who_and_what_are_found_in_every_schema() {
    let mut shown = Vec::new();
    for schema in ["livebook", "ecs", "ocsf", "otel"] {
        let dir = trail(schema);
        let show = |args: &[&str]| -> Outcome {
            Run::new(&["trail", "show", "audit"]).arg_all(args).current_dir(dir.path()).run().exits(0)
        };
        let all = show(&[]).stdout;
        let heads = |args: &[&str]| -> String {
            let text = show(args).stdout;
            text.split("\n\n").filter_map(|record| record.split("  ").next()).collect::<Vec<_>>().join(" ")
        };
        for (args, expected) in [
            (&["--user", "ADA"][..], "0 2"),
            (&["--user", "5"], "1"),
            (&["--mode", "app"], "1"),
            (&["--grep", "\"ż\")\n"], "0"),
            (&["--grep", "GREP"], "1"),
            (&["--grep", "secret"], ""),
            (&["--since", &time(600), "--until", &time(601)], "1"),
            (&["--since", &time(601)], "2"),
        ] {
            assert_eq!(heads(args), expected, "{schema} {args:?}");
        }
        shown.push(all);
    }
    let first =
        format!("0  {}  default  connected: Ada <ada@example.org>, Žofie (9)\n", time(1).replace('T', " "));
    assert!(shown[0].starts_with(&(first + "    IO.puts(\"ż\")\n    :ok\n\n1  ")), "{}", shown[0]);
    assert!(
        shown[0].contains("  app  deployed by user 5\n")
            && shown[0].contains("code not recorded, SHA-256 or HMAC-SHA-256 ")
    );
    for other in &shown[1..] {
        assert_eq!(other, &shown[0]);
    }
}
