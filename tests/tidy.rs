//! Keeps the house as it was drawn: what no compiler checks, and a review would have to.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::path::{Path, PathBuf};

/// The layers, each of which uses only those before it.
const LAYERS: [&str; 14] = [
    "event",
    "livebook",
    "codec",
    "language",
    "transforms",
    "delivery",
    "net",
    "trail",
    "sources",
    "sinks",
    "topology",
    "api",
    "config",
    "cli",
];
/// They do no I/O and know no runtime.
const PURE: [&str; 5] = ["event", "livebook", "codec", "language", "transforms"];
const IMPURE: [&str; 6] =
    ["tokio", "std::fs", "std::net", "std::io::stdin", "std::io::stdout", "std::process"];
const LINES_MAX: usize = 500;
const MAIN_LINES_MAX: usize = 39;

struct File {
    /// Its path below the root, with `/`.
    name: String,
    text: String,
}

impl File {
    /// The layer that it belongs to.
    fn layer(&self) -> Option<&str> {
        let below = self.name.strip_prefix("src/")?;
        below
            .split('/')
            .next()
            .map(|layer| layer.trim_end_matches(".rs"))
            .filter(|layer| LAYERS.contains(layer))
    }

    /// Its lines without comments, numbered from one.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(at, line)| (at + 1, line));
        lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, files) } else { files.push(path) }
    }
}

/// The files below `folders`, in the order of their names.
fn files(folders: &[&str]) -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    folders
        .iter()
        .filter(|folder| root.join(folder).is_dir())
        .for_each(|folder| walk(&root.join(folder), &mut paths));
    paths.sort();
    let file = |path: PathBuf| {
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
        File { name, text: String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned() }
    };
    paths.into_iter().map(file).collect()
}

fn rust(folders: &[&str]) -> Vec<File> {
    let mut files = files(folders);
    files.retain(|file| file.name.ends_with(".rs"));
    assert!(!files.is_empty());
    files
}

fn nothing(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// The layers that a line of code names: `crate::codec::…`, `crate::{codec, event}`.
fn layers_named(line: &str) -> Vec<&'static str> {
    let mut named = Vec::new();
    for (at, prefix) in line.match_indices("crate::") {
        let rest = &line[at + prefix.len()..];
        let group = rest.strip_prefix('{').map(|group| group.split('}').next().unwrap_or(group));
        let starts = group.map_or_else(|| vec![rest], |group| group.split(',').collect());
        for start in starts {
            let end = |c: char| !c.is_ascii_alphanumeric() && c != '_';
            let name = start.trim().split(end).next().unwrap_or_default();
            named.extend(LAYERS.iter().filter(|layer| **layer == name));
        }
    }
    named
}

#[test]
fn layers_use_only_those_above_them() {
    let rank = |layer: &str| LAYERS.iter().position(|known| *known == layer).unwrap();
    let mut faults = Vec::new();
    for file in rust(&["src"]) {
        let Some(layer) = file.layer() else { continue };
        for (number, line) in file.code() {
            for used in layers_named(line) {
                let beside = layer == "sinks" && used == "sources";
                if rank(used) > rank(layer) || beside {
                    faults.push(format!("{}:{number}: `{layer}` may not use `{used}`", file.name));
                }
            }
        }
    }
    nothing(&faults);
}

#[test]
fn the_test_of_layers_sees_what_it_should() {
    assert_eq!(layers_named("use crate::sinks::Sink;"), ["sinks"]);
    assert_eq!(layers_named("use crate::{event::Event, config, other};"), ["event", "config"]);
    assert_eq!(layers_named("let x: crate::cli::Args = crate::topology::run();"), ["cli", "topology"]);
    assert_eq!(layers_named("use crate::eventful; use std::sinks;"), [""; 0]);
}

#[test]
fn every_module_of_the_library_is_a_layer() {
    let library = files(&["src"]).into_iter().find(|file| file.name == "src/lib.rs").unwrap();
    let modules: Vec<&str> = library
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ").and_then(|name| name.strip_suffix(';')))
        .collect();
    assert_eq!(modules, LAYERS);
}

#[test]
fn components_do_not_know_each_other() {
    let mut faults = Vec::new();
    for file in rust(&["src/sources", "src/sinks", "src/transforms"]) {
        let mut parts = file.name.split('/').skip(1);
        let (role, own) = (parts.next().unwrap(), parts.next().unwrap().trim_end_matches(".rs"));
        if own == "mod" {
            continue;
        }
        for other in rust(&["src/sources", "src/sinks", "src/transforms"]) {
            let mut parts = other.name.split('/').skip(1);
            let (its_role, name) = (parts.next().unwrap(), parts.next().unwrap().trim_end_matches(".rs"));
            if its_role == role && name != own && name != "mod" {
                let (long, short) = (format!("crate::{role}::{name}"), format!("use super::{name}::"));
                let uses = |line: &str| line.contains(&long) || line.starts_with(&short);
                let found = file.code().find(|(_, line)| uses(line) && file.name.split('/').count() == 3);
                faults.extend(found.map(|(number, _)| format!("{}:{number}: uses `{name}`", file.name)));
            }
        }
    }
    nothing(&faults);
}

#[test]
fn pure_layers_do_no_io() {
    let mut faults = Vec::new();
    for file in rust(&["src"]) {
        if !file.layer().is_some_and(|layer| PURE.contains(&layer)) {
            continue;
        }
        for (number, line) in file.code() {
            let found = IMPURE
                .iter()
                .filter(|word| line.contains(&format!("{word}::")) || line.contains(&format!("use {word}")));
            faults.extend(found.map(|word| format!("{}:{number}: `{word}`", file.name)));
        }
    }
    nothing(&faults);
}

#[test]
fn files_are_short() {
    let long = |file: &File| (file.text.lines().count(), file.name.clone());
    let faults: Vec<String> = rust(&["src", "tests", "benches"])
        .iter()
        .map(long)
        .filter(|(lines, name)| *lines > if name == "src/main.rs" { MAIN_LINES_MAX } else { LINES_MAX })
        .map(|(lines, name)| format!("{name}: {lines} lines"))
        .collect();
    nothing(&faults);
}

#[test]
fn functions_are_short_and_clippy_sees_to_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| std::fs::read_to_string(root.join(name)).unwrap().parse::<toml::Table>().unwrap();
    assert_eq!(read("clippy.toml")["too-many-lines-threshold"].as_integer(), Some(70));
    let lints = &read("Cargo.toml")["lints"];
    assert_eq!(lints["clippy"]["too_many_lines"].as_str(), Some("deny"));
    assert_eq!(lints["rust"]["unsafe_code"].as_str(), Some("forbid"));
    assert_eq!(lints["rust"]["missing_docs"].as_str(), Some("deny"));
}

#[test]
fn nothing_is_left_for_later() {
    // Put together here, so that this file has none of them.
    let words = ["to", "unimple", "TO", "FIX", "#[ig", "dbg"];
    let ends = ["do!(", "mented!(", "DO", "ME", "nore", "!("];
    let mut faults = Vec::new();
    for file in rust(&["src", "tests", "benches"]) {
        for (word, end) in words.iter().zip(ends) {
            let word = format!("{word}{end}");
            let found = file.text.lines().position(|line| line.contains(&word));
            faults.extend(found.map(|at| format!("{}:{}: {word}", file.name, at + 1)));
        }
    }
    nothing(&faults);
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent = rust(&["src", "tests", "benches"]).into_iter().filter(|file| !file.text.starts_with("//! "));
    nothing(&silent.map(|file| format!("{}: begins without `//!`", file.name)).collect::<Vec<String>>());
}

#[test]
fn lines_end_where_their_text_ends() {
    let mut faults = Vec::new();
    let mut all = files(&["src", "tests", "benches", "configs", "docs", ".ci"]);
    // Expected output, data, and seeds of failures are as they are.
    all.retain(|file| ["rs", "toml", "sh", "md", "run"].iter().any(|end| file.name.ends_with(end)));
    for file in all {
        for (at, line) in file.text.split('\n').enumerate() {
            if line.ends_with([' ', '\t', '\r']) {
                faults.push(format!("{}:{}: white space at the end", file.name, at + 1));
            }
        }
        if !file.text.is_empty() && (!file.text.ends_with('\n') || file.text.ends_with("\n\n")) {
            faults.push(format!("{}: ends without a newline, or with too many", file.name));
        }
    }
    nothing(&faults);
}

#[test]
fn every_case_is_picked_up() {
    let mut faults = Vec::new();
    for file in files(&["tests/cases"]) {
        let mut parts = file.name.split('/').skip(2);
        let place = (parts.next().unwrap(), parts.next().unwrap_or_default(), parts.next());
        let known = match place {
            ("valid", name, None) => name.ends_with(".toml"),
            ("invalid", name, None) => name.ends_with(".toml") || name.ends_with(".stderr"),
            _ => false,
        };
        if !known {
            faults.push(format!("{}: no test looks at it", file.name));
        }
    }
    nothing(&faults);
}

#[test]
fn every_module_of_the_tests_is_declared() {
    let all = rust(&["tests/suite"]);
    let main = all.iter().find(|file| file.name == "tests/suite/main.rs").unwrap();
    let name = |file: &File| file.name.split('/').nth(2).unwrap().trim_end_matches(".rs").to_owned();
    let forgotten: Vec<String> = all
        .iter()
        .map(name)
        .filter(|name| name != "main" && !main.text.contains(&format!("\nmod {name};\n")))
        .collect();
    nothing(&forgotten);
}
