//! `evaltrail --once` over files: reads what is there, ends, and knows the next time what it has read.

use crate::files::{Follower, LINES, LINES_OF_ALL, Place, Reading};
use crate::logs::{structured_json, twins_json, twins_text};
use std::fs::OpenOptions;
use std::io::Write;

/// Runs it; what it added to the output.
#[track_caller]
fn once(place: &Place, output: &mut Follower) -> Vec<String> {
    let before = output.lines.len();
    place.once().exits(0);
    output.catch_up();
    output.lines[before..].iter().map(|line| line.code.clone().unwrap_or(line.message.clone())).collect()
}

fn append(place: &Place, name: &str, text: &str) {
    let mut file = OpenOptions::new().append(true).create(true).open(place.path(name)).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[test]
fn a_second_run_reads_only_what_is_new() {
    let place = Place::new(LINES, None);
    let mut output = place.follow();
    append(&place, "app.log", "1\n2\n");
    assert_eq!(once(&place, &mut output), ["1", "2"]);
    assert_eq!(once(&place, &mut output), [""; 0]);
    append(&place, "app.log", "3\n4\n");
    assert_eq!(once(&place, &mut output), ["3", "4"]);
    assert_eq!(once(&place, &mut output), [""; 0]);
}

#[test]
fn a_last_line_without_its_newline_counts_once() {
    let place = Place::new(LINES, None);
    let mut output = place.follow();
    append(&place, "app.log", "1\n2");
    assert_eq!(once(&place, &mut output), ["1", "2"]);
    assert_eq!(once(&place, &mut output), [""; 0]);
    append(&place, "app.log", "\n3\n");
    let new = once(&place, &mut output);
    assert_eq!(new.last().map(String::as_str), Some("3"), "{new:?}");
    assert!(!new.iter().any(|line| line == "1" || line == "2"), "{new:?}");
}

#[test]
fn nothing_to_read_is_no_failure() {
    let place = Place::new(LINES, None);
    let mut output = place.follow();
    assert_eq!(once(&place, &mut output), [""; 0]);
    append(&place, "app.log", "");
    assert_eq!(once(&place, &mut output), [""; 0]);
    append(&place, "app.log", "1\n");
    assert_eq!(once(&place, &mut output), ["1"]);
}

#[test]
fn rotation_between_runs_loses_and_repeats_nothing() {
    let place = Place::new(LINES_OF_ALL, None);
    let mut output = place.follow();
    append(&place, "app.log", "1\n2\n");
    assert_eq!(once(&place, &mut output), ["1", "2"]);
    append(&place, "app.log", "3\n");
    std::fs::rename(place.path("app.log"), place.path("app.log.1")).unwrap();
    append(&place, "app.log", "4\n");
    let mut new = once(&place, &mut output);
    new.sort();
    assert_eq!(new, ["3", "4"]);
    assert_eq!(once(&place, &mut output), [""; 0]);
}

#[test]
fn a_copy_that_rotation_makes_is_not_read_again() {
    let place = Place::new(LINES_OF_ALL, None);
    let mut output = place.follow();
    append(&place, "app.log", "1\n2\n");
    assert_eq!(once(&place, &mut output), ["1", "2"]);
    append(&place, "app.log", "3\n");
    std::fs::copy(place.path("app.log"), place.path("app.log.1")).unwrap();
    std::fs::write(place.path("app.log"), "4\n").unwrap();
    let mut new = once(&place, &mut output);
    new.sort();
    assert_eq!(new, ["3", "4"]);
}

#[test]
fn evaluations_are_read_once_too() {
    for twins in [twins_json, twins_text] {
        let place = Place::new(Reading { options: "", evaluations: true, ..LINES }, None);
        let mut output = place.follow();
        append(&place, "app.log", &twins(1, "1 + 1"));
        assert_eq!(once(&place, &mut output), ["1 + 1"]);
        assert_eq!(once(&place, &mut output), [""; 0]);
        append(&place, "app.log", &twins(2_000, "2 + 2"));
        assert_eq!(once(&place, &mut output), ["2 + 2"]);
    }
}

#[test]
fn a_twin_that_comes_after_the_run_makes_no_second_evaluation() {
    let place = Place::new(Reading { options: "", evaluations: true, ..LINES }, None);
    let mut output = place.follow();
    let twins = twins_json(1, "1 + 1");
    let first_ends = twins.find('\n').unwrap() + 1;
    append(&place, "app.log", &twins[..first_ends]);
    assert_eq!(once(&place, &mut output), ["1 + 1"]);
    append(&place, "app.log", &twins[first_ends..]);
    append(&place, "app.log", &structured_json(1_500, "another"));
    assert_eq!(once(&place, &mut output), ["another"]);
}
