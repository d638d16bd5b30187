//! Reloads while sinks are stuck, refuse events, go, or get other queues.

use crate::harness::{TIMEOUT, until};
use crate::receiver::{Answer, OK, Receiver};
use crate::reload::{Program, STDIN, file_sink, first_difference, messages, numbered, texts};
use std::io::Write;
use std::time::Duration;

#[test]
fn a_receiver_that_never_answers_well_is_exchanged_for_another() {
    let bad = Receiver::start(|_, _| Answer::Status(404, "", "no such place"));
    let good = Receiver::start(|_, _| OK);
    let config = |uri: &str| {
        format!(
            "data_dir = \"data\"\n{STDIN}[sinks.out]\ntype = \"http\"\ninputs = [\"in\"]\nuri = \"{uri}\"\n\
             buffer.max_events = 20\nbatch.max_events = 7\nbatch.timeout_secs = 0.1\n"
        )
    };
    let mut program = Program::start(&config(&bad.uri()));
    // More than its queue takes: everything in front of it stands still.
    program.live.write(numbered(0..500).as_bytes());
    assert!(until(TIMEOUT, || bad.count() > 1));
    program.reload(&config(&good.uri()));
    program.live.close_stdin();
    let (status, stderr) = program.live.wait(TIMEOUT);
    assert_eq!(status.code(), Some(0), "{stderr}");
    let sent: Vec<String> = good.received().iter().flat_map(|request| request.messages()).collect();
    assert_eq!(sent, texts(0..500));
}

#[test]
fn a_sink_that_is_removed_delivers_what_it_can_and_the_rest_is_counted() {
    let dead = Receiver::start(|_, _| Answer::Status(503, "", ""));
    let with = |more: &str| {
        format!("data_dir = \"data\"\nshutdown_timeout_secs = 1\n{STDIN}{}{more}", file_sink("out", "in"))
    };
    let sink = format!("[sinks.siem]\ntype = \"http\"\ninputs = [\"in\"]\nuri = \"{}\"\n", dead.uri());
    let mut program = Program::start(&with(&sink));
    program.live.write(numbered(0..50).as_bytes());
    assert!(until(TIMEOUT, || dead.count() > 0));
    program.reload(&with(""));
    program.live.write(numbered(50..60).as_bytes());
    program.waits_for("out.jsonl", 60);
    program.live.says("the rest is dropped");
    program.live.says("what the removed sink could not deliver was dropped");
    assert!(program.live.stderr().contains("dropped=50"), "{}", program.live.stderr());
    let stderr = program.stops(0);
    assert!(stderr.contains("sink_removed 50"), "{stderr}");
}

#[test]
fn a_sink_gets_a_buffer_on_disk_and_another_queue() {
    let config = |buffer: &str| format!("data_dir = \"data\"\n{STDIN}{}{buffer}\n", file_sink("out", "in"));
    let mut program = Program::start(&config(""));
    let plans = [
        "buffer.max_events = 5",
        "buffer.max_events = 500",
        "buffer.type = \"disk\"\nbuffer.max_size_bytes = 2097152",
    ];
    for (round, buffer) in plans.iter().enumerate() {
        program.live.write(numbered(round * 300..round * 300 + 300).as_bytes());
        program.reload(&config(buffer));
    }
    program.live.write(numbered(900..1000).as_bytes());
    program.waits_for("out.jsonl", 1000);
    program.reload_until(&config(""), "the buffer on disk of the sink `out` can't be changed");
    assert_eq!(messages(&program.lines("out.jsonl")), texts(0..1000));
    program.stops(0);
}

#[test]
fn a_stop_in_the_middle_of_a_reload_ends_well() {
    let slow = Receiver::start(|number, _| if number < 3 { Answer::Status(503, "", "") } else { OK });
    let config = |more: &str| {
        format!(
            "data_dir = \"data\"\n{STDIN}{more}[sinks.out]\ntype = \"http\"\ninputs = [\"{}\"]\nuri = \"{}\"\n\
             buffer.max_events = 20\nbatch.timeout_secs = 0.1\n",
            if more.is_empty() { "in" } else { "f" },
            slow.uri()
        )
    };
    let mut program = Program::start(&config(""));
    program.live.write(numbered(0..200).as_bytes());
    assert!(until(TIMEOUT, || slow.count() > 0));
    program.dir.write(
        "config.toml",
        &config("[transforms.f]\ntype = \"filter\"\ninputs = [\"in\"]\ncondition = \"true\"\n"),
    );
    program.live.signal("HUP");
    program.live.says("reads the config again");
    program.live.signal("TERM");
    let (status, stderr) = program.live.wait(Duration::from_secs(90));
    assert_eq!(status.code(), Some(0), "{stderr}");
    let taken = slow.received();
    let sent: Vec<String> = taken.iter().skip(3).flat_map(|request| request.messages()).collect();
    assert_eq!(sent, texts(0..200));
}

#[test]
fn a_reload_that_waits_for_a_stuck_sink_is_not_in_the_way_of_the_one_that_frees_it() {
    let bad = Receiver::start(|_, _| Answer::Status(404, "", "no such place"));
    let good = Receiver::start(|_, _| OK);
    let config = |filter: bool, uri: &str| {
        let (more, feed) = match filter {
            true => ("[transforms.f]\ntype = \"filter\"\ninputs = [\"in\"]\ncondition = \"true\"\n", "f"),
            false => ("", "in"),
        };
        format!(
            "data_dir = \"data\"\n{STDIN}{more}[sinks.out]\ntype = \"http\"\ninputs = [\"{feed}\"]\nuri = \"{uri}\"\n\
             buffer.max_events = 20\nbatch.max_events = 500\nbatch.timeout_secs = 0.1\n"
        )
    };
    let mut program = Program::start(&config(false, &bad.uri()));
    // More than a pipe holds, so that it comes in several batches, of which the queue takes one.
    let mut stdin = program.live.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(numbered(0..40_000).as_bytes()).unwrap());
    assert!(until(TIMEOUT, || bad.count() > 1));
    // The source may not have a batch yet that it waits with: then there is nothing to wait for, and it is asked again.
    let mut filter = false;
    let waits = until(TIMEOUT, || {
        filter = !filter;
        let done = program.live.stderr().matches(" reloaded").count();
        program.dir.write("config.toml", &config(filter, &bad.uri()));
        program.live.signal("HUP");
        let said = || program.live.stderr();
        let waits = || said().contains("the reload waits until what is on its way");
        assert!(until(TIMEOUT, || waits() || said().matches(" reloaded").count() > done), "{}", said());
        waits()
    });
    assert!(waits, "{}", program.live.stderr());
    program.reload(&config(filter, &good.uri()));
    writer.join().unwrap();
    let (status, stderr) = program.live.wait(TIMEOUT);
    assert_eq!(status.code(), Some(0), "{stderr}");
    let sent: Vec<String> = good.received().iter().flat_map(|request| request.messages()).collect();
    assert!(sent == texts(0..40_000), "{:?}", first_difference(&sent, &texts(0..40_000)));
}

#[test]
fn what_is_rejected_goes_to_a_port_as_soon_as_somebody_takes_it() {
    let picky = Receiver::start(|_, _| Answer::Status(400, "", "no"));
    let config = |more: &str| {
        format!(
            "data_dir = \"data\"\n{STDIN}[sinks.out]\ntype = \"http\"\ninputs = [\"in\"]\nuri = \"{}\"\n\
             batch.timeout_secs = 0.05\n{more}",
            picky.uri()
        )
    };
    let mut program = Program::start(&config(""));
    program.live.write(numbered(0..3).as_bytes());
    program.waits_for("data/dead_letters/out.jsonl", 3);
    program.reload(&config(&file_sink("bad", "out.rejected")));
    program.live.write(numbered(3..6).as_bytes());
    program.waits_for("bad.jsonl", 3);
    program.reload(&config(""));
    program.live.write(numbered(6..9).as_bytes());
    program.waits_for("data/dead_letters/out.jsonl", 6);
    assert_eq!(messages(&program.lines("bad.jsonl")), texts(3..6));
    program.stops(1);
}
