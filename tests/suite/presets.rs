//! The configs of the repository, each run over a small log of what it is for.

use crate::harness::{Outcome, Run, TIMEOUT, TempDir, root, until};
use crate::http_client::Server;
use crate::logs::{other_json, twins_json};
use crate::receiver::{OK, Received, Receiver};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// A log of two evaluations and another record.
fn log() -> String {
    twins_json(1, "1 + 1") + &other_json(2) + &twins_json(3, &"long ".repeat(8_000))
}

/// Cuts lines as a container runtime does.
fn parts(line: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = line;
    while rest.len() > 16 * 1024 {
        let (part, behind) = rest.split_at(16 * 1024);
        parts.push(part);
        rest = behind;
    }
    parts.push(rest);
    parts
}

fn run(dir: &TempDir, config: &str) -> Outcome {
    let path = root().join("configs").join(config);
    let of = |name: &str| dir.path().join(name).display().to_string();
    let run = Run::new(&["-c", path.to_str().unwrap(), "--once"]);
    run.env("EVALTRAIL_DATA", &of("data"))
        .env("EVALTRAIL_OUT", &of("out"))
        .env("LIVEBOOK_LOGS", &of("logs"))
        .env("DOCKER_CONTAINERS", &of("logs"))
        .env("POD_LOGS", &of("logs"))
        .env("AUDIT_DIGEST_KEY", "0123456789abcdef0123456789abcdef")
        .run()
        .exits(0)
}

fn written(folder: &Path) -> Vec<Value> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let text: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[track_caller]
fn are_the_two(events: &[Value]) {
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!(events[0]["metadata"]["code"], "1 + 1");
    assert_eq!(events[1]["metadata"]["code"], "long ".repeat(8_000));
    assert!(events.iter().all(|event| event["metadata"]["id"].is_string()));
}

#[test]
fn files_are_kept_by_day_and_faults_on_their_own() {
    let dir = TempDir::new();
    dir.write("logs/livebook.log", &(log() + "{\"message\":\"torn\n"));
    run(&dir, "files.toml");
    let faults = fs::read_to_string(dir.path().join("out/faults.jsonl")).unwrap();
    assert!(faults.contains("broken_json"), "{faults}");
    fs::remove_file(dir.path().join("out/faults.jsonl")).unwrap();
    are_the_two(&written(&dir.path().join("out")));
    run(&dir, "files.toml");
    are_the_two(&written(&dir.path().join("out")));
}

#[test]
fn what_is_posted_goes_on_to_a_siem() {
    let siem = Receiver::start(|_, _| OK);
    let dir = TempDir::new();
    let path = root().join("configs/http.toml");
    let run = Run::new(&["-c", path.to_str().unwrap()])
        .env("EVALTRAIL_DATA", &dir.path().join("data").display().to_string())
        .env("INGEST_ADDRESS", "127.0.0.1:0")
        .env("INGEST_TOKEN", "ingest-token")
        .env("SIEM_URI", &siem.uri())
        .env("SIEM_TOKEN", "siem-token");
    let server = Server::of(run);
    server.post("", log()).is(401);
    let reply = server.post("Authorization: Bearer ingest-token\r\n", log()).is(200);
    assert_eq!(reply.counts(), (5, 0));
    let events = || siem.received().iter().flat_map(Received::events).collect::<Vec<Value>>();
    assert!(until(TIMEOUT, || events().len() >= 2), "it goes on from the disk");
    let received = siem.received();
    assert!(received.iter().all(|one| one.header("authorization") == Some("Bearer siem-token")));
    are_the_two(&events());
    assert!(events().iter().all(|event| event["metadata"]["peer"] == "127.0.0.1"));
    let (said, _) = server.stop();
    assert!(!said.contains("ingest-token") && !said.contains("siem-token"), "{said}");
}

#[test]
fn docker_logs_are_put_together() {
    let dir = TempDir::new();
    let line =
        |text: &str| json!({"log": text, "stream": "stdout", "time": "2025-10-06T00:17:09.669794202Z"});
    let lines: Vec<String> =
        log().split_inclusive('\n').flat_map(parts).map(|part| line(part).to_string() + "\n").collect();
    dir.write("logs/4f2a/4f2a-json.log", &lines.concat());
    run(&dir, "docker.toml");
    are_the_two(&written(&dir.path().join("out")));
}

#[test]
fn pod_logs_are_put_together() {
    let dir = TempDir::new();
    let mut text = String::new();
    for line in log().lines() {
        let parts = parts(line);
        for (at, part) in parts.iter().enumerate() {
            let tag = if at + 1 == parts.len() { "F" } else { "P" };
            text += &format!("2025-10-06T00:17:09.669794202Z stdout {tag} {part}\n");
        }
    }
    dir.write("logs/default_livebook-0_9c1d/livebook/0.log", &text);
    // What the kubelet packs is there twice for a while.
    dir.write("logs/default_livebook-0_9c1d/livebook/0.log.20251006-001709.tmp", &text);
    are_the_two(&run(&dir, "kubernetes.toml").events());
}

/// An evaluation by users with these emails.
fn by(at: u32, mode: &str, emails: &[&str], code: &str, more: Value) -> String {
    let users: Vec<Value> =
        emails.iter().map(|email| json!({"id": email, "name": "me", "email": email})).collect();
    let mut metadata = json!({"users": users, "session_mode": mode, "code": code, "event": "code.evaluate"});
    metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let time = crate::logs::time(at);
    json!({"message": "Evaluating code", "time": time, "metadata": metadata, "severity": "info"}).to_string()
        + "\n"
}

#[test]
fn a_policy_keeps_what_its_comments_say() {
    let dir = TempDir::new();
    let permanent = json!({"app_permanent": true});
    let (ann, student, robot) = ("ann@example.com", "s1@courses.example.com", "ci-7@robots.example.com");
    // What is kept of each: code, a digest, or nothing.
    let table = [
        (by(1, "default", &[ann], "1 + 1", json!({})), "1 + 1"),
        (by(2, "app", &[ann], "Prod.Repo.all(User)", permanent.clone()), "Prod.Repo.all(User)"),
        (by(3, "app", &[ann], "Repo.all(User)", permanent), "none"),
        (by(4, "default", &[robot], "check()", json!({})), "none"),
        (by(5, "default", &[robot, ann], "check()", json!({})), "check()"),
        (by(6, "app", &["bo@oncall.example.com"], "x", json!({})), "x"),
        (by(7, "default", &[student], "hello()", json!({})), "digest"),
        (by(8, "default", &[student, ann], "hello()", json!({})), "hello()"),
        (by(9, "app", &[ann], "IO.puts(1)", json!({})), "digest"),
        (
            by(10, "default", &[ann], "login(password: \"hunter2hunter2\")", json!({})),
            "login(password: \"[REDACTED:password]\")",
        ),
        (
            by(11, "default", &[ann], "login(password: \"postgres\")", json!({})),
            "login(password: \"postgres\")",
        ),
    ];
    let log: String = table.iter().map(|(line, _)| line.as_str()).collect();
    dir.write("logs/a.log", &log);
    let outcome = run(&dir, "policy.toml");
    let events = written(&dir.path().join("out"));
    let kept = events.iter().map(|event| match &event["metadata"]["code"] {
        Value::String(code) => code.as_str(),
        _ if event["metadata"]["code_sha256"].is_string() => "digest",
        _ => "nothing",
    });
    let expected = table.iter().map(|(_, expected)| *expected).filter(|expected| *expected != "none");
    assert_eq!(kept.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    assert!(events.iter().all(|event| event["message"].is_null()), "{events:?}");
    let hits = "courses 1, customer data 1, deployed apps 1, nightly checks 1, on call 1, previews 1";
    assert!(outcome.stderr.contains(hits), "{}", outcome.stderr);
}
