//! Programs that take records by HTTP are killed at random moments, while a hundred clients send and repeat what was
//! not answered with 200. Nothing may be lost, and nothing be there twice that was not sent twice.
//!
//! In full: `EVALTRAIL_KILLS=50 cargo test --release --test suite http_crash -- --nocapture`, which prints the figures.
//! `EVALTRAIL_SEED=17` draws other moments, and other requests.

mod clients;

use crate::dice::{self, Dice};
use crate::harness::{Live, Run, TIMEOUT, TempDir, until};
use crate::tools::{Nginx, free_address, has};
use clients::{Clients, Sent};
use serde_json::Value;
use std::collections::HashSet;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

/// Kills in the suite; `EVALTRAIL_KILLS` asks for others.
const KILLS: u64 = 8;
/// A program lives so long at least and at most, in milliseconds, its start included.
const LIVES_MS: std::ops::RangeInclusive<u64> = 5..=400;
/// Connections that send at the same time.
const CLIENTS: usize = 100;
/// By now all is answered.
const PATIENCE: Duration = Duration::from_secs(120);

/// A program with a config of its own.
struct Node {
    config: String,
    /// It takes records there.
    address: SocketAddr,
    live: Option<Live>,
    is_killed: bool,
}

/// Programs that hand on to each other, from the one that clients send to, to the one that writes the file.
struct Topology {
    dir: TempDir,
    nodes: Vec<Node>,
    proxy: Option<Nginx>,
}

impl Topology {
    fn new() -> Topology {
        Topology { dir: TempDir::new(), nodes: Vec::new(), proxy: None }
    }

    /// One server that writes what it takes.
    fn server_to_file() -> Topology {
        let mut topology = Topology::new();
        let sink = format!("type = \"file\"\npath = \"{}\"\n", topology.output().display());
        topology.add(&sink, true);
        topology
    }

    /// A server that hands on to another one by requests: `%id` tells what it has sent twice from what it got twice.
    fn server_to_server() -> Topology {
        let mut topology = Topology::new();
        let sink = format!("type = \"file\"\npath = \"{}\"\n", topology.output().display());
        let next = topology.add(&sink, true);
        let sink = format!(
            "type = \"http\"\nuri = \"http://{next}/\"\nbatch.timeout_secs = 0.01\nbatch.max_events = 300\n\
             request.retry_initial_backoff_secs = 0.01\nrequest.retry_max_duration_secs = 0.05\n"
        );
        topology.add(&sink, true);
        // Clients send to the first one.
        topology.nodes.swap(0, 1);
        let config = &topology.nodes[0].config;
        let text = std::fs::read_to_string(config).unwrap();
        let project =
            "[transforms.project]\ntype = \"metadata_projection\"\ninputs = [\"web\"]\nkeys = [\"%id\"]\n";
        let text = text.replace("inputs = [\"web\"]", "inputs = [\"project\"]") + project;
        std::fs::write(config, text).unwrap();
        topology
    }

    /// The same with nginx in front, which is not killed.
    fn behind_nginx() -> Topology {
        let mut topology = Topology::server_to_file();
        // One connection for each client, and a file for what is long: as an operator would have it.
        topology.proxy = Some(Nginx::start(topology.nodes[0].address, "client_body_buffer_size 8k;"));
        topology
    }

    /// Adds a program that takes records, before those that it hands on to are started.
    fn add(&mut self, sink: &str, is_killed: bool) -> SocketAddr {
        let (address, at) = (free_address(), self.nodes.len());
        let config = self.dir.path().join(format!("node{at}.toml"));
        let text = format!(
            "data_dir = \"{}/data{at}\"\n\n[sources.web]\ntype = \"http_server\"\naddress = \"{address}\"\n\n\
             [sinks.out]\ninputs = [\"web\"]\n{sink}",
            self.dir.path().display()
        );
        std::fs::write(&config, text).unwrap();
        let config = config.to_str().unwrap().to_owned();
        self.nodes.push(Node { config, address, live: None, is_killed });
        address
    }

    fn output(&self) -> PathBuf {
        self.dir.path().join("out.jsonl")
    }

    /// Where clients send to.
    fn entry(&self) -> SocketAddr {
        self.proxy.as_ref().map_or(self.nodes[0].address, |proxy| proxy.address)
    }

    fn start(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        node.live = Some(Run::new(&["-c", &node.config]).live());
    }

    /// Kills one of those that may be, and starts it again.
    fn kill_one(&mut self, dice: &mut Dice) {
        let mortal: Vec<usize> = (0..self.nodes.len()).filter(|at| self.nodes[*at].is_killed).collect();
        let at = dice.pick(&mortal);
        self.nodes[at].live.take().unwrap().kill();
        // A while without it: clients are refused.
        until(Duration::from_millis(dice.within(0..=30)), || false);
        self.start(at);
    }

    /// Lets all programs end well, in the order in which they hand on.
    fn stop(&mut self) {
        for node in &mut self.nodes {
            let mut live = node.live.take().unwrap();
            live.signal_when_ready("TERM");
            let (status, said) = live.wait(TIMEOUT);
            assert_eq!(status.code(), Some(0), "{said}");
        }
    }

    /// The messages that have arrived, but for those that came again with the same `%id`; and the number of those. Fails
    /// the test on a line that is torn.
    fn messages(&self) -> (Vec<String>, usize) {
        let text = String::from_utf8(std::fs::read(self.output()).unwrap()).unwrap();
        assert!(text.ends_with('\n'), "the last line is torn");
        let (mut messages, mut ids, mut again) = (Vec::new(), HashSet::new(), 0);
        for line in text.lines() {
            let event: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("torn: {e}: {line}"));
            let id = event["metadata"]["id"].as_str();
            match id.is_none_or(|id| ids.insert(id.to_owned())) {
                true => {
                    messages.push(event["message"].as_str().unwrap_or_else(|| panic!("{line}")).to_owned())
                }
                false => again += 1,
            }
        }
        (messages, again)
    }
}

/// Kills programs again and again while clients send; what was sent, and how often.
fn run(topology: &mut Topology, what: &str) -> Sent {
    let mut dice = Dice::new(dice::number("EVALTRAIL_SEED", 1));
    let kills = dice::number("EVALTRAIL_KILLS", KILLS);
    (0..topology.nodes.len()).rev().for_each(|at| topology.start(at));
    let clients = Clients::start(CLIENTS, topology.entry(), dice.roll());
    for _ in 0..kills {
        until(Duration::from_millis(dice.within(LIVES_MS)), || false);
        topology.kill_one(&mut dice);
    }
    let entry = topology.nodes[0].address;
    assert!(until(TIMEOUT, || TcpStream::connect(entry).is_ok()));
    let sent = clients.finish(PATIENCE);
    topology.stop();
    let (messages, again) = topology.messages();
    sent.check(&messages).print(what, kills);
    if again > 0 {
        eprintln!("crash, {what}: {again} more came again with the same %id");
    }
    sent
}

#[test]
fn no_record_is_lost_or_doubled_without_reason_by_a_kill() {
    let sent = run(&mut Topology::server_to_file(), "server to file");
    assert!(sent.repeated() > 0, "no kill has met a request");
}

#[test]
fn from_server_to_server_nothing_is_lost_whichever_is_killed() {
    let sent = run(&mut Topology::server_to_server(), "server to server to file");
    assert!(sent.repeated() > 0, "no kill has met a request");
}

#[test]
fn behind_nginx_a_kill_is_a_502_and_nothing_is_lost() {
    if !has("nginx") {
        return;
    }
    let mut topology = Topology::behind_nginx();
    let sent = run(&mut topology, "nginx in front of a server to a file");
    let errors = topology.proxy.as_ref().unwrap().errors();
    assert!(sent.answers(502) > 0, "no kill was seen: {errors}");
}
