//! Clients that send numbered records, and send again whatever was not answered with 200.

use crate::dice::Dice;
use crate::harness::{TIMEOUT, until};
use crate::http_client::Client;
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Before it tries again, a client waits so long at most, in milliseconds.
const AGAIN_MS: std::ops::RangeInclusive<u64> = 1..=20;
/// Between two requests it does so long at most.
const THINKS_MS: std::ops::RangeInclusive<u64> = 0..=30;

/// What one client has sent.
#[derive(Default)]
struct Log {
    /// The number of records in each request, and how often it was sent.
    requests: Vec<(u64, u64)>,
    /// Answers by status; 0 stands for a connection that broke.
    answers: BTreeMap<u16, u64>,
    /// Connections that were made.
    connections: u64,
}

/// Clients at work.
pub struct Clients {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Log>>,
}

/// What all clients have sent.
pub struct Sent(Vec<Log>);

/// What came of it.
pub struct Figures {
    requests: usize,
    repeated_requests: usize,
    events: usize,
    repeated: usize,
    connections: u64,
    answers: BTreeMap<u16, u64>,
}

/// Record `number` of a client: it tells its own length, so that a torn one shows.
fn message(client: usize, number: u64) -> String {
    let len = match (number.wrapping_mul(31) + client as u64) % 211 {
        0 => 20_000,
        1..=20 => 1_000,
        other => other,
    };
    format!("{client}:{number}:{}.", "abcdefg ".repeat(len as usize / 8))
}

impl Clients {
    pub fn start(count: usize, server: SocketAddr, seed: u64) -> Clients {
        let stop = Arc::new(AtomicBool::new(false));
        let start = |id: usize| {
            let (stop, dice) = (Arc::clone(&stop), Dice::new(seed ^ (id as u64) << 32));
            thread::spawn(move || Sender { id, server, stream: None, dice, log: Log::default() }.run(&stop))
        };
        let threads = (0..count).map(start).collect();
        Clients { stop, threads }
    }

    /// Lets them send on until all is answered.
    pub fn finish(self, patience: Duration) -> Sent {
        self.stop.store(true, Ordering::Relaxed);
        let done = until(patience, || self.threads.iter().all(JoinHandle::is_finished));
        assert!(done, "not all is answered in time");
        Sent(self.threads.into_iter().map(|thread| thread.join().unwrap()).collect())
    }
}

struct Sender {
    id: usize,
    server: SocketAddr,
    stream: Option<Client<TcpStream>>,
    dice: Dice,
    log: Log,
}

impl Sender {
    fn run(mut self, stop: &AtomicBool) -> Log {
        let mut next = 0;
        while !stop.load(Ordering::Relaxed) {
            let records = match self.dice.within(0..=99) {
                0 => self.dice.within(200..=600),
                1..=30 => 1,
                _ => self.dice.within(1..=20),
            };
            let line = |number| format!("{{\"message\":\"{}\"}}\n", message(self.id, number));
            let body: String = (next..next + records).map(line).collect();
            next += records;
            self.log.requests.push((records, 0));
            while !self.send(&body) {
                thread::sleep(Duration::from_millis(self.dice.within(AGAIN_MS)));
            }
            thread::sleep(Duration::from_millis(self.dice.within(THINKS_MS)));
        }
        self.log
    }

    /// Sends a request; whether it was answered with 200.
    fn send(&mut self, body: &str) -> bool {
        let mut client = match self.stream.take() {
            Some(client) => client,
            None => {
                let Ok(stream) = TcpStream::connect(self.server) else { return false };
                stream.set_read_timeout(Some(TIMEOUT)).unwrap();
                self.log.connections += 1;
                Client::new(stream)
            }
        };
        self.log.requests.last_mut().unwrap().1 += 1;
        let head = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
        // A server that refuses early may answer all the same.
        drop(client.try_send(head + body));
        let reply = client.whole_reply();
        let status = reply.as_ref().map_or(0, |reply| reply.status);
        *self.log.answers.entry(status).or_default() += 1;
        // Kept where it still can be used, as any client would.
        if reply.is_some_and(|reply| reply.header("connection") != Some("close")) {
            self.stream = Some(client);
        }
        status == 200
    }
}

impl Sent {
    /// Requests that were sent more than once.
    pub fn repeated(&self) -> usize {
        self.0.iter().flat_map(|log| &log.requests).filter(|(_, sent)| *sent > 1).count()
    }

    /// How often this status came.
    pub fn answers(&self, status: u16) -> u64 {
        self.0.iter().filter_map(|log| log.answers.get(&status)).sum()
    }

    /// Holds what has arrived against it: every record is there, as often as it was sent at most, and no other.
    pub fn check(&self, arrived: &[String]) -> Figures {
        // For each client and record, how often it came.
        let records = |log: &Log| log.requests.iter().map(|(records, _)| *records as usize).sum();
        let mut came: Vec<Vec<u64>> = self.0.iter().map(|log| vec![0; records(log)]).collect();
        for text in arrived {
            let mut parts = text.splitn(3, ':');
            let mut number = || parts.next().and_then(|part| part.parse::<usize>().ok());
            let (Some(client), Some(number)) = (number(), number()) else { panic!("nobody sent {text}") };
            assert!(*text == message(client, number as u64), "nobody sent {text}");
            *came.get_mut(client).and_then(|came| came.get_mut(number)).expect("nobody sent it") += 1;
        }
        let mut repeated = 0;
        for (client, log) in self.0.iter().enumerate() {
            let sent = log.requests.iter().flat_map(|(records, sent)| (0..*records).map(|_| *sent));
            for (number, (came, sent)) in came[client].iter().zip(sent).enumerate() {
                assert!(*came > 0, "record {number} of client {client} was answered with 200, and is lost");
                assert!(*came <= sent, "record {number} of client {client} came {came} times, sent {sent}");
                repeated += *came as usize - 1;
            }
        }
        let mut answers = BTreeMap::new();
        for (status, count) in self.0.iter().flat_map(|log| &log.answers) {
            *answers.entry(*status).or_default() += count;
        }
        Figures {
            requests: self.0.iter().map(|log| log.requests.len()).sum(),
            repeated_requests: self.repeated(),
            events: came.iter().map(Vec::len).sum(),
            repeated,
            connections: self.0.iter().map(|log| log.connections).sum(),
            answers,
        }
    }
}

impl Figures {
    pub fn print(&self, what: &str, kills: u64) {
        let Figures { requests, repeated_requests, events, repeated, connections, answers } = self;
        // A lost, a torn or an unexplained one has failed the test by now.
        eprintln!(
            "crash, {what}: {kills} kills, {connections} connections, {requests} requests ({repeated_requests} sent \
             again), {events} records, 0 lost, {repeated} twice since they were sent twice, 0 torn; answers by status \
             (0: none) {answers:?}"
        );
    }
}
