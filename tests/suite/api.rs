//! What a running pipeline tells of itself by HTTP, held against what was really sent.

use crate::harness::{Live, PROGRAM, Run, TIMEOUT, TempDir, until};
use crate::logs::*;
use crate::receiver::{Answer, OK, Receiver};
use crate::tools::{free_address, has};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Status, head and body of an answer.
pub fn ask(address: SocketAddr, method: &str, path: &str) -> (u16, String, String) {
    ask_with(address, method, path, "Host: x\r\n")
}

/// The same with these headers.
pub fn ask_with(address: SocketAddr, method: &str, path: &str, headers: &str) -> (u16, String, String) {
    answer(TcpStream::connect(address).unwrap(), method, path, headers)
}

fn answer(mut stream: TcpStream, method: &str, path: &str, headers: &str) -> (u16, String, String) {
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_owned(), body.to_owned())
}

/// Samples by their names and labels as they are written.
pub fn metrics(address: SocketAddr) -> BTreeMap<String, f64> {
    let (status, head, body) = ask(address, "GET", "/metrics");
    assert_eq!(status, 200);
    assert!(head.contains("application/openmetrics-text"), "{head}");
    assert!(body.ends_with("# EOF\n"), "{body}");
    let samples = body.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// The sum of a metric over the samples of one component.
pub fn of(metrics: &BTreeMap<String, f64>, name: &str, id: &str) -> f64 {
    let is_it = |key: &&String| {
        key.starts_with(&format!("evaltrail_{name}{{")) && key.contains(&format!("component_id=\"{id}\""))
    };
    metrics.keys().filter(is_it).map(|key| metrics[key]).sum()
}

pub fn start(address: SocketAddr, config: &str) -> Live {
    start_run(address, Run::new(&[]), config)
}

/// The same by a run of another form.
pub fn start_run(address: SocketAddr, run: Run, config: &str) -> Live {
    let live = run.config(&format!("{config}\n[api]\naddress = \"{address}\"\n")).live();
    live.says("API: /health, /ready and /metrics");
    live
}

#[test]
fn the_counters_are_what_was_really_sent() {
    let (address, dir) = (free_address(), TempDir::new());
    let deployed = other_json(5).replace("\"severity\"", "\"app\":1,\"severity\"");
    let torn = "{\"message\":\"torn\n";
    let log = twins_json(1, "1 + 1") + &twins_json(2, "delete()") + &other_json(3) + &deployed + torn;
    dir.write("livebook.log", &log);
    let folder = dir.path().display();
    let config = format!(
        "data_dir = \"{folder}/data\"\n\
         [sources.in]\ntype = \"file\"\ninclude = [\"{folder}/*.log\"]\n\
         [transforms.parse]\ntype = \"legacy_message\"\ninputs = [\"in\"]\n\
         [transforms.policy]\ntype = \"audit_policy\"\ninputs = [\"parse\"]\n\
         rules = [{{ name = \"deletions\", when = 'contains(string!(.metadata.code), \"delete\")', level = \"none\" }}]\n\
         [sinks.out]\ntype = \"file\"\ninputs = [\"policy\"]\npath = \"{folder}/out.jsonl\"\n\
         buffer = {{ type = \"disk\", max_size_bytes = 268435488 }}\n\
         [sinks.all]\ntype = \"blackhole\"\ninputs = [\"in\"]\n"
    );
    let mut live = start(address, &config);
    let done = |metrics: &BTreeMap<String, f64>| {
        of(metrics, "events_out_total", "out") == 1.0
            && of(metrics, "file_lag_bytes", "in") == 0.0
            && of(metrics, "buffer_events", "out") == 0.0
    };
    assert!(until(TIMEOUT, || done(&metrics(address))), "{:#?}", metrics(address));
    let now = metrics(address);
    let count = |name, id| of(&now, name, id);
    assert_eq!(count("bytes_in_total", "in"), log.len() as f64);
    assert_eq!((count("events_in_total", "in"), count("events_out_total", "in")), (7.0, 6.0), "{now:#?}");
    assert_eq!(count("records_faulty_total", "in"), 1.0);
    assert_eq!((count("events_in_total", "all"), count("events_out_total", "all")), (6.0, 6.0));
    assert_eq!((count("events_in_total", "policy"), count("events_out_total", "policy")), (4.0, 1.0));
    let reason = |id: &str, kind: &str, reason: &str| {
        let labels = format!(
            "component_id=\"{id}\",component_kind=\"transform\",component_type=\"{kind}\",reason=\"{reason}\""
        );
        now[&format!("evaltrail_events_dropped_total{{{labels}}}")]
    };
    assert_eq!(reason("parse", "legacy_message", "twin"), 2.0);
    assert_eq!(reason("policy", "audit_policy", "policy"), 1.0);
    assert_eq!(reason("policy", "audit_policy", "other_event"), 2.0);
    assert_eq!(count("rule_hits_total", "policy"), 1.0);
    let written = std::fs::read_to_string(dir.path().join("out.jsonl")).unwrap();
    assert_eq!(count("bytes_out_total", "out"), written.len() as f64);
    assert_eq!(count("buffer_max_bytes", "out"), 268_435_488.0);
    assert_eq!(count("sink_healthy", "out"), 1.0);
    for id in ["in", "parse", "policy", "out", "all"] {
        let gone = ["events_out_total", "events_dropped_total", "events_rejected_total"];
        let gone: f64 = gone.iter().map(|name| count(name, id)).sum();
        assert_eq!(count("events_in_total", id), gone, "{id}: {now:#?}");
    }
    assert_eq!(now[&format!("evaltrail_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))], 1.0);
    live.signal("TERM");
    assert!(until(TIMEOUT, || !live.is_running()));
}

#[test]
fn it_is_ready_when_every_sink_can_deliver_and_says_which_can_not() {
    let address = free_address();
    let works = Arc::new(AtomicBool::new(true));
    let answers = Arc::clone(&works);
    let receiver = Receiver::start(move |_, _| match answers.load(Ordering::Relaxed) {
        true => OK,
        false => Answer::Status(401, "", "who are you?"),
    });
    let config = format!(
        "[sources.in]\ntype = \"stdin\"\n\
         [sinks.siem]\ntype = \"http\"\ninputs = [\"in\"]\nuri = \"{}\"\nbatch.timeout_secs = 0.01\n\
         request.retry_initial_backoff_secs = 0.01\nrequest.retry_max_duration_secs = 1\n",
        receiver.uri()
    );
    let mut live = start(address, &config);
    let ready = || {
        let (status, _, body) = ask(address, "GET", "/ready");
        (status, serde_json::from_str::<Value>(&body).unwrap())
    };
    assert_eq!(ready(), (200, serde_json::json!({"ready": true, "reasons": []})));
    works.store(false, Ordering::Relaxed);
    live.write(b"one\n");
    // The contract gives it five seconds.
    assert!(until(Duration::from_secs(5), || ready().0 == 503), "{:?}", ready());
    let (_, body) = ready();
    assert_eq!((&body["ready"], &body["reasons"][0]["component"]), (&Value::Bool(false), &"siem".into()));
    let reason = body["reasons"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("401") && reason.contains("auth"), "{reason}");
    let now = metrics(address);
    assert_eq!(of(&now, "sink_healthy", "siem"), 0.0);
    assert!(of(&now, "retries_total", "siem") >= 1.0);
    works.store(true, Ordering::Relaxed);
    assert!(until(Duration::from_secs(5), || ready().0 == 200), "{:?}", ready());
    assert_eq!(of(&metrics(address), "events_out_total", "siem"), 1.0);
    live.close_stdin();
    assert!(until(TIMEOUT, || !live.is_running()));
}

/// Waits until the pipeline is ready, or until it is not and says `words` of `id`; the contract gives it five seconds.
#[track_caller]
fn turns(address: SocketAddr, trouble: Option<(&str, &str)>) {
    let mut said = String::new();
    let done = until(Duration::from_secs(5), || {
        let (status, _, body) = ask(address, "GET", "/ready");
        said = body;
        let reasons = &serde_json::from_str::<Value>(&said).unwrap()["reasons"];
        match trouble {
            None => status == 200,
            Some((id, words)) => {
                status == 503
                    && reasons[0]["component"] == id
                    && reasons[0]["reason"].as_str().unwrap().contains(words)
            }
        }
    });
    assert!(done, "wanted {trouble:?}: {said}");
    let id = trouble.map_or("in", |(id, _)| id);
    assert_eq!(of(&metrics(address), "source_healthy", id), f64::from(u8::from(trouble.is_none())));
}

#[test]
fn a_file_source_that_cant_keep_its_checkpoints_is_not_ready() {
    let (address, dir) = (free_address(), TempDir::new());
    let folder = dir.path().display();
    let config = format!(
        "data_dir = \"{folder}/data\"\n[sources.in]\ntype = \"file\"\ninclude = [\"{folder}/*.log\"]\n\
         [sinks.out]\ntype = \"console\"\ninputs = [\"in\"]\n"
    );
    let mut live = start(address, &config);
    turns(address, None);
    // Between two times that it is written, the new file is not there.
    let new = dir.path().join("data/in/checkpoints.new.json");
    assert!(until(TIMEOUT, || dir.path().join("data/in/checkpoints.json").exists()));
    assert!(until(TIMEOUT, || std::fs::create_dir(&new).is_ok()));
    dir.write("a.log", "one\n");
    turns(address, Some(("in", "can't write checkpoints")));
    std::fs::remove_dir(&new).unwrap();
    turns(address, None);
    live.signal("TERM");
    assert!(until(TIMEOUT, || !live.is_running()));
}

#[test]
fn a_file_or_folder_that_cant_be_read_is_a_reason_until_it_can() {
    // Root may read everything: unless it is taken from it.
    if !has("setpriv") {
        return;
    }
    let (address, dir) = (free_address(), TempDir::new());
    let folder = dir.path().display();
    let config = format!(
        "data_dir = \"{folder}/data\"\n\
         [sources.in]\ntype = \"file\"\ninclude = [\"{folder}/*.log\", \"{folder}/sub/*.log\"]\n\
         [sinks.out]\ntype = \"console\"\ninputs = [\"in\"]\n"
    );
    let mode = |name: &str, mode| {
        std::fs::set_permissions(dir.path().join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    dir.write("a.log", "one\n");
    dir.write("sub/b.log", "two\n");
    mode("a.log", 0o000);
    let run = Run::of("setpriv").arg_all(&["--bounding-set=-dac_override,-dac_read_search", PROGRAM]);
    let mut live = start_run(address, run.env("PATH", "/usr/bin:/bin"), &config);
    assert_eq!(live.event(TIMEOUT)["message"], "two");
    turns(address, Some(("in", "a.log: Permission denied")));
    mode("a.log", 0o600);
    assert_eq!(live.event(TIMEOUT)["message"], "one");
    turns(address, None);
    // All is closed; names can be read, and nothing behind them; the other way round.
    for closed in [0o000, 0o600, 0o300] {
        let before = live.stderr().matches("look into").count();
        mode("sub", closed);
        turns(address, Some(("in", "can't look into a folder")));
        live.says(&format!("WARN can't look into a folder: {folder}/sub: Permission denied"));
        mode("sub", 0o700);
        turns(address, None);
        live.says("INFO can look into every folder again");
        assert!(until(TIMEOUT, || live.stderr().matches("look into").count() == before + 2));
    }
    live.signal("TERM");
    assert!(until(TIMEOUT, || !live.is_running()));
}

#[test]
fn a_server_that_cant_accept_connections_is_not_ready() {
    let (address, web) = (free_address(), free_address());
    let config = format!(
        "[sources.in]\ntype = \"http_server\"\naddress = \"{web}\"\nheader_read_timeout_secs = 600\n\
         [sinks.out]\ntype = \"console\"\ninputs = [\"in\"]\n"
    );
    let limit = ["-c", "ulimit -n 64; exec \"$0\" \"$@\"", PROGRAM];
    let mut live = start_run(address, Run::of("bash").arg_all(&limit), &config);
    let open = |live: &Live| std::fs::read_dir(format!("/proc/{}/fd", live.pid())).unwrap().count();
    let reddens = until(TIMEOUT, || {
        // Asking takes a descriptor too, so whoever is to ask comes first.
        let before = open(&live);
        let asking: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(address).unwrap()).collect();
        if !until(Duration::from_secs(2), || open(&live) >= before + asking.len()) {
            return false;
        }
        let flood: Vec<TcpStream> = (0..64).map(|_| TcpStream::connect(web).unwrap()).collect();
        until(Duration::from_secs(2), || open(&live) >= 64);
        let is_red = asking.into_iter().any(|stream| {
            let (status, _, body) = answer(stream, "GET", "/ready", "Host: x\r\n");
            status == 503 && body.contains("can't accept a connection: Too many open files")
        });
        drop(flood);
        is_red
    });
    assert!(reddens, "{}", live.stderr());
    turns(address, None);
    live.signal("TERM");
    assert!(until(TIMEOUT, || !live.is_running()));
}

#[test]
fn it_answers_what_it_knows_and_nothing_else() {
    let address = free_address();
    let mut live = start(
        address,
        "[sources.in]\ntype = \"stdin\"\n[sinks.out]\ntype = \"console\"\ninputs = [\"in\"]\n",
    );
    assert_eq!(ask(address, "GET", "/health").0, 200);
    assert_eq!(ask(address, "HEAD", "/health"), (200, ask(address, "HEAD", "/health").1, String::new()));
    let (status, head, _) = ask(address, "POST", "/metrics");
    assert_eq!(status, 405);
    assert!(head.to_lowercase().contains("allow: get"), "{head}");
    assert_eq!(ask(address, "GET", "/").0, 404);
    // Who says nothing, or nonsense, keeps nobody from asking.
    let silent: Vec<TcpStream> = (0..32).map(|_| TcpStream::connect(address).unwrap()).collect();
    TcpStream::connect(address).unwrap().write_all(b"\0\x01\x02\r\n\r\n").unwrap();
    assert_eq!(ask(address, "GET", "/health").0, 200);
    drop(silent);
    live.close_stdin();
    assert!(until(TIMEOUT, || !live.is_running()));
}

#[test]
fn an_address_that_is_taken_or_none_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let rest = "[sources.in]\ntype = \"stdin\"\n[sinks.out]\ntype = \"console\"\ninputs = [\"in\"]\n";
    let run = |api: &str| Run::new(&[]).config(&format!("[api]\n{api}\n{rest}")).stdin("x\n").run();
    let outcome = run(&format!("address = \"{address}\"")).exits(1);
    assert_eq!(outcome.stdout, "");
    assert!(outcome.stderr.contains(&format!("the API can't listen on {address}")), "{}", outcome.stderr);
    let outcome = run("address = \"localhost\"").exits(2);
    assert!(outcome.stderr.contains("`localhost` is no address to listen on"), "{}", outcome.stderr);
    let outcome = run("adress = \"127.0.0.1:1\"").exits(2);
    assert!(outcome.stderr.contains("did you mean `address`?"), "{}", outcome.stderr);
}
