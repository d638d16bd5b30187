//! The `http` sink: what it sends, and what it makes of every answer.

use crate::harness::{Outcome, Run, TIMEOUT, TempDir, until};
use crate::receiver::{Answer, OK, Received, Receiver};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Repeats come soon.
pub const HASTY: &str = "request.retry_initial_backoff_secs = 0.01\nrequest.retry_max_duration_secs = 0.02\n";

/// Where its dead letters are.
pub const LETTERS: &str = "data/dead_letters/siem.jsonl";

/// A pipeline from standard input to `uri`.
pub fn piped(uri: &str, options: &str) -> String {
    let source = "data_dir = \"data\"\nshutdown_timeout_secs = 1\n[sources.in]\ntype = \"stdin\"\ndecoding.codec = \"text\"\n";
    let sink = "[sinks.siem]\ntype = \"http\"\ninputs = [\"in\"]\n";
    format!("{source}{sink}uri = \"{uri}\"\nbatch.timeout_secs = 0.05\n{options}")
}

/// A folder that outlives its runs.
pub struct Site(pub TempDir);

impl Site {
    pub fn new() -> Site {
        Site(TempDir::new())
    }

    /// A run with this config.
    pub fn run(&self, config: &str) -> Run {
        self.0.write("c.toml", config);
        self.with(&["-c", "c.toml"])
    }

    pub fn with(&self, args: &[&str]) -> Run {
        Run::new(args).current_dir(self.0.path())
    }

    /// The dead letters of the sink, as text and each by itself.
    pub fn letters(&self) -> (String, Vec<Value>) {
        let text = std::fs::read_to_string(self.0.path().join(LETTERS)).unwrap_or_default();
        let letters = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (text, letters)
    }
}

/// Sends `lines` and runs to the end.
fn send(receiver: &Receiver, options: &str, lines: &[&str]) -> Outcome {
    Run::new(&[]).config(&piped(&receiver.uri(), options)).stdin(lines.join("\n") + "\n").run()
}

pub fn numbered(count: usize) -> String {
    (0..count).map(|number| format!("n{number}\n")).collect()
}

/// The messages of all requests that were answered by 200.
pub fn taken(received: &[Received], refused: impl Fn(&Received) -> bool) -> Vec<String> {
    received.iter().filter(|request| !refused(request)).flat_map(Received::messages).collect()
}

#[test]
fn events_are_sent_as_an_array_with_all_that_a_server_needs() {
    let receiver = Receiver::start(|_, _| OK);
    let options =
        "auth = { strategy = \"bearer\", token = \"s3cret-token\" }\nheaders = { x-team = \"audit\" }\n";
    let outcome = send(&receiver, options, &["a", "b \"quoted\"", "c"]).exits(0);
    let [request] = &receiver.received()[..] else { panic!("{:?}", receiver.received()) };
    assert_eq!(request.line, "POST /in HTTP/1.1");
    assert_eq!(request.body[0], b'[');
    assert_eq!(request.messages(), ["a", "b \"quoted\"", "c"]);
    for (name, value) in [
        ("content-type", "application/json"),
        ("authorization", "Bearer s3cret-token"),
        ("x-team", "audit"),
        ("user-agent", concat!("evaltrail/", env!("CARGO_PKG_VERSION"))),
    ] {
        assert_eq!(request.header(name), Some(value), "{name}");
    }
    assert_eq!(request.header("content-encoding"), None);
    assert_eq!(request.header("idempotency-key").unwrap().len(), 32);
    assert!(outcome.summary().contains("delivered=3"), "{}", outcome.stderr);
}

#[test]
fn bodies_have_the_form_that_was_asked_for() {
    for (options, kind, body) in [
        (
            "framing.method = \"newline_delimited\"",
            "application/x-ndjson",
            "{\"message\":\"a\"}\n{\"message\":\"b\"}\n",
        ),
        (
            "framing.method = \"newline_delimited\"\ncompression = \"gzip\"",
            "application/x-ndjson",
            "{\"message\":\"a\"}\n{\"message\":\"b\"}\n",
        ),
        ("compression = \"zstd\"", "application/json", "[{\"message\":\"a\"},{\"message\":\"b\"}]"),
        ("encoding.codec = \"text\"", "text/plain; charset=utf-8", "a\nb\n"),
        ("encoding.codec = \"logfmt\"", "text/plain; charset=utf-8", "message=a\nmessage=b\n"),
        (
            "headers = { Content-Type = \"application/cloudevents-batch+json\" }",
            "application/cloudevents-batch+json",
            "[{\"message\":\"a\"},{\"message\":\"b\"}]",
        ),
    ] {
        let receiver = Receiver::start(|_, _| OK);
        send(&receiver, options, &["a", "b"]).exits(0);
        let [request] = &receiver.received()[..] else { panic!("{options}") };
        assert_eq!(String::from_utf8_lossy(&request.body), body, "{options}");
        assert_eq!(request.header("content-type"), Some(kind), "{options}");
    }
}

#[test]
fn otel_is_sent_as_one_export_request() {
    let receiver = Receiver::start(|_, _| OK);
    send(&receiver, "encoding.schema = \"otel\"", &["a", "b"]).exits(0);
    let [request] = &receiver.received()[..] else { panic!() };
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let bodies: Vec<&Value> = body["resourceLogs"].as_array().unwrap().iter().collect();
    let text = |one: &Value| one["scopeLogs"][0]["logRecords"][0]["body"]["stringValue"].clone();
    assert_eq!(bodies.iter().map(|one| text(one)).collect::<Vec<_>>(), [json!("a"), json!("b")]);
}

#[test]
fn what_may_work_later_is_sent_again_with_the_same_key() {
    // Of so many reasons, the first few are told.
    let answers = [
        Answer::Status(503, "", ""),
        Answer::Silence,
        Answer::Status(408, "", ""),
        Answer::Status(425, "", ""),
        Answer::Status(429, "", ""),
        Answer::Status(500, "", ""),
        Answer::Status(501, "", ""),
        Answer::Status(502, "", "<html>bad gateway</html>"),
        Answer::Status(504, "", ""),
        Answer::Status(599, "", ""),
        Answer::Close,
        Answer::Lie(503),
        Answer::Nonsense,
    ];
    let script = answers.clone();
    let receiver = Receiver::start(move |number, _| script.get(number).cloned().unwrap_or(OK));
    let options = format!("{HASTY}request.timeout_secs = 0.3");
    let outcome = send(&receiver, &options, &["a", "b"]).exits(0);
    let received = receiver.received();
    assert_eq!(received.len(), answers.len() + 1, "{}", outcome.stderr);
    let keys: std::collections::BTreeSet<_> =
        received.iter().map(|request| request.header("idempotency-key").unwrap()).collect();
    assert_eq!(keys.len(), 1);
    assert!(received.iter().all(|request| request.messages() == ["a", "b"]));
    for said in ["503 Service Unavailable", "no answer within 0.3 s", "delivers again"] {
        assert!(outcome.stderr.contains(said), "{said}: {}", outcome.stderr);
    }
}

#[test]
fn a_fault_of_the_set_up_is_said_loudly_and_tried_again() {
    for (status, advice) in [
        (401, "check `auth`"),
        (402, "check `uri`"),
        (403, "check `auth`"),
        (404, "check the path of `uri`"),
        (405, "check `method`"),
        (407, "proxy"),
        (409, "check `uri`"),
        (415, "check `framing`"),
        (431, "check `uri`"),
        (302, "check `uri`"),
    ] {
        let headers = "location: https://user:pw@other.example/x?token=abc\r\n";
        let refusal = Answer::Status(status, if status == 302 { headers } else { "" }, "");
        let receiver = Receiver::start(move |number, _| if number < 2 { refusal.clone() } else { OK });
        let outcome = send(&receiver, HASTY, &["a"]).exits(0);
        assert_eq!(receiver.count(), 3, "{status}");
        let errors: Vec<_> = outcome.stderr.lines().filter(|line| line.contains("ERROR")).collect();
        // Once, however often it is tried.
        assert_eq!(errors.len(), 1, "{status}: {}", outcome.stderr);
        assert!(errors[0].contains(&status.to_string()) && errors[0].contains(advice), "{}", errors[0]);
        assert!(!outcome.stderr.contains("token=abc") && !outcome.stderr.contains("user:pw"));
    }
}

#[test]
fn a_success_is_one_whatever_becomes_of_its_body() {
    for answer in [
        Answer::Status(200, "", "{\"ok\":true}"),
        Answer::Status(204, "", ""),
        Answer::Lie(201),
        Answer::Drip(202),
    ] {
        let once = answer.clone();
        let receiver = Receiver::start(move |_, _| once.clone());
        send(&receiver, HASTY, &["a"]).exits(0);
        assert_eq!(receiver.count(), 1, "{answer:?}");
    }
}

#[test]
fn a_receiver_that_asks_for_time_gets_it() {
    let mut first: Option<Instant> = None;
    let receiver = Receiver::start(move |_, _| match first {
        None => {
            first = Some(Instant::now());
            Answer::Status(429, "retry-after: 1\r\n", "")
        }
        Some(at) if at.elapsed() < Duration::from_secs(1) => Answer::Status(418, "", "too early"),
        Some(_) => OK,
    });
    let outcome = send(&receiver, HASTY, &["a"]).exits(0);
    assert_eq!(receiver.count(), 2, "{}", outcome.stderr);
}

#[test]
fn events_of_one_stream_arrive_in_order_whatever_fails() {
    let mut seed = 7u64;
    let receiver = Receiver::start(move |_, _| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        match seed >> 61 {
            0 => Answer::Status(503, "", ""),
            1 => Answer::Close,
            _ => OK,
        }
    });
    let failed = |_: &Received| false;
    let options = format!("{HASTY}batch.max_events = 7\nrequest.concurrency = 8");
    let run = Run::new(&[]).config(&piped(&receiver.uri(), &options)).stdin(numbered(500));
    run.run().exits(0);
    let mut arrived: Vec<String> = Vec::new();
    for message in taken(&receiver.received(), failed) {
        // What was repeated comes directly behind itself.
        if !arrived.contains(&message) {
            arrived.push(message);
        }
    }
    assert_eq!(arrived.join("\n") + "\n", numbered(500));
}

#[test]
fn streams_do_not_wait_for_each_other() {
    // The first request is not answered before another one has come.
    let receiver = Receiver::start(|number, _| if number == 0 { Answer::Silence } else { OK });
    let config = "data_dir = \"data\"\n[sources.in]\ntype = \"file\"\ninclude = [\"*.log\"]\ndecoding.codec = \"text\"\n\
        [sinks.siem]\ntype = \"http\"\ninputs = [\"in\"]\nbatch.timeout_secs = 0.05\nrequest.concurrency = 16\n";
    let mut run = Run::new(&[]).config(&format!("{config}uri = \"{}\"\n", receiver.uri()));
    for file in 0..12 {
        run = run.file(&format!("{file}.log"), &format!("from {file}\n"));
    }
    let live = run.live();
    assert!(until(TIMEOUT, || receiver.count() > 1), "{}", live.stderr());
}

#[test]
fn a_batch_ends_by_events_by_bytes_or_by_time() {
    let receiver = Receiver::start(|_, _| OK);
    send(&receiver, "batch.max_events = 3", &["a", "b", "c", "d"]).exits(0);
    let sizes: Vec<usize> = receiver.received().iter().map(|request| request.messages().len()).collect();
    assert_eq!(sizes, [3, 1]);
    let receiver = Receiver::start(|_, _| OK);
    // {"message":"a"} and its newline are 16 bytes.
    let long = "x".repeat(100);
    send(&receiver, "batch.max_bytes = 49", &["a", "b", "c", "d", &long, "e"]).exits(0);
    assert!(receiver.received()[0].body.len() <= 49);
    let sizes: Vec<usize> = receiver.received().iter().map(|request| request.messages().len()).collect();
    assert_eq!(sizes, [3, 1, 1, 1], "an event that is too long goes alone");
    let receiver = Receiver::start(|_, _| OK);
    let mut live = Run::new(&[]).config(&piped(&receiver.uri(), "")).live();
    live.write(b"a\n");
    assert!(until(TIMEOUT, || receiver.count() == 1), "nothing else comes, and the input is open");
}

#[test]
fn a_connection_is_used_again() {
    let receiver = Receiver::start(|_, _| Answer::Status(200, "", "thanks"));
    send(&receiver, "batch.max_events = 1", &["a", "b", "c", "d", "e"]).exits(0);
    let used: std::collections::BTreeSet<_> = receiver.received().iter().map(|one| one.connection).collect();
    // One that is given back a moment too late has a second beside it.
    assert!(receiver.count() == 5 && used.len() < 4, "{used:?}");
}

#[test]
fn proxies_are_taken_from_the_environment() {
    let proxy = Receiver::start(|_, _| OK);
    let through = |name: &str, value: &str, no_proxy: &str, uri: &str| {
        let config = piped(uri, HASTY);
        Run::new(&[]).config(&config).env(name, value).env("NO_PROXY", no_proxy).stdin("a\n").run().exits(0)
    };
    let address = format!("http://ann:pass@{}", proxy.address);
    through("HTTP_PROXY", &address, "", "http://siem.example.com/in?x=1");
    let [request] = &proxy.received()[..] else { panic!("{:?}", proxy.received()) };
    assert_eq!(request.line, "POST http://siem.example.com/in?x=1 HTTP/1.1");
    assert_eq!(request.header("proxy-authorization"), Some("Basic YW5uOnBhc3M="));
    let direct = Receiver::start(|_, _| OK);
    through("http_proxy", &address, "127.0.0.1", &direct.uri());
    through("http_proxy", &address, "*", &direct.uri());
    assert_eq!((proxy.count(), direct.count()), (1, 2));
    // Who wants a proxy does not want events to go without it.
    for (value, why) in
        [("ftp://proxy", "http_proxy"), ("::::", "http_proxy"), ("socks5://proxy:1", "http_proxy")]
    {
        let mut live = Run::new(&[]).config(&piped(&direct.uri(), HASTY)).env("http_proxy", value).live();
        live.write(b"a\n");
        live.says(why);
        live.signal("TERM");
        live.wait(TIMEOUT);
    }
    assert_eq!(direct.count(), 2);
}

/// What was taken in is accounted for at the end, delivered or not.
#[test]
fn a_stop_says_how_much_is_not_delivered() {
    let nowhere = piped("http://127.0.0.1:1/", HASTY);
    let fan_out = format!("{nowhere}\n[sinks.null]\ntype = \"blackhole\"\ninputs = [\"in\"]\n");
    let twice = format!(
        "{nowhere}\n{}",
        nowhere.split_once("[sinks.siem]").unwrap().1.replacen("\n", "[sinks.b]\n", 1)
    );
    let mut live = Run::new(&[]).config(&twice).live();
    live.write(b"a\nb\n");
    live.says("can't connect");
    live.signal("TERM");
    let (_, said) = live.wait(TIMEOUT);
    let error = "of the records that were taken in, some were not delivered (b 2, siem 2). Of these, those of standard";
    assert!(said.contains(error) && said.contains(" undelivered_by=\"4 (b 2, siem 2)\" "), "{said}");
    for (config, delivered) in
        [(&nowhere, "delivered=0"), (&fan_out, "delivered=4 delivered_by=\"4 (null 4)\"")]
    {
        let mut live = Run::new(&[]).config(config).live();
        live.write(b"a\nb\nc\nd\n");
        live.says("can't connect");
        live.signal("TERM");
        let (status, said) = live.wait(TIMEOUT);
        assert_eq!(status.code(), Some(1), "{said}");
        let done =
            said.lines().find(|line| line.contains(" done records=4 ")).unwrap_or_else(|| panic!("{said}"));
        assert!(done.contains(delivered) && done.contains(" rejected=0 "), "{done}");
        assert!(done.contains(" undelivered=4 undelivered_by=\"4 (siem 4)\" lost_batches="), "{done}");
        let error = "not everything was delivered within 1 s of the stop: 4 records were taken in and not delivered \
                     (siem 4). Of these, those of standard input are lost";
        assert!(said.contains(error), "{said}");
    }
}

#[test]
fn nothing_is_acknowledged_before_it_is_taken() {
    let receiver = Receiver::start(|_, _| Answer::Status(503, "", ""));
    let config = |uri: &str| {
        format!(
            "data_dir = \"data\"\nshutdown_timeout_secs = 1\n[sources.in]\ntype = \"file\"\ninclude = [\"a.log\"]\n\
             decoding.codec = \"text\"\n[sinks.siem]\ntype = \"http\"\ninputs = [\"in\"]\nuri = \"{uri}\"\n\
             batch.timeout_secs = 0.05\n{HASTY}"
        )
    };
    let site = Site::new();
    site.0.write("a.log", "one\ntwo\n");
    let first = site.run(&config(&receiver.uri())).live();
    assert!(until(TIMEOUT, || receiver.count() > 1), "{}", first.stderr());
    first.signal("TERM");
    let (status, said) = first.wait(TIMEOUT);
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("(siem 2). Of these, those of files are read again at the next start"), "{said}");
    let key = receiver.received()[0].header("idempotency-key").unwrap().to_owned();
    let better = Receiver::start(|_, _| OK);
    site.run(&config(&better.uri())).arg("--once").run().exits(0);
    let [request] = &better.received()[..] else { panic!("{:?}", better.received()) };
    assert_eq!(request.messages(), ["one", "two"]);
    assert_eq!(request.header("idempotency-key"), Some(key.as_str()), "the same batch, by another run");
}

#[test]
fn secrets_are_nowhere_to_be_read() {
    let receiver = Receiver::start(|number, _| match number {
        0 => Answer::Status(401, "", "bad token s3cret-token"),
        _ => Answer::Status(
            400,
            "",
            "you are s3cret-token and hidden-header; cannot POST /in?api=query-secret&x=1; Basic YW5uOnAmcyBzZWNyZXQ=, p&s secret",
        ),
    });
    let options = format!(
        "{HASTY}auth = {{ strategy = \"bearer\", token = \"${{TOKEN}}\" }}\nheaders = {{ x-key = \"${{KEY}}\" }}\n"
    );
    let site = Site::new();
    let uri = format!("{}?api=query-secret&x=1", receiver.uri());
    let run = site.run(&piped(&uri, &options)).arg("-v").stdin("a\n");
    let outcome = run.env("TOKEN", "s3cret-token").env("KEY", "hidden-header").run();
    let kept = site.letters().0;
    assert_eq!(receiver.received()[1].header("x-key"), Some("hidden-header"));
    for text in [&kept, &outcome.stderr] {
        assert!(!text.contains("s3cret-token") && !text.contains("hidden-header"), "{text}");
    }
    assert!(kept.contains("you are [secret] and [secret]; cannot POST /in?[secret]; Basic"), "{kept}");
    // The same receiver, by a user in the address.
    let receiver = Receiver::start(|_, _| {
        Answer::Status(400, "", "Basic YW5uOnAmcyBzZWNyZXQ=, p%26s%20secret, p&s secret")
    });
    let uri = receiver.uri().replace("http://", "http://ann:p%26s%20secret@");
    let site = Site::new();
    site.run(&piped(&uri, "")).stdin("a\n").run().exits(1);
    assert_eq!(receiver.received()[0].header("authorization"), Some("Basic YW5uOnAmcyBzZWNyZXQ="));
    assert_eq!(site.letters().1[0]["answer"], "Basic [secret], [secret], [secret]");
}
