//! The `http_server` source behind nginx, as a reverse proxy with its defaults. `http_crash` has the kills.

use crate::harness::TIMEOUT;
use crate::http_client::{BLACKHOLE, Client, Server};
use crate::tools::{Nginx, connections_to, has};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use std::net::TcpStream;

const PEER: &str = "[transforms.named]\ntype = \"metadata_projection\"\ninputs = [\"web\"]\nkeys = [\"%peer\"]\n\n\
                    [sinks.out]\ntype = \"console\"\ninputs = [\"named\"]\n";

fn connect(nginx: &Nginx) -> Client<TcpStream> {
    let stream = TcpStream::connect(nginx.address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    Client::new(stream)
}

#[test]
fn bodies_pass_through_nginx_packed_and_in_chunks() {
    if !has("nginx") {
        return;
    }
    let server = Server::start("", BLACKHOLE);
    for options in ["", "proxy_request_buffering off;"] {
        let nginx = Nginx::start(server.address, options);
        let lines = "{\"message\":\"a\"}\n".repeat(100_000);
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(lines.as_bytes()).unwrap();
        let mut client = connect(&nginx);
        let packed = client.post("Content-Encoding: gzip\r\n", gzip.finish().unwrap()).is(200);
        assert_eq!(packed.counts(), (100_000, 0));
        // Longer than what nginx keeps in memory: with its defaults, it goes to a file of its own first.
        client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        let line = format!("{{\"message\":\"{}\"}}\n", "x".repeat(50_000));
        for _ in 0..200 {
            client.send_chunk(&line);
        }
        client.send("0\r\n\r\n");
        assert_eq!(client.reply().unwrap().is(200).counts(), (200, 0), "{options}: {}", nginx.errors());
        // What the server says to a client is what the client hears.
        assert_eq!(client.ask("GET", "/").is(405).header("allow"), Some("POST"));
        client.ask("POST", "/x").is(404);
        let torn = client.post("", "{\"message\":\"a\"}\n{\n").is(200);
        assert_eq!((torn.counts(), torn.faults()), ((1, 1), vec![(2, "broken_json")]));
        client.post("", "{\n").is(400);
    }
    server.stop();
}

#[test]
fn nginx_keeps_its_connection() {
    if !has("nginx") {
        return;
    }
    let server = Server::start("", BLACKHOLE);
    let nginx = Nginx::start(server.address, "");
    for _ in 0..10 {
        // Clients come and go; what nginx has open to the server stays.
        let mut client = connect(&nginx);
        (0..5).for_each(|_| drop(client.post("", "{\"message\":\"a\"}\n").is(200)));
    }
    let connections = connections_to(server.address);
    assert!(connections < 5, "{connections} ends of connections for 50 requests");
    // Closed by its age between two requests, it is not missed: nginx makes another.
    server.stop();
    let server = Server::start("keepalive.max_connection_age_secs = 1", BLACKHOLE);
    let nginx = Nginx::start(server.address, "");
    let mut client = connect(&nginx);
    let begun = std::time::Instant::now();
    while begun.elapsed().as_millis() < 2500 {
        client.post("", "{\"message\":\"a\"}\n").is(200);
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let connections = connections_to(server.address);
    assert!((3..=8).contains(&connections), "{connections} ends of connections in 2.5 s");
    server.stop();
}

#[test]
fn whom_nginx_speaks_for_is_not_believed() {
    if !has("nginx") {
        return;
    }
    let server = Server::start("", PEER);
    let nginx = Nginx::start(server.address, "");
    let mut client = connect(&nginx);
    let claims = "X-Forwarded-For: 203.0.113.7\r\nX-Real-IP: 203.0.113.7\r\nForwarded: for=203.0.113.7\r\n";
    client.post(claims, "{\"message\":\"a\"}\n").is(200);
    let (_, events) = server.stop();
    // The address that nginx connects from.
    assert_eq!(events[0]["metadata"]["peer"], "127.0.0.2");
}

#[test]
fn without_a_server_nginx_says_502() {
    if !has("nginx") {
        return;
    }
    let server = Server::start("", BLACKHOLE);
    let nginx = Nginx::start(server.address, "");
    let mut client = connect(&nginx);
    client.post("", "{\"message\":\"a\"}\n").is(200);
    server.stop();
    client.post("", "{\"message\":\"a\"}\n").is(502);
}
