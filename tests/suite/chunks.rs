//! How a stream is cut into reads is nobody's business: the output is the same.

use crate::inproc::{Output, run};
use crate::logs::*;
use evaltrail::event::Demand;

const LIMIT: usize = 64 * 1024;

fn logs() -> Vec<String> {
    let forged = format!("x [info] Evaluating code\n{}y = \"é🎉\"", twins_text(30, "forged()"));
    let text = other_line(1)
        + &twins_text(2, &forged)
        + &other_line(3)
        + &structured_line(4, "lost\ntwin")
        + &other_line(5);
    let json = other_json(1)
        + &twins_json(2, "a\nb \"é🎉\"")
        + "{\"torn\":\n"
        + &other_json(3)
        + &legacy_json(4, "<<0>>");
    let crlf = text.replace('\n', "\r\n");
    vec![text.clone(), json.clone(), crlf, json + &text]
}

fn one_write(log: &str, demand: Demand) -> Output {
    run(demand, LIMIT, [log.as_bytes()])
}

#[test]
fn a_log_cut_in_two_anywhere_gives_the_same() {
    for log in logs() {
        for demand in [Demand::Everything, Demand::Evaluations] {
            let expected = one_write(&log, demand);
            assert!(expected.lines.len() >= 2, "{expected:?}");
            for cut in 0..=log.len() {
                let (first, second) = log.as_bytes().split_at(cut);
                assert_eq!(run(demand, LIMIT, [first, second]), expected, "cut at {cut} of\n{log}");
            }
        }
    }
}

#[test]
fn a_log_in_small_writes_gives_the_same() {
    for log in logs() {
        for demand in [Demand::Everything, Demand::Evaluations] {
            let expected = one_write(&log, demand);
            for size in 1..=64 {
                let pieces = log.as_bytes().chunks(size);
                assert_eq!(run(demand, LIMIT, pieces), expected, "writes of {size} bytes of\n{log}");
            }
        }
    }
}
