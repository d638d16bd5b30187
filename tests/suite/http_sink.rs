//! The `http` sink: what it sends, and what it makes of every answer.

use crate::harness::{Outcome, Run, TIMEOUT, TempDir, until};
use crate::receiver::{Answer, OK, Received, Receiver};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Repeats come soon.
const HASTY: &str = "request.retry_initial_backoff_secs = 0.01\nrequest.retry_max_duration_secs = 0.02\n";

/// Where its dead letters are.
const LETTERS: &str = "data/dead_letters/siem.jsonl";

/// A pipeline from standard input to `uri`.
fn piped(uri: &str, options: &str) -> String {
    let source = "data_dir = \"data\"\nshutdown_timeout_secs = 1\n[sources.in]\ntype = \"stdin\"\ndecoding.codec = \"text\"\n";
    let sink = "[sinks.siem]\ntype = \"http\"\ninputs = [\"in\"]\n";
    format!("{source}{sink}uri = \"{uri}\"\nbatch.timeout_secs = 0.05\n{options}")
}

/// A folder that outlives its runs.
struct Site(TempDir);

impl Site {
    fn new() -> Site {
        Site(TempDir::new())
    }

    /// A run with this config.
    fn run(&self, config: &str) -> Run {
        self.0.write("c.toml", config);
        self.with(&["-c", "c.toml"])
    }

    fn with(&self, args: &[&str]) -> Run {
        Run::new(args).current_dir(self.0.path())
    }

    /// The dead letters of the sink, as text and each by itself.
    fn letters(&self) -> (String, Vec<Value>) {
        let text = std::fs::read_to_string(self.0.path().join(LETTERS)).unwrap_or_default();
        let letters = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (text, letters)
    }
}

/// Sends `lines` and runs to the end.
fn send(receiver: &Receiver, options: &str, lines: &[&str]) -> Outcome {
    Run::new(&[]).config(&piped(&receiver.uri(), options)).stdin(lines.join("\n") + "\n").run()
}

fn numbered(count: usize) -> String {
    (0..count).map(|number| format!("n{number}\n")).collect()
}

/// The messages of all requests that were answered by 200.
fn taken(received: &[Received], refused: impl Fn(&Received) -> bool) -> Vec<String> {
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
    let answers = [
        Answer::Status(408, "", ""),
        Answer::Status(425, "", ""),
        Answer::Status(429, "", ""),
        Answer::Status(500, "", ""),
        Answer::Status(501, "", ""),
        Answer::Status(502, "", "<html>bad gateway</html>"),
        Answer::Status(503, "", ""),
        Answer::Status(504, "", ""),
        Answer::Status(599, "", ""),
        Answer::Close,
        Answer::Lie(503),
        Answer::Nonsense,
        Answer::Silence,
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
        assert_eq!(errors.len(), 2, "{status}: {}", outcome.stderr);
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
fn of_a_thousand_events_one_bad_is_kept_and_sent_again_later() {
    let bad = |request: &Received| request.messages().iter().any(|message| message == "n123");
    for status in [400, 413, 422] {
        let receiver = Receiver::start(move |_, request| match bad(request) {
            true => Answer::Status(status, "", "{\"error\":\"n123 is not for us\"}"),
            false => OK,
        });
        let site = Site::new();
        let config = piped(&receiver.uri(), "").replace("timeout_secs = 0.05", "timeout_secs = 60");
        let said = site.run(&config).stdin(numbered(1000)).run().exits(1).stderr;
        assert!(said.contains("delivered=999") && said.contains("rejected=1"), "{said}");
        let expected: Vec<String> = (0..1000).filter(|n| *n != 123).map(|n| format!("n{n}")).collect();
        assert_eq!(taken(&receiver.received(), bad), expected, "in order, and each of them once");
        let [letter] = &site.letters().1[..] else { panic!("{said}") };
        assert_eq!(letter["event"], json!({"message": "n123"}));
        assert_eq!(letter["reason"], "refused");
        assert_eq!(letter["status"], status);
        assert_eq!(letter["answer"], "{\"error\":\"n123 is not for us\"}");
        assert_eq!(letter["origin"]["source"], "in");
        assert!(!said.contains("not for us"), "an answer may repeat what was sent: {said}");
        assert!(said.contains("dead_letters/siem.jsonl"), "{said}");
        drop(receiver);
        if status == 400 {
            replay(&site);
        }
    }
}

/// Sends the letter again, to a receiver that refuses it once more, and to one that does not.
fn replay(site: &Site) {
    let again = |receiver: &Receiver| {
        site.0.write("again.toml", &piped(&receiver.uri(), HASTY));
        site.with(&["replay", LETTERS, "-c", "again.toml", "--sink", "siem"]).run()
    };
    let strict = Receiver::start(|_, _| Answer::Status(422, "", "still not"));
    let outcome = again(&strict).exits(1);
    assert!(outcome.stderr.contains("delivered to `siem`: 0; rejected again: 1"), "{}", outcome.stderr);
    let [letter] = &site.letters().1[..] else { panic!("the letter stays, once") };
    assert_eq!((&letter["status"], &letter["answer"]), (&json!(422), &json!("still not")));
    let kind = Receiver::start(|_, _| OK);
    let outcome = again(&kind).exits(0);
    assert!(outcome.stderr.contains("delivered to `siem`: 1; rejected again: 0"), "{}", outcome.stderr);
    assert_eq!(kind.received()[0].messages(), ["n123"]);
    assert!(!site.0.path().join(LETTERS).exists(), "nothing is left to be sent");
}

#[test]
fn letters_that_can_not_be_read_stay_where_they_are() {
    let receiver = Receiver::start(|_, _| OK);
    let letter = |text: &str| {
        format!(
            r#"{{"time":"2026-11-23T00:00:00.000Z","sink":"siem","reason":"refused","answer":"","origin":{{"source":"in","fingerprint":"00000000000000ff","offset":3,"received_ms":5}},"event":{{"message":"{text}"}}}}"#
        )
    };
    let file =
        format!("{}\nnot json\n{{\"event\":1}}\n{}\n{}", letter("a"), letter("b"), letter("without its end"));
    let site = Site::new();
    site.0.write("l.jsonl", &file);
    site.0.write("c.toml", &piped(&receiver.uri(), ""));
    let args = ["replay", "l.jsonl", "-c", "c.toml", "--sink", "siem"];
    let said = site.with(&args).run().exits(1).stderr;
    let left = std::fs::read_to_string(site.0.path().join("l.jsonl")).unwrap();
    assert!(
        said.contains("l.jsonl:2: no dead letter") && said.contains("l.jsonl:3: no dead letter"),
        "{said}"
    );
    assert_eq!(left, "not json\n{\"event\":1}\n");
    let sent: Vec<String> = receiver.received().iter().flat_map(Received::messages).collect();
    assert_eq!(sent, ["a", "b", "without its end"]);
}

#[test]
fn replay_says_what_it_can_not_do() {
    let config = piped("http://127.0.0.1:9/", "");
    let refused = |file: &str, sink: &str| {
        let args = ["replay", file, "-c", "c.toml", "--sink", sink];
        Run::new(&args).file("c.toml", &config).file("l.jsonl", "").run().exits(2).stderr
    };
    assert!(refused("none.jsonl", "siem").contains("can't read none.jsonl: No such file"));
    assert!(refused("/dev/null", "siem").contains("/dev/null is no regular file"));
    assert!(refused("l.jsonl", "seim").contains("has no sink `seim`; its sinks are `siem`"));
}

#[test]
fn letters_that_are_refused_again_are_not_read_again() {
    let letters = |count: usize| -> String {
        let letter = |n: usize| {
            format!(
                r#"{{"time":"2026-11-23T00:00:00.000Z","sink":"siem","reason":"refused","answer":"","origin":{{"source":"in","fingerprint":"00000000000000ff","offset":{n},"received_ms":5}},"event":{{"message":"n{n}"}}}}"#
            )
        };
        (0..count).map(|n| letter(n) + "\n").collect()
    };
    let receiver = Receiver::start(|_, _| Answer::Status(400, "", "never"));
    let site = Site::new();
    site.0.write(LETTERS, &letters(300));
    site.0.write("c.toml", &piped(&receiver.uri(), "batch.max_events = 10\nrequest.concurrency = 1"));
    let args = ["replay", LETTERS, "-c", "c.toml", "--sink", "siem"];
    // A second one that comes while the first is at work is sent away.
    let first = site.with(&args).live();
    assert!(until(TIMEOUT, || receiver.count() > 0), "{}", first.stderr());
    let second = site.with(&args).run().exits(2);
    assert!(second.stderr.contains("wait for its end"), "{}", second.stderr);
    let (status, said) = first.wait(TIMEOUT);
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("delivered to `siem`: 0; rejected again: 300"), "{said}");
    assert_eq!(receiver.count(), 30 * 19, "once over all of them");
    let kept = site.letters().1;
    let texts: Vec<&str> = kept.iter().map(|letter| letter["event"]["message"].as_str().unwrap()).collect();
    assert_eq!(texts, (0..300).map(|n| format!("n{n}")).collect::<Vec<_>>());
}

#[test]
fn what_was_tried_often_enough_is_kept_too() {
    let receiver = Receiver::start(|_, _| Answer::Status(503, "", "down for good"));
    let site = Site::new();
    let options = format!("{HASTY}request.retry_attempts = 2\nbatch.max_events = 2");
    site.run(&piped(&receiver.uri(), &options)).stdin("a\nb\nc\n").run().exits(1);
    let kept = site.letters().1;
    assert_eq!(receiver.count(), 6, "each request once, and repeated twice");
    let texts: Vec<&Value> = kept.iter().map(|letter| &letter["event"]["message"]).collect();
    assert_eq!(texts, ["a", "b", "c"]);
    assert!(kept.iter().all(|letter| letter["reason"] == "given_up" && letter["status"] == 503));
}

#[test]
fn rejected_events_leave_by_their_port_where_somebody_takes_them() {
    let receiver = Receiver::start(|_, request| match request.messages().contains(&"b".to_owned()) {
        true => Answer::Status(400, "", "no b please"),
        false => OK,
    });
    let rest = "[transforms.why]\ntype = \"metadata_projection\"\ninputs = [\"siem.rejected\"]\n\
        keys = [\"%reject_reason\", \"%reject_status\", \"%reject_answer\", \"%source\"]\n\
        [sinks.out]\ntype = \"console\"\ninputs = [\"why\"]\n";
    let site = Site::new();
    let outcome = site.run(&piped(&receiver.uri(), rest)).stdin("a\nb\nc\n").run().exits(1);
    let [rejected] = &outcome.events()[..] else { panic!("{}", outcome.stderr) };
    assert_eq!(rejected["message"], "b");
    assert_eq!(
        rejected["metadata"],
        json!({"reject_reason": "refused", "reject_status": 400, "reject_answer": "no b please", "source": "in"})
    );
    assert!(!site.0.path().join("data/dead_letters").exists());
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
    assert_eq!((receiver.count(), used.len()), (5, 1));
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
    assert!(said.contains("not everything was delivered within 1 s"), "{said}");
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
