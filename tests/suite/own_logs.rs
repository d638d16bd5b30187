//! What evaltrail says of itself on standard error: how often, in which form, and what it never says.

use crate::harness::{Outcome, PROGRAM, Run, TIMEOUT, TempDir, chain, until};
use crate::http_sink::{HASTY, numbered, piped};
use crate::logs::twins_json;
use crate::receiver::{Answer, OK, Receiver};
use serde_json::Value;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;

/// What a receiver says that wants none of it.
const REFUSAL: Answer = Answer::Status(400, "", "");
/// A batch for each event.
const ONE_BY_ONE: &str = "batch.max_events = 1\n";

/// The lines of a log in JSON, each of which has to be an object.
#[track_caller]
fn entries(stderr: &str) -> Vec<Value> {
    let parse = |line: &str| {
        let entry: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        for member in ["timestamp", "level", "message"] {
            assert!(entry[member].is_string(), "{member}: {line}");
        }
        entry
    };
    stderr.lines().map(parse).collect()
}

/// The first entry that begins like this.
#[track_caller]
fn entry<'a>(entries: &'a [Value], begins: &str) -> &'a Value {
    let says = |entry: &&Value| entry["message"].as_str().unwrap().starts_with(begins);
    entries.iter().find(says).unwrap_or_else(|| panic!("{begins}: {entries:#?}"))
}

/// How many lines of a message of one sink there were: shown, and held back.
fn lines_of(entries: &[Value], sink: &str, message: &str) -> (u64, u64) {
    let says = |entry: &&Value| entry["sink"] == sink && entry["message"].as_str().unwrap().contains(message);
    let (mut shown, mut held) = (0, 0);
    for entry in entries.iter().filter(says) {
        held += entry["suppressed"].as_u64().unwrap_or(0);
        shown += u64::from(!entry["message"].as_str().unwrap().contains("more like this"));
    }
    (shown, held)
}

fn json(config: &str, stdin: impl Into<Vec<u8>>) -> Outcome {
    Run::new(&["-v", "--log-format", "json"]).config(config).stdin(stdin).run()
}

#[test]
fn of_one_message_a_few_lines_get_through_and_the_rest_is_counted() {
    let loud = Receiver::start(|_, _| REFUSAL);
    let calm = Receiver::start(|number, _| if number < 2 { REFUSAL } else { OK });
    let other = format!(
        "[sinks.calm]\ntype = \"http\"\ninputs = [\"in\"]\nuri = \"{}\"\nbatch.timeout_secs = 0.05\n{ONE_BY_ONE}",
        calm.uri()
    );
    let config = piped(&loud.uri(), ONE_BY_ONE) + &other;
    let outcome = json(&config, numbered(60)).exits(1);
    let entries = entries(&outcome.stderr);
    // Each rejected event was a line; none is lost without being counted.
    let (shown, held) = lines_of(&entries, "siem", "rejected: ");
    assert_eq!(shown + held, 60, "{}", outcome.stderr);
    assert!((5..30).contains(&shown), "{}", outcome.stderr);
    let events: u64 = entries.iter().filter_map(|entry| entry["suppressed_events"].as_u64()).sum();
    assert_eq!(events, held, "each line told of one event");
    assert_eq!(lines_of(&entries, "calm", "rejected: "), (2, 0), "{}", outcome.stderr);
    let done = entry(&entries, "done");
    assert_eq!((&done["rejected"], &done["rejected_by"]), (&62.into(), &"62 (calm 2, siem 60)".into()));
    assert_eq!((&done["delivered"], &done["delivered_by"]), (&58.into(), &"58 (calm 58)".into()));
    // The same for people.
    let said =
        Run::new(&[]).config(&piped(&loud.uri(), ONE_BY_ONE)).stdin(numbered(120)).run().exits(1).stderr;
    assert!(said.lines().count() < 40, "{said}");
    assert!(said.contains(" more like ") && said.contains(" suppressed="), "{said}");
}

#[test]
fn what_was_held_back_is_told_when_its_time_is_over() {
    let receiver = Receiver::start(|_, _| REFUSAL);
    let mut live = Run::new(&[]).config(&piped(&receiver.uri(), ONE_BY_ONE)).live();
    live.write(numbered(40).as_bytes());
    // Nothing else is said meanwhile, and the input is open.
    live.says(" more like this in 1");
    assert!(
        live.stderr().contains(
            " s: rejected: they are kept in data/dead_letters/siem.jsonl sink=\"siem\" suppressed="
        ),
        "{}",
        live.stderr()
    );
    live.close_stdin();
    live.wait(TIMEOUT);
}

#[test]
fn faults_are_told_by_kind_and_counted() {
    let mut log = Vec::new();
    for _ in 0..3_000 {
        log.extend_from_slice(b"{\"torn\n{\"a\":\"\xe9\"}\n");
    }
    log.extend_from_slice(twins_json(1, "good").as_bytes());
    let outcome = json(&chain("", "", ""), log).exits(0);
    let entries = entries(&outcome.stderr);
    for reason in ["broken_json", "invalid_utf8"] {
        let of = entries.iter().filter(|entry| entry["reason"] == reason).count();
        assert!((1..30).contains(&of), "{reason}: {}", outcome.stderr);
    }
    assert_eq!(
        entry(&entries, "done; 6000 could not be decoded")["faults"],
        "6000 (broken_json 3000, invalid_utf8 3000)"
    );
}

#[test]
fn a_sink_that_fails_for_long_says_so_when_it_begins_and_when_it_is_over() {
    let failures = 150;
    let receiver = Receiver::start(move |number, _| match number {
        0..100 => Answer::Status(503, "", ""),
        100..150 => Answer::Status(401, "", ""),
        _ => OK,
    });
    let outcome = json(&piped(&receiver.uri(), HASTY), "a\n").exits(0);
    let entries = entries(&outcome.stderr);
    let of_sink: Vec<&Value> = entries.iter().filter(|entry| entry["sink"] == "siem").collect();
    let [down, refused, again] = &of_sink[..] else { panic!("{of_sink:#?}") };
    assert_eq!(
        (&down["level"], &down["message"]),
        (&"WARN".into(), &"can't deliver: the server answers 503 Service Unavailable".into())
    );
    // Another reason is told at once.
    assert_eq!(refused["level"], "ERROR");
    assert!(refused["message"].as_str().unwrap().contains("401 Unauthorized; check `auth`"), "{refused}");
    assert_eq!(refused["retries"], 100);
    assert_eq!((&again["level"], &again["retries"]), (&"INFO".into(), &failures.into()));
    assert!(again["message"].as_str().unwrap().starts_with("delivers again, after "), "{again}");
    assert_eq!(entry(&entries, "done")["retries"], failures);
}

#[test]
fn every_line_of_a_log_in_json_is_an_object() {
    // A config that is wrong, one that is hardly as meant, and one whose pipeline can't start.
    let bad = json("[sources.in]\ntype = \"stdn\"\n[sinks.out]\ntype = \"console\"\ninputs = [\"im\"]\n", "")
        .exits(2);
    let told = entries(&bad.stderr);
    assert!(told.len() >= 2 && told.iter().all(|entry| entry["level"] == "ERROR"), "{}", bad.stderr);
    assert!(bad.stderr.contains("did you mean `stdin`?"), "{}", bad.stderr);
    let spare =
        chain("", "", "") + "[transforms.spare]\ntype = \"legacy_message\"\ninputs = [\"livebook\"]\n";
    let warned = json(&spare, twins_json(1, "1") + "{\"torn\n").exits(0);
    let told = entries(&warned.stderr);
    assert!(
        told.iter()
            .any(|entry| entry["level"] == "WARN" && entry["message"].as_str().unwrap().contains("spare"))
    );
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = format!("api.address = \"{}\"\n{}", taken.local_addr().unwrap(), chain("", "", ""));
    let failed = json(&config, "").exits(1);
    assert!(entry(&entries(&failed.stderr), "can't start: the API can't listen")["level"] == "ERROR");
    // A receiver that is not there, until the run is stopped.
    let config = piped("http://127.0.0.1:1/", HASTY);
    let mut live = Run::new(&["--log-format", "json"]).config(&config).live();
    live.write(b"a\n");
    live.says("can't connect");
    live.signal("TERM");
    let (status, stderr) = live.wait(TIMEOUT);
    assert_eq!(status.code(), Some(1));
    entry(&entries(&stderr), "not everything was delivered within 1 s");
}

#[test]
fn the_lines_of_start_and_end_say_what_was_there() {
    let receiver = Receiver::start(|number, _| if number == 1 { REFUSAL } else { OK });
    let config = piped(&receiver.uri(), ONE_BY_ONE);
    let outcome = json(&config, "one\ntwo\nthree\n").exits(1);
    let entries = entries(&outcome.stderr);
    let start = entry(&entries, "runs in → siem");
    for (field, value) in [
        ("version", Value::from(env!("CARGO_PKG_VERSION"))),
        ("sources", 1.into()),
        ("transforms", 0.into()),
        ("sinks", 1.into()),
        ("source_ids", "in".into()),
        ("sink_ids", "siem".into()),
        ("config", "evaltrail.toml".into()),
        ("data_dir", "data".into()),
        ("once", false.into()),
    ] {
        assert_eq!(start[field], value, "{field}: {start}");
    }
    let (done, end) = (entry(&entries, "done"), entries.iter().position(|entry| entry["message"] == "done"));
    assert!(entries.iter().position(|entry| entry == start) < end);
    for (field, value) in [
        ("records", Value::from(3)),
        ("bytes", "one\ntwo\nthree\n".len().into()),
        ("delivered", 2.into()),
        ("delivered_by", "2 (siem 2)".into()),
        ("dropped", "0".into()),
        ("rejected", 1.into()),
        ("rejected_by", "1 (siem 1)".into()),
        ("faults", "0".into()),
        ("lost_batches", 0.into()),
        ("retries", 0.into()),
    ] {
        assert_eq!(done[field], value, "{field}: {done}");
    }
    assert!(done["secs"].as_f64().is_some(), "{done}");
    assert_eq!(receiver.count(), 3);
    // For people, it is one line each.
    let receiver = Receiver::start(|_, _| OK);
    let text = Run::new(&[]).config(&piped(&receiver.uri(), "")).stdin("a\n").run().exits(0).stderr;
    let lines: Vec<&str> = text.lines().collect();
    let [start, end] = lines[..] else { panic!("{text}") };
    assert!(
        start.contains(" INFO runs in → siem version=") && start.contains("data_dir=\"data\""),
        "{start}"
    );
    assert!(end.contains(" INFO done records=1 bytes=2 delivered=1 "), "{end}");
}

#[test]
fn a_filter_begins_without_a_word_and_quiet_is_quiet() {
    let log = || twins_json(1, "1");
    for run in [Run::new(&[]), Run::new(&[]).config(&chain("", "", ""))] {
        let said = run.stdin(log()).run().exits(0).stderr;
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    let said = Run::new(&["-v"]).stdin(log()).run().exits(0).stderr;
    assert!(
        said.starts_with("20") && said.contains("runs livebook → parse, policy, project → out"),
        "{said}"
    );
    assert!(!said.contains("config="), "{said}");
    let receiver = Receiver::start(|_, _| OK);
    let said = Run::new(&["-q"]).config(&piped(&receiver.uri(), "")).stdin("a\n").run().exits(0).stderr;
    assert_eq!(said, "");
}

#[test]
fn the_line_of_the_start_stays_short() {
    let sinks: String = (10..90)
        .map(|number| format!("[sinks.out_{number}]\ntype = \"blackhole\"\ninputs = [\"logs\"]\n"))
        .collect();
    let source = "data_dir = \"data\"\n[sources.logs]\ntype = \"file\"\ninclude = [\"*.log\"]\n";
    let run = Run::new(&["--once"]).file("a.log", "a\n").config(&(source.to_owned() + &sinks));
    let said = run.run().exits(0).stderr;
    let start = said.lines().find(|line| line.contains(" runs ")).unwrap();
    assert!(start.contains("out_10, out_11") && start.contains(" and 68 more "), "{start}");
    assert!(start.contains("sinks=80") && start.contains("once=true") && start.len() < 500, "{start}");
    let done = said.lines().find(|line| line.contains(" done")).unwrap();
    assert!(done.contains("delivered=80") && done.contains("68 others 68") && done.len() < 600, "{done}");
}

#[test]
fn no_secret_is_said_whatever_fails() {
    const SECRETS: [&str; 9] = [
        "uri-s3cret",
        "query-s3cret",
        "bearer-s3cret",
        "header-s3cret",
        "folder-s3cret",
        "redirect-s3cret",
        "proxy-s3cret",
        "4mvjqhlnwoqhhthciavn7piubtuwrvvr",
        "cell-s3cret",
    ];
    let redirect = "location: http://bob:redirect-s3cret@127.0.0.1/x?token=redirect-s3cret\r\n";
    let receiver = Receiver::start(move |number, _| match number % 5 {
        0 => Answer::Status(500, "", "bearer-s3cret header-s3cret"),
        1 => Answer::Status(401, "", ""),
        2 => Answer::Status(302, redirect, ""),
        3 => Answer::Nonsense,
        _ => Answer::Close,
    });
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let sink =
        |name: &str, options: &str| format!("[sinks.{name}]\ninputs = [\"in\", \"in.faults\"]\n{options}\n");
    let http = |uri: &str, more: &str| {
        format!("type = \"http\"\nuri = \"{uri}\"\nbatch.timeout_secs = 0.05\n{HASTY}{more}")
    };
    let user = format!("http://ann:uri-s3cret@{}/in?token=query-s3cret", receiver.address);
    let bearer = "auth = { strategy = \"bearer\", token = \"${SIEM_TOKEN}\" }\nheaders = { x-key = \"header-s3cret\" }";
    let config = [
        "data_dir = \"data\"\nshutdown_timeout_secs = 1\n[sources.in]\ntype = \"stdin\"\n".to_owned(),
        "[sources.files]\ntype = \"file\"\ninclude = [\"${ARCHIVE_KEY}/none/*.log\"]\n".to_owned(),
        sink("user", &http(&user, "")),
        sink("bearer", &http(&receiver.uri(), bearer)),
        sink("nobody", &http(&format!("http://ann:uri-s3cret@{nobody}/"), bearer).replace("auth", "#")),
        sink("trail", "type = \"file\"\npath = \"${ARCHIVE_KEY}/trail.jsonl\""),
        sink("files_too", "type = \"blackhole\"").replace("\"in\"", "\"files\""),
    ]
    .concat();
    let log =
        "[Livebook] Application running at http://0.0.0.0:8080/?token=4mvjqhlnwoqhhthciavn7piubtuwrvvr\n"
            .to_owned()
            + &twins_json(1, "password = \\\"cell-s3cret\\\"")
            + "{\"broken\":\"cell-s3cret\n";
    for (format, proxy) in [("text", ""), ("json", ""), ("text", "http://ann:proxy-s3cret@127.0.0.1:1")] {
        let run =
            Run::new(&["-v", "--log-format", format]).file("folder-s3cret", "no folder").config(&config);
        let run = run.env("SIEM_TOKEN", "bearer-s3cret").env("ARCHIVE_KEY", "folder-s3cret");
        let mut live = run.env("HTTP_PROXY", proxy).live();
        live.write(log.as_bytes());
        for said in
            ["can't write: ${ARCHIVE_KEY}/trail.jsonl", "no file matches ${ARCHIVE_KEY}", "can't connect"]
        {
            live.says(said);
        }
        let direct = ["500 Internal", "401 Unauthorized", "302 Found", "broken_json"];
        direct.iter().filter(|_| proxy.is_empty()).for_each(|said| live.says(said));
        assert!(until(TIMEOUT, || proxy.is_empty() || live.stderr().contains("proxy")), "{}", live.stderr());
        live.signal("TERM");
        let (_, said) = live.wait(TIMEOUT);
        for secret in SECRETS {
            assert!(!said.contains(secret), "{secret}: {said}");
        }
    }
}

#[test]
fn the_journal_is_told_the_level_of_a_line_and_has_a_time_of_its_own() {
    let dir = TempDir::new();
    dir.write("stderr", "");
    let path = dir.path().join("stderr");
    let metadata = std::fs::metadata(&path).unwrap();
    let stream = format!("{}:{}", metadata.dev(), metadata.ino());
    let say = |stream: &str, format: &str| {
        let script = format!("exec \"$0\" -v --log-format {format} 2>{}", path.display());
        let run = Run::of("/bin/sh").arg("-c").arg(&script).arg(PROGRAM);
        // Nobody listens there: a warning.
        let run = run.env("JOURNAL_STREAM", stream).env("NOTIFY_SOCKET", "/nobody");
        run.stdin(twins_json(1, "1 + 1")).run().exits(0);
        std::fs::read_to_string(&path).unwrap()
    };
    let said = say(&stream, "text");
    assert!(said.contains("<4> WARN the service manager can't be told"), "{said}");
    assert!(said.contains("<6> INFO done "), "{said}");
    assert!(said.lines().all(|line| line.starts_with('<')), "{said}");
    // An object each, behind what the journal takes off.
    let said = say(&stream, "json");
    let lines: Vec<&str> = said.lines().map(|line| line.get(3..).unwrap()).collect();
    let entries = entries(&lines.join("\n"));
    assert_eq!(entry(&entries, "done")["level"], "INFO");
    assert!(said.lines().last().unwrap().starts_with("<6>{"), "{said}");
    // So is what is wrong with a config.
    let script = format!("exec \"$0\" validate -c config.toml 2>{}", path.display());
    dir.write("config.toml", "[sinks.out]\ntype = \"console\"\ninputs = [\"nobody\"]\n");
    let run = Run::of("/bin/sh").arg("-c").arg(&script).arg(PROGRAM).current_dir(dir.path());
    run.env("JOURNAL_STREAM", &stream).run().exits(2);
    let said = std::fs::read_to_string(&path).unwrap();
    assert!(said.contains("nobody") && said.lines().all(|line| line.starts_with("<3>")), "{said}");
    // Somebody has put another one in its place, or the variable says nothing.
    for other in ["1:1", "", "x", &stream.replace(':', "")] {
        let said = say(other, "text");
        assert!(said.contains("Z  WARN the service") && !said.contains('<'), "{other}: {said}");
    }
}
