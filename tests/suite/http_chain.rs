//! evaltrail to evaltrail: the `http` sink of one, the `http_server` of another.

use crate::harness::{Run, TIMEOUT, until};
use crate::http_client::{CONSOLE, Server};
use crate::http_tls::Papers;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::Read;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

/// Sends what comes by standard input to `uri`.
fn sender(uri: &str, options: &str) -> Run {
    Run::new(&[]).config(&format!(
        "data_dir = \"data\"\nshutdown_timeout_secs = 1\n[sources.in]\ntype = \"stdin\"\ndecoding.codec = \"text\"\n\
         [sinks.next]\ntype = \"http\"\ninputs = [\"in\"]\nuri = \"{uri}\"\nbatch.timeout_secs = 0.05\n\
         request.retry_initial_backoff_secs = 0.01\n{options}\n"
    ))
}

fn numbered(count: usize) -> String {
    (0..count).map(|number| format!("n{number}\n")).collect()
}

/// Sends a thousand events, and fails the test unless they arrive as they are.
#[track_caller]
fn arrives(server: Server, uri: &str, options: &str) {
    sender(uri, options).stdin(numbered(1000)).run().exits(0);
    let (_, events) = server.stop();
    let messages: Vec<&str> = events.iter().map(|event| event["message"].as_str().unwrap()).collect();
    assert_eq!(messages.join("\n") + "\n", numbered(1000), "{options}");
}

#[test]
fn every_form_of_a_body_is_understood_at_the_other_end() {
    for options in [
        "",
        "framing.method = \"newline_delimited\"",
        "compression = \"gzip\"",
        "compression = \"zstd\"\nframing.method = \"newline_delimited\"\nbatch.max_events = 100",
        "encoding.codec = \"text\"",
    ] {
        let server = Server::start("", CONSOLE);
        let uri = format!("http://{}/", server.address);
        arrives(server, &uri, options);
    }
}

#[test]
fn who_sends_is_known_by_its_token() {
    let auth = "auth = { strategy = \"basic\", user = \"ann\", password = \"pass:w\" }";
    let server = Server::start(auth, CONSOLE);
    let uri = format!("http://{}/", server.address);
    let wrong = auth.replace("pass:w", "wrong-one");
    let mut stranger = sender(&uri, &wrong).live();
    stranger.write(b"a\n");
    stranger.says("401 Unauthorized; check `auth`");
    stranger.signal("TERM");
    let (status, said) = stranger.wait(TIMEOUT);
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(!said.contains("wrong-one"), "{said}");
    arrives(server, &uri, auth);
}

#[test]
fn both_ends_show_their_certificates() {
    let papers = Papers::new();
    let (ca, crt, key) = (papers.path("ca.crt"), papers.path("client.crt"), papers.path("client.key"));
    let options = papers.options(&format!(", ca_file = \"{ca}\", verify_certificate = true"));
    let uri = |server: &Server| format!("https://{}/", server.address);
    let ours = format!("tls = {{ ca_file = \"{ca}\", crt_file = \"{crt}\", key_file = \"{key}\" }}");
    let server = Server::start(&options, CONSOLE);
    let to = uri(&server);
    arrives(server, &to, &ours);
    // The certificate is that of a name, and no address fits that.
    let named = papers.options("").replace("server.", "named.");
    let server = Server::start(&named, CONSOLE);
    let to = uri(&server);
    arrives(server, &to, &format!("tls = {{ ca_file = \"{ca}\", verify_hostname = false }}"));
    let server = Server::start(&named, CONSOLE);
    let to = uri(&server);
    arrives(server, &to, "tls.verify_certificate = false");
}

#[test]
fn a_server_that_nobody_trusts_gets_nothing() {
    let (papers, others) = (Papers::new(), Papers::new());
    let server = Server::start(&papers.options("").replace("server.", "named."), CONSOLE);
    let address = server.address;
    let theirs = format!("tls.ca_file = \"{}\"", others.path("ca.crt"));
    let ours = format!("tls.ca_file = \"{}\"", papers.path("ca.crt"));
    let missing = "tls.ca_file = \"none.crt\"";
    for (options, why) in [
        (theirs.as_str(), "invalid peer certificate"),
        (ours.as_str(), "certificate not valid for name"),
        (missing, "none.crt: can't read certificates: No such file"),
    ] {
        let mut sender = sender(&format!("https://{address}/"), options).live();
        sender.write(b"a\n");
        sender.says(why);
        let said = sender.stderr();
        // But for the line of the start, which may come later.
        let others = said.lines().filter(|line| !line.contains(" runs in → next "));
        assert!(others.clone().count() > 0 && others.clone().all(|line| line.contains("ERROR")), "{said}");
        sender.signal("TERM");
        sender.wait(TIMEOUT);
    }
    let (_, events) = server.stop();
    assert_eq!(events.len(), 0);
}

#[test]
fn a_server_that_comes_later_gets_everything() {
    // A port that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut sender = sender(&format!("http://{address}/"), "request.retry_max_duration_secs = 0.1").live();
    sender.write(numbered(10).as_bytes());
    sender.close_stdin();
    sender.says("can't connect");
    let server = Server::start(&format!("address = \"{address}\""), CONSOLE);
    assert!(until(Duration::from_secs(30), || !sender.is_running()), "{}", sender.stderr());
    assert!(sender.stderr().contains("delivers again"), "{}", sender.stderr());
    assert_eq!(server.stop().1.len(), 10);
}

#[test]
fn what_comes_by_one_connection_leaves_in_its_order() {
    // Answered at once, so that many requests of a connection wait for the sink, which has four lanes.
    let next = Server::start("", CONSOLE);
    let sink = format!(
        "[sinks.next]\ntype = \"http\"\ninputs = [\"web\"]\nuri = \"http://{}/\"\n\
         batch.timeout_secs = 0.01\nbatch.max_events = 3\n",
        next.address
    );
    let first = Server::start("acknowledgements.enabled = false", &sink);
    let mut client = first.connect();
    for number in 0..300 {
        client.post("", format!("{{\"message\":\"n{number}\"}}")).is(200);
    }
    drop(client);
    first.stop();
    let (_, events) = next.stop();
    let messages: Vec<&str> = events.iter().map(|event| event["message"].as_str().unwrap()).collect();
    assert_eq!(messages.join("\n") + "\n", numbered(300));
}

#[test]
fn http_2_is_spoken_where_the_server_offers_it() {
    let papers = Papers::new();
    let certificate = CertificateDer::from_pem_file(papers.path("server.crt")).unwrap();
    let key = PrivateKeyDer::from_pem_file(papers.path("server.key")).unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut config = builder.with_single_cert(vec![certificate], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let uri = format!("https://{}/", listener.local_addr().unwrap());
    let options = format!("tls.ca_file = \"{}\"", papers.path("ca.crt"));
    let mut sender = sender(&uri, &options).live();
    sender.write(b"a\n");
    let mut accepted = None;
    assert!(until(TIMEOUT, || {
        accepted = listener.accept().ok();
        accepted.is_some()
    }));
    let (stream, _) = accepted.unwrap();
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    let session = ServerConnection::new(Arc::new(config)).unwrap();
    let mut stream = StreamOwned::new(session, stream);
    // What a connection of HTTP/2 begins with.
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).unwrap();
    assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
}
