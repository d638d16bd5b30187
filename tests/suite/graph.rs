//! Pictures of pipelines, completions and the manual.

use crate::harness::{Run, root};

fn graph(format: &str) -> String {
    let run = Run::new(&["graph", "-c", "configs/files.toml", "--format", format]);
    run.current_dir(root()).run().exits(0).stdout
}

#[test]
fn a_pipeline_is_drawn_with_its_ports() {
    let text = graph("text");
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["source", "livebook", "file"]);
    assert_eq!(lines[1], [".faults", "→", "faults"]);
    assert!(lines.contains(&vec!["transform", "policy", "audit_policy", "←", "parse"]), "{text}");
    assert!(lines.contains(&vec!["sink", "trail", "file", "←", "project"]), "{text}");
    let mermaid = graph("mermaid");
    assert!(mermaid.starts_with("flowchart LR\n"), "{mermaid}");
    assert!(
        mermaid.contains("c0([\"livebook<br>file\"])") && mermaid.contains("-->|\"faults\"|"),
        "{mermaid}"
    );
    let dot = graph("dot");
    assert!(dot.contains("\"livebook\" -> \"faults\" [label = \"faults\"];"), "{dot}");
    assert!(dot.ends_with("}\n"), "{dot}");
}

#[test]
fn without_a_config_the_embedded_pipeline_is_drawn_and_ports_that_nobody_consumes_say_so() {
    let text = Run::new(&["graph"]).run().exits(0).stdout;
    assert!(text.contains("audit_policy"), "{text}");
    let config = "[sources.in]\ntype = \"stdin\"\n[sinks.siem]\ntype = \"http\"\ninputs = [\"in\"]\n\
        uri = \"https://${HOST}/\"\n";
    let run = Run::new(&["graph"]).config(config).env("HOST", "siem.example.com").run().exits(0);
    assert!(run.stdout.contains(".rejected → (kept as dead letters)"), "{}", run.stdout);
}

#[test]
fn shells_and_the_manual_know_every_command() {
    for (args, commands) in [
        (vec!["completions", "bash"], ["validate", "explain", "graph", "replay", "schema"]),
        (vec!["completions", "zsh"], ["validate", "explain", "graph", "replay", "schema"]),
        (vec!["completions", "fish"], ["validate", "explain", "graph", "replay", "schema"]),
        (
            vec!["man"],
            [
                "evaltrail validate",
                "evaltrail explain",
                "evaltrail graph",
                "evaltrail replay",
                "evaltrail schema",
            ],
        ),
    ] {
        let stdout = Run::new(&args).run().exits(0).stdout;
        for command in commands {
            assert!(stdout.contains(command), "{args:?}: {command}");
        }
    }
    // Those below a command too, with their options.
    let manual = Run::new(&["man"]).run().exits(0).stdout;
    assert!(manual.contains("evaltrail trail verify") && manual.contains("\\-\\-against"), "{manual}");
    // There is one page, and nothing refers to another of its kind.
    assert!(!manual.contains("evaltrail\\-"), "{manual}");
    let sections = ["EXIT STATUS", "SIGNALS", "ENVIRONMENT", "FILES"];
    let at = sections
        .map(|name| manual.find(&format!(".SH \"{name}\"")).or(manual.find(&format!(".SH {name}\n"))));
    assert!(at.iter().all(Option::is_some) && at.is_sorted(), "{at:?}");
    assert!(Run::new(&["completions", "cmd"]).run().exits(2).stderr.contains("possible values"));
}
