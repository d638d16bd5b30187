//! A stop while the buffer is full: what was not acknowledged is not in it.

use super::{SMALL, Site, all};
use crate::harness::{Run, TIMEOUT};
use std::fs;

const LOG: &str = "type = \"file\"\ninclude = [\"app.log\"]\ndecoding.codec = \"text\"";

/// Lines of which one read of the file is more than half of the buffer.
fn padded(count: u64) -> String {
    (0..count).map(|n| format!("{n} {}\n", "x".repeat(223 - n.to_string().len()))).collect()
}

/// The rest of the file, up to its end.
#[track_caller]
fn run_once(site: &Site) {
    Run::new(&["-c", "evaltrail.toml", "--once"]).current_dir(site.0.path()).run().exits(0);
}

#[test]
fn a_stop_in_front_of_a_full_buffer_repeats_nothing() {
    let site = Site::new(LOG, SMALL);
    site.block();
    site.0.write("app.log", &padded(20_000));
    // Each stop finds it full, with another batch in front of it.
    for _ in 0..3 {
        let live = site.run().live();
        live.says("the buffer on disk is full");
        live.signal("TERM");
        let (status, stderr) = live.wait(TIMEOUT);
        assert_eq!(status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("a file is read again from there at the next start"), "{stderr}");
        let shown = site.buffer("show").exits(0).stdout;
        assert!(!shown.contains("torn"), "{shown}");
    }
    site.unblock();
    run_once(&site);
    let there = site.numbers();
    let first = there.iter().zip(0u64..).find(|(found, expected)| *found != expected);
    assert_eq!((there.len(), first), (20_000, None));
}

#[test]
fn a_batch_that_is_larger_than_the_buffer_passes_in_pieces() {
    let site = Site::new(LOG, SMALL);
    site.0.write("app.log", &super::lines(0..100_000));
    run_once(&site);
    assert_eq!(site.numbers(), all(100_000));
    assert!(fs::read_dir(site.folder()).unwrap().count() <= 10);
}
