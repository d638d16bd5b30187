//! Connections of the `http_server` source that are kept alive and idle: parked, they cost little, and nobody notices.

use crate::harness::{TIMEOUT, until};
use crate::http_client::{BLACKHOLE, CONSOLE, Client, Server};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

const GOOD: &str = "{\"message\":\"good\"}\n";
/// By now a connection that was quiet is parked.
const PARKED: Duration = Duration::from_millis(2300);
/// How late a limit of one second may be.
const LATE: Duration = Duration::from_secs(8);
/// More than stay unparked while they are few.
const MANY: usize = 600;

fn served(server: &Server) -> Client<TcpStream> {
    let mut client = server.connect();
    client.post("", GOOD).is(200);
    client
}

#[test]
fn parked_connections_are_served_again_and_end_at_once() {
    let server = Server::start("header_read_timeout_secs = 60", BLACKHOLE);
    let mut clients: Vec<_> = (0..MANY).map(|_| served(&server)).collect();
    thread::sleep(PARKED);
    let request = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{GOOD}", GOOD.len());
    for (at, client) in clients.iter_mut().enumerate() {
        match at % 5 {
            // A byte wakes it.
            0 => {
                client.send("P");
                client.send(&request[1..]);
            }
            1 => {
                client.send(request.repeat(3));
                (0..2).for_each(|_| drop(client.reply().unwrap().is(200)));
            }
            2 => {
                client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
                client.send_chunk(GOOD);
                client.send("0\r\n\r\n");
            }
            3 => client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
            _ => client.send(&request),
        }
        client.reply().unwrap().is(if at % 5 == 3 { 405 } else { 200 });
    }
    thread::sleep(PARKED);
    let begun = Instant::now();
    server.live.signal("TERM");
    assert!(clients.iter_mut().all(|client| client.is_closed_within(LATE)));
    let (status, stderr) = server.live.wait(TIMEOUT);
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert!(begun.elapsed() < LATE, "{:?}", begun.elapsed());
}

#[test]
fn the_head_of_a_request_wakes_a_parked_connection_and_has_to_come_in_time() {
    let server = Server::start("header_read_timeout_secs = 1", BLACKHOLE);
    let mut clients: Vec<_> = (0..20).map(|_| served(&server)).collect();
    thread::sleep(PARKED);
    for client in &mut clients[..10] {
        client.send("POST / HT");
    }
    assert!(clients[..10].iter_mut().all(|client| client.is_closed_within(LATE)));
    // Those that sent nothing are still there.
    clients[10..].iter_mut().for_each(|client| drop(client.post("", GOOD).is(200)));
    server.stop();
}

/// A request, and the start of the next one with it.
const AND_A_HALF: &str = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\nPOST / HTTP/1.1\r\nHo";
const REST: &str = "st: x\r\nContent-Length: 14\r\n\r\n{\"message\":\"\"}";

#[test]
fn the_start_of_a_request_that_came_with_another_is_kept() {
    let server = Server::start("", CONSOLE);
    let mut client = server.connect();
    client.send(AND_A_HALF);
    client.reply().unwrap().is(200);
    thread::sleep(PARKED);
    client.send(REST);
    assert_eq!(client.reply().unwrap().is(200).counts(), (1, 0));
    let (_, events) = server.stop();
    assert_eq!(events.len(), 1);
}

#[test]
fn the_start_of_a_request_that_came_with_another_has_to_go_on_in_time() {
    let server = Server::start("header_read_timeout_secs = 1", BLACKHOLE);
    let mut client = server.connect();
    client.send(AND_A_HALF);
    client.reply().unwrap().is(200);
    assert!(client.is_closed_within(LATE));
    server.stop();
}

#[test]
fn a_parked_connection_gets_no_older_than_others() {
    let server = Server::start("keepalive.max_connection_age_secs = 3", BLACKHOLE);
    let mut asks = served(&server);
    let begun = Instant::now();
    let mut idle = served(&server);
    thread::sleep(Duration::from_millis(3200));
    assert_eq!(asks.post("", GOOD).is(200).header("connection"), Some("close"));
    assert!(asks.is_closed_within(LATE));
    // One that sends nothing more is closed too, somewhat later.
    assert!(idle.is_closed_within(Duration::from_secs(15)));
    assert!(begun.elapsed() > Duration::from_secs(7), "{:?}", begun.elapsed());
    server.stop();
}

#[test]
fn a_parked_connection_whose_client_goes_away_makes_room() {
    let server = Server::start("max_connections = 3", BLACKHOLE);
    let clients: Vec<_> = (0..3).map(|_| served(&server)).collect();
    thread::sleep(PARKED);
    drop(clients);
    assert!(until(TIMEOUT, || {
        let mut client = server.connect();
        client.post("", GOOD).status == 200
    }));
    server.stop();
}
