//! The book (`docs/`), the README and CONTRIBUTING: what is printed there works as printed.
//!
//! Each page runs in a folder of its own, block after block, by the built binary. A page is documentation that nobody
//! else would hold against the program, and it drifts with every change; so a block that no rule of `docs/README.md`
//! knows is a fault, and nothing is passed over in silence. The last tests show that a wrong page is found.

mod desk;
mod page;
mod reference;

use crate::harness::{Run, TIMEOUT, root, until};
use crate::tools::has;
use desk::Desk;
use page::{Page, with_free_ports};
use regex::Regex;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

/// How many pages run at a time.
const PAGES_AT_A_TIME: usize = 3;

/// All pages: those of the book, and those at the root.
fn pages() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|ending| ending == "md")).collect();
    pages.extend(["README.md", "CONTRIBUTING.md"].map(|name| root().join(name)));
    pages.sort();
    pages
}

/// The path of a page below the root.
fn name(path: &Path) -> &str {
    path.strip_prefix(root()).unwrap().to_str().unwrap()
}

/// Runs a page; what is wrong with it, with its place.
fn run(name: &str, text: &str) -> Result<usize, String> {
    let text = with_free_ports(text);
    let page = Page::parse(name, &text)?;
    let mut desk = Desk::new(name);
    let mut faults: Vec<String> = page.blocks.iter().filter_map(|block| desk.block(block).err()).collect();
    faults.extend(desk.close().err());
    if faults.is_empty() { Ok(page.blocks.len()) } else { Err(faults.join("\n\n")) }
}

#[test]
fn every_page_works_as_printed() {
    let left = Mutex::new(pages());
    let (faults, blocks) = (Mutex::new(Vec::new()), Mutex::new(0));
    let work = || {
        loop {
            // The lock is gone before the page runs.
            let next = left.lock().unwrap().pop();
            let Some(path) = next else { return };
            let text = std::fs::read_to_string(&path).unwrap();
            if text.contains("$ curl ") && !has("curl") {
                continue;
            }
            match run(name(&path), &text) {
                Ok(count) => *blocks.lock().unwrap() += count,
                Err(fault) => faults.lock().unwrap().push(fault),
            }
        }
    };
    thread::scope(|scope| (0..PAGES_AT_A_TIME).for_each(|_| drop(scope.spawn(work))));
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "\n{}", faults.join("\n\n"));
    let blocks = blocks.into_inner().unwrap();
    assert!(blocks > 60, "only {blocks} blocks: are the pages still read?");
}

#[test]
fn the_index_names_every_page() {
    let index = std::fs::read_to_string(root().join("docs/README.md")).unwrap();
    for path in pages().iter().filter(|path| path.parent().is_some_and(|folder| folder.ends_with("docs"))) {
        let file = path.file_name().unwrap().to_str().unwrap();
        assert!(
            file == "README.md" || index.contains(&format!("]({file})")),
            "docs/README.md names no {file}"
        );
    }
}

#[test]
fn every_command_is_in_the_table_of_commands() {
    let help = Run::new(&["--help"]).run().exits(0).stdout;
    let list = help.split("Commands:\n").nth(1).unwrap();
    let commands = list.lines().take_while(|line| !line.is_empty());
    // What is further in goes on with the line before.
    let commands =
        commands.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    let table = std::fs::read_to_string(root().join("docs/config.md")).unwrap();
    let mut seen = 0;
    for command in commands.filter(|command| !matches!(*command, "run" | "help")) {
        assert!(table.contains(&format!("`evaltrail {command}")), "docs/config.md: no `evaltrail {command}`");
        seen += 1;
    }
    assert!(seen > 10, "{help}");
}

#[test]
fn the_readme_names_every_component() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    for line in Run::new(&["list"]).run().exits(0).lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (role, name, does) = (words[0], words[1], words[2..].join(" "));
        let row = format!("| [`{name}`](docs/reference.md#{name}-{role}) | {role} | {does} |");
        assert!(readme.lines().any(|line| line == row), "README.md lacks this row:\n{row}");
    }
}

#[test]
fn figures_of_speed_are_the_same_everywhere() {
    let [readme, page] =
        ["README.md", "docs/speed.md"].map(|name| std::fs::read_to_string(root().join(name)).unwrap());
    let section = readme.split("\n## Speed\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| ")).collect();
    assert!(rows.len() >= 5, "{section}");
    for row in rows {
        assert!(
            page.lines().any(|line| line == row),
            "docs/speed.md has other figures than README.md:\n{row}"
        );
    }
}

/// What GitHub makes the anchor of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The anchors of a page.
fn anchors(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let prose = Page::parse("", &text).unwrap().prose;
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}

#[test]
fn links_lead_somewhere() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let mut faults = Vec::new();
    for path in pages() {
        let text = std::fs::read_to_string(&path).unwrap();
        let prose = Page::parse(name(&path), &text).unwrap().prose;
        for found in link.captures_iter(&prose) {
            let target = &found[1];
            if target.starts_with("http://") || target.starts_with("https://") {
                continue;
            }
            let (file, place) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let leads = file.exists() && (place.is_empty() || anchors(&file).iter().any(|one| one == place));
            if !leads {
                faults.push(format!("{}: {target}", name(&path)));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

/// A page that works, out of which the tests below make wrong ones.
const PAGE: &str = r#"# A page

```toml file=a.toml
[sources.demo]
type = "demo_logs"
count = 5
interval_secs = 0

[sinks.out]
type = "blackhole"
inputs = ["demo"]
```

```console
$ echo "it runs" && evaltrail -q -c a.toml
it runs
```

```sh
printf '{"a":%s}\n' "$((1 + 1))"
```

```json
{"a":2}
```

```toml
[transforms.x]
type = "filter"
inputs = ["elsewhere"]
condition = ".message == \"\""
```

```sh not-run
docker run evaltrail
```
"#;

#[track_caller]
fn refused(from: &str, to: &str, said: &[&str]) {
    assert!(PAGE.contains(from), "{from}");
    let fault = run("docs/page.md", &PAGE.replacen(from, to, 1)).expect_err(to);
    for words in said {
        assert!(fault.contains(words), "no {words:?} in:\n{fault}");
    }
}

#[test]
fn a_page_that_works_is_accepted() {
    assert_eq!(run("docs/page.md", PAGE), Ok(6));
}

#[test]
fn a_wrong_page_is_told_with_its_place() {
    // A config that is wrong, whole and in part.
    refused(
        "count = 5",
        "cuont = 5",
        &["docs/page.md:3: ", "unknown option `cuont`", "did you mean `count`?"],
    );
    refused("condition = ", "conditoin = ", &["docs/page.md:27: ", "unknown option `conditoin`"]);
    refused(".message == ", ".message = ", &["docs/page.md:27: "]);
    // Other output than is printed: which command, what is expected, what came.
    refused(
        "it runs\n```",
        "it works\n```",
        &["docs/page.md:15: `echo \"it runs\"", "expected:\nit works", "got:\nit runs"],
    );
    refused("{\"a\":2}", "{\"a\":3}", &["docs/page.md:23: ", "expected:\n{\"a\":3}", "got:\n{\"a\":2}"]);
    // Commands that fail, or that are none.
    refused("-q -c a.toml", "-q -c b.toml", &["docs/page.md:15: ", "exit code 2, expected 0", "b.toml"]);
    refused("-q -c", "--quite -c", &["docs/page.md:15: ", "--quite"]);
    refused("docker run evaltrail", "docker run (", &["docs/page.md:34: ", "syntax error"]);
}

#[test]
fn what_no_rule_knows_is_a_fault() {
    refused("```sh not-run", "```", &["docs/page.md:34: ", "no kind"]);
    refused("```sh not-run", "```powershell", &["docs/page.md:34: ", "`powershell`"]);
    refused("```sh not-run", "```sh notrun", &["docs/page.md:34: ", "`notrun`"]);
    refused("```toml file=a.toml", "```toml file=../a.toml", &["docs/page.md:3: ", "../a.toml"]);
    refused(
        "{\"a\":2}\n```",
        "{\"a\":2}\n```\n\n```sh not-run\ntrue\n```\n\n```json\n{}\n```",
        &["docs/page.md:31: "],
    );
    // What is only shown is looked at as far as it can be.
    let yaml = "```yaml not-run\ndata:\n  a.toml: |\n    [sorces.x]\n    type = \"stdin\"\n```";
    refused("# A page", yaml, &["docs/page.md:1: ", "sorces"]);
    let rust = "```rust same-as=tests/suite/contributing_example.rs\nfn main() {}\n```";
    refused("# A page", rust, &["docs/page.md:1: ", "has something else"]);
    refused("# A page", "```json\n{}\n```", &["docs/page.md:1: ", "no command stands before it"]);
    refused("docker run evaltrail\n```", "docker", &["docs/page.md:34: ", "never ends"]);
}

#[test]
fn a_server_of_a_page_is_ended_with_it() {
    let server = "```toml file=s.toml\n[api]\naddress = \"127.0.0.1:8686\"\n[sources.a]\ntype = \"demo_logs\"\n\
                  [sinks.b]\ntype = \"blackhole\"\ninputs = [\"a\"]\n```\n\n\
                  ```sh background ready=127.0.0.1:8686\nevaltrail -c s.toml\n```\n\n\
                  ```sh\nevaltrail top --once -c s.toml\n```\n";
    let text = with_free_ports(server);
    assert!(!text.contains(":8686"), "{text}");
    let port: u16 = Regex::new(r"127\.0\.0\.1:(\d+)").unwrap().captures(&text).unwrap()[1].parse().unwrap();
    let is_free = || std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
    // Once as it should be, and once where the page is wrong while the server runs.
    assert_eq!(run("docs/page.md", &text), Ok(3));
    assert!(until(TIMEOUT, is_free), "somebody still listens on {port}");
    let fault = run("docs/page.md", &text.replace("--once -c s", "--once -c t")).unwrap_err();
    assert!(fault.contains("docs/page.md:15: `evaltrail top"), "{fault}");
    assert!(until(TIMEOUT, is_free), "somebody still listens on {port}");
    // One that never comes up.
    let fault = run("docs/page.md", &text.replace("evaltrail -c s", "evaltrail -c t")).unwrap_err();
    assert!(fault.contains("docs/page.md:11: it does not come up") && fault.contains("t.toml"), "{fault}");
}
