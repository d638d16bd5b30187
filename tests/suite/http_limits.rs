//! The limits of the `http_server` source: sizes, times, connections, memory, a full pipeline.

use crate::harness::{TIMEOUT, until};
use crate::http_client::{BLACKHOLE, CONSOLE, Client, Server};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What the program may take, not optimised, whatever is sent to it.
const PEAK_KIB: u64 = 80 * 1024;
const GOOD: &str = "{\"message\":\"good\"}\n";
/// How late a limit of one second may be.
const LATE: Duration = Duration::from_secs(8);

#[test]
fn a_body_over_the_limit_is_refused() {
    let server = Server::start("max_body_bytes = 1000", CONSOLE);
    let body = "{\"message\":\"a\"}\n".repeat(100);
    let reply = server.post("", &body).is(413);
    assert_eq!(reply.header("connection"), Some("close"));
    assert!(reply.body["accepted"].is_null(), "nothing is read of it");
    // Not asked for its body, a client does not send it.
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n");
    client.reply().unwrap().is(413);
    // Where the length is not known before, what stood in front of the limit is taken, and told.
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send_chunk(&body[..800]);
    thread::sleep(Duration::from_millis(100));
    client.send_chunk(&body[800..]);
    client.send("0\r\n\r\n");
    let taken = client.reply().unwrap().is(413).counts().0;
    server.post("", &body[..992]).is(200);
    let (_, events) = server.stop();
    assert_eq!(events.len() as u64, taken + 62);
}

/// Packed bodies that unpack to far more than they are.
fn bombs() -> [(&'static str, Vec<u8>); 2] {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    let block = vec![b'x'; 1 << 20];
    (0..256).for_each(|_| gzip.write_all(&block).unwrap());
    let zstd = zstd::encode_all(vec![b'\n'; 64 << 20].as_slice(), 1).unwrap();
    [("gzip", gzip.finish().unwrap()), ("zstd", zstd)]
}

/// Serves a well-behaved client until `attacks` is over, and once at least. Returns how long its requests took.
fn served_while(server: &Server, attacks: impl Fn() -> bool) -> Vec<Duration> {
    let mut good = server.connect();
    let mut times = Vec::new();
    loop {
        let is_last = !attacks();
        let begun = Instant::now();
        assert_eq!(good.post("", GOOD).is(200).counts(), (1, 0));
        times.push(begun.elapsed());
        if is_last {
            return times;
        }
    }
}

/// The longest of some times, leaving out one in a hundred: the machine may be busy with other tests.
fn most(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[(times.len() - 1) * 99 / 100]
}

#[test]
fn slow_lorises_and_zip_bombs_are_refused_while_a_good_client_is_served_in_no_more_time() {
    let limits = "max_body_bytes = 1000000\nheader_read_timeout_secs = 1\nrequest_timeout_secs = 2\n";
    let server = Server::start(limits, BLACKHOLE);
    let quiet = Instant::now();
    let before = most(served_while(&server, || quiet.elapsed() < Duration::from_secs(1)));
    let bombs = bombs();
    let (refused, cut, late) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let begun = Instant::now();
    let times = thread::scope(|scope| {
        // A hundred whose heads come a byte at a time, and as many whose bodies do.
        let mut heads: Vec<_> = (0..100).map(|_| server.connect()).collect();
        let mut bodies: Vec<_> = (0..100).map(|_| server.connect()).collect();
        heads.iter_mut().for_each(|client| client.send("POST / HTTP/1.1\r\nX: "));
        let slow = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n{\"message\":\"";
        bodies.iter_mut().for_each(|client| client.send(slow));
        let (cut, late) = (&cut, &late);
        let lorises = scope.spawn(move || {
            // Longer than either may take.
            while begun.elapsed() < Duration::from_millis(2600) {
                heads.iter_mut().chain(&mut bodies).for_each(|client| drop(client.try_send("x")));
                thread::sleep(Duration::from_millis(50));
            }
            for client in &mut heads {
                cut.fetch_add(usize::from(client.whole_reply().is_none()), Ordering::Relaxed);
            }
            for client in &mut bodies {
                let is_late = client.whole_reply().is_none_or(|reply| reply.status == 408);
                late.fetch_add(usize::from(is_late), Ordering::Relaxed);
            }
        });
        let bombers: Vec<_> = bombs
            .iter()
            .chain(&bombs)
            .map(|(coding, bomb)| {
                let (address, refused) = (server.address, &refused);
                scope.spawn(move || {
                    while begun.elapsed() < Duration::from_secs(2) {
                        let mut client = Client::new(TcpStream::connect(address).unwrap());
                        let reply = client.post(&format!("Content-Encoding: {coding}\r\n"), bomb).is(413);
                        assert!(reply.body["error"].as_str().unwrap().contains("1000000"), "{reply:?}");
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        served_while(&server, || !lorises.is_finished() || !bombers.iter().all(|bomber| bomber.is_finished()))
    });
    let (answered, under) = (times.len(), most(times));
    let [refused, cut, late] = [refused, cut, late].map(AtomicUsize::into_inner);
    let peak = server.live.peak_kib();
    eprintln!(
        "{refused} bombs refused, {cut} heads and {late} bodies cut off, {answered} requests of the good client \
         answered within {under:?} (without all that {before:?}), {peak} KiB at most"
    );
    assert_eq!((cut, late), (100, 100));
    assert!(refused >= 4 && answered >= 10, "{refused} and {answered}");
    // Not optimised, on a machine that runs other tests too.
    assert!(under < before * 20 + Duration::from_millis(500), "{under:?} after {before:?}");
    assert!(peak < PEAK_KIB, "{peak} KiB");
    server.stop();
}

#[test]
fn a_window_of_zstandard_may_not_be_larger_than_http_allows() {
    let server = Server::start("", BLACKHOLE);
    let mut wide = zstd::Encoder::new(Vec::new(), 1).unwrap();
    wide.window_log(27).unwrap();
    wide.long_distance_matching(true).unwrap();
    wide.write_all(GOOD.as_bytes()).unwrap();
    let reply = server.post("Content-Encoding: zstd\r\n", wide.finish().unwrap()).is(400);
    assert_eq!(reply.faults(), [(1, "broken_compression")]);
    server.stop();
}

#[test]
fn a_long_chunked_body_runs_in_bounded_memory() {
    let server = Server::start("max_body_bytes = 1000000000", BLACKHOLE);
    let line = format!("{{\"message\":\"{}\"}}\n", "x".repeat(16_000));
    let block = line.repeat(64);
    let blocks = 96;
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..blocks {
        client.send_chunk(&block);
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.reply().unwrap().is(200).counts(), (64 * blocks, 0));
    let peak = server.live.peak_kib();
    eprintln!("a body of {} MB: {peak} KiB at most", block.len() as u64 * blocks / 1_000_000);
    assert!(peak < PEAK_KIB, "{peak} KiB");
    server.stop();
}

#[test]
fn slow_heads_are_cut_off_while_others_are_served() {
    let server = Server::start("header_read_timeout_secs = 1", BLACKHOLE);
    let mut silent = server.connect();
    let mut starts = ["P", "PRI * HTTP/2.0\r\n", "POST / HTTP/1.1\r\nHost: x\r\nX-A"].map(|start| {
        let mut client = server.connect();
        client.send(start);
        client
    });
    // One that has been served, and begins another request.
    let mut second = server.connect();
    second.post("", GOOD).is(200);
    second.send("POST / HT");
    // One that waits between two requests is left alone.
    let mut idle = server.connect();
    idle.post("", GOOD).is(200);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1500) {
        server.post("", GOOD).is(200);
        thread::sleep(Duration::from_millis(20));
    }
    assert!(silent.is_closed_within(LATE));
    assert!(starts.iter_mut().all(|client| client.is_closed_within(LATE)));
    assert!(second.is_closed_within(LATE));
    idle.post("", GOOD).is(200);
    server.stop();
}

#[test]
fn a_head_may_not_be_endless() {
    let server = Server::start("", BLACKHOLE);
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: x\r\nX: ");
    drop(client.try_send("x".repeat(200_000)));
    // The answer may be lost to a client that still writes.
    if let Some(reply) = client.reply() {
        reply.is(431);
    }
    assert!(client.is_closed_within(LATE));
    server.stop();
}

#[test]
fn a_body_that_does_not_come_is_answered_408() {
    let server = Server::start("request_timeout_secs = 1", CONSOLE);
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{\"message\":\"a\"}\n{\"mess");
    server.post("", GOOD).is(200);
    let reply = client.reply().unwrap().is(408);
    assert_eq!((reply.counts(), reply.header("connection")), ((1, 0), Some("close")));
    let (_, events) = server.stop();
    assert_eq!(events.len(), 2);
}

#[test]
fn a_full_pipeline_is_told_before_anything_is_taken() {
    let sink = format!("{CONSOLE}buffer.max_events = 1\n");
    let mut server = Server::start("", &sink);
    let big = format!("{{\"message\":\"{}\"}}\n", "x".repeat(300_000));
    // The reader of the console takes one line until it is asked; the next does not fit into the pipe.
    server.post("", &big).is(200);
    let mut stuck = server.connect();
    stuck.send(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{big}", big.len()));
    thread::sleep(Duration::from_millis(300));
    let mut refused = None;
    assert!(until(TIMEOUT, || {
        let reply = server.post("", GOOD);
        (reply.status == 429).then(|| refused = Some(reply)).is_some()
    }));
    let refused = refused.unwrap();
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert!(refused.body["accepted"].is_null(), "{refused:?}");
    server.live.event(TIMEOUT);
    server.live.event(TIMEOUT);
    stuck.reply().unwrap().is(200);
    server.post("", GOOD).is(200);
    server.stop();
}

#[test]
fn a_request_of_which_a_part_is_taken_waits() {
    let sink = format!("{CONSOLE}buffer.max_events = 1\n");
    let server = Server::start("", &sink);
    let big = format!("{{\"message\":\"{}\"}}\n", "x".repeat(300_000));
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    let sender = thread::spawn(move || {
        for _ in 0..20 {
            client.send_chunk(&big);
        }
        client.send("0\r\n\r\n");
        client.reply().unwrap()
    });
    let mut server = server;
    thread::sleep(Duration::from_millis(600));
    assert!(!sender.is_finished());
    (0..20).for_each(|_| drop(server.live.event(TIMEOUT)));
    assert_eq!(sender.join().unwrap().is(200).counts(), (20, 0));
    server.stop();
}

#[test]
fn an_old_connection_is_closed_with_its_next_answer() {
    let server = Server::start("keepalive.max_connection_age_secs = 1", BLACKHOLE);
    let mut client = server.connect();
    let begun = Instant::now();
    assert_eq!(client.post("", GOOD).is(200).header("connection"), None);
    thread::sleep(Duration::from_millis(1300).saturating_sub(begun.elapsed()));
    assert_eq!(client.post("", GOOD).is(200).header("connection"), Some("close"));
    assert!(client.is_closed_within(LATE));
    // One that sends nothing more is closed too.
    let mut idle = server.connect();
    idle.post("", GOOD).is(200);
    assert!(idle.is_closed_within(TIMEOUT));
    server.stop();
}

#[test]
fn connections_over_the_limit_wait_for_a_place() {
    let server = Server::start("max_connections = 2", BLACKHOLE);
    let [mut first, mut second, mut third] = [(); 3].map(|()| server.connect());
    first.post("", GOOD).is(200);
    second.post("", GOOD).is(200);
    third.send(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{GOOD}", GOOD.len()));
    server.live.says("`max_connections` are open");
    assert!(!third.is_closed_within(Duration::from_millis(300)));
    drop(first);
    third.reply().unwrap().is(200);
    server.stop();
}

#[test]
fn a_request_that_finds_no_room_for_its_rest_is_told_in_time() {
    let sink = format!("{CONSOLE}buffer.max_events = 1\n");
    let mut server = Server::start("request_timeout_secs = 1", &sink);
    let big = format!("{{\"message\":\"{}\"}}\n", "x".repeat(300_000));
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    (0..5).for_each(|_| client.send_chunk(&big));
    let reply = client.reply().unwrap().is(503);
    assert!(reply.body["error"].as_str().unwrap().contains("no room for all of it within 1 s"), "{reply:?}");
    assert_eq!((reply.header("retry-after"), reply.header("connection")), (Some("5"), Some("close")));
    let (accepted, _) = reply.counts();
    assert!((1..=5).contains(&accepted), "{reply:?}");
    server.live.says("a request was taken, at least in part, and not confirmed: the pipeline had no room");
    assert!(server.live.stderr().contains(&format!("accepted={accepted}")), "{}", server.live.stderr());
    // What was on its way still arrives, and there is room again.
    let mut events = 0;
    assert!(until(TIMEOUT, || {
        server.live.event(TIMEOUT);
        events += 1;
        server.post("", GOOD).status == 200
    }));
    assert!(events < 5, "the rest is not read");
    server.stop();
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u32).to_be_bytes();
    [&len[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

#[test]
fn an_old_connection_of_http_2_is_told_to_go_away() {
    let server = Server::start("keepalive.max_connection_age_secs = 1", BLACKHOLE);
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    stream.write_all(&frame(4, 0, 0, b"")).unwrap();
    // POST / of `x` by http, whole.
    stream.write_all(&frame(1, 5, 1, b"\x83\x86\x84\x41\x01x")).unwrap();
    let mut kinds = Vec::new();
    let mut head = [0; 9];
    while stream.read_exact(&mut head).is_ok() {
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; len as usize];
        stream.read_exact(&mut payload).unwrap();
        kinds.push(head[3]);
        if head[3] == 6 && head[4] == 0 {
            stream.write_all(&frame(6, 1, 0, &payload)).unwrap();
        }
    }
    let place = |kind| kinds.iter().position(|seen| *seen == kind).unwrap_or_else(|| panic!("{kinds:?}"));
    assert!(place(1) < place(7), "an answer, and then GOAWAY: {kinds:?}");
    server.stop();
}
