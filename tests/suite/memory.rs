//! Memory stays bounded, whatever comes in.

use crate::harness::{Run, TIMEOUT};
use crate::logs::*;

/// What the contract allows is 32 MiB; here the program is not optimised, and its pages of code count too.
const PEAK_KIB: u64 = 48 * 1024;

#[test]
fn a_line_of_100_mb_is_one_fault_and_costs_its_neighbours_nothing() {
    let block = vec![b'x'; 1 << 20];
    let mut live = Run::new(&[]).live();
    live.write(structured_json(1, "before").as_bytes());
    assert_eq!(live.event(TIMEOUT)["metadata"]["code"], "before");
    live.write(b"{\"message\":\"");
    for _ in 0..100 {
        live.write(&block);
    }
    live.write(b"\n");
    live.write(structured_json(5000, "after").as_bytes());
    assert_eq!(live.event(TIMEOUT)["metadata"]["code"], "after");
    let peak = live.peak_kib();
    eprintln!("a line of 100 MB: {peak} KiB at most");
    live.close_stdin();
    assert_eq!(live.rest(), b"");
    let (status, stderr) = live.wait(TIMEOUT);
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("faults=\"1 (record_too_long 1)\""), "{stderr}");
    assert!(peak < PEAK_KIB, "{peak} KiB");
}

#[test]
fn a_line_that_never_ends_is_one_fault() {
    let block = vec![b'x'; 1 << 20];
    let mut live = Run::new(&[]).live();
    live.write((structured_json(1, "before") + "{\"").as_bytes());
    for _ in 0..20 {
        live.write(&block);
    }
    live.close_stdin();
    assert_eq!(live.event(TIMEOUT)["metadata"]["code"], "before");
    assert_eq!(live.rest(), b"");
    let (status, stderr) = live.wait(TIMEOUT);
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("faults=\"1 (record_too_long 1)\""), "{stderr}");
}

#[test]
fn a_stream_takes_no_more_memory_the_longer_it_is() {
    let mut live = Run::new(&[]).live();
    let mut at = 0;
    let mut part = |live: &mut crate::harness::Live| {
        // 4 MB of log, with times that go on.
        let log: String = (0..8000)
            .map(|_| {
                at += 1;
                other_json(at % 60_000) + &structured_json(at % 60_000, &format!("{at}"))
            })
            .collect();
        live.write(log.as_bytes());
    };
    // Its reader keeps up.
    let read = |live: &mut crate::harness::Live| (0..8000).for_each(|_| drop(live.event(TIMEOUT)));
    part(&mut live);
    read(&mut live);
    let early = live.peak_kib();
    for _ in 0..4 {
        part(&mut live);
        read(&mut live);
    }
    let late = live.peak_kib();
    eprintln!("a stream: {early} KiB early, {late} KiB late");
    assert!(late < PEAK_KIB && late < early + 8 * 1024, "{early} KiB early, {late} KiB late");
}
