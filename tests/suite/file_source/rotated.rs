//! Rotation at the worst moments: as files are found, opened, or read for the last time.

use super::{ALL, ONE, Scene, expect, message, stop};
use crate::harness::TIMEOUT;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[test]
fn files_that_are_renamed_as_they_are_found_are_read_all_the_same() {
    let scene = Scene::new(ALL);
    let mut live = scene.live();
    let rotations = 150;
    let dir = scene.dir.path().to_owned();
    let writer = std::thread::spawn(move || {
        for number in 0..rotations {
            fs::write(dir.join("app.log"), format!("{number}\n")).unwrap();
            for at in (0..=number).rev() {
                let from = if at == 0 { "app.log".to_owned() } else { format!("app.log.{at}") };
                fs::rename(dir.join(from), dir.join(format!("app.log.{}", at + 1))).unwrap();
            }
        }
    });
    let mut seen: Vec<u32> = (0..rotations).map(|_| message(&live.event(TIMEOUT)).parse().unwrap()).collect();
    writer.join().unwrap();
    seen.sort_unstable();
    assert_eq!(seen, (0..rotations).collect::<Vec<u32>>());
    stop(live);
}

/// Runs `--once` so many times while the log changes its name all the time.
fn while_renamed(
    scene: &Scene,
    runs: usize,
    before: impl Fn() + std::panic::RefUnwindSafe,
) -> Vec<Vec<String>> {
    let (stop, dir) = (AtomicBool::new(false), scene.dir.path());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                fs::rename(dir.join("app.log"), dir.join("app.log.1")).unwrap();
                fs::rename(dir.join("app.log.1"), dir.join("app.log")).unwrap();
            }
        });
        let once = |_| {
            before();
            scene.once()
        };
        let all = std::panic::catch_unwind(|| (0..runs).map(once).collect());
        stop.store(true, Ordering::Relaxed);
        all.unwrap()
    })
}

#[test]
fn a_file_that_is_renamed_all_the_time_is_the_same_at_each_start() {
    let scene = Scene::new(ALL);
    let lines: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    scene.append("app.log", &(lines.join("\n") + "\n"));
    assert_eq!(scene.once(), lines);
    assert_eq!(while_renamed(&scene, 60, || ()), vec![Vec::<String>::new(); 60]);
    scene.append("app.log", "more\n");
    assert_eq!(scene.once(), ["more"]);
}

#[test]
fn a_file_that_is_renamed_all_the_time_is_begun_at_its_end_too() {
    let scene = Scene::new("include = [\"DIR/app.log*\"]\nread_from = \"end\"");
    scene.append("app.log", "old\n");
    let data = scene.path("data");
    let forget = || fs::remove_dir_all(&data).unwrap_or_default();
    assert_eq!(while_renamed(&scene, 60, forget), vec![Vec::<String>::new(); 60]);
}

#[test]
fn the_last_line_of_a_rotated_log_comes_before_the_first_of_the_next() {
    for options in [ONE, ALL] {
        let scene = Scene::new(options);
        scene.append("app.log", "one\n");
        let mut live = scene.live();
        expect(&mut live, &["one"]);
        // By now it is looked at less often.
        live.silent_for(Duration::from_millis(1_200));
        scene.append("app.log", "two\n");
        scene.rename("app.log", "app.log.1");
        scene.append("app.log", "three\n");
        expect(&mut live, &["two", "three"]);
        stop(live);
    }
}

#[test]
fn a_short_file_is_not_taken_for_the_beginning_of_another() {
    let scene = Scene::new(ALL);
    scene.append("app.log", "a first line that is rather long\n");
    assert_eq!(scene.once(), ["a first line that is rather long"]);
    scene.rename("app.log", "app.log.2");
    scene.append("app.log.1", "short\n");
    scene.append("app.log", "the newest\n");
    let mut live = scene.live();
    expect(&mut live, &["short", "the newest"]);
    stop(live);
}
