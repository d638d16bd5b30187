//! The real logs inside every wrapper: what comes out is what comes out of them alone.

use crate::corpus::folder;
use crate::harness::embedded;
use crate::wrap::{WRAPPERS, Wrapper};
use std::path::PathBuf;

/// What else a container writes: on its other stream, in between, and never an evaluation.
const OTHERS: [&str; 5] = [
    "127.0.0.1 - - [06/Oct/2025:09:00:00 +0000] \"GET / HTTP/1.1\" 200 612",
    r#"{"level":"info","msg":"listening","port":8080}"#,
    "",
    "2025/10/06 09:00:00 [notice] 1#1: start worker processes",
    "  code=1 event=code.evaluate [info] Evaluating code",
];

fn logs(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    paths.retain(|path| {
        let name = path.to_string_lossy();
        (name.ends_with(".jsonl") || name.ends_with(".log")) && !name.ends_with(".expected.jsonl")
    });
    paths.sort();
    paths
}

fn mixed(wrapper: Wrapper, log: &[u8]) -> Vec<u8> {
    let mut mixed = Vec::new();
    for (at, line) in wrapper.lines("stdout", log).into_iter().enumerate() {
        if at % 3 == 0 {
            // In front of the last line of what may be several parts.
            let last = line[..line.len() - 1].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            mixed.extend_from_slice(&line[..last]);
            mixed.extend(wrapper.line("stderr", OTHERS[at / 3 % OTHERS.len()].as_bytes()));
            mixed.extend_from_slice(&line[last..]);
        } else {
            mixed.extend(line);
        }
    }
    mixed
}

fn evaluations(log: Vec<u8>) -> Vec<String> {
    let outcome = embedded(log);
    let mut lines: Vec<String> = outcome.lines().into_iter().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[track_caller]
fn same(wrapper: Wrapper) {
    let Some(folder) = folder() else { return };
    for path in logs(&folder) {
        let mut log = std::fs::read(&path).unwrap();
        if !wrapper.keeps_bytes() {
            log = String::from_utf8_lossy(&log).into_owned().into_bytes();
        }
        let wrapped = mixed(wrapper, &log);
        let (expected, got) = (evaluations(log), evaluations(wrapped));
        let name = path.file_name().unwrap().to_string_lossy();
        let only = |these: &[String], those: &[String]| {
            these
                .iter()
                .find(|line| !those.contains(line))
                .map(|line| line.chars().take(400).collect::<String>())
        };
        assert!(!expected.is_empty());
        let told = || format!("{} of {}", got.len(), expected.len());
        assert!(
            got == expected,
            "{wrapper:?} {name}: {}, missing {:?}, surplus {:?}",
            told(),
            only(&expected, &got),
            only(&got, &expected)
        );
    }
}

#[test]
fn dockers_json_file_costs_nothing() {
    same(Wrapper::Docker);
}

#[test]
fn containerd_costs_nothing() {
    same(Wrapper::Cri);
}

#[test]
fn the_journal_costs_nothing() {
    same(Wrapper::Journald);
}

#[test]
fn fly_costs_nothing() {
    same(Wrapper::Fly);
}

#[test]
fn fluent_bit_costs_nothing() {
    same(Wrapper::FluentBit);
}

#[test]
fn vector_costs_nothing() {
    same(Wrapper::Vector);
}

#[test]
fn every_wrapper_has_its_test() {
    assert_eq!(WRAPPERS.len(), 6);
}
