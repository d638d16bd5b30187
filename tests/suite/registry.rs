//! Every component is documented by an example that works.

use crate::harness::{Outcome, Run, TempDir, root};
use crate::receiver::{OK, Receiver};
use std::collections::BTreeMap;
use toml::{Table, Value};

/// Role, name and source text of every component.
fn components() -> Vec<(&'static str, &'static str, String)> {
    let registry = &evaltrail::config::BUILTIN;
    let sources = registry.sources.iter().map(|entry| ("sources", entry.name));
    let transforms = registry.transforms.iter().map(|entry| ("transforms", entry.name));
    let sinks = registry.sinks.iter().map(|entry| ("sinks", entry.name));
    let text = |role: &str, name: &str| {
        let folder = root().join("src").join(role);
        let paths = [folder.join(format!("{name}.rs")), folder.join(name).join("mod.rs")];
        let path = paths.iter().find(|path| path.exists()).unwrap_or_else(|| panic!("no file for {name}"));
        std::fs::read_to_string(path).unwrap()
    };
    sources.chain(transforms).chain(sinks).map(|(role, name)| (role, name, text(role, name))).collect()
}

/// The lines of the module's documentation.
fn page(text: &str) -> Vec<&str> {
    let lines = text.lines().map_while(|line| line.strip_prefix("//!"));
    lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect()
}

/// The examples of a reference page.
fn examples(text: &str) -> Vec<String> {
    let mut examples = Vec::new();
    let mut open: Option<String> = None;
    for line in page(text) {
        match (&mut open, line) {
            (None, "```toml") => open = Some(String::new()),
            (Some(_), "```") => examples.extend(open.take()),
            (Some(example), line) => *example += &format!("{line}\n"),
            (None, _) => {}
        }
    }
    examples
}

/// Gives an example what it needs to be a whole pipeline.
fn complete(role: &str, example: &str) -> String {
    let table: Table = example.parse().unwrap();
    let components = table[role].as_table().unwrap();
    let (id, component) = components.iter().next().unwrap();
    let mut added: BTreeMap<String, String> = BTreeMap::new();
    let inputs = component.get("inputs").and_then(Value::as_array).cloned().unwrap_or_default();
    for input in inputs {
        let input = input.as_str().unwrap().split('.').next().unwrap().to_owned();
        added.insert(
            format!("sources.{input}"),
            "type = \"demo_logs\"\ncount = 20\ninterval_secs = 0".to_owned(),
        );
    }
    if role != "sinks" && !table.contains_key("sinks") {
        added.insert("sinks.end".to_owned(), format!("type = \"blackhole\"\ninputs = [\"{id}\"]"));
    }
    added.iter().fold(example.to_owned(), |all, (name, options)| format!("{all}\n[{name}]\n{options}\n"))
}

fn each(check: impl Fn(&str, &str, &str)) {
    for (role, name, text) in components() {
        let examples = examples(&text);
        assert!(!examples.is_empty(), "{role}/{name} has no example");
        for example in examples {
            check(role, name, &complete(role, &example));
        }
    }
}

/// What the examples take from the environment.
fn with_variables(run: Run) -> Run {
    run.env("AUDIT_DIGEST_KEY", "0123456789abcdef").env("SIEM_TOKEN", "a-token")
}

/// What the example of `trail` signs with.
fn signing_key() -> String {
    let dir = TempDir::new();
    let made = Run::new(&["trail", "keygen", "livebook.example.com/audit"]).current_dir(dir.path());
    made.run().exits(0);
    std::fs::read_to_string(dir.path().join("trail.key")).unwrap()
}

#[test]
fn every_example_is_valid() {
    let key = signing_key();
    each(|_, name, config| {
        let run = with_variables(Run::new(&["validate", "--deny-warnings"]));
        let Outcome { code, stderr, .. } = run.config(config).file("trail.key", &key).run();
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{name}: {config}");
        assert!(config.contains(&format!("type = \"{name}\"")), "{name}: {config}");
    });
}

#[test]
fn every_example_starts_and_stops() {
    let key = signing_key();
    each(|role, name, config| {
        let receiver = Receiver::start(|_, _| OK);
        let config = &config.replace("https://siem.example.com/ingest", &receiver.uri());
        // The example of `demo_logs` never ends by itself.
        let mut live = with_variables(Run::new(&[])).config(config).file("trail.key", &key).live();
        live.close_stdin();
        if role == "sources" && name != "stdin" {
            live.signal_when_ready("TERM");
        }
        let (status, stderr) = live.wait(crate::harness::TIMEOUT);
        assert_eq!(status.code(), Some(0), "{name}: {stderr}");
    });
}

#[test]
fn every_option_of_a_page_exists() {
    for (role, name, text) in components() {
        for line in page(&text) {
            let Some(cell) = line.strip_prefix("| `").and_then(|line| line.split(" | ").next()) else {
                continue;
            };
            for option in cell.split('`').filter(|part| part.starts_with(|c: char| c.is_ascii_lowercase())) {
                // A table is a wrong type for all of them: a fault, but not that of an unknown option.
                let section = format!("[{role}.probe]\ntype = \"{name}\"\n{option} = {{ probe = 1 }}\n");
                let outcome = Run::new(&["validate"]).config(&section).run().exits(2);
                let leaf = option.rsplit('.').next().unwrap();
                let unknown = format!("unknown option `{leaf}`");
                assert!(!outcome.stderr.contains(&unknown), "{name}: {}", outcome.stderr);
            }
        }
    }
}
