//! Configs as users of Vector write them, by their directory: each is valid here, its tests pass, and over the input
//! that stands beside it (`.in`) it writes what stands there too (`.out`).
//!
//! After a change that is meant, `UPDATE_EXPECT=1 cargo test --test suite vector` writes the outputs; read what it wrote.

use crate::harness::{Run, TIMEOUT, TempDir, root, until};
use crate::http_client::Server;
use crate::receiver::{OK, Received, Receiver};
use expect_test::expect_file;
use serde_json::{Value, json};
use std::path::PathBuf;

fn folder() -> PathBuf {
    root().join("tests/vector")
}

/// The names of the configs, without their endings.
fn names() -> Vec<String> {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name());
    let names = files.filter_map(|name| name.into_string().unwrap().strip_suffix(".toml").map(str::to_owned));
    names.collect()
}

fn text(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap_or_default()
}

/// The program with these arguments over a config of the folder.
fn over(args: &[&str], name: &str) -> Run {
    let path = folder().join(format!("{name}.toml"));
    let run = Run::new(args).arg("-c").arg(path.to_str().unwrap());
    run.env("INGEST_PASSWORD", "a-password").env("SIEM_TOKEN", "a-token")
}

#[test]
fn each_is_valid() {
    let names = names();
    assert!(names.len() >= 12, "{names:?}");
    for name in names {
        let run = over(&["validate", "--deny-warnings"], &name).env("SIEM_URI", "http://localhost/");
        assert_eq!(run.run().exits(0).stderr, "", "{name}");
    }
}

#[test]
fn the_tests_of_each_pass() {
    let mut tested = 0;
    for name in names().iter().filter(|name| text(&format!("{name}.toml")).contains("[[tests]]")) {
        let outcome = over(&["test"], name).run().exits(0);
        assert!(outcome.stdout.contains(" passed, 0 failed"), "{name}: {}", outcome.stdout);
        tested += 1;
    }
    assert!(tested >= 6, "{tested}");
}

#[test]
fn each_that_reads_standard_input_writes_what_it_should() {
    let mut run = 0;
    for name in names().iter().filter(|name| text(&format!("{name}.toml")).contains("\"stdin\"")) {
        let outcome = over(&[], name).stdin(text(&format!("{name}.in"))).run().exits(0);
        expect_file![folder().join(format!("{name}.out"))].assert_eq(&outcome.stdout);
        run += 1;
    }
    assert!(run >= 10, "{run}");
}

#[test]
fn files_go_from_folder_to_folder() {
    let dir = TempDir::new();
    dir.write("logs/a.log", "one\ntwo\n");
    dir.write("logs/a.debug.log", "noise\n");
    let run = || over(&["--once"], "files").current_dir(dir.path()).run().exits(0);
    run();
    run();
    let written: Vec<PathBuf> =
        std::fs::read_dir(dir.path().join("out")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let lines: Vec<Value> = written
        .iter()
        .flat_map(|path| {
            std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
        })
        .map(|line| serde_json::from_str(&line).unwrap())
        .collect();
    let expected = ["one", "two"].map(|message| json!({"message": message, "kind": "app", "file": "a.log"}));
    assert_eq!(lines, expected);
    assert!(written[0].file_name().unwrap().to_str().unwrap().starts_with("app-"));
}

#[test]
fn requests_go_on_to_another_server() {
    let siem = Receiver::start(|_, _| OK);
    let server = Server::of(over(&[], "http").env("SIEM_URI", &siem.uri()));
    let authorization = "Authorization: Basic c2hpcHBlcjphLXBhc3N3b3Jk\r\n";
    let mut client = server.connect();
    client.send(format!(
        "POST /ingest HTTP/1.1\r\nHost: a\r\n{authorization}Content-Length: 14\r\n\r\n{{\"message\":1}}\n"
    ));
    client.reply().unwrap().is(200);
    let events = || siem.received().iter().flat_map(Received::events).collect::<Vec<Value>>();
    assert!(until(TIMEOUT, || events().len() == 1));
    assert_eq!((&events()[0]["message"], &events()[0]["peer"]), (&json!(1), &json!("127.0.0.1")));
    let received = siem.received();
    assert_eq!(received[0].header("authorization"), Some("Bearer a-token"));
    assert_eq!(received[0].header("x-team"), Some("audit"));
    server.stop();
}

#[test]
fn transforms_and_tests_may_stand_apart_and_sources_elsewhere() {
    let folder = folder().join("apart");
    let outcome = Run::new(&["test", "-c", folder.to_str().unwrap()]).run().exits(0);
    assert_eq!(
        outcome.lines()[..2],
        ["test what has an id is kept ... passed", "test what has none is not ... passed"]
    );
    let [tests, transforms] = ["tests.toml", "transforms.toml"].map(|name| folder.join(name));
    let run = Run::new(&["test", "-c", transforms.to_str().unwrap(), "-c", tests.to_str().unwrap()]);
    assert_eq!(run.run().exits(0).stdout, outcome.stdout);
    // Alone, the tests are about nothing.
    let alone = Run::new(&["test", "-c", tests.to_str().unwrap()]).run().exits(2);
    assert!(alone.stderr.contains("the config has no transforms"), "{}", alone.stderr);
}
