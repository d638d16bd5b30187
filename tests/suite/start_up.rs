//! The start-up line of Livebook, whose token lets anybody in: it leaves by no pipeline.

use crate::harness::Run;

const TOKEN: &str = "4mvjqhlnwoqhhthciavn7piubtuwrvvr";

/// The start-up line, as it stands and wrapped.
fn lines() -> Vec<String> {
    let line = format!("[Livebook] Application running at http://0.0.0.0:8080/?token={TOKEN}");
    vec![
        line.clone(),
        serde_json::json!({"message": line, "severity": "info"}).to_string(),
        serde_json::json!({"log": format!("{line}\n"), "stream": "stdout", "time": "2025-10-03T17:48:00Z"})
            .to_string(),
        format!("2025-10-03T17:48:00.000000000Z stdout F {line}"),
        format!("{{\"message\":\"{line}"),
        format!("17:48:00.123 [info] {line}"),
    ]
}

#[test]
fn no_pipeline_passes_the_token_on() {
    for codec in ["livebook", "json", "text"] {
        let config = format!(
            "[sources.in]\ntype = \"stdin\"\ndecoding.codec = \"{codec}\"\n\
             [sinks.out]\ntype = \"console\"\ninputs = [\"in\", \"in.faults\"]\n"
        );
        let log = lines().join("\n") + "\n";
        let outcome = Run::new(&[]).config(&config).stdin(log).run();
        assert!(!outcome.stdout.contains(TOKEN), "{codec}: {}", outcome.stdout);
        assert!(!outcome.stderr.contains(TOKEN), "{codec}: {}", outcome.stderr);
        // Nothing else is lost by it.
        assert_eq!(outcome.stdout.lines().count(), lines().len(), "{codec}: {}", outcome.stdout);
        assert_eq!(outcome.stdout.matches("?token=[REDACTED:livebook-token]").count(), lines().len());
    }
}
