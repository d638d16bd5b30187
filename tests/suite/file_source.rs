//! The file source through the program: growth, rotation in all its forms, restarts, packed files, limits.

use crate::harness::{Live, Outcome, Run, TIMEOUT, TempDir, until};
use crate::logs::{legacy_json, structured_json};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

mod closed;
mod packed;
mod rotated;

/// Nothing more is to come within this time.
const QUIET: Duration = Duration::from_millis(400);

/// A folder of logs with the checkpoints of a source that reads them.
struct Scene {
    dir: TempDir,
    options: &'static str,
}

impl Scene {
    fn new(options: &'static str) -> Scene {
        Scene { dir: TempDir::new(), options }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn append(&self, name: &str, text: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    /// Packs a file as rotation does: the packed one is there before its original goes.
    fn pack(&self, name: &str, ending: &str) {
        let bytes = fs::read(self.path(name)).unwrap();
        let packed = fs::File::create(self.path(&format!("{name}.{ending}"))).unwrap();
        match ending {
            "gz" => GzEncoder::new(packed, Compression::default()).write_all(&bytes).unwrap(),
            _ => zstd::stream::copy_encode(bytes.as_slice(), packed, 3).unwrap(),
        }
        fs::remove_file(self.path(name)).unwrap();
    }

    fn config(&self, transforms: &str) -> String {
        let dir = self.dir.path().display().to_string();
        let options = self.options.replace("DIR", &dir);
        format!(
            "data_dir = \"{dir}/data\"\n[sources.logs]\ntype = \"file\"\nglob_minimum_cooldown_ms = 50\n{options}\n\n\
             {transforms}[sinks.out]\ntype = \"console\"\ninputs = [\"{}\"]\n",
            if transforms.is_empty() { "logs" } else { "last" }
        )
    }

    fn run(&self, transforms: &str) -> Run {
        Run::new(&[]).config(&self.config(transforms))
    }

    fn once(&self) -> Vec<String> {
        messages(&self.run("").arg("--once").run().exits(0))
    }

    fn live(&self) -> Live {
        self.run("").live()
    }
}

fn message(event: &Value) -> String {
    event["message"].as_str().unwrap().to_owned()
}

fn messages(outcome: &Outcome) -> Vec<String> {
    outcome.events().iter().map(message).collect()
}

/// Waits for these lines, in this order.
#[track_caller]
fn expect(live: &mut Live, lines: &[&str]) {
    for line in lines {
        assert_eq!(message(&live.event(TIMEOUT)), *line);
    }
}

#[track_caller]
fn stop(live: Live) -> String {
    live.signal("TERM");
    let (status, stderr) = live.wait(TIMEOUT);
    assert!(status.success(), "{stderr}");
    stderr
}

const ONE: &str = "include = [\"DIR/app.log\"]";
const ALL: &str = "include = [\"DIR/app.log*\"]\nrotate_wait_secs = 1";

#[test]
fn once_reads_what_is_there_and_the_next_time_what_is_new() {
    let scene = Scene::new(ONE);
    scene.append("app.log", "one\ntwo\ncut");
    assert_eq!(scene.once(), ["one", "two", "cut"]);
    assert_eq!(scene.once(), [""; 0]);
    scene.append("app.log", "\n");
    assert_eq!(scene.once(), [""; 0], "the line was whole but for its end");
    scene.append("app.log", "three\nfo");
    assert_eq!(scene.once(), ["three", "fo"]);
    scene.append("app.log", "ur\n");
    assert_eq!(scene.once(), ["four"], "a line is never handed on in pieces");
}

#[test]
fn lines_come_as_they_are_written_and_a_half_one_waits() {
    let scene = Scene::new(ONE);
    let mut live = scene.live();
    scene.append("app.log", "one\ntw");
    expect(&mut live, &["one"]);
    live.silent_for(QUIET);
    scene.append("app.log", "o\nthree\n");
    expect(&mut live, &["two", "three"]);
    stop(live);
    assert_eq!(scene.once(), [""; 0]);
}

#[test]
fn a_file_is_read_on_under_its_new_name_and_its_successor_after_it() {
    let scene = Scene::new(ONE);
    scene.append("app.log", "1\n");
    let mut live = scene.live();
    expect(&mut live, &["1"]);
    scene.append("app.log", "2\n");
    scene.rename("app.log", "app.log.1");
    scene.append("app.log", "4\n");
    scene.append("app.log.1", "3\n");
    let mut rest =
        vec![message(&live.event(TIMEOUT)), message(&live.event(TIMEOUT)), message(&live.event(TIMEOUT))];
    assert_eq!(rest[0], "2");
    rest.sort();
    assert_eq!(rest, ["2", "3", "4"]);
    stop(live);
    assert_eq!(scene.once(), [""; 0]);
}

#[test]
fn the_last_line_of_a_rotated_file_comes_without_its_newline() {
    let scene = Scene::new(ALL);
    scene.append("app.log", "1\nha");
    let mut live = scene.live();
    expect(&mut live, &["1"]);
    scene.rename("app.log", "app.log.1");
    expect(&mut live, &["ha"]);
    scene.append("app.log", "2\n");
    expect(&mut live, &["2"]);
    // Its writer had not finished after all: the line comes again, whole.
    scene.append("app.log.1", "lf\n");
    expect(&mut live, &["half"]);
    stop(live);
    assert_eq!(scene.once(), [""; 0]);
}

#[test]
fn a_deleted_file_is_read_to_its_end() {
    let scene = Scene::new(ALL);
    scene.append("app.log", "1\n");
    let mut writer = OpenOptions::new().append(true).open(scene.path("app.log")).unwrap();
    let mut live = scene.live();
    expect(&mut live, &["1"]);
    fs::remove_file(scene.path("app.log")).unwrap();
    writer.write_all(b"2\nlast").unwrap();
    expect(&mut live, &["2", "last"]);
    // The same name, and on many file systems the same inode and the same first line.
    drop(writer);
    scene.append("app.log", "1\n");
    expect(&mut live, &["1"]);
    stop(live);
    assert_eq!(scene.once(), [""; 0]);
}

#[test]
fn a_file_that_is_cut_off_is_read_from_its_beginning() {
    let scene = Scene::new(ONE);
    scene.append("app.log", "one\ntwo\n");
    let mut live = scene.live();
    expect(&mut live, &["one", "two"]);
    fs::write(scene.path("app.log"), "").unwrap();
    scene.append("app.log", "one\n");
    expect(&mut live, &["one"]);
    // Written anew, and longer than what was read.
    fs::write(scene.path("app.log"), "another\nand more\n").unwrap();
    expect(&mut live, &["another", "and more"]);
    stop(live);
    fs::write(scene.path("app.log"), "while\nnobody\nwas\nlooking, something longer\n").unwrap();
    assert_eq!(scene.once(), ["while", "nobody", "was", "looking, something longer"]);
    fs::write(scene.path("app.log"), "short\n").unwrap();
    assert_eq!(scene.once(), ["short"]);
}

#[test]
fn a_copy_that_rotation_makes_is_not_read_twice_and_has_what_was_not_read() {
    for options in [ONE, ALL] {
        let scene = Scene::new(options);
        scene.append("app.log", "one\ntwo\n");
        let mut live = scene.live();
        expect(&mut live, &["one", "two"]);
        live.signal("STOP");
        scene.append("app.log", "three\n");
        fs::copy(scene.path("app.log"), scene.path("app.log.1")).unwrap();
        fs::write(scene.path("app.log"), "").unwrap();
        scene.append("app.log", "four\n");
        live.signal("CONT");
        expect(&mut live, &["three", "four"]);
        live.silent_for(QUIET);
        stop(live);
        // The same while nobody looks.
        scene.append("app.log", "five\n");
        fs::copy(scene.path("app.log"), scene.path("app.log.2")).unwrap();
        fs::write(scene.path("app.log"), "six\n").unwrap();
        let mut lines = scene.once();
        lines.sort();
        assert_eq!(lines, ["five", "six"], "{options}");
    }
}

#[test]
fn a_file_rotated_while_nobody_looked_is_read_on_whatever_its_name() {
    for options in [ONE, ALL] {
        let scene = Scene::new(options);
        scene.append("app.log", "one\n");
        assert_eq!(scene.once(), ["one"]);
        scene.append("app.log", "two\n");
        scene.rename("app.log", "app.log.1");
        scene.append("app.log", "three\n");
        assert_eq!(scene.once(), ["two", "three"], "{options}");
        scene.append("app.log", "four\n");
        scene.rename("app.log", "app.log.2");
        scene.pack("app.log.2", "gz");
        scene.append("app.log", "five\n");
        assert_eq!(scene.once(), ["four", "five"], "{options}");
        assert_eq!(scene.once(), [""; 0]);
    }
}

#[test]
fn only_what_is_included_and_not_excluded_is_read_and_only_from_where_it_should() {
    let scene =
        Scene::new("include = [\"DIR/**/*.log\"]\nexclude = [\"DIR/**/debug*\"]\nread_from = \"end\"");
    fs::create_dir(scene.path("sub")).unwrap();
    for name in ["a.log", "sub/b.log", "sub/debug.log", "c.txt"] {
        scene.append(name, "old\nha");
    }
    let mut live = scene.live();
    assert!(until(TIMEOUT, || fs::read_to_string(scene.path("data/logs/checkpoints.json"))
        .is_ok_and(|text| text.matches("\"path\"").count() == 2)));
    scene.append("sub/b.log", "lf\n");
    expect(&mut live, &["half"]);
    scene.append("sub/new.log", "from its beginning\n");
    expect(&mut live, &["from its beginning"]);
    scene.append("sub/debug.log", "no\n");
    live.silent_for(QUIET);
    stop(live);
}

#[test]
fn many_files_need_few_descriptors() {
    let scene = Scene::new("include = [\"DIR/many/*.log\"]\nmax_open_files = 8");
    fs::create_dir(scene.path("many")).unwrap();
    for number in 0..100 {
        scene.append(&format!("many/{number}.log"), "the same in all of them\n");
    }
    let mut live = scene.live();
    for _ in 0..100 {
        expect(&mut live, &["the same in all of them"]);
    }
    let open = || fs::read_dir(format!("/proc/{}/fd", live.pid())).unwrap().count();
    assert!(open() < 40, "{} are open", open());
    for number in (0..100).rev() {
        scene.append(&format!("many/{number}.log"), &format!("{number}\n"));
    }
    let mut seen: Vec<u32> = (0..100).map(|_| message(&live.event(TIMEOUT)).parse().unwrap()).collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..100).collect::<Vec<u32>>());
    stop(live);
}

#[test]
fn a_delivered_file_is_removed_where_that_is_wanted() {
    let scene = Scene::new("include = [\"DIR/app.log\"]\nremove_after_secs = 1");
    scene.append("app.log", "one\n");
    let mut live = scene.live();
    expect(&mut live, &["one"]);
    assert!(until(TIMEOUT, || !scene.path("app.log").exists()));
    let stderr = stop(live);
    assert!(stderr.contains("remove_after_secs"), "{stderr}");
}

#[test]
fn two_that_share_a_data_dir_are_told_and_one_that_cannot_write_too() {
    let scene = Scene::new(ONE);
    scene.append("app.log", "one\n");
    let mut live = scene.live();
    expect(&mut live, &["one"]);
    let outcome = scene.run("").arg("--once").run().exits(1);
    assert!(outcome.stderr.contains("another evaltrail"), "{}", outcome.stderr);
    stop(live);
    fs::remove_dir_all(scene.path("data")).unwrap();
    fs::write(scene.path("data"), "a file").unwrap();
    let outcome = scene.run("").arg("--once").run().exits(1);
    assert!(outcome.stderr.contains("data_dir"), "{}", outcome.stderr);
}

#[test]
fn a_restart_between_the_two_records_of_an_evaluation_makes_no_second_one() {
    let scene = Scene::new(ONE);
    let chain = "[transforms.last]\ntype = \"legacy_message\"\ninputs = [\"logs\"]\n";
    for (number, code) in
        ["1 + 1", "IO.puts(2)\\n2025-10-04 17:48:41.996 [info] Evaluating code"].iter().enumerate()
    {
        let time = format!("2025-10-04 17:48:4{number}.996");
        scene.append(
            "app.log",
            &format!("{time} users=[] [info] Evaluating code\n  Session mode: default\n  Code: \"{code}\"\n"),
        );
        let first = scene.run(chain).arg("--once").run().exits(0);
        assert_eq!(first.events().len(), 1, "{}", first.stdout);
        let raw = code.replace("\\n", "\n");
        scene.append(
            "app.log",
            &format!(
                "{time} users=[] session_mode=default code={raw} event=code.evaluate [info] Evaluating code\n"
            ),
        );
        let second = scene.run(chain).arg("--once").run().exits(0);
        assert_eq!(second.events().len(), 0, "{}", second.stdout);
        assert!(second.summary().contains("twin 1"), "{}", second.summary());
    }
}

#[test]
fn ids_are_the_same_when_a_line_is_read_again() {
    let scene = Scene::new(ONE);
    let project =
        "[transforms.last]\ntype = \"metadata_projection\"\ninputs = [\"logs\"]\nkeys = [\"%id\"]\n";
    scene.append("app.log", "one\ntwo\n");
    let ids = || {
        let events = scene.run(project).arg("--once").run().exits(0).events();
        events.iter().map(|event| event["metadata"]["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let first = ids();
    fs::remove_dir_all(scene.path("data")).unwrap();
    assert_eq!(ids(), first);
    fs::remove_dir_all(scene.path("data")).unwrap();
    scene.rename("app.log", "other.log");
    scene.rename("other.log", "app.log");
    assert_eq!(ids(), first);
    assert_eq!(first.len(), 2);
}

#[test]
fn where_the_end_was_is_known_after_a_kill() {
    let scene = Scene::new("include = [\"DIR/app.log\"]\nread_from = \"end\"");
    scene.append("app.log", "old\n");
    let live = scene.live();
    assert!(until(TIMEOUT, || scene.path("data/logs/checkpoints.json").exists()));
    live.signal("KILL");
    assert!(!live.wait(TIMEOUT).0.success());
    scene.append("app.log", "while it was down\n");
    assert_eq!(scene.once(), ["while it was down"]);
}

#[test]
fn a_line_that_was_cut_and_the_whole_one_have_two_ids() {
    let scene = Scene::new(ONE);
    let project =
        "[transforms.last]\ntype = \"metadata_projection\"\ninputs = [\"logs\"]\nkeys = [\"%id\"]\n";
    let ids = || {
        let events = scene.run(project).arg("--once").run().exits(0).events();
        events.iter().map(|event| event["metadata"]["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    scene.append("app.log", "one\ntw");
    let first = ids();
    scene.append("app.log", "o\nthree\n");
    let second = ids();
    assert_eq!((first.len(), second.len()), (2, 2));
    assert!(!first.contains(&second[0]), "who drops repeats would drop the whole line");
}

#[test]
fn a_rotation_between_the_two_records_of_an_evaluation_makes_no_second_one() {
    let chain = "[transforms.last]\ntype = \"legacy_message\"\ninputs = [\"logs\"]\n";
    for (options, packed) in [(ONE, false), (ONE, true), (ALL, false), (ALL, true)] {
        let scene = Scene::new(options);
        scene.append("app.log", &legacy_json(1, "\"1 + 1\""));
        assert_eq!(scene.run(chain).arg("--once").run().exits(0).events().len(), 1);
        scene.rename("app.log", "app.log.1");
        if packed {
            scene.pack("app.log.1", "gz");
        }
        scene.append("app.log", &structured_json(1, "1 + 1"));
        let outcome = scene.run(chain).arg("--once").run().exits(0);
        assert_eq!(outcome.events().len(), 0, "{options}: {}", outcome.stdout);
    }
}
