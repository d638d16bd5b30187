//! SIGTERM and SIGINT: the first drains, the second stops at once.

use crate::harness::{Live, Run, TIMEOUT, chain, until};
use crate::logs::*;
use std::time::Duration;

#[test]
fn a_signal_drains_and_ends_well() {
    for name in ["TERM", "INT"] {
        let mut live = Run::new(&[]).live();
        live.write(structured_json(1, "1").as_bytes());
        live.event(TIMEOUT);
        live.signal(name);
        assert_eq!(live.rest(), b"");
        let (status, stderr) = live.wait(Duration::from_secs(10));
        assert_eq!(status.code(), Some(0), "{name}: {stderr}");
        assert!(stderr.contains("delivered=1"), "{stderr}");
    }
}

#[test]
fn what_is_held_back_is_let_go() {
    // An incomplete record that waits for its twin, and an open text record.
    let mut live = Run::new(&[]).config(&chain("twin_wait_ms = 60000", "", "")).live();
    live.write((structured_json(1, "<<0>>") + &structured_json(2, "marker")).as_bytes());
    assert_eq!(live.event(TIMEOUT)["metadata"]["code"], "marker");
    live.signal("TERM");
    let event = live.event(Duration::from_secs(10));
    assert_eq!(event["metadata"]["code"], "<<0>>");
    assert_eq!(event["metadata"]["code_incomplete"], true);
    let (status, stderr) = live.wait(Duration::from_secs(10));
    assert_eq!(status.code(), Some(0), "{stderr}");
}

#[test]
fn an_endless_source_is_stopped() {
    let config = "[sources.demo]\ntype = \"demo_logs\"\ninterval_secs = 0\n\n\
                  [sinks.out]\ntype = \"console\"\ninputs = [\"demo\"]\n";
    let mut live = Run::new(&[]).config(config).live();
    live.event(TIMEOUT);
    live.signal("TERM");
    let rest = live.rest();
    assert!(rest.is_empty() || rest.ends_with(b"}\n"), "the last line is whole");
    let (status, stderr) = live.wait(TIMEOUT);
    assert_eq!(status.code(), Some(0), "{stderr}");
}

/// The time that a process has computed so far, in ticks.
fn computed(live: &Live) -> u64 {
    let stat = live.proc("stat");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn a_second_signal_stops_at_once() {
    let config = "[sources.demo]\ntype = \"demo_logs\"\ninterval_secs = 0\n\n\
                  [sinks.out]\ntype = \"console\"\ninputs = [\"demo\"]\n";
    let mut live = Run::new(&[]).config(config).live();
    live.event(TIMEOUT);
    // Nobody reads any more. Once the pipe is full, the program has nothing left to do.
    let mut before = computed(&live);
    let mut since = std::time::Instant::now();
    let stuck = until(TIMEOUT, || {
        let now = computed(&live);
        if now != before {
            (before, since) = (now, std::time::Instant::now());
        }
        since.elapsed() > Duration::from_millis(300)
    });
    assert!(stuck);
    live.signal("TERM");
    assert!(!until(Duration::from_millis(300), || !live.is_running()), "it drains, and nobody reads");
    live.signal("TERM");
    let (status, stderr) = live.wait(Duration::from_secs(5));
    assert_eq!(status.code(), Some(1), "what was not written is lost, and that is said: {stderr}");
}

#[test]
fn the_drain_has_a_deadline() {
    let config = "shutdown_timeout_secs = 1\n[sources.demo]\ntype = \"demo_logs\"\ninterval_secs = 0\n\n\
                  [sinks.out]\ntype = \"console\"\ninputs = [\"demo\"]\n";
    let mut live = Run::new(&[]).config(config).live();
    live.event(TIMEOUT);
    live.signal("TERM");
    let (status, _) = live.wait(Duration::from_secs(20));
    assert!(matches!(status.code(), Some(0 | 1)), "{status}");
}
