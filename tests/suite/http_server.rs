//! The `http_server` source through the program: forms of bodies, statuses, answers after delivery, shutdown.

use crate::harness::{Run, TIMEOUT, until};
use crate::http_client::{BLACKHOLE, CONSOLE, Client, Server, config};
use crate::logs::*;
use crate::tools::{has, skip};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use serde_json::Value;
use std::io::Write;
use std::net::TcpListener;
use std::time::Duration;

/// Comes through within this time, or never.
const SOON: Duration = Duration::from_secs(10);

fn messages(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["message"].as_str().unwrap()).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_broken_line_costs_its_neighbours_nothing() {
    let server = Server::start("", CONSOLE);
    let body = "{\"message\":\"a\"}\n{\"message\":\n{\"message\":\"b\"}\n{\"message\":\"\u{1}\"}\n{\"message\":\"c\"}";
    for headers in ["", "Content-Type: application/x-ndjson\r\n", "Content-Type: application/json\r\n"] {
        let reply = server.post(headers, body).is(200);
        assert_eq!(reply.counts(), (3, 2));
        assert_eq!(reply.faults(), [(2, "broken_json"), (4, "broken_json")]);
        assert!(reply.body["faults"][0]["detail"].is_string());
        assert_eq!(reply.header("content-type"), Some("application/json"));
    }
    let (_, events) = server.stop();
    assert_eq!(messages(&events), ["a", "b", "c"].repeat(3));
}

#[test]
fn one_object_may_take_several_lines() {
    let server = Server::start("", CONSOLE);
    let pretty = "{\n  \"message\": \"a\",\n  \"metadata\": {\n    \"x\": [1,\n 2]\n  }\n}\n";
    for headers in ["", "Content-Type: application/json\r\n"] {
        assert_eq!(server.post(headers, pretty).is(200).counts(), (1, 0));
    }
    assert_eq!(server.post("", "{\"message\":\"b\"}").is(200).counts(), (1, 0));
    let torn = server.post("Content-Type: application/json\r\n", "{\n  \"message\": \"a\",\n").is(400);
    assert_eq!((torn.counts(), torn.faults()), ((0, 1), vec![(1, "broken_json")]));
    let (_, events) = server.stop();
    assert_eq!(messages(&events), ["a", "a", "b"]);
    assert_eq!(events[0]["metadata"]["x"], serde_json::json!([1, 2]));
}

#[test]
fn an_array_is_taken_apart() {
    let server = Server::start("", CONSOLE);
    let body =
        "[{\"message\":\"a\"},\n 7,\n {\"message\":\n\"b\"},{\"message\":nope},\"x\",{\"message\":\"c\"}]";
    for headers in ["", "Content-Type: application/json; charset=utf-8\r\n"] {
        let reply = server.post(headers, body).is(200);
        assert_eq!(reply.counts(), (3, 3));
        assert_eq!(reply.faults(), [(2, "broken_json"), (4, "broken_json"), (5, "broken_json")]);
    }
    assert_eq!(server.post("", "[]").is(200).counts(), (0, 0));
    let torn = server.post("", "[{\"message\":\"d\"},{\"mess").is(200);
    assert_eq!((torn.counts(), torn.faults()), ((1, 1), vec![(2, "broken_json")]));
    let (_, events) = server.stop();
    assert_eq!(messages(&events), ["a", "b", "c", "a", "b", "c", "d"]);
}

#[test]
fn text_records_of_a_request_are_one_stream() {
    let server = Server::start("", &chain_of("web"));
    let log = other_line(1) + &twins_text(2, "1 +\n 1") + "boot\n";
    let reply = server.post("Content-Type: text/plain\r\n", &log).is(200);
    assert_eq!(reply.counts().1, 0);
    let (_, events) = server.stop();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["metadata"]["code"], "1 +\n 1");
    assert_eq!(events[0]["metadata"]["peer"], "127.0.0.1");
}

fn chain_of(source: &str) -> String {
    format!(
        "[transforms.parse]\ntype = \"legacy_message\"\ninputs = [\"{source}\"]\n\n\
         [transforms.policy]\ntype = \"audit_policy\"\ninputs = [\"parse\"]\n\n\
         [transforms.project]\ntype = \"metadata_projection\"\ninputs = [\"policy\"]\nkeys = \"code,%peer,%id,%offset\"\n\n\
         [sinks.out]\ntype = \"console\"\ninputs = [\"project\"]\n"
    )
}

#[test]
fn what_stands_around_lines_is_taken_off() {
    let server = Server::start("", CONSOLE);
    let docker = |line: &str| {
        let log = serde_json::to_string(&format!("{line}\n")).unwrap();
        format!("{{\"log\":{log},\"stream\":\"stdout\",\"time\":\"2025-10-03T17:48:22.238Z\"}}")
    };
    let (first, last) = (docker("{\"message\":\"a\"}"), docker("{\"message\":\"b\"}"));
    let lines = server.post("", format!("{first}\n{{\"log\":\n{last}\n")).is(200);
    assert_eq!((lines.counts(), lines.faults()), ((2, 1), vec![(2, "broken_json")]));
    assert_eq!(server.post("", format!("[{first},{last}]")).is(200).counts(), (2, 0));
    let (_, events) = server.stop();
    assert_eq!(messages(&events), ["a", "b"].repeat(2));
}

#[test]
fn packed_bodies_are_unpacked() {
    let server = Server::start("", CONSOLE);
    let body = b"{\"message\":\"a\"}\n{\"message\":\"b\"}\n".as_slice();
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(body).unwrap();
    let mut raw = DeflateEncoder::new(Vec::new(), Compression::default());
    raw.write_all(body).unwrap();
    let zstd = zstd::encode_all(body, 3).unwrap();
    let bodies = [
        ("identity", body.to_vec()),
        ("gzip", gzip(body)),
        ("gzip", [gzip(&body[..7]), gzip(&body[7..])].concat()),
        ("deflate", zlib.finish().unwrap()),
        ("deflate", raw.finish().unwrap()),
        ("zstd", zstd.clone()),
        ("zstd, gzip", gzip(&zstd)),
    ];
    for (coding, packed) in &bodies {
        let reply = server.post(&format!("Content-Encoding: {coding}\r\n"), packed).is(200);
        assert_eq!(reply.counts(), (2, 0), "{coding}");
    }
    let unknown = server.post("Content-Encoding: br\r\n", body).is(415);
    assert!(unknown.body["error"].as_str().unwrap().contains("`br`"), "{unknown:?}");
    server.post("Content-Type: multipart/form-data; boundary=x\r\n", body).is(415);
    // What can't be unpacked costs what stands in front of it nothing.
    let packed = gzip(body);
    server.post("Content-Encoding: gzip\r\n", body).is(400);
    let cut = server.post("Content-Encoding: gzip\r\n", &packed[..packed.len() - 6]).is(200);
    assert_eq!(cut.faults(), [(3, "broken_compression")]);
    let (_, events) = server.stop();
    assert_eq!(events.len(), 2 * bodies.len() + cut.counts().0 as usize);
}

#[test]
fn what_is_no_post_to_the_path_is_told_so() {
    let server = Server::start("path = \"/in\"", BLACKHOLE);
    let mut client = server.connect();
    assert_eq!(client.ask("POST", "/").is(404).header("connection"), None);
    client.ask("POST", "/in/below").is(404);
    client.ask("POST", "/in?x=1").is(200);
    for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
        assert_eq!(client.ask(method, "/in").is(405).header("allow"), Some("POST"));
    }
    server.stop();
    let server = Server::start("path = \"/in\"\nstrict_path = false", BLACKHOLE);
    let mut client = server.connect();
    client.ask("POST", "/in/below").is(200);
    client.ask("POST", "/inside").is(404);
    server.stop();
    let server = Server::start("", BLACKHOLE);
    server.connect().ask("GET", "/").is(405);
    server.connect().ask("POST", "/x").is(404);
    server.stop();
}

#[test]
fn only_who_knows_the_secret_may_send() {
    let server = Server::start("auth = { strategy = \"bearer\", token = \"s3cret\" }", CONSOLE);
    let refused = server.post("", "{\"message\":\"a\"}").is(401);
    assert_eq!(refused.header("www-authenticate"), Some("Bearer realm=\"evaltrail\""));
    server.post("Authorization: Bearer wrong\r\n", "{\"message\":\"a\"}").is(401);
    server.post("Authorization: Bearer s3cret\r\n", "{\"message\":\"b\"}").is(200);
    let (stderr, events) = server.stop();
    assert_eq!(messages(&events), ["b"]);
    assert!(stderr.contains("status=401") && !stderr.contains("s3cret"), "{stderr}");
    let server = Server::start("auth = { strategy = \"basic\", user = \"ann\", password = \"pw\" }", CONSOLE);
    let refused = server.post("", "x").is(401);
    assert!(refused.header("www-authenticate").unwrap().starts_with("Basic realm="));
    // ann:pw
    server.post("Authorization: Basic YW5uOnB3\r\n", "{\"message\":\"b\"}").is(200);
    server.stop();
}

#[test]
fn many_faults_are_listed_up_to_a_bound_and_leave_by_their_port() {
    let faults = "[sinks.faults]\ntype = \"console\"\ninputs = [\"web.faults\"]\ntarget = \"stderr\"\n";
    let server = Server::start("", &format!("{CONSOLE}\n{faults}"));
    let reply = server.post("", "{\"message\"\n".repeat(250)).is(400);
    assert_eq!(reply.counts(), (0, 250));
    assert_eq!(reply.faults().len(), 100);
    assert_eq!(reply.faults()[99].0, 100);
    assert_eq!(reply.body["faults_total"], 250);
    let (stderr, _) = server.stop();
    assert_eq!(stderr.matches("\"raw\":").count(), 250);
}

#[test]
fn records_of_requests_are_told_apart_and_in_order() {
    let server = Server::start("", &chain_of("web"));
    let mut client = server.connect();
    for at in 0..20 {
        client.post("", structured_json(at, &format!("{at}"))).is(200);
    }
    let (_, events) = server.stop();
    let codes: Vec<_> =
        events.iter().map(|event| event["metadata"]["code"].as_str().unwrap().to_owned()).collect();
    assert_eq!(codes, (0..20).map(|at| at.to_string()).collect::<Vec<_>>());
    let ids: std::collections::BTreeSet<_> =
        events.iter().map(|event| event["metadata"]["id"].as_str()).collect();
    assert_eq!(ids.len(), 20);
}

#[test]
fn a_request_that_is_sent_again_under_its_key_has_the_same_ids() {
    let project = "[transforms.ids]\ntype = \"metadata_projection\"\ninputs = [\"web\"]\nkeys = [\"%id\"]\n";
    let server = Server::start("", &format!("{project}{}", CONSOLE.replace("\"web\"", "\"ids\"")));
    let body = "{\"message\":\"a\"}\n{\"message\":\"b\"}\n";
    for headers in ["Idempotency-Key: k1\r\n", "Idempotency-Key: k1\r\n", "Idempotency-Key: k2\r\n", "", ""] {
        server.post(headers, body).is(200);
    }
    let (_, events) = server.stop();
    let ids: Vec<&str> = events.iter().map(|event| event["metadata"]["id"].as_str().unwrap()).collect();
    assert_eq!(ids[..2], ids[2..4]);
    let distinct: std::collections::BTreeSet<_> = ids[2..].iter().collect();
    assert_eq!(distinct.len(), 8);
}

#[test]
fn an_answer_comes_after_the_delivery_unless_nobody_asks_for_that() {
    // A pipe holds less than this, and the reader of the console takes one line until it is asked.
    let big = format!("{{\"message\":\"{}\"}}\n", "x".repeat(300_000));
    let mut server = Server::start("request_timeout_secs = 1", CONSOLE);
    server.post("", &big).is(200);
    let late = server.post("", &big).is(503);
    assert!(late.body["error"].as_str().unwrap().contains("not delivered within 1 s"), "{late:?}");
    assert!(late.header("retry-after").is_some());
    assert_eq!(late.counts(), (1, 0));
    server.live.event(TIMEOUT);
    server.live.event(TIMEOUT);
    server.post("", "{\"message\":\"b\"}").is(200);
    server.stop();
    let server = Server::start("acknowledgements.enabled = false", CONSOLE);
    (0..3).for_each(|_| assert_eq!(server.post("", &big).is(200).counts(), (1, 0)));
    let (_, events) = server.stop();
    assert_eq!(events.len(), 3);
}

#[test]
fn a_request_whose_delivery_fails_is_to_be_sent_again() {
    let mut server = Server::start("", CONSOLE);
    server.live.close_stdout();
    let mut client = server.connect();
    // The first is still read; what is written when nobody reads any more is lost.
    let lost = (0..100).find_map(|_| {
        let reply = client.post("", "{\"message\":\"a\"}");
        (reply.status != 200).then_some(reply)
    });
    assert_eq!(lost.unwrap().is(503).header("retry-after"), Some("5"));
    let (status, stderr) = server.live.wait(TIMEOUT);
    assert_eq!(status.code(), Some(0), "{stderr}");
}

#[test]
fn requests_under_way_are_finished_at_a_shutdown() {
    let server = Server::start("", CONSOLE);
    let mut idle = server.connect();
    idle.post("", "{\"message\":\"a\"}").is(200);
    let mut silent = server.connect();
    let mut busy = server.connect();
    busy.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    busy.send_chunk("{\"message\":\"b\"}\n{\"mess");
    // The first line is there before the stop.
    let mut server = server;
    assert_eq!(server.live.event(SOON)["message"], "a");
    assert_eq!(server.live.event(SOON)["message"], "b");
    server.live.signal("TERM");
    assert!(idle.is_closed_within(SOON) && silent.is_closed_within(SOON));
    assert!(until(SOON, || std::net::TcpStream::connect(server.address).is_err()));
    assert!(server.live.is_running());
    busy.send_chunk("age\":\"c\"}\n");
    busy.send("0\r\n\r\n");
    let reply = busy.reply().unwrap().is(200);
    assert_eq!((reply.counts(), reply.header("connection")), ((2, 0), Some("close")));
    assert!(busy.is_closed_within(SOON));
    assert_eq!(server.live.event(SOON)["message"], "c");
    assert_eq!(server.live.rest(), b"");
    let (status, stderr) = server.live.wait(SOON);
    assert_eq!(status.code(), Some(0), "{stderr}");
}

#[test]
fn a_body_that_breaks_off_is_taken_up_to_its_last_whole_line() {
    let server = Server::start("", CONSOLE);
    let mut client = server.connect();
    client.send(
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{\"message\":\"a\"}\n{\"message\":\"b\"}",
    );
    drop(client);
    let mut server = server;
    assert_eq!(server.live.event(SOON)["message"], "a");
    let (_, events) = server.stop();
    assert_eq!(events, [] as [Value; 0]);
}

#[test]
fn an_address_that_can_not_be_had_is_told_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let outcome = config(&format!("address = \"{address}\""), CONSOLE).run().exits(1);
    assert!(outcome.stderr.contains(&format!("can't listen on {address}")), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("another port"), "{}", outcome.stderr);
    let outcome = config("address = \"192.0.2.1:0\"", CONSOLE).run().exits(1);
    assert!(outcome.stderr.contains("no network interface"), "{}", outcome.stderr);
}

#[test]
fn it_listens_on_ipv6() {
    if TcpListener::bind("[::1]:0").is_err() {
        return skip("this machine has no IPv6");
    }
    let server = Server::start("address = \"[::1]:0\"", &chain_of("web"));
    server.post("", structured_json(1, "1")).is(200);
    let (_, events) = server.stop();
    assert_eq!(events[0]["metadata"]["peer"], "::1");
}

#[test]
fn curl_speaks_http_2_with_prior_knowledge() {
    if !has("curl") {
        return;
    }
    let server = Server::start("", CONSOLE);
    let url = format!("http://{}/", server.address);
    let curl = |args: &[&str]| {
        let sent = ["-sS", "-w", "\n%{http_code} %{http_version}", "--data-binary", "@-", url.as_str()];
        Run::of("curl")
            .arg_all(&sent)
            .arg_all(args)
            .stdin("{\"message\":\"a\"}\n{\"message\":\"b\"}\n")
            .run()
            .exits(0)
    };
    let answer = "{\"accepted\":2,\"rejected\":0,\"faults\":[]}";
    assert_eq!(curl(&["--http2-prior-knowledge"]).stdout, format!("{answer}\n200 2"));
    assert_eq!(curl(&["--http1.1", "-H", "Expect: 100-continue"]).stdout, format!("{answer}\n200 1.1"));
    assert_eq!(curl(&["-H", "Transfer-Encoding: chunked"]).stdout, format!("{answer}\n200 1.1"));
    assert_eq!(curl(&["--http2-prior-knowledge", "-X", "PUT"]).lines()[1], "405 2");
    let (_, events) = server.stop();
    assert_eq!(messages(&events), ["a", "b"].repeat(3));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::start("", BLACKHOLE);
    let mut client: Client<_> = server.connect();
    let body = "{\"message\":\"a\"}\n";
    for at in 1..=5 {
        let head = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len() * at);
        client.send(head + &body.repeat(at));
    }
    for at in 1..=5 {
        assert_eq!(client.reply().unwrap().is(200).counts(), (at, 0));
    }
    server.stop();
}
