//! Configs that are valid, and configs that are not, found by their directory.
//!
//! Beside each config in `tests/cases/invalid` stands what `validate` prints about it. After a change that is meant,
//! `UPDATE_EXPECT=1 cargo test --test suite cases` writes those files; read what it wrote.

use crate::harness::{Outcome, Run, TempDir, root};
use expect_test::expect_file;
use std::collections::BTreeSet;

/// The names of the files in a folder of `tests/cases`, without their endings.
fn names(folder: &str, ending: &str) -> BTreeSet<String> {
    let files = std::fs::read_dir(root().join("tests/cases").join(folder)).unwrap();
    let name = |file: std::fs::DirEntry| file.file_name().into_string().unwrap();
    files.filter_map(|file| name(file.unwrap()).strip_suffix(ending).map(str::to_owned)).collect()
}

fn validate(path: &str, options: &[&str]) -> Outcome {
    let run = Run::new(&["validate", "-c", path]).arg_all(options).current_dir(root());
    run.env("AUDIT_DIGEST_KEY", "0123456789abcdef").run()
}

#[test]
fn valid_configs_are_valid() {
    let names = names("valid", ".toml");
    assert!(names.len() >= 5, "{names:?}");
    for name in names {
        let outcome = validate(&format!("tests/cases/valid/{name}.toml"), &[]);
        assert_eq!(outcome.code, Some(0), "{name}: {}", outcome.stderr);
        assert!(outcome.stdout.contains("valid"), "{name}: {}", outcome.stdout);
        // One names certificates that are not there.
        let warns = ["unwatched", "every_option"].contains(&name.as_str());
        assert_eq!(outcome.stderr.contains("warning: "), warns, "{name}: {}", outcome.stderr);
    }
}

#[test]
fn invalid_configs_are_refused_with_all_their_faults() {
    let names = names("invalid", ".toml");
    assert!(names.len() >= 10, "{names:?}");
    for name in names {
        let outcome = validate(&format!("tests/cases/invalid/{name}.toml"), &[]);
        assert_eq!(outcome.code, Some(2), "{name}: {}", outcome.stderr);
        assert_eq!(outcome.stdout, "", "{name}");
        let expected = root().join(format!("tests/cases/invalid/{name}.stderr"));
        expect_file![expected].assert_eq(&outcome.stderr);
    }
}

/// Cases in which nothing is wrong but the tests of the config.
const TESTS: &str = "tests_";

#[test]
fn a_config_is_run_however_wrong_its_tests_are() {
    let names: Vec<String> =
        names("invalid", ".toml").into_iter().filter(|name| name.starts_with(TESTS)).collect();
    assert!(names.len() >= 2, "{names:?}");
    for name in names {
        let path = format!("tests/cases/invalid/{name}.toml");
        let run = Run::new(&["-c", &path]).current_dir(root()).stdin("{\"a\":1}\n").run().exits(0);
        assert_eq!(run.stdout, "{\"a\":1}\n", "{name}");
        let tested = Run::new(&["test", "-c", &path]).current_dir(root()).run().exits(2);
        assert_eq!((tested.stdout.as_str(), tested.stderr), ("", validate(&path, &[]).stderr), "{name}");
    }
}

#[test]
fn an_invalid_config_is_not_run_either() {
    for name in names("invalid", ".toml").into_iter().filter(|name| !name.starts_with(TESTS)) {
        let path = format!("tests/cases/invalid/{name}.toml");
        let run = Run::new(&["-c", &path]).current_dir(root()).run();
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{name}");
        assert_eq!(run.stderr, validate(&path, &[]).stderr, "{name}");
    }
}

#[test]
fn no_case_is_without_its_other_half_and_no_file_is_none() {
    assert_eq!(names("invalid", ".toml"), names("invalid", ".stderr"));
    for folder in ["valid", "invalid"] {
        let strange: Vec<String> = names(folder, "")
            .into_iter()
            .filter(|name| !name.ends_with(".toml") && !name.ends_with(".stderr"))
            .collect();
        assert!(strange.is_empty(), "{folder}: {strange:?}");
    }
    assert!(names("valid", ".stderr").is_empty());
}

#[test]
fn a_warning_can_be_denied() {
    let path = "tests/cases/valid/unwatched.toml";
    let warned = validate(path, &[]).exits(0);
    assert!(warned.stderr.contains("`spare`"), "{}", warned.stderr);
    let denied = validate(path, &["--deny-warnings"]).exits(2);
    assert!(denied.stderr.contains("`spare`"), "{}", denied.stderr);
    validate("tests/cases/valid/straight_through.toml", &["--deny-warnings"]).exits(0);
}

#[test]
fn the_configs_that_come_with_it_are_valid() {
    let files = std::fs::read_dir(root().join("configs")).unwrap();
    let paths =
        files.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "toml"));
    let dir = TempDir::new();
    let key = dir.path().join("key").display().to_string();
    Run::new(&["trail", "keygen", "--key-file", &key]).run().exits(0);
    let mut seen = 0;
    for path in paths {
        let run = Run::new(&["validate", "--deny-warnings", "-c", path.to_str().unwrap()]);
        let run = run.env("INGEST_TOKEN", "a").env("SIEM_TOKEN", "b").env("SIEM_URI", "http://localhost/");
        let run = run.env("AUDIT_DIGEST_KEY", "0123456789abcdef").env("EVALTRAIL_KEY", &key);
        let outcome = run.run();
        assert_eq!(outcome.code, Some(0), "{}: {}", path.display(), outcome.stderr);
        seen += 1;
    }
    assert!(seen >= 2);
}
