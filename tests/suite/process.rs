//! The program as a process: arguments, exit codes, pipes.

use crate::harness::{PROGRAM, Run, TIMEOUT, chain, embedded, until};
use crate::logs::*;
use std::time::{Duration, Instant};

const ENDLESS: &str = "[sources.demo]\ntype = \"demo_logs\"\ninterval_secs = 0\nevaluations = 0.5\n\n\
                       [sinks.out]\ntype = \"console\"\ninputs = [\"demo\"]\n";

#[test]
fn without_arguments_it_reads_standard_input() {
    let outcome = embedded(twins_json(1, "1 + 1"));
    assert_eq!(codes(&outcome.events()), ["1 + 1"]);
    assert!(outcome.summary().contains("delivered=1"), "{}", outcome.stderr);
    assert!(outcome.summary().contains("records=2"), "{}", outcome.stderr);
}

#[test]
fn no_input_is_no_failure() {
    let outcome = embedded("");
    assert_eq!(outcome.stdout, "");
    assert_eq!(Run::new(&["run"]).run().exits(0).stdout, "");
}

#[test]
fn a_last_line_without_its_newline_counts() {
    for log in [structured_json(1, "1"), legacy_line(1, "\"1\""), structured_line(1, "1")] {
        assert_eq!(codes(&embedded(log.trim_end()).events()), ["1"], "{log}");
    }
}

#[test]
fn bad_usage_exits_with_2() {
    for args in [
        &["frobnicate"][..],
        &["run", "--frobnicate"],
        &["--config"],
        &["validate", "extra"],
        &["-v", "-q"],
        &["init", "--preset", "nowhere"],
        &["--log-format", "xml"],
    ] {
        let outcome = Run::new(args).run().exits(2);
        assert_eq!(outcome.stdout, "", "{args:?}");
        assert!(outcome.stderr.contains("error: "), "{args:?}: {}", outcome.stderr);
    }
}

#[test]
fn help_and_version_go_to_standard_output() {
    for args in [&["--help"][..], &["-h"], &["help"], &["validate", "--help"], &["run", "-h"]] {
        let outcome = Run::new(args).run().exits(0);
        assert!(outcome.stdout.contains("Usage: evaltrail"), "{args:?}: {}", outcome.stdout);
        assert_eq!(outcome.stderr, "");
    }
    let outcome = Run::new(&["--version"]).run().exits(0);
    assert_eq!(outcome.stdout, format!("evaltrail {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn list_names_every_component_on_a_line_of_its_own() {
    let registry = &evaltrail::config::BUILTIN;
    let sources = registry.sources.iter().map(|entry| ("source", entry.name));
    let transforms = registry.transforms.iter().map(|entry| ("transform", entry.name));
    let sinks = registry.sinks.iter().map(|entry| ("sink", entry.name));
    let all: Vec<_> = sources.chain(transforms).chain(sinks).collect();
    let outcome = Run::new(&["list"]).run().exits(0);
    let lines = outcome.lines();
    assert_eq!(lines.len(), all.len());
    for ((role, name), line) in all.iter().zip(lines) {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[..2], [*role, *name]);
        assert!(words.len() > 3, "says what it does: {line}");
    }
    for name in [
        "stdin",
        "demo_logs",
        "legacy_message",
        "audit_policy",
        "metadata_projection",
        "console",
        "blackhole",
    ] {
        assert!(all.iter().any(|(_, known)| *known == name), "{name}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_run_quietly() {
    let mut live = Run::new(&[]).config(ENDLESS).live();
    live.event(TIMEOUT);
    live.close_stdout();
    let (status, stderr) = live.wait(TIMEOUT);
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
}

#[test]
fn head_ends_a_run_even_where_input_goes_on() {
    let mut live = Run::new(&[]).live();
    live.write(structured_json(1, "1").as_bytes());
    live.event(TIMEOUT);
    live.close_stdout();
    // It learns of that when it writes the next time.
    let mut at = 2;
    let ended = until(TIMEOUT, || {
        at += 1;
        live.try_write(structured_json(at, "more").as_bytes());
        !live.is_running()
    });
    assert!(ended);
    let (status, stderr) = live.wait(TIMEOUT);
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
}

#[test]
fn commands_that_only_print_end_quietly_too() {
    for command in ["list", "init", "--help"] {
        let script = format!("\"$0\" {command} | true; exit \"${{PIPESTATUS[0]}}\"");
        let run = Run::of("bash").arg("-c").arg(&script).arg(PROGRAM).env("PATH", "/usr/bin:/bin");
        assert_eq!(run.run().exits(0).stderr, "", "{command}");
    }
}

#[test]
fn a_record_alone_appears_promptly() {
    let mut live = Run::new(&[]).live();
    live.write(structured_json(0, "warm").as_bytes());
    live.event(TIMEOUT);
    let mut slowest = Duration::ZERO;
    for at in 1..=20 {
        let code = format!("number_{at}");
        let start = Instant::now();
        live.write(structured_json(at * 2000, &code).as_bytes());
        let event = live.event(Duration::from_secs(2));
        slowest = slowest.max(start.elapsed());
        assert_eq!(event["metadata"]["code"], code.as_str());
    }
    eprintln!("a record typed alone: {slowest:?} at most, unoptimised");
}

#[test]
fn an_incomplete_record_waits_for_its_twin_but_not_for_ever() {
    let mut live = Run::new(&[]).live();
    live.write(structured_json(1, "<<0>>").as_bytes());
    live.silent_for(Duration::from_millis(500));
    let event = live.event(Duration::from_secs(5));
    assert_eq!(event["metadata"]["code_incomplete"], true);
    // Its twin comes in time here.
    live.write(structured_json(2000, "<<1>>").as_bytes());
    live.write(legacy_json(2001, "<<1>>").as_bytes());
    let event = live.event(Duration::from_secs(5));
    assert_eq!(event["metadata"]["code"], "\u{1}");
    assert_eq!(event["metadata"].get("code_incomplete"), None);
}

#[test]
fn standard_input_may_be_closed_or_no_stream_at_all() {
    let closed = Run::of("bash").arg("-c").arg("exec \"$0\" <&-").arg(PROGRAM).run().exits(0);
    assert_eq!(closed.stdout, "");
    let folder = Run::of("bash").arg("-c").arg("exec \"$0\" < /").arg(PROGRAM).run().exits(1);
    assert!(folder.stderr.contains("standard input"), "{}", folder.stderr);
}

#[test]
fn quiet_says_nothing_and_verbose_no_less_than_usual() {
    let run =
        |args: &[&str]| Run::new(args).stdin(structured_json(1, "1") + "{\"broken\n").run().exits(0).stderr;
    assert_eq!(run(&["-q"]), "");
    assert!(run(&["-v"]).lines().count() >= run(&[]).lines().count());
}

#[test]
fn its_own_log_can_be_json() {
    let outcome =
        Run::new(&["--log-format", "json"]).stdin(structured_json(1, "1") + "{\"a\n").run().exits(0);
    for line in outcome.stderr.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(entry["level"].is_string() && entry["message"].is_string(), "{line}");
    }
    assert!(outcome.stderr.contains("broken_json"), "{}", outcome.stderr);
}

#[test]
fn once_reads_to_the_end() {
    let outcome = Run::new(&["--once"]).config(&chain("", "", "")).stdin(twins_json(1, "1")).run().exits(0);
    assert_eq!(codes(&outcome.events()), ["1"]);
}

#[test]
fn a_source_with_a_count_ends_by_itself() {
    for format in ["livebook_json", "livebook_text"] {
        let source = format!(
            "type = \"demo_logs\"\nformat = \"{format}\"\ncount = 2000\nevaluations = 0.2\ninterval_secs = 0"
        );
        let config = chain("", "", "").replacen("type = \"stdin\"", &source, 1);
        let first = Run::new(&[]).config(&config).run().exits(0);
        let events = first.events();
        assert!((150..250).contains(&events.len()), "{format}: {} evaluations", events.len());
        assert_eq!(
            first.stdout,
            Run::new(&[]).config(&config).run().exits(0).stdout,
            "{format}: the seed is the same"
        );
        let other = Run::new(&[]).config(&config.replace("count", "seed = 2\ncount")).run().exits(0);
        assert_ne!(first.stdout, other.stdout);
    }
}
