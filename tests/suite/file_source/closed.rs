//! Files and folders that can't be opened for a while.

use super::packed::gzip;
use super::{ALL, QUIET, Scene, expect, message, messages, stop};
use crate::harness::{PROGRAM, Run, TIMEOUT};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// The program as somebody for whom permissions count, whoever runs the tests.
fn bound(scene: &Scene) -> Run {
    let run = Run::of("setpriv").arg_all(&["--bounding-set=-dac_override,-dac_read_search", PROGRAM]);
    run.env("PATH", "/usr/bin:/bin").config(&scene.config(""))
}

fn mode(scene: &Scene, name: &str, mode: u32) {
    fs::set_permissions(scene.path(name), fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_folder_that_closes_for_a_moment_makes_no_file_new() {
    let scene = Scene::new("include = [\"DIR/logs/*.log\"]\nmax_open_files = 1");
    fs::create_dir(scene.path("logs")).unwrap();
    for name in ["a", "b", "c"] {
        scene.append(&format!("logs/{name}.log"), &format!("{name}\n"));
    }
    let mut live = bound(&scene).live();
    let mut lines: Vec<String> = (0..3).map(|_| message(&live.event(TIMEOUT))).collect();
    lines.sort();
    assert_eq!(lines, ["a", "b", "c"]);
    mode(&scene, "logs", 0o000);
    live.says("can't look into a folder");
    live.silent_for(QUIET);
    mode(&scene, "logs", 0o700);
    live.says("can look into every folder again");
    live.silent_for(QUIET);
    scene.append("logs/b.log", "more\n");
    expect(&mut live, &["more"]);
    stop(live);
}

#[test]
fn a_run_that_could_not_look_into_a_folder_has_failed() {
    let scene = Scene::new("include = [\"DIR/*.log\", \"DIR/logs/*.log\"]");
    fs::create_dir(scene.path("logs")).unwrap();
    scene.append("logs/a.log", "one\n");
    scene.append("b.log", "two\n");
    mode(&scene, "logs", 0o000);
    let outcome = bound(&scene).arg("--once").run().exits(1);
    assert_eq!(messages(&outcome), ["two"]);
    assert!(outcome.stderr.contains("/logs: Permission denied"), "{}", outcome.stderr);
    mode(&scene, "logs", 0o700);
    assert_eq!(scene.once(), ["one"]);
}

#[test]
fn a_file_that_was_closed_at_the_start_is_read_on_once_it_opens() {
    let scene = Scene::new(ALL);
    scene.append("app.log", "one\ntwo\n");
    let mut live = scene.live();
    expect(&mut live, &["one", "two"]);
    fs::write(scene.path("app.log"), "three\n").unwrap();
    expect(&mut live, &["three"]);
    stop(live);
    mode(&scene, "app.log", 0o000);
    let mut live = bound(&scene).live();
    live.says("app.log: Permission denied");
    mode(&scene, "app.log", 0o600);
    live.silent_for(QUIET * 4);
    scene.append("app.log", "four\n");
    expect(&mut live, &["four"]);
    stop(live);
}

#[test]
fn a_packed_file_in_the_place_of_another_is_read_whole_once_it_opens() {
    let scene = Scene::new("include = [\"DIR/*.log*\"]");
    scene.append("a.log", "one\ntwo\n");
    assert_eq!(scene.once(), ["one", "two"]);
    // The same inode, as a file system gives it again.
    fs::write(scene.path("a.log"), gzip("three\nfour\nfive\n")).unwrap();
    scene.rename("a.log", "b.log.1.gz");
    mode(&scene, "b.log.1.gz", 0o000);
    let mut live = bound(&scene).live();
    live.says("b.log.1.gz: Permission denied");
    mode(&scene, "b.log.1.gz", 0o600);
    expect(&mut live, &["three", "four", "five"]);
    stop(live);
}
