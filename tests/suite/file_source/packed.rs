//! Files that rotation packed, by name and by content.

use super::{ALL, QUIET, Scene, expect, messages, stop};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs;
use std::io::Write;

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
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(b"two\nthree\n").unwrap();
    fs::write(scene.path("app.log.gz"), packer.finish().unwrap()).unwrap();
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
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(b"one\ntwo\n").unwrap();
    let packed = packer.finish().unwrap();
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
