//! TLS of the `http_server` source: certificates of the server and of clients, HTTP/2 by ALPN.

use crate::harness::{Run, TIMEOUT, TempDir};
use crate::http_client::{BLACKHOLE, Client, Server, config};
use crate::tools::has;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;

const GOOD: &str = "{\"message\":\"good\"}\n";

/// A folder with an authority, and certificates for a server and a client that it has signed.
pub struct Papers {
    dir: TempDir,
}

impl Papers {
    pub fn new() -> Papers {
        let dir = TempDir::new();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // Where names are the same, a certificate looks as if it had signed itself.
        params.distinguished_name.push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        dir.write("ca.crt", &ca.pem());
        // By its address too: a small system knows no `localhost`.
        let names =
            [("server", &["localhost", "127.0.0.1"][..]), ("named", &["localhost"]), ("client", &["client"])];
        for (name, hosts) in names {
            let key = KeyPair::generate().unwrap();
            let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
            let signed = CertificateParams::new(hosts).unwrap().signed_by(&key, &ca).unwrap();
            dir.write(&format!("{name}.crt"), &signed.pem());
            dir.write(&format!("{name}.key"), &key.serialize_pem());
        }
        Papers { dir }
    }

    pub fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    pub fn options(&self, more: &str) -> String {
        let (crt, key) = (self.path("server.crt"), self.path("server.key"));
        format!("tls = {{ crt_file = \"{crt}\", key_file = \"{key}\"{more} }}")
    }

    fn client(
        &self,
        server: &Server,
        with_certificate: bool,
    ) -> Client<StreamOwned<ClientConnection, TcpStream>> {
        self.client_to(server.address, with_certificate)
    }

    /// A client that trusts the authority alone.
    pub fn client_to(
        &self,
        address: SocketAddr,
        with_certificate: bool,
    ) -> Client<StreamOwned<ClientConnection, TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.path("ca.crt")).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = if with_certificate {
            let certificate = CertificateDer::from_pem_file(self.path("client.crt")).unwrap();
            let key = PrivateKeyDer::from_pem_file(self.path("client.key")).unwrap();
            builder.with_client_auth_cert(vec![certificate], key).unwrap()
        } else {
            builder.with_no_client_auth()
        };
        let name = ServerName::try_from("localhost").unwrap();
        let session = ClientConnection::new(Arc::new(config), name).unwrap();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        Client::new(StreamOwned::new(session, stream))
    }
}

#[test]
fn records_come_by_tls() {
    let papers = Papers::new();
    let server = Server::start(&papers.options(""), BLACKHOLE);
    let mut client = papers.client(&server, false);
    assert_eq!(client.post("", GOOD).is(200).counts(), (1, 0));
    client.ask("GET", "/").is(405);
    // Without TLS, there is no answer.
    let mut plain = server.connect();
    plain.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    drop(client);
    server.stop();
}

#[test]
fn a_client_needs_a_certificate_where_they_are_verified() {
    let papers = Papers::new();
    let ca = papers.path("ca.crt");
    let options = papers.options(&format!(", ca_file = \"{ca}\", verify_certificate = true"));
    let server = Server::start(&options, BLACKHOLE);
    assert_eq!(papers.client(&server, true).post("", GOOD).is(200).counts(), (1, 0));
    let mut stranger = papers.client(&server, false);
    drop(stranger.try_send("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert!(stranger.reply().is_none());
    // A certificate that somebody else has signed.
    let mut forger = {
        let others = Papers::new();
        std::fs::copy(others.path("client.crt"), papers.path("client.crt")).unwrap();
        std::fs::copy(others.path("client.key"), papers.path("client.key")).unwrap();
        papers.client(&server, true)
    };
    drop(forger.try_send("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert!(forger.reply().is_none());
    server.stop();
}

#[test]
fn curl_agrees_on_http_2() {
    if !has("curl") {
        return;
    }
    let papers = Papers::new();
    let server = Server::start(&papers.options(""), BLACKHOLE);
    let port = server.address.port();
    let curl =
        Run::of("curl").arg_all(&["-sS", "-w", " %{http_code} %{http_version}", "--data-binary", "@-"]);
    let resolve = format!("localhost:{port}:127.0.0.1");
    let curl = curl.arg_all(&["--cacert", &papers.path("ca.crt"), "--resolve", &resolve]);
    let outcome = curl.arg(&format!("https://localhost:{port}/")).stdin(GOOD).run().exits(0);
    assert_eq!(outcome.stdout, "{\"accepted\":1,\"rejected\":0,\"faults\":[]} 200 2");
    server.stop();
}

#[test]
fn curl_shows_its_certificate() {
    if !has("curl") {
        return;
    }
    let papers = Papers::new();
    let ca = papers.path("ca.crt");
    let server = Server::start(
        &papers.options(&format!(", ca_file = \"{ca}\", verify_certificate = true")),
        BLACKHOLE,
    );
    let port = server.address.port();
    let curl = |more: &[&str]| {
        let (url, resolve) = (format!("https://localhost:{port}/"), format!("localhost:{port}:127.0.0.1"));
        let args = ["-sS", "--http1.1", "--data-binary", "@-", "--cacert", &ca, "--resolve", &resolve, &url];
        Run::of("curl").arg_all(&args).arg_all(more).stdin(GOOD).run()
    };
    let (crt, key) = (papers.path("client.crt"), papers.path("client.key"));
    let told = curl(&["--cert", &crt, "--key", &key]).exits(0);
    assert_eq!(told.stdout, "{\"accepted\":1,\"rejected\":0,\"faults\":[]}");
    let refused = curl(&[]);
    assert_ne!(refused.code, Some(0), "{}", refused.stdout);
    assert_eq!(refused.stdout, "");
    server.stop();
}

#[test]
fn parked_connections_keep_their_tls() {
    let papers = Papers::new();
    let server = Server::start(&papers.options(""), BLACKHOLE);
    let mut clients: Vec<_> = (0..10).map(|_| papers.client(&server, false)).collect();
    for _ in 0..3 {
        for client in &mut clients {
            client.post("", GOOD).is(200);
            client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}".repeat(2));
            (0..2).for_each(|_| drop(client.reply().unwrap().is(200)));
        }
        // Quiet for so long, they are parked.
        std::thread::sleep(std::time::Duration::from_millis(2300));
    }
    server.live.signal("TERM");
    // They are told that it is the end.
    assert!(clients.iter_mut().all(|client| client.reply().is_none()));
    let (status, stderr) = server.live.wait(TIMEOUT);
    assert_eq!(status.code(), Some(0), "{stderr}");
}

#[test]
fn files_that_are_no_papers_are_named() {
    let papers = Papers::new();
    let fails = |options: &str, words: &[&str]| {
        let outcome = config(options, BLACKHOLE).run().exits(1);
        assert!(words.iter().all(|word| outcome.stderr.contains(word)), "{words:?}: {}", outcome.stderr);
    };
    papers.dir.write("empty", "nothing\n");
    papers.dir.write("server.key", "");
    fails(&papers.options(""), &["server.key", "there is no key in it"]);
    std::fs::remove_file(papers.path("server.key")).unwrap();
    let made = Command::new("mkfifo").arg(papers.path("server.key")).status();
    assert!(made.unwrap().success());
    fails(&papers.options(""), &["server.key", "it is no regular file"]);
    std::fs::remove_file(papers.path("server.key")).unwrap();
    std::fs::copy(papers.path("client.key"), papers.path("server.key")).unwrap();
    fails(&papers.options(""), &["server.crt and ", "can't be used together"]);
    let ca = papers.path("empty");
    let options = papers.options(&format!(", ca_file = \"{ca}\", verify_certificate = true"));
    fails(&options, &[&ca, "there is no certificate in it"]);
}

#[test]
fn validation_warns_of_what_can_not_be_read_here() {
    let papers = Papers::new();
    let (server, client) = (papers.path("server"), papers.path("client"));
    let pair =
        |crt: &str, key: &str| format!("tls = {{ crt_file = \"{crt}.crt\", key_file = \"{key}.key\" }}");
    // A small system trusts nobody by itself.
    let trusting =
        |pair: String| pair.replace(" }", &format!(", ca_file = \"{}\" }}", papers.path("ca.crt")));
    let whole = |source: &str, sink: &str, key: &str| {
        format!(
            "[sources.in]\ntype = \"http_server\"\naddress = \"127.0.0.1:8790\"\n{source}\n\n\
             [sinks.siem]\ntype = \"http\"\ninputs = [\"in\"]\nuri = \"https://127.0.0.1/\"\n{sink}\n\n\
             [sinks.trail]\ntype = \"trail\"\ninputs = [\"in\"]\npath = \"trail\"\norigin = \"a.example/b\"\nkey_file = \"{key}\"\n"
        )
    };
    let (key, other) = (papers.path("trail.key"), papers.path("other.key"));
    for (path, origin) in [(&key, "a.example/b"), (&other, "other")] {
        Run::new(&["trail", "keygen", origin, "--key-file", path]).run().exits(0);
    }
    let validate =
        |config: &str, option: &str| Run::new(&["validate"]).arg_all(&[option]).config(config).run();
    let good = whole(&pair(&server, &server), &trusting(pair(&client, &client)), &key);
    validate(&good, "--deny-warnings").exits(0);
    let bad = whole(&pair(&server, &client), &trusting(pair("gone", &client)), &other);
    let outcome = validate(&bad, "--deny-warnings").exits(2);
    for said in [
        ":4:7\n",
        "can't be used together",
        ":10:7\n",
        "gone.crt: can't read certificates: No such",
        "3 warnings",
    ] {
        assert!(outcome.stderr.contains(said), "{said}: {}", outcome.stderr);
    }
    assert!(outcome.stderr.contains("is for the origin other"), "{}", outcome.stderr);
    // Another machine may have them.
    assert_eq!(validate(&bad, "--no-environment").exits(0).stderr, "");
}
