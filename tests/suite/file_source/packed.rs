//! Files that rotation packed, by name and by content.

use super::{ALL, QUIET, Scene, expect, messages, stop};
use crate::harness::TIMEOUT;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs;
use std::io::Write;

pub fn gzip(text: &str) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(text.as_bytes()).unwrap();
    packer.finish().unwrap()
}

#[test]
fn packed_files_are_read_and_their_originals_not_again() {
    let scene = Scene::new(ALL);
    scene.append("app.log.3", "one\ntwo\n");
    scene.pack("app.log.3", "gz");
    scene.append("app.log.2", "three\nfour");
    scene.pack("app.log.2", "zst");
    scene.append("app.log", "five\n");
    let mut live = scene.live();
    expect(&mut live, &["one", "two", "three", "four", "five"]);
    scene.rename("app.log", "app.log.1");
    scene.pack("app.log.1", "gz");
    scene.append("app.log", "six\n");
    expect(&mut live, &["six"]);
    live.silent_for(QUIET);
    stop(live);
    assert_eq!(scene.once(), [""; 0]);
}

#[test]
fn a_packed_file_may_be_empty_when_it_is_found() {
    let scene = Scene::new(ALL);
    scene.append("app.log.gz", "");
    scene.append("app.log", "one\n");
    let mut live = scene.live();
    expect(&mut live, &["one"]);
    let packed = gzip("two\nthree\n");
    // One byte does not say what comes.
    fs::write(scene.path("app.log.gz"), &packed[..1]).unwrap();
    live.silent_for(QUIET);
    fs::write(scene.path("app.log.gz"), &packed).unwrap();
    expect(&mut live, &["two", "three"]);
    stop(live);
}

#[test]
fn a_copy_that_the_kubelet_packs_is_no_new_log() {
    let scene = Scene::new("include = [\"DIR/*.log*\"]\nrotate_wait_secs = 1");
    scene.append("0.log", "one\ntwo\n");
    let mut live = scene.live();
    expect(&mut live, &["one", "two"]);
    let old = "0.log.20251006-090301";
    scene.rename("0.log", old);
    scene.append("0.log", "three\n");
    expect(&mut live, &["three"]);
    // It packs into a file of another name, and that takes a while; gives it its name; removes the original.
    let packed = gzip("one\ntwo\n");
    let half = packed.len() / 2;
    for end in [half, packed.len()] {
        fs::write(scene.path(&format!("{old}.tmp")), &packed[..end]).unwrap();
        live.silent_for(QUIET);
    }
    scene.rename(&format!("{old}.tmp"), &format!("{old}.gz"));
    fs::remove_file(scene.path(old)).unwrap();
    scene.append("0.log", "four\n");
    expect(&mut live, &["four"]);
    live.silent_for(QUIET);
    stop(live);
    assert_eq!(scene.once(), [""; 0]);
}

#[test]
fn a_broken_packed_file_is_a_fault_and_what_comes_before_counts() {
    let scene = Scene::new("include = [\"DIR/*.gz\"]");
    let text: String =
        (0..50_000).map(|number| format!("line {number} {}\n", number * 7919 % 1000)).collect();
    scene.append("app.log", &text);
    scene.pack("app.log", "gz");
    let mut bytes = fs::read(scene.path("app.log.gz")).unwrap();
    bytes.truncate(bytes.len() / 2);
    fs::write(scene.path("app.log.gz"), bytes).unwrap();
    let outcome = scene.run("").arg("--once").run().exits(0);
    let lines = messages(&outcome);
    assert!(lines.len() > 5_000 && text.starts_with(&(lines.join("\n") + "\n")), "{}", lines.len());
    assert!(outcome.summary().contains("broken_compression 1"), "{}", outcome.summary());
    assert!(outcome.stderr.contains("app.log.gz"), "{}", outcome.stderr);
}

#[test]
fn a_packed_file_that_is_broken_right_away_is_a_fault_too() {
    let scene = Scene::new("include = [\"DIR/*.gz\"]");
    let text: String = (0..30).map(|number| format!("line {number}\n")).collect();
    let whole = gzip(&text);
    fs::write(scene.path("cut.gz"), &whole[..whole.len() - 20]).unwrap();
    fs::write(scene.path("none.gz"), &whole[..12]).unwrap();
    let mut damaged = whole.clone();
    (damaged[15], damaged[20]) = (!damaged[15], !damaged[20]);
    fs::write(scene.path("damaged.gz"), &damaged).unwrap();
    let outcome = scene.run("").arg("--once").run().exits(0);
    assert!(outcome.summary().contains("broken_compression 3"), "{}", outcome.stderr);
    let lines = messages(&outcome);
    assert!(lines.len() > 1 && lines[0] == "line 0", "what can be unpacked comes: {lines:?}");
    // Once they are whole, the rest of them comes.
    for name in ["cut.gz", "none.gz", "damaged.gz"] {
        fs::write(scene.path(name), &whole).unwrap();
    }
    let rest = scene.once();
    assert!(text.lines().all(|line| rest.iter().filter(|one| *one == line).count() >= 2), "{rest:?}");
}

#[test]
fn a_packed_file_in_the_place_of_another_is_read_whole() {
    let scene = Scene::new(ALL);
    scene.append("app.log.2", "one\ntwo\n");
    scene.pack("app.log.2", "gz");
    scene.append("app.log.1", "three\nfour\nfive\n");
    let mut live = scene.live();
    expect(&mut live, &["one", "two", "three", "four", "five"]);
    // The same inode, as a file system gives it again: a copy of what was read is no new log.
    fs::write(scene.path("app.log.2.gz"), gzip("three\nfour\nfive\n")).unwrap();
    scene.rename("app.log.2.gz", "app.log.1.gz");
    fs::remove_file(scene.path("app.log.1")).unwrap();
    live.silent_for(QUIET * 3);
    fs::write(scene.path("app.log.1.gz"), gzip("six\nseven\neight\nnine\n")).unwrap();
    assert_eq!(super::message(&live.event(TIMEOUT)), "six");
    expect(&mut live, &["seven", "eight", "nine"]);
    stop(live);
}

#[test]
fn what_only_begins_like_a_packed_file_is_not_passed_over() {
    let scene = Scene::new("include = [\"DIR/*.log\"]");
    // As a packed file of either kind begins, for one byte; and one that has nothing but its first two.
    scene.append("a.log", "(");
    scene.append("b.log", "\u{1f}");
    fs::write(scene.path("c.log"), [0x1f, 0x8b]).unwrap();
    let outcome = scene.run("").arg("--once").run().exits(0);
    let mut lines = messages(&outcome);
    lines.sort();
    assert_eq!(lines, ["\u{1f}", "("]);
    assert!(outcome.summary().contains("broken_compression 1"), "{}", outcome.stderr);
}
