//! A running program goes on with another config: what changed is exchanged, the rest is not touched, and nothing is lost
//! or comes twice.

use crate::harness::{Live, Run, TIMEOUT, TempDir, has_lines, until};
use crate::http_client::Client;
use crate::http_tls::Papers;
use crate::logs::*;
use crate::receiver::{OK, Receiver};
use crate::tools::free_address;
use serde_json::Value;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;

/// A program whose config can be written anew.
pub struct Program {
    pub live: Live,
    pub dir: TempDir,
}

impl Program {
    pub fn start(config: &str) -> Program {
        Program::start_with(config, &[])
    }

    pub fn start_with(config: &str, args: &[&str]) -> Program {
        let dir = TempDir::new();
        dir.write("config.toml", config);
        let live = Run::new(&["-c", "config.toml"]).arg_all(args).current_dir(dir.path()).live();
        Program { live, dir }
    }

    /// Asks for a reload with this config, and waits until it says `words` one more time.
    #[track_caller]
    pub fn reload_until(&mut self, config: &str, words: &str) {
        self.live.is_ready();
        let before = self.live.stderr().matches(words).count();
        self.dir.write("config.toml", config);
        self.live.signal("HUP");
        let said = until(TIMEOUT, || self.live.stderr().matches(words).count() > before);
        assert!(said, "{words:?} is not in\n{}", self.live.stderr());
    }

    #[track_caller]
    pub fn reload(&mut self, config: &str) {
        self.reload_until(config, " reloaded");
    }

    pub fn append(&self, name: &str, text: &str) {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    pub fn lines(&self, name: &str) -> Vec<String> {
        lines(&self.dir.path().join(name))
    }

    #[track_caller]
    pub fn waits_for(&self, name: &str, count: usize) {
        let there = has_lines(&self.dir.path().join(name), count);
        assert!(there, "{} of {count} in {name}\n{}", self.lines(name).len(), self.live.stderr());
    }

    #[track_caller]
    pub fn stops(self, code: i32) -> String {
        self.live.signal("TERM");
        let (status, stderr) = self.live.wait(TIMEOUT);
        assert_eq!(status.code(), Some(code), "{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        stderr
    }
}

pub fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

pub fn messages(lines: &[String]) -> Vec<String> {
    let message = |line: &String| serde_json::from_str::<Value>(line).unwrap()["message"].clone();
    lines.iter().map(|line| message(line).as_str().unwrap().to_owned()).collect()
}

pub fn numbered(range: std::ops::Range<usize>) -> String {
    range.map(|number| format!("{{\"message\":\"{number}\"}}\n")).collect()
}

pub fn texts(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

pub fn first_difference(found: &[String], expected: &[String]) -> Option<(usize, String)> {
    let at = (0..found.len().max(expected.len())).find(|at| found.get(*at) != expected.get(*at))?;
    Some((at, found.get(at).cloned().unwrap_or_default()))
}

pub const STDIN: &str = "[sources.in]\ntype = \"stdin\"\n";

pub fn file_sink(id: &str, input: &str) -> String {
    format!("[sinks.{id}]\ntype = \"file\"\npath = \"{id}.jsonl\"\ninputs = [\"{input}\"]\n")
}

#[test]
fn a_transform_comes_between_and_goes_again() {
    let plain = format!("{STDIN}{}", file_sink("out", "in"));
    let between = |condition: &str| {
        let filter =
            format!("[transforms.f]\ntype = \"filter\"\ninputs = [\"in\"]\ncondition = '{condition}'\n");
        format!("{STDIN}{filter}{}", file_sink("out", "f"))
    };
    let mut program = Program::start(&plain);
    program.live.write(numbered(0..10).as_bytes());
    program.waits_for("out.jsonl", 10);
    program.reload(&between(".message != \"12\""));
    assert!(program.live.stderr().contains("added=\"f\" changed=\"\" rewired=\"out\" removed=\"\""));
    program.live.write(numbered(10..20).as_bytes());
    program.waits_for("out.jsonl", 19);
    program.reload(&between(".message != \"22\""));
    program.live.write(numbered(20..30).as_bytes());
    program.waits_for("out.jsonl", 28);
    program.reload(&plain);
    program.live.write(numbered(30..40).as_bytes());
    program.live.close_stdin();
    let expected: Vec<String> = texts(0..40).into_iter().filter(|n| n != "12" && n != "22").collect();
    let Program { live, dir, .. } = program;
    let (status, stderr) = live.wait(TIMEOUT);
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert_eq!(messages(&lines(&dir.path().join("out.jsonl"))), expected);
    assert!(stderr.contains("delivered=38") && stderr.contains("filtered 2"), "{stderr}");
}

#[test]
fn twins_find_each_other_over_reloads() {
    let config = |options: &str, between: &str| {
        let feed = if between.is_empty() { "in" } else { "p" };
        format!(
            "{STDIN}{between}[transforms.parse]\ntype = \"legacy_message\"\ninputs = [\"{feed}\"]\n{options}\n{}",
            file_sink("out", "parse")
        )
    };
    let pass = "[transforms.p]\ntype = \"filter\"\ninputs = [\"in\"]\ncondition = \"true\"\n";
    let mut program = Program::start(&config("twin_wait_ms = 60000", ""));
    let plans = [
        // It stands behind another one, and has another queue; it has other options; both.
        config("twin_wait_ms = 60000", pass),
        config("twin_wait_ms = 50000", pass),
        config("twin_wait_ms = 60000\nmessage = \"short\"", ""),
    ];
    for (at, plan) in plans.iter().enumerate() {
        let ms = 10 * (at as u32 + 1);
        // One that has gone out before its twin comes, and one that waits.
        let (sure, unsure) = (format!("sure {at}"), format!("<<{}, 1, 2>>", at + 3));
        program.live.write(structured_json(ms, &sure).as_bytes());
        program.live.write(structured_json(ms + 1, &unsure).as_bytes());
        program.waits_for("out.jsonl", 2 * at + 1);
        program.reload(plan);
        let literal = |text: &str| serde_json::to_string(text).unwrap();
        program.live.write(legacy_json(ms + 2, &literal(&sure)).as_bytes());
        program.live.write(legacy_json(ms + 3, &unsure).as_bytes());
        program.waits_for("out.jsonl", 2 * at + 2);
    }
    program.live.write(structured_json(90, "the end").as_bytes());
    program.waits_for("out.jsonl", 7);
    let lines = program.lines("out.jsonl");
    let incomplete = lines.iter().filter(|line| line.contains("code_incomplete")).count();
    assert_eq!(incomplete, 0, "{lines:#?}");
    assert_eq!(lines.len(), 7, "{lines:#?}");
    let stderr = program.stops(0);
    assert!(stderr.contains("twin 6"), "{stderr}");
}

#[test]
fn a_config_that_can_not_run_is_refused_and_changes_nothing() {
    let good = format!("data_dir = \"data\"\n{STDIN}{}", file_sink("out", "in"));
    let mut program = Program::start(&good);
    let taken = Receiver::start(|_, _| OK);
    let address = taken.address;
    let server = format!("[sources.web]\ntype = \"http_server\"\naddress = \"{address}\"\n");
    for (config, words) in [
        (good.replace("path", "pth"), "`pth`"),
        (good.replace("\"data\"", "\"other\""), "`data_dir` can't be changed"),
        (good.replace("\"stdin\"", "\"stdin\"\nmax_record_bytes = 5000"), "the source `in` can't be changed"),
        (
            good.replace("sources.in]", "sources.other]").replace("\"in\"", "\"other\""),
            "`in` can't be changed",
        ),
        (good.replace("[\"in\"]", "[\"in\", \"web\"]") + &server, "can't listen on"),
        (format!("{good}[api]\naddress = \"{address}\"\n"), "the API can't listen on"),
    ] {
        program.reload_until(&config, "the reload is refused, and what runs goes on");
        assert!(program.live.stderr().contains(words), "{words}: {}", program.live.stderr());
        let count = program.lines("out.jsonl").len();
        program.live.write(numbered(count..count + 1).as_bytes());
        program.waits_for("out.jsonl", count + 1);
    }
    program.reload(&good);
    assert!(program.live.stderr().contains("reloaded: no component has changed"));
    assert_eq!(messages(&program.lines("out.jsonl")), texts(0..6));
    program.stops(0);
}

#[test]
fn a_server_changes_its_options_while_clients_post() {
    let address = free_address();
    let config = |bytes: usize| {
        format!(
            "[sources.web]\ntype = \"http_server\"\naddress = \"{address}\"\nmax_body_bytes = {bytes}\n{}",
            file_sink("out", "web")
        )
    };
    let mut program = Program::start(&config(100_000));
    program.live.says("listening");
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let clients: Vec<_> = (0..3)
        .map(|client| {
            let stop = stop.clone();
            std::thread::spawn(move || {
                let (mut sent, mut taken) = (0, Vec::new());
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    sent += 1;
                    let text = format!("{client}-{sent}");
                    // A connection for each: nobody may be turned away.
                    let mut client = Client::new(TcpStream::connect(address).unwrap());
                    client.post("Connection: close\r\n", format!("{{\"message\":\"{text}\"}}")).is(200);
                    taken.push(text);
                }
                taken
            })
        })
        .collect();
    for round in 0..6 {
        program.reload(&config(200_000 + round));
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut taken: Vec<String> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
    let mut written = messages(&program.lines("out.jsonl"));
    taken.sort();
    written.sort();
    assert_eq!(written, taken);
    program.stops(0);
}

#[test]
fn a_file_source_changes_its_options_in_the_middle_of_its_files() {
    let config = |cooldown: usize| {
        format!(
            "data_dir = \"data\"\n[sources.logs]\ntype = \"file\"\ninclude = [\"logs/*.log\"]\n\
             glob_minimum_cooldown_ms = {cooldown}\n{}",
            file_sink("out", "logs")
        )
    };
    let mut program = Program::start(&config(50));
    for round in 0..8 {
        program.append("logs/a.log", &numbered(round * 500..round * 500 + 500));
        // Half a line, which the next round completes.
        let end = if round > 0 { "\"}\n" } else { "" };
        program.append("logs/b.log", &format!("{end}{{\"message\":\"b{round}"));
        program.reload(&config(60 + round));
    }
    program.append("logs/b.log", "\"}\n");
    program.waits_for("out.jsonl", 4008);
    let written = messages(&program.lines("out.jsonl"));
    let (b, a): (Vec<String>, Vec<String>) = written.into_iter().partition(|text| text.starts_with('b'));
    assert!(a == texts(0..4000), "{} lines, {:?}", a.len(), first_difference(&a, &texts(0..4000)));
    assert_eq!(b, (0..8).map(|round| format!("b{round}")).collect::<Vec<_>>());
    program.stops(0);
}

#[test]
fn a_program_in_a_file_of_its_own_takes_part_when_the_config_is_watched() {
    let dir = TempDir::new();
    dir.write("mark.vrl", ".mark = 1");
    let config = format!(
        "{STDIN}[transforms.mark]\ntype = \"remap\"\ninputs = [\"in\"]\nfile = \"mark.vrl\"\n{}",
        file_sink("out", "mark")
    );
    dir.write("config.toml", &config);
    let live = Run::new(&["-c", "config.toml", "--watch-config"]).current_dir(dir.path()).live();
    let mut program = Program { live, dir };
    program.live.write(numbered(0..1).as_bytes());
    program.waits_for("out.jsonl", 1);
    program.dir.write("mark.vrl", ".mark = nonsense(");
    program.live.says("the reload is refused");
    program.live.write(numbered(1..2).as_bytes());
    program.waits_for("out.jsonl", 2);
    program.dir.write("mark.vrl", ".mark = \"two\"");
    program.live.says("changed=\"mark\"");
    program.live.write(numbered(2..3).as_bytes());
    program.waits_for("out.jsonl", 3);
    let marks: Vec<Value> = program
        .lines("out.jsonl")
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["mark"].clone())
        .collect();
    assert_eq!(marks, [Value::from(1), Value::from(1), Value::from("two")]);
    program.stops(0);
}

#[test]
fn what_is_wanted_grows_while_a_source_runs() {
    // Where only evaluations are wanted, other lines are passed over unread.
    let chain = "[transforms.parse]\ntype = \"legacy_message\"\ninputs = [\"in\"]\n\
                 [transforms.policy]\ntype = \"audit_policy\"\ninputs = [\"parse\"]\n";
    let small = format!("{STDIN}{chain}{}", file_sink("out", "policy"));
    let mut program = Program::start(&small);
    let round = |at: u32| twins_json(at, &format!("code {at}")) + &other_json(at + 1) + "{\"broken\n";
    program.live.write(round(1).as_bytes());
    program.waits_for("out.jsonl", 1);
    program.reload(&format!("{small}{}{}", file_sink("all", "in"), file_sink("bad", "in.faults")));
    program.live.write(round(10).as_bytes());
    program.waits_for("bad.jsonl", 1);
    program.waits_for("all.jsonl", 3);
    program.reload(&small);
    program.live.write(round(20).as_bytes());
    program.waits_for("out.jsonl", 3);
    assert_eq!((program.lines("all.jsonl").len(), program.lines("bad.jsonl").len()), (3, 1));
    program.stops(0);
}

#[test]
fn the_api_moves_to_another_address() {
    let (first, second) = (free_address(), free_address());
    let config = |address| format!("{STDIN}{}[api]\naddress = \"{address}\"\n", file_sink("out", "in"));
    let mut program = Program::start(&config(first));
    let healthy = |address| {
        TcpStream::connect(address).is_ok_and(|mut stream| {
            stream.set_read_timeout(Some(TIMEOUT)).unwrap();
            stream
                .write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                .unwrap();
            let mut answer = String::new();
            std::io::Read::read_to_string(&mut stream, &mut answer).is_ok() && answer.contains("200 OK")
        })
    };
    assert!(until(TIMEOUT, || healthy(first)));
    program.reload(&config(second));
    assert!(until(TIMEOUT, || healthy(second)));
    assert!(until(TIMEOUT, || TcpStream::connect(first).is_err()));
    program.stops(0);
}

#[test]
fn a_renewed_certificate_is_read_again() {
    let (first, second, address) = (Papers::new(), Papers::new(), free_address());
    let config = format!(
        "[sources.web]\ntype = \"http_server\"\naddress = \"{address}\"\n{}\n{}",
        first.options(""),
        file_sink("out", "web")
    );
    let mut program = Program::start(&config);
    program.live.says("listening");
    first.client_to(address, false).post("", numbered(0..1)).is(200);
    for name in ["server.crt", "server.key"] {
        std::fs::copy(second.path(name), first.path(name)).unwrap();
    }
    program.reload(&config);
    assert!(program.live.stderr().contains("changed=\"web\""), "{}", program.live.stderr());
    second.client_to(address, false).post("", numbered(1..2)).is(200);
    std::fs::write(first.path("server.key"), "nonsense").unwrap();
    program.reload_until(&config, "the reload is refused");
    second.client_to(address, false).post("", numbered(2..3)).is(200);
    assert_eq!(messages(&program.lines("out.jsonl")), texts(0..3));
    program.stops(0);
}

#[test]
fn a_file_that_was_rotated_away_is_read_on_however_often_its_source_begins_anew() {
    let config = |open: usize| {
        format!(
            "data_dir = \"data\"\n[sources.logs]\ntype = \"file\"\ninclude = [\"logs/*.log\"]\n\
             glob_minimum_cooldown_ms = 50\nrotate_wait_secs = 60\nmax_open_files = {open}\n{}",
            file_sink("out", "logs")
        )
    };
    let mut program = Program::start(&config(100));
    program.append("logs/app.log", &numbered(0..1));
    program.waits_for("out.jsonl", 1);
    program.append("logs/app.log", &numbered(1..2));
    let logs = program.dir.path().join("logs");
    // No pattern matches its new name.
    std::fs::rename(logs.join("app.log"), logs.join("app.log.1")).unwrap();
    for round in 0..4 {
        program.reload(&config(101 + round));
        program.append("logs/app.log.1", &numbered(2 + round..3 + round));
        program.waits_for("out.jsonl", 3 + round);
    }
    assert_eq!(messages(&program.lines("out.jsonl")), texts(0..6));
    program.stops(0);
}
