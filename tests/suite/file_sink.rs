//! The sink `file`, through the program: what is in the files, whatever happens to them or to the program.

use crate::harness::{Live, Outcome, PROGRAM, Run, TIMEOUT, TempDir, until};
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder that outlives a run, with a config in it.
struct Site(TempDir);

impl Site {
    /// With a pipeline from standard input to a file.
    fn new(options: &str) -> Site {
        Site::with("type = \"stdin\"\ndecoding.codec = \"json\"", options)
    }

    fn with(source: &str, options: &str) -> Site {
        let site = Site(TempDir::new());
        let sink = format!("[sinks.out]\ntype = \"file\"\ninputs = [\"in\"]\n{options}\n");
        site.0
            .write("evaltrail.toml", &format!("shutdown_timeout_secs = 2\n[sources.in]\n{source}\n\n{sink}"));
        site
    }

    fn run(&self) -> Run {
        Run::new(&["-c", "evaltrail.toml"]).current_dir(self.0.path())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn takes(&self, lines: &str) -> Outcome {
        self.run().stdin(lines).run().exits(0)
    }

    /// Writes `lines` and waits until they are in the file `name`.
    #[track_caller]
    fn put(&self, live: &mut Live, lines: &str, name: &str) {
        live.write(lines.as_bytes());
        let arrived = until(TIMEOUT, || self.text(name).ends_with(lines));
        assert!(arrived, "{name}: {:?}\n{}", self.text(name), live.stderr());
    }

    /// The names of the rotated files of `name`, in the order in which they were rotated.
    fn rotated(&self, name: &str) -> Vec<String> {
        let names =
            fs::read_dir(self.0.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|other| other.starts_with(&format!("{name}."))).collect();
        names.sort_by_key(|name| {
            let (stamp, rest) = name.split_once('Z').unwrap();
            let number = rest.trim_start_matches('-').split('.').next().unwrap();
            (stamp.to_owned(), number.parse::<u32>().unwrap_or(0))
        });
        names
    }

    /// Everything that was written to `name`, unpacked, in order.
    fn history(&self, name: &str) -> String {
        let mut all = String::new();
        for rotated in self.rotated(name) {
            let file = fs::File::open(self.path(&rotated)).unwrap();
            let mut unpacked: Box<dyn Read> = match rotated.rsplit('.').next().unwrap() {
                "gz" => Box::new(flate2::read::GzDecoder::new(file)),
                "zst" => Box::new(zstd::Decoder::new(file).unwrap()),
                _ => Box::new(file),
            };
            unpacked.read_to_string(&mut all).unwrap();
        }
        all + &self.text(name)
    }
}

fn lines(range: std::ops::Range<usize>) -> String {
    range.map(|n| format!("{{\"message\":\"line {n}\",\"n\":{n}}}\n")).collect()
}

/// The numbers of the events in `text`, each of which has to be whole.
#[track_caller]
fn numbers(text: &str) -> Vec<usize> {
    let number = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        value["n"].as_u64().unwrap() as usize
    };
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(number).collect()
}

/// Fails the test unless `text` holds the events of `range`, each once and in order.
#[track_caller]
fn holds(text: &str, range: std::ops::Range<usize>) {
    let found = numbers(text);
    let strange = found.iter().zip(range.clone()).find(|(found, wanted)| *found != wanted);
    assert!(
        strange.is_none() && found.len() == range.len(),
        "{range:?}: {} events, {strange:?}",
        found.len()
    );
}

#[test]
fn a_path_is_made_of_the_event() {
    let site = Site::new("path = \"trail/%Y-%m/{{ metadata.session_mode }}.{{ severity }}.jsonl\"");
    let event = |time: &str, mode: &str| {
        format!(
            "{{\"time\":\"{time}\",\"severity\":\"info\",\"metadata\":{{\"session_mode\":\"{mode}\"}}}}\n"
        )
    };
    let (one, two) =
        (event("2026-11-30T23:59:59.999Z", "default"), event("2026-12-01T00:00:00.000Z", "default"));
    let evil = event("2026-12-01T00:00:01.000Z", "../../../evil\\u0000");
    site.takes(&[&*one, &*two, &*evil, "{\"time\":\"2026-12-02T00:00:00Z\"}\n", &*one].concat());
    assert_eq!(site.text("trail/2026-11/default.info.jsonl"), one.repeat(2));
    assert_eq!(site.text("trail/2026-12/default.info.jsonl"), two);
    assert_eq!(site.text("trail/2026-12/%2E.%2F..%2F..%2Fevil%00.info.jsonl"), evil);
    assert_eq!(site.text("trail/2026-12/_missing._missing.jsonl"), "{\"time\":\"2026-12-02T00:00:00Z\"}\n");
    let mode = fs::metadata(site.path("trail/2026-12")).unwrap().permissions().mode();
    assert_eq!(mode & 0o027, 0, "not for everybody: {mode:o}");
}

#[test]
fn codecs_are_those_of_the_console_without_colour() {
    let record = "{\"message\":\"a\\nb\",\"time\":\"2026-12-01T00:00:00.000Z\",\"metadata\":{\"x\":1}}\n";
    for (options, expected) in [
        ("encoding.codec = \"text\"", "a\nb\n"),
        ("encoding.codec = \"logfmt\"", "message=\"a\\nb\" time=2026-12-01T00:00:00.000Z metadata.x=1\n"),
        ("encoding.codec = \"pretty\"", "2026-12-01 00:00:00.000Z  a\n    b\n"),
        ("encoding.except_fields = [\"time\", \"message\"]", "{\"metadata\":{\"x\":1}}\n"),
    ] {
        let site = Site::new(&format!("path = \"a\"\n{options}"));
        site.takes(record);
        assert_eq!(site.text("a"), expected, "{options}");
    }
}

#[test]
fn rotated_files_together_hold_everything_in_order() {
    for (compression, ending) in [("none", "Z"), ("gzip", ".gz"), ("zstd", ".zst")] {
        let options = format!("max_bytes = 20_000\nkeep = 1000\ncompression = \"{compression}\"");
        let site = Site::new(&format!("path = \"a.jsonl\"\n[sinks.out.rotation]\n{options}"));
        site.takes(&lines(0..3_000));
        site.takes(&lines(3_000..6_000));
        holds(&site.history("a.jsonl"), 0..6_000);
        let rotated = site.rotated("a.jsonl");
        assert!(rotated.len() >= 9, "{rotated:?}");
        for name in &rotated {
            assert!(name.ends_with(ending) || (compression == "none" && name.contains("Z-")), "{name}");
        }
        assert!(fs::metadata(site.path("a.jsonl")).unwrap().len() <= 20_000);
    }
}

#[test]
fn the_oldest_rotated_files_go() {
    for compression in ["none", "gzip"] {
        let options = format!("max_bytes = 5_000\nkeep = 3\ncompression = \"{compression}\"");
        let site = Site::new(&format!("path = \"a.jsonl\"\n[sinks.out.rotation]\n{options}"));
        site.0.write("a.jsonl.old", "theirs");
        site.takes(&lines(0..3_000));
        assert_eq!(site.text("a.jsonl.old"), "theirs");
        fs::remove_file(site.path("a.jsonl.old")).unwrap();
        assert_eq!(site.rotated("a.jsonl").len(), 3);
        let kept = site.history("a.jsonl");
        holds(&kept, 3_000 - kept.lines().count()..3_000);
    }
}

#[test]
fn what_a_crash_has_torn_is_cut_and_said() {
    let site = Site::new("path = \"a\"");
    site.0.write("a", "{\"n\":0}\n{\"n\":1,\"mess");
    let outcome = site.takes("");
    assert_eq!(site.text("a"), "{\"n\":0}\n", "before the first event");
    assert!(outcome.stderr.contains("torn") && outcome.stderr.contains("bytes=12"), "{}", outcome.stderr);
    site.takes(&lines(1..3));
    assert_eq!(numbers(&site.text("a")), [0, 1, 2]);
}

#[test]
fn a_killed_writer_leaves_no_torn_line_behind() {
    let endless = "type = \"demo_logs\"\ninterval_secs = 0\nevaluations = 0.5";
    let site = Site::with(endless, "path = \"a\"\nfsync = \"never\"\nrotation.max_bytes = 4_000_000");
    let mut torn = 0;
    for round in 0..24 {
        let live = site.run().live();
        let before = fs::metadata(site.path("a")).map_or(0, |found| found.len());
        let grown =
            || fs::metadata(site.path("a")).is_ok_and(|found| found.len() != before && found.len() > 0);
        assert!(until(TIMEOUT, grown), "round {round}: {}", live.stderr());
        drop(live);
        torn += usize::from(!site.text("a").is_empty() && !site.text("a").ends_with('\n'));
    }
    eprintln!("{torn} of 24 kills tore a line");
    let finish = site.0.path().join("finish.toml");
    let config = site.text("evaltrail.toml").replace(endless, "type = \"stdin\"");
    fs::write(&finish, config).unwrap();
    Run::new(&["-c", "finish.toml"]).current_dir(site.0.path()).run().exits(0);
    let all = site.history("a");
    assert!(all.ends_with('\n') && all.lines().count() > 100);
    for line in all.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    }
}

#[test]
fn a_file_that_is_moved_or_removed_is_made_anew() {
    let site = Site::new("path = \"a\"");
    let mut live = site.run().live();
    site.put(&mut live, &lines(0..1), "a");
    fs::rename(site.path("a"), site.path("moved")).unwrap();
    site.put(&mut live, &lines(1..2), "a");
    fs::remove_file(site.path("a")).unwrap();
    site.put(&mut live, &lines(2..3), "a");
    live.close_stdin();
    let (status, stderr) = live.wait(TIMEOUT);
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert_eq!(site.text("moved"), lines(0..1));
    // Where it was removed before its sync was through, what was in it is written again.
    assert!([lines(2..3), lines(1..3)].contains(&site.text("a")), "{:?}", site.text("a"));
}

#[test]
fn the_mode_is_what_was_asked_for() {
    for (options, umask, expected) in [
        ("", "077", 0o640),
        ("", "000", 0o640),
        ("mode = \"0664\"", "077", 0o664),
        ("mode = \"600\"", "000", 0o600),
    ] {
        let site = Site::new(&format!("path = \"a\"\nrotation.max_bytes = 1024\n{options}"));
        let script = format!("umask {umask}; exec \"$0\" -c evaltrail.toml");
        let run = Run::of("bash").arg("-c").arg(&script).arg(PROGRAM).current_dir(site.0.path());
        run.stdin(lines(0..100)).run().exits(0);
        for name in site.rotated("a").iter().map(String::as_str).chain(["a"]) {
            let mode = fs::metadata(site.path(name)).unwrap().permissions().mode() & 0o7777;
            assert_eq!(mode, expected, "{name}: {mode:o}");
        }
    }
}

#[test]
fn a_file_that_another_writes_is_waited_for() {
    let site = Site::new("path = \"a\"");
    let mut first = site.run().live();
    site.put(&mut first, &lines(0..1), "a");
    let mut second = site.run().live();
    second.says("another evaltrail");
    assert!(second.stderr().contains("WARN") && second.stderr().contains("a: "), "{}", second.stderr());
    second.write(lines(1..2).as_bytes());
    second.close_stdin();
    second.says("can't write");
    assert_eq!(site.text("a"), lines(0..1));
    drop(first);
    let (status, stderr) = second.wait(TIMEOUT);
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("can write again"), "{stderr}");
    assert_eq!(site.text("a"), lines(0..2));
}

#[test]
fn a_file_that_gets_nothing_is_closed_and_opened_again() {
    let site = Site::new("path = \"{{ severity }}\"\nidle_timeout_secs = 1\nfsync = \"never\"");
    let mut live = site.run().live();
    site.put(&mut live, &lines(0..1), "_missing");
    let (folder, file) = (format!("/proc/{}/fd", live.pid()), site.path("_missing"));
    let is_open = || {
        let links = fs::read_dir(&folder).unwrap().filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
        links.into_iter().any(|path| path == file)
    };
    assert!(until(TIMEOUT, || !is_open()));
    site.put(&mut live, &lines(1..2), "_missing");
    assert_eq!(site.text("_missing"), lines(0..2));
    assert!(is_open());
}

#[test]
fn what_is_wrong_with_the_file_is_said_at_the_start() {
    let site = Site::new("path = \"a\"");
    fs::create_dir(site.path("a")).unwrap();
    let mut live = site.run().live();
    live.says("a: is a directory; a folder is in the place of the file");
    live.write(lines(0..1).as_bytes());
    live.says("can't write: a: ");
    fs::remove_dir(site.path("a")).unwrap();
    live.close_stdin();
    let (status, stderr) = live.wait(TIMEOUT);
    assert_eq!((status.code(), site.text("a")), (Some(0), lines(0..1)), "{stderr}");
}

/// A very small file system; none where this user may not make one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn new(at: &Path, kib: u32) -> Option<SmallDisk> {
        fs::create_dir(at).unwrap();
        let size = format!("size={kib}k");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output();
        let mounted = mount.is_ok_and(|mount| mount.status.success());
        mounted.then(|| SmallDisk(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let done = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(done.is_ok_and(|status| status.success()), "{} stays mounted", self.0.display());
    }
}

/// Sends all of `sent` from a thread of its own: the program stops reading where it can't write.
fn send(live: &mut Live, sent: String) -> std::thread::JoinHandle<()> {
    let mut input = live.stdin.take().unwrap();
    // A program that was stopped does not read the rest.
    std::thread::spawn(move || drop(std::io::Write::write_all(&mut input, sent.as_bytes())))
}

/// What is in the file while nothing more fits: whole lines, from the first on.
#[track_caller]
fn is_a_whole_beginning(site: &Site, name: &str) {
    let there = site.text(name);
    holds(&there, 0..there.lines().count());
}

#[test]
fn a_full_disk_blocks_and_loses_nothing() {
    for fsync in ["batch", "never"] {
        let site = Site::new(&format!("path = \"disk/a.jsonl\"\nfsync = \"{fsync}\""));
        let Some(_disk) = SmallDisk::new(&site.path("disk"), 256) else {
            crate::tools::skip("a full disk: only root can mount one that is small enough");
            return;
        };
        site.0.write("disk/ballast", &"x".repeat(150 * 1024));
        let mut live = site.run().live();
        let sender = send(&mut live, lines(0..5_000));
        live.says("can't write: disk/a.jsonl: No space left on device");
        is_a_whole_beginning(&site, "disk/a.jsonl");
        assert!(live.is_running());
        fs::remove_file(site.path("disk/ballast")).unwrap();
        let (status, stderr) = live.wait(TIMEOUT);
        sender.join().unwrap();
        assert_eq!(status.code(), Some(0), "{stderr}");
        assert!(stderr.contains("can write again") && stderr.contains("delivered=5000"), "{stderr}");
        holds(&site.text("disk/a.jsonl"), 0..5_000);
    }
}

#[test]
fn a_full_disk_does_not_hold_up_the_end_for_ever() {
    let site = Site::new("path = \"disk/a.jsonl\"");
    let Some(_disk) = SmallDisk::new(&site.path("disk"), 256) else {
        crate::tools::skip("a stop while the disk is full: only root can mount one that is small enough");
        return;
    };
    let mut live = site.run().live();
    let sender = send(&mut live, lines(0..20_000));
    live.says("can't write");
    live.signal("TERM");
    let (status, stderr) = live.wait(TIMEOUT);
    sender.join().unwrap();
    assert_eq!(status.code(), Some(1), "what was read is not delivered: {stderr}");
    assert!(stderr.contains("not everything was delivered within 2 s"), "{stderr}");
    is_a_whole_beginning(&site, "disk/a.jsonl");
}

/// A limit on the length of files does the same to a write as a full disk, and anybody may set it.
#[test]
fn a_write_that_stops_half_way_is_taken_back() {
    let site = Site::new("path = \"a\"");
    let script = "trap '' XFSZ; ulimit -S -f 100; exec \"$0\" -c evaltrail.toml";
    let run = Run::of("bash").arg("-c").arg(script).arg(PROGRAM).current_dir(site.0.path());
    let mut live = run.live();
    site.put(&mut live, &lines(0..100), "a");
    let sender = send(&mut live, lines(100..5_000));
    live.says("can't write: a: File too large");
    is_a_whole_beginning(&site, "a");
    let pid = live.pid().to_string();
    let raised = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited:unlimited"]).status();
    assert!(raised.unwrap().success());
    let (status, stderr) = live.wait(TIMEOUT);
    sender.join().unwrap();
    assert_eq!(status.code(), Some(0), "{stderr}");
    holds(&site.text("a"), 0..5_000);
}
