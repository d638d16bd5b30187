//! curl, in the forms in which people send with it.

use crate::harness::{Outcome, Run};
use crate::http_client::{BLACKHOLE, CONSOLE, Server};
use crate::tools::{has, skip};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::Value;
use std::io::Write;
use std::net::TcpListener;

const LINES: &str = "{\"message\":\"a\"}\n{\"message\":\"b\"}\n";
const TOOK_2: &str = "{\"accepted\":2,\"rejected\":0,\"faults\":[]}";

/// A server, and files next to where curl runs.
struct Curl {
    server: Server,
    url: String,
}

impl Curl {
    fn of(options: &str) -> Curl {
        Curl::into(options, CONSOLE)
    }

    /// For more records than the reader of a console takes before it is asked.
    fn counting(options: &str) -> Curl {
        Curl::into(options, BLACKHOLE)
    }

    fn into(options: &str, sink: &str) -> Curl {
        // Where a URL ends in a slash, curl adds the name of what it uploads.
        let server = Server::start(&format!("path = \"/in\"\n{options}"), sink);
        let url = format!("http://{}/in", server.address);
        Curl { server, url }
    }

    /// Runs curl with `file` as `body`; prints the status and the version of HTTP after each answer.
    #[track_caller]
    fn send(&self, args: &[&str], file: &[u8]) -> Outcome {
        let run =
            Run::of("curl").arg_all(&["-sS", "--max-time", "50", "-w", " %{http_code} %{http_version}\n"]);
        run.bytes("body", file).arg_all(args).arg(&self.url).run().exits(0)
    }

    /// Fails the test unless the records are taken.
    #[track_caller]
    fn takes(&self, args: &[&str], file: &[u8], records: u64) {
        let told = self.send(args, file).stdout;
        let (answer, code) = told.trim_end().split_at(told.find("} ").expect(&told) + 1);
        assert!(code.starts_with(" 200 "), "{args:?}: {told}");
        let answer: Value = serde_json::from_str(answer).unwrap();
        assert_eq!(
            (&answer["accepted"], &answer["rejected"]),
            (&records.into(), &0.into()),
            "{args:?}: {told}"
        );
    }

    fn stop(self) -> Vec<Value> {
        self.server.stop().1
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn bodies_of_every_form_are_taken() {
    if !has("curl") {
        return;
    }
    let curl = Curl::of("");
    let lines = LINES.as_bytes();
    let json = "Content-Type: application/json";
    curl.takes(&["--data-binary", "@body"], lines, 2);
    curl.takes(&["--data-binary", "@body"], b"{\n  \"message\": \"one\"\n}\n", 1);
    curl.takes(&["-H", json, "--data-binary", "@body"], b"{\"message\":\"one\"}", 1);
    curl.takes(&["-H", json, "-d", "[{\"message\":\"one\"},{\"message\":\"two\"}]"], b"", 2);
    curl.takes(&["-H", "Content-Type: text/plain", "--data-binary", "@body"], b"a line\nanother\n", 2);
    curl.takes(&["-d", "{\"message\":\"a form it is not\"}"], b"", 1);
    curl.takes(&["--http1.0", "--data-binary", "@body"], lines, 2);
    curl.takes(&["--http2-prior-knowledge", "--data-binary", "@body"], lines, 2);
    // An upload is a PUT unless it is told otherwise; from standard input, it comes in chunks.
    curl.takes(&["-X", "POST", "-T", "body"], lines, 2);
    curl.takes(&["-X", "POST", "-H", "Transfer-Encoding: chunked", "-T", "body"], lines, 2);
    let upload = Run::of("curl").arg_all(&["-sS", "-X", "POST", "-T", "-", &curl.url]).stdin(LINES);
    assert_eq!(upload.run().exits(0).stdout, TOOK_2);
    curl.takes(&["--data-binary", "@body"], b"", 0);
    assert_eq!(curl.stop().len(), 19);
}

#[test]
fn packed_bodies_are_taken() {
    if !has("curl") {
        return;
    }
    let curl = Curl::of("");
    let lines = LINES.as_bytes();
    let zstd = zstd::encode_all(lines, 3).unwrap();
    for (coding, packed) in [("gzip", gzip(lines)), ("deflate", zlib(lines)), ("zstd", zstd)] {
        let coding = format!("Content-Encoding: {coding}");
        for form in [
            &["--data-binary", "@body"][..],
            &["-X", "POST", "-T", "body", "-H", "Transfer-Encoding: chunked"],
        ] {
            for more in [&[][..], &["--compressed"], &["--http2-prior-knowledge"]] {
                // What belongs to HTTP/1.1 alone.
                if more == ["--http2-prior-knowledge"] && form.len() > 2 {
                    continue;
                }
                curl.takes(&[form, more, &["-H", &coding]].concat(), &packed, 2);
            }
        }
    }
    assert_eq!(curl.stop().len(), 3 * 5 * 2);
}

#[test]
fn large_bodies_are_asked_for() {
    if !has("curl") {
        return;
    }
    let curl = Curl::counting("max_body_bytes = 4000000");
    let large = format!("{{\"message\":\"{}\"}}\n", "x".repeat(150_000)).repeat(20);
    let expect = "Expect: 100-continue";
    // curl waits a second for the word, unless it gets it.
    let told = curl
        .send(&["-v", "-H", expect, "--expect100-timeout", "40", "--data-binary", "@body"], large.as_bytes());
    assert!(told.stderr.contains("HTTP/1.1 100 Continue"), "{}", told.stderr);
    assert!(told.stdout.starts_with("{\"accepted\":20,"), "{}", told.stdout);
    // One that is too large is not asked for.
    let told = curl.send(
        &["-v", "-H", expect, "--expect100-timeout", "40", "--data-binary", "@body"],
        large.repeat(2).as_bytes(),
    );
    assert!(!told.stderr.contains("100 Continue"), "{}", told.stderr);
    assert!(told.stdout.ends_with(" 413 1.1\n"), "{}", told.stdout);
    curl.stop();
}

#[test]
fn what_is_not_served_is_told() {
    if !has("curl") {
        return;
    }
    let curl = Curl::of("");
    assert!(curl.send(&["-X", "GET"], b"").stdout.ends_with(" 405 1.1\n"));
    assert!(curl.send(&["-T", "body"], b"x").stdout.ends_with(" 405 1.1\n"));
    assert!(curl.send(&["--http1.0"], b"").stdout.ends_with(" 405 1\n"));
    assert!(curl.send(&["--http2-prior-knowledge"], b"").stdout.ends_with(" 405 2\n"));
    let elsewhere = curl.url.clone() + "/elsewhere";
    let told = Run::of("curl").arg_all(&["-sS", "-w", " %{http_code}", "-d", "x", &elsewhere]).run().exits(0);
    assert!(told.stdout.ends_with(" 404"), "{}", told.stdout);
    curl.stop();
}

#[test]
fn several_requests_take_one_connection() {
    if !has("curl") {
        return;
    }
    let curl = Curl::of("");
    let told = curl.send(
        &["-w", " %{num_connects}\n", "--data-binary", "@body", &curl.url, &curl.url],
        LINES.as_bytes(),
    );
    let connects: Vec<&str> = told.lines();
    assert_eq!(connects, [format!("{TOOK_2} 1"), format!("{TOOK_2} 0"), format!("{TOOK_2} 0")]);
    assert_eq!(curl.stop().len(), 6);
}

#[test]
fn secrets_are_sent_in_the_usual_ways() {
    if !has("curl") {
        return;
    }
    let curl = Curl::of("auth = { strategy = \"basic\", user = \"ann\", password = \"p:w\" }");
    curl.takes(&["-u", "ann:p:w", "--data-binary", "@body"], LINES.as_bytes(), 2);
    // Asked to find out how, curl looks first.
    curl.takes(&["--anyauth", "-u", "ann:p:w", "--data-binary", "@body"], LINES.as_bytes(), 2);
    assert!(curl.send(&["-u", "ann:pw", "-d", "x"], b"").stdout.ends_with(" 401 1.1\n"));
    curl.stop();
    let curl = Curl::of("auth = { strategy = \"bearer\", token = \"s3cret\" }");
    curl.takes(&["--oauth2-bearer", "s3cret", "--data-binary", "@body"], LINES.as_bytes(), 2);
    curl.takes(&["-H", "Authorization: Bearer s3cret", "--data-binary", "@body"], LINES.as_bytes(), 2);
    assert!(curl.send(&["-d", "x"], b"").stdout.ends_with(" 401 1.1\n"));
    curl.stop();
}

#[test]
fn ipv6_addresses_are_served() {
    if !has("curl") {
        return;
    }
    if TcpListener::bind("[::1]:0").is_err() {
        return skip("this machine has no IPv6");
    }
    let curl = Curl::of("address = \"[::1]:0\"");
    curl.takes(&["-g", "--data-binary", "@body"], LINES.as_bytes(), 2);
    curl.stop();
    // All addresses of both kinds.
    let mut curl = Curl::of("address = \"[::]:0\"");
    for host in ["[::1]", "127.0.0.1"] {
        curl.url = format!("http://{host}:{}/in", curl.server.address.port());
        curl.takes(&["-g", "--data-binary", "@body"], LINES.as_bytes(), 2);
    }
    curl.stop();
}

#[test]
fn long_bodies_are_taken() {
    if !has("curl") {
        return;
    }
    let curl = Curl::counting("");
    let many = LINES.repeat(50_000);
    curl.takes(&["--data-binary", "@body"], many.as_bytes(), 100_000);
    curl.takes(&["--http2-prior-knowledge", "--data-binary", "@body"], many.as_bytes(), 100_000);
    curl.stop();
}
