//! The desk at which a page is tried out: a folder, a shell, the built program, and what runs beside.
//!
//! Output goes to files and not to pipes, so that a command is over when it is over, whatever it has left running.
//! Everything that a page starts is in process groups of our own, and ended with the page.

use super::page::{Block, commands, fits};
use crate::harness::{PROGRAM, TIMEOUT, TempDir, root, until};
use std::fs::File;
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use toml::{Table, Value};

/// How long what runs beside may take to end when it is told to.
const STOP: Duration = Duration::from_secs(20);
/// Kinds of text that say what a command prints, or are a file by their `file=`.
const TEXTS: [&str; 9] = ["json", "text", "jsonl", "csv", "elixir", "vrl", "yaml", "dockerfile", "ini"];
/// Stands in for cargo: what a checkout would run by it is the program that is built already.
const CARGO: &str = "#!/bin/bash\n[ \"$1 $2 $3\" = 'run --release --quiet' ] || exit 64\nshift 3\n\
                     [ \"${1-}\" = -- ] && shift\nexec evaltrail \"$@\"\n";

/// What a command has left.
struct Outcome {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// A command of a page that runs while the next ones do.
struct Beside {
    place: String,
    child: Child,
    stderr: PathBuf,
}

/// Where a page is tried out.
pub struct Desk {
    dir: TempDir,
    /// What the last command wrote to standard output; none where there was no command.
    printed: Option<String>,
    beside: Vec<Beside>,
    groups: Vec<u32>,
    runs: usize,
}

impl Desk {
    /// An empty folder for the page `name`. Pages at the root are read in a checkout, so they have its `configs`.
    pub fn new(name: &str) -> Desk {
        let dir = TempDir::new();
        for folder in ["bin", "work", "out"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
        }
        std::os::unix::fs::symlink(PROGRAM, dir.path().join("bin/evaltrail")).unwrap();
        if !name.starts_with("docs/") {
            std::os::unix::fs::symlink(root().join("configs"), dir.path().join("work/configs")).unwrap();
            let cargo = dir.path().join("bin/cargo");
            std::fs::write(&cargo, CARGO).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(&cargo, mode).unwrap();
        }
        Desk { dir, printed: None, beside: Vec::new(), groups: Vec::new(), runs: 0 }
    }

    fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// Does what a block says, and holds it against what it promises.
    pub fn block(&mut self, block: &Block) -> Result<(), String> {
        let is_known = |word: &String| {
            let key = word.split('=').next().unwrap_or_default();
            let known: &[&str] = match block.kind.as_str() {
                "sh" => &["not-run", "background", "ready", "exit"],
                "console" => &["exit"],
                "toml" => &["file", "part"],
                "rust" => &["same-as"],
                _ => &["file", "not-run"],
            };
            known.contains(&key)
        };
        if let Some(word) = block.words.iter().find(|word| !is_known(word)) {
            return Err(block.fault(format!("`{}` knows no `{word}`", block.kind)));
        }
        // What was printed is for the texts right behind it.
        let is_text = TEXTS.contains(&block.kind.as_str()) && block.words.is_empty();
        self.printed = self.printed.take().filter(|_| is_text);
        match block.kind.as_str() {
            "" => Err(block.fault("this block says no kind: see docs/README.md for those that there are")),
            "sh" if block.has("not-run") => self.parses(block),
            "sh" if block.has("background") => self.start(block),
            "sh" => self.script(block),
            "console" => self.console(block),
            "toml" => self.config(block),
            "rust" => same(block),
            kind if !TEXTS.contains(&kind) => Err(block.fault(format!("there is no kind `{kind}`"))),
            _ if block.has("not-run") => self.embedded_configs(block),
            _ => self.text(block),
        }
    }

    /// A command in the shell, at work in the folder of the page.
    fn shell(&mut self, script: &str, name: &str) -> (Command, PathBuf, PathBuf) {
        let out = self.dir.path().join("out");
        self.runs += 1;
        let stdout = out.join(format!("{}{name}", self.runs));
        let stderr = out.join(format!("{}{name}.err", self.runs));
        let bin = self.dir.path().join("bin");
        let mut command = Command::new("bash");
        command.args(["-eu", "-o", "pipefail", "-c", script]).current_dir(self.work()).env_clear();
        command.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display()));
        command.env("HOME", self.work()).env("TZ", "UTC").env("LANG", "C.UTF-8").env("BOOK", &out);
        command.stdin(Stdio::null()).process_group(0);
        (command, stdout, stderr)
    }

    /// Runs a script to its end. What it exports is there for the next one, as in a terminal.
    fn run(&mut self, script: &str, is_merged: bool) -> Result<Outcome, String> {
        let state =
            "[ ! -e \"$BOOK/state\" ] || . \"$BOOK/state\"\ntrap 'export -p > \"$BOOK/state\"' EXIT\n";
        let (mut command, stdout, stderr) = self.shell(&format!("{state}{script}"), "");
        let file = File::create(&stdout).unwrap();
        let errors = if is_merged { file.try_clone().unwrap() } else { File::create(&stderr).unwrap() };
        let mut child = command.stdout(file).stderr(errors).spawn().unwrap();
        self.groups.push(child.id());
        let ends = until(TIMEOUT, || child.try_wait().unwrap().is_some());
        let read =
            |path: &Path| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
        let (stdout, stderr) = (read(&stdout), read(&stderr));
        if !ends {
            kill(child.id());
        }
        let code = child.wait().unwrap().code();
        if !ends {
            return Err(format!("not over after {TIMEOUT:?}\n{stdout}{stderr}"));
        }
        Ok(Outcome { code, stdout, stderr })
    }

    /// Runs a command that has to end with `code`.
    fn ends(&mut self, block: &Block, command: &str, code: i32, is_merged: bool) -> Result<String, String> {
        let first = command.lines().next().unwrap_or_default();
        let outcome = self.run(command, is_merged).map_err(|why| block.fault(format!("`{first}`: {why}")))?;
        if outcome.code != Some(code) {
            let got = outcome.code.map_or("a signal".to_owned(), |got| format!("exit code {got}"));
            let said = format!("{}{}", outcome.stdout, outcome.stderr);
            return Err(block.fault(format!("`{command}`: {got}, expected {code}\n{said}")));
        }
        Ok(outcome.stdout)
    }

    fn script(&mut self, block: &Block) -> Result<(), String> {
        let code = exit_code(block)?;
        self.printed = Some(self.ends(block, &block.text, code, false)?);
        Ok(())
    }

    fn console(&mut self, block: &Block) -> Result<(), String> {
        let all = commands(&block.text);
        if all.is_empty() {
            return Err(block.fault("no line of it begins with `$ `"));
        }
        let (file, line) = block.place.rsplit_once(':').unwrap();
        let last = all.len() - 1;
        for (at, (below, command, expected)) in all.into_iter().enumerate() {
            let place = format!("{file}:{}", line.parse::<usize>().unwrap() + 1 + below);
            let here = Block { place, kind: String::new(), words: Vec::new(), text: String::new() };
            let code = if at == last { exit_code(block)? } else { 0 };
            let got = self.ends(&here, &command, code, true)?;
            if !fits(&expected, &got) {
                let what = format!("`{command}` prints something else\nexpected:\n{expected}\ngot:\n{got}");
                return Err(here.fault(what));
            }
        }
        Ok(())
    }

    fn parses(&mut self, block: &Block) -> Result<(), String> {
        let file = self.dir.path().join("out/script");
        std::fs::write(&file, &block.text).unwrap();
        let outcome = self.run("bash -n \"$BOOK/script\"", true).map_err(|why| block.fault(why))?;
        if outcome.code == Some(0) { Ok(()) } else { Err(block.fault(outcome.stdout)) }
    }

    /// Starts what the page has a terminal of its own for.
    fn start(&mut self, block: &Block) -> Result<(), String> {
        // The signal at the end is for the program, not for a shell around it.
        let script = block.text.replacen("evaltrail ", "exec evaltrail ", 1);
        let script = format!("[ ! -e \"$BOOK/state\" ] || . \"$BOOK/state\"\n{script}");
        let (mut command, stdout, stderr) = self.shell(&script, "-beside");
        command.stdout(File::create(stdout).unwrap()).stderr(File::create(&stderr).unwrap());
        let mut child = command.spawn().unwrap();
        self.groups.push(child.id());
        let address = block.value("ready");
        let is_up = || address.is_none_or(|address| TcpStream::connect(address).is_ok());
        let mut has_ended = false;
        until(TIMEOUT, || {
            has_ended = child.try_wait().unwrap().is_some();
            has_ended || is_up()
        });
        let is_ready = !has_ended && is_up();
        let said = std::fs::read_to_string(&stderr).unwrap_or_default();
        self.beside.push(Beside { place: block.place.clone(), child, stderr });
        if is_ready { Ok(()) } else { Err(block.fault(format!("it does not come up\n{said}"))) }
    }

    fn write(&self, block: &Block, name: &str) -> Result<(), String> {
        let path = Path::new(name);
        if path.is_absolute() || name.contains("..") {
            return Err(block.fault(format!("`{name}` is outside of the folder of the page")));
        }
        std::fs::create_dir_all(self.work().join(path).parent().unwrap()).unwrap();
        std::fs::write(self.work().join(path), &block.text).map_err(|why| block.fault(why))
    }

    fn text(&mut self, block: &Block) -> Result<(), String> {
        if let Some(name) = block.value("file") {
            return self.write(block, name);
        }
        let Some(got) = &self.printed else {
            return Err(block.fault("says what a command prints, but no command stands before it"));
        };
        if fits(&block.text, got) {
            return Ok(());
        }
        Err(block.fault(format!("another output\nexpected:\n{}\ngot:\n{got}", block.text)))
    }

    fn config(&mut self, block: &Block) -> Result<(), String> {
        if let Some(name) = block.value("file") {
            self.write(block, name)?;
            return if block.has("part") { parse(block).map(drop) } else { self.check(block, name) };
        }
        let whole = complete(block)?;
        std::fs::write(self.work().join("fragment.toml"), whole).unwrap();
        self.check(block, "fragment.toml")?;
        std::fs::remove_file(self.work().join("fragment.toml")).map_err(|why| block.fault(why))
    }

    /// Validates a config, and runs its tests.
    fn check(&mut self, block: &Block, name: &str) -> Result<(), String> {
        self.ends(block, &format!("evaltrail validate --no-environment -c {name}"), 0, true)?;
        if block.text.contains("[[tests]]") {
            self.ends(block, &format!("evaltrail test -c {name}"), 0, true)?;
        }
        Ok(())
    }

    /// Checks the configs in a file of another kind: `NAME.toml: |` in YAML, with everything that stands further in.
    fn embedded_configs(&mut self, block: &Block) -> Result<(), String> {
        let depth = |line: &str| line.len() - line.trim_start().len();
        let mut lines = block.text.lines().peekable();
        while let Some(line) = lines.next() {
            if !line.trim_end().ends_with(".toml: |") {
                continue;
            }
            let mut config = String::new();
            let inner = lines.peek().map_or(0, |first| depth(first));
            while let Some(next) = lines.next_if(|next| next.trim().is_empty() || depth(next) >= inner) {
                config += next.get(inner..).unwrap_or_default();
                config.push('\n');
            }
            let inside = Block {
                place: block.place.clone(),
                kind: "toml".to_owned(),
                words: vec!["file=embedded.toml".to_owned()],
                text: config,
            };
            self.config(&inside)?;
        }
        Ok(())
    }

    /// Ends what runs beside; each has to end as it should when it is told to.
    pub fn close(&mut self) -> Result<(), String> {
        for mut beside in std::mem::take(&mut self.beside) {
            let pid = beside.child.id().to_string();
            crate::harness::kill("TERM", &pid);
            let ends = until(STOP, || beside.child.try_wait().unwrap().is_some());
            let said = std::fs::read_to_string(&beside.stderr).unwrap_or_default();
            if !ends {
                return Err(format!("{}: it does not end when it is told to\n{said}", beside.place));
            }
            let code = beside.child.wait().unwrap().code();
            if code != Some(0) {
                return Err(format!("{}: exit code {code:?} at the end of the page\n{said}", beside.place));
            }
        }
        Ok(())
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.groups.iter().copied().for_each(kill);
        for beside in &mut self.beside {
            drop(beside.child.wait());
        }
    }
}

/// Ends a process group of ours; there is nothing to do where it is gone.
fn kill(group: u32) {
    crate::harness::kill("KILL", &format!("-{group}"));
}

fn exit_code(block: &Block) -> Result<i32, String> {
    block.value("exit").unwrap_or("0").parse().map_err(|why| block.fault(why))
}

fn parse(block: &Block) -> Result<Table, String> {
    block.text.parse().map_err(|why| block.fault(why))
}

/// Holds a block against the part of a file between the lines `// begin` and `// end`.
fn same(block: &Block) -> Result<(), String> {
    let Some(name) = block.value("same-as") else {
        return Err(block.fault("`rust` needs `same-as=FILE`: nothing else compiles it"));
    };
    let text = std::fs::read_to_string(root().join(name)).map_err(|why| block.fault(why))?;
    let part = text.split("// begin\n").nth(1).and_then(|rest| rest.split("// end\n").next());
    match part {
        Some(part) if part.trim() == block.text.trim() => Ok(()),
        Some(part) => {
            Err(block.fault(format!("{name} has something else\nexpected:\n{}\ngot:\n{part}", block.text)))
        }
        None => Err(block.fault(format!("{name} has no lines `// begin` and `// end`"))),
    }
}

/// Gives a part of a config what it needs to be whole: sources for inputs that stand elsewhere, and a sink.
fn complete(block: &Block) -> Result<String, String> {
    let table = parse(block)?;
    let section = |name: &str| table.get(name).and_then(Value::as_table).cloned().unwrap_or_default();
    let (sources, transforms, sinks) = (section("sources"), section("transforms"), section("sinks"));
    let mut whole =
        if table.contains_key("data_dir") { String::new() } else { "data_dir = \"data\"\n".to_owned() };
    whole += &block.text;
    let mut missing = Vec::new();
    for component in transforms.values().chain(sinks.values()) {
        let inputs = match component.get("inputs") {
            Some(Value::String(one)) => vec![one.clone()],
            Some(Value::Array(all)) => all.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect(),
            _ => Vec::new(),
        };
        for input in inputs {
            let id = input.split('.').next().unwrap_or_default().to_owned();
            let is_there = [&sources, &transforms, &sinks].iter().any(|known| known.contains_key(&id));
            if !is_there && !id.contains('*') && !missing.contains(&id) {
                missing.push(id);
            }
        }
    }
    if sources.is_empty() && missing.is_empty() {
        missing.push("elsewhere".to_owned());
    }
    for id in &missing {
        whole += &format!("\n[sources.{id}]\ntype = \"demo_logs\"\ncount = 1\n");
    }
    if sinks.is_empty() {
        let port = |(id, one): (&String, &Value)| {
            let has_ports_only = one.get("type").and_then(Value::as_str) == Some("route");
            if has_ports_only { format!("\"{id}._unmatched\"") } else { format!("\"{id}\"") }
        };
        let ids: Vec<String> = sources.iter().chain(&transforms).map(port).collect();
        let ids = if ids.is_empty() { missing.iter().map(|id| format!("\"{id}\"")).collect() } else { ids };
        whole += &format!("\n[sinks.nowhere]\ntype = \"blackhole\"\ninputs = [{}]\n", ids.join(", "));
    }
    Ok(whole)
}
