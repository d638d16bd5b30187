//! Buffers on disk, through the program: what is acknowledged is delivered, whatever the sink or the disk does.

mod stops;

use crate::harness::{Live, Outcome, Run, TIMEOUT, TempDir, has_lines, until};
use crate::http_client::Server;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder that outlives a run, with a config in it.
struct Site(TempDir);

const STDIN: &str = "type = \"stdin\"\ndecoding.codec = \"text\"";

impl Site {
    /// From `source` through a buffer to a file.
    fn new(source: &str, buffer: &str) -> Site {
        let site = Site(TempDir::new());
        site.configure(source, buffer);
        site
    }

    fn configure(&self, source: &str, buffer: &str) {
        let root = self.0.path().display();
        let config = format!(
            "data_dir = \"{root}/data\"\nshutdown_timeout_secs = 4\n[sources.in]\n{source}\n\n\
             [sinks.out]\ntype = \"file\"\ninputs = [\"in\"]\npath = \"trail/out.jsonl\"\n{buffer}\n"
        );
        self.0.write("evaltrail.toml", &config);
    }

    fn run(&self) -> Run {
        Run::new(&["-c", "evaltrail.toml"]).current_dir(self.0.path())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn folder(&self) -> PathBuf {
        self.path("data/buffers/out")
    }

    /// A file in the place of the folder: the sink can't write.
    fn block(&self) {
        self.0.write("trail", "");
    }

    fn unblock(&self) {
        fs::remove_file(self.path("trail")).unwrap();
    }

    fn output(&self) -> PathBuf {
        self.path("trail/out.jsonl")
    }

    /// The numbers that have come out, in order.
    #[track_caller]
    fn numbers(&self) -> Vec<u64> {
        let text = fs::read_to_string(self.output()).unwrap_or_default();
        assert!(text.is_empty() || text.ends_with('\n'));
        let number = |line: &str| {
            let value: serde_json::Value =
                serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
            value["message"].as_str().unwrap().split(' ').next().unwrap().parse().unwrap()
        };
        text.lines().map(number).collect()
    }

    fn buffer(&self, command: &str) -> Outcome {
        Run::new(&["buffer", command]).arg(self.folder().to_str().unwrap()).run()
    }

    fn segments(&self) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> = fs::read_dir(self.folder())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|end| end == "seg"))
            .collect();
        found.sort();
        found
    }

    /// Waits until so many events are in the buffer.
    #[track_caller]
    fn holds(&self, live: &Live, events: u64) {
        let words = format!("to deliver: {events} records, {events} events");
        let about = format!(" {events} events\n");
        let shown = || Run::new(&["buffer", "show"]).arg(self.folder().to_str().unwrap()).run().stdout;
        let holds =
            |text: &str| text.contains(&words) || text.contains("to deliver") && text.contains(&about);
        assert!(
            until(TIMEOUT, || self.folder().exists() && holds(&shown())),
            "{}\n{}",
            shown(),
            live.stderr()
        );
    }

    /// Stops a run, which has to leave what it can't deliver for the next one.
    #[track_caller]
    fn stop(&self, mut live: Live) -> String {
        live.signal_when_ready("TERM");
        let (status, stderr) = live.wait(TIMEOUT);
        assert_eq!(status.code(), Some(0), "{stderr}");
        stderr
    }
}

const DISK: &str = "buffer = { type = \"disk\", max_size_bytes = 4194304 }";
const SMALL: &str = "buffer = { type = \"disk\", max_size_bytes = 1048576 }";

fn lines(range: std::ops::Range<u64>) -> String {
    range.map(|n| format!("{n} is a number\n")).collect()
}

/// Lines that are about a kilobyte long.
fn long_lines(range: std::ops::Range<u64>) -> String {
    range.map(|n| format!("{n} {}\n", "x".repeat(1_000))).collect()
}

fn all(count: u64) -> Vec<u64> {
    (0..count).collect()
}

#[test]
fn what_comes_in_goes_out_in_order() {
    let site = Site::new(STDIN, DISK);
    let outcome = site.run().stdin(lines(0..20_000)).run().exits(0);
    assert!(outcome.summary().contains("delivered=20000"), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("stay in the buffer"), "{}", outcome.stderr);
    assert_eq!(site.numbers(), all(20_000));
    site.run().stdin(lines(20_000..20_100)).run().exits(0);
    assert_eq!(site.numbers(), all(20_100));
    assert!(site.buffer("show").exits(0).stdout.contains("to deliver: 0 records, 0 events"));
}

#[test]
fn standard_input_is_safe_once_it_is_in_the_buffer() {
    let site = Site::new(STDIN, DISK);
    site.block();
    let mut live = site.run().live();
    live.write(lines(0..500).as_bytes());
    site.holds(&live, 500);
    let said = site.stop(live);
    assert!(said.contains("500 events stay in the buffer on disk for the next start"), "{said}");
    site.unblock();
    let outcome = site.run().stdin(lines(500..600)).run().exits(0);
    assert!(
        outcome.stderr.contains("the buffer on disk holds events of an earlier run"),
        "{}",
        outcome.stderr
    );
    assert!(outcome.summary().contains("delivered=600"), "{}", outcome.stderr);
    assert_eq!(site.numbers(), all(600));
}

#[test]
fn a_file_is_acknowledged_by_the_buffer() {
    let log = "type = \"file\"\ninclude = [\"app.log\"]\ndecoding.codec = \"text\"";
    let site = Site::new(log, DISK);
    site.block();
    site.0.write("app.log", &lines(0..1_000));
    let len = lines(0..1_000).len();
    let live = site.run().live();
    site.holds(&live, 1_000);
    let checkpoint = || fs::read_to_string(site.path("data/in/checkpoints.json")).unwrap_or_default();
    let moved = || checkpoint().contains(&format!("\"offset\":{len}"));
    assert!(until(TIMEOUT, moved), "{}\n{}", checkpoint(), live.stderr());
    site.stop(live);
    site.unblock();
    // The log is gone: all of it comes from the buffer.
    fs::remove_file(site.path("app.log")).unwrap();
    let live = site.run().live();
    assert!(has_lines(&site.output(), 1_000), "{}", live.stderr());
    site.stop(live);
    assert_eq!(site.numbers(), all(1_000));
}

#[test]
fn a_request_is_answered_when_it_is_in_the_buffer() {
    let http = "type = \"http_server\"\naddress = \"127.0.0.1:0\"\ndecoding.codec = \"text\"";
    let site = Site::new(http, DISK);
    site.block();
    let server = Server::of(site.run());
    for start in [0, 50, 100] {
        let reply = server.post("Content-Type: text/plain\r\n", lines(start..start + 50)).is(200);
        assert_eq!(reply.counts(), (50, 0));
    }
    server.live.kill();
    site.unblock();
    let server = Server::of(site.run());
    assert!(has_lines(&site.output(), 150), "{}", server.live.stderr());
    server.stop();
    assert_eq!(site.numbers(), all(150));
}

#[test]
fn a_full_buffer_makes_its_source_wait() {
    let site = Site::new(STDIN, SMALL);
    site.block();
    let mut live = site.run().live();
    let mut input = live.stdin.take().unwrap();
    let sender = std::thread::spawn(move || {
        std::io::Write::write_all(&mut input, long_lines(0..20_000).as_bytes()).unwrap();
    });
    live.says("the buffer on disk is full: its sources wait");
    let used = Command::new("du").arg("-sk").arg(site.folder()).output().unwrap();
    let kib: u64 = String::from_utf8(used.stdout).unwrap().split('\t').next().unwrap().parse().unwrap();
    assert!((500..=1024).contains(&kib), "{kib} KiB");
    assert!(live.is_running() && !sender.is_finished(), "20 MB do not fit into what may wait");
    site.unblock();
    let (status, stderr) = live.wait(TIMEOUT);
    sender.join().unwrap();
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert_eq!(site.numbers(), all(20_000));
}

#[test]
fn a_stop_in_front_of_a_full_buffer_says_what_is_not_acknowledged() {
    let site = Site::new(STDIN, SMALL);
    site.block();
    let mut live = site.run().live();
    let mut input = live.stdin.take().unwrap();
    // A program that was stopped does not read the rest.
    let sender = std::thread::spawn(move || {
        drop(std::io::Write::write_all(&mut input, long_lines(0..20_000).as_bytes()))
    });
    live.says("the buffer on disk is full");
    live.signal("TERM");
    let (status, stderr) = live.wait(TIMEOUT);
    sender.join().unwrap();
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("since it is full: what is missing was not acknowledged"), "{stderr}");
    assert!(stderr.contains("stay in the buffer"), "{stderr}");
    site.unblock();
    site.run().run().exits(0);
    let there = site.numbers();
    assert_eq!(there, all(there.len() as u64));
}

/// A write to a pipe that nobody reads does not return.
#[test]
fn a_sink_that_is_stuck_does_not_hold_up_a_stop() {
    let site = Site::new(STDIN, DISK);
    let config = fs::read_to_string(site.path("evaltrail.toml")).unwrap();
    let console = "type = \"console\"\nencoding.codec = \"json\"";
    let config = config.replace("type = \"file\"", console).replace("path = \"trail/out.jsonl\"\n", "");
    site.0.write("evaltrail.toml", &config);
    let mut live = site.run().live();
    live.write(long_lines(0..1_000).as_bytes());
    // Some of them are in the pipe.
    let shown = || Run::new(&["buffer", "show"]).arg(site.folder().to_str().unwrap()).run().stdout;
    assert!(until(TIMEOUT, || shown().contains(", 1000 events, ")), "{}", live.stderr());
    let asked = std::time::Instant::now();
    let said = site.stop(live);
    assert!(asked.elapsed().as_secs() < 20, "{said}");
    assert!(said.contains("events stay in the buffer"), "{said}");
}

#[test]
fn a_full_buffer_may_drop_what_is_newest() {
    let site = Site::new(STDIN, &SMALL.replace(" }", ", when_full = \"drop_newest\" }"));
    site.block();
    let mut live = site.run().live();
    live.write(long_lines(0..20_000).as_bytes());
    live.close_stdin();
    live.says("the buffer on disk is full: what comes meanwhile is dropped");
    site.unblock();
    let (status, stderr) = live.wait(TIMEOUT);
    assert_eq!(status.code(), Some(0), "{stderr}");
    let there = site.numbers();
    assert!(there.is_sorted() && there.len() > 500, "{}", there.len());
    assert!(stderr.contains(&format!("buffer_full {}", 20_000 - there.len())), "{stderr}");
}

#[test]
fn a_record_that_is_larger_than_the_buffer_passes_alone() {
    let site = Site::new(STDIN, SMALL);
    let mut sent = lines(0..10);
    sent.push_str(&format!("10 {}\n", "x".repeat(3_000_000)));
    sent.push_str(&lines(11..20));
    site.run().stdin(sent).run().exits(0);
    assert_eq!(site.numbers(), all(20));
}

/// A buffer of several segments whose events have not been delivered.
fn filled() -> (Site, Vec<Vec<u8>>) {
    let site = Site::new(STDIN, SMALL);
    site.block();
    let mut live = site.run().live();
    live.write(long_lines(0..600).as_bytes());
    site.holds(&live, 600);
    site.stop(live);
    site.unblock();
    let segments = site.segments().iter().map(|path| fs::read(path).unwrap()).collect();
    (site, segments)
}

#[test]
fn a_damaged_buffer_is_refused_and_can_be_repaired() {
    let (site, segments) = filled();
    assert!(segments.len() > 2);
    let (path, offset) = (&site.segments()[1], 20_000);
    let mut bytes = segments[1].clone();
    bytes[offset] ^= 1;
    fs::write(path, &bytes).unwrap();
    let refused = site.run().stdin(lines(600..610)).run().exits(2);
    let folder = site.folder();
    for words in [
        path.to_str().unwrap(),
        "offset 32",
        "the content of a record does not fit its checksum",
        &format!("evaltrail buffer repair {}", folder.display()),
    ] {
        assert!(refused.stderr.contains(words), "{words}: {}", refused.stderr);
    }
    assert_eq!(fs::read(path).unwrap(), bytes, "nothing was changed");
    let shown = site.buffer("show").exits(1);
    assert!(shown.stdout.contains("damaged: ") && shown.stdout.contains("offset 32"), "{}", shown.stdout);
    let repaired = site.buffer("repair").exits(0);
    assert!(repaired.stdout.contains("kept as it was: "), "{}", repaired.stdout);
    let aside = folder.join(format!("{}.damaged-32", path.file_name().unwrap().to_str().unwrap()));
    assert_eq!(fs::read(aside).unwrap(), bytes);
    site.buffer("show").exits(0);
    site.run().stdin(lines(600..610)).run().exits(0);
    let there = site.numbers();
    let lost = 610 - there.len() as u64;
    assert!(there.is_sorted() && (1..=80).contains(&lost), "one record is lost, not {lost} events");
    let kept = format!("kept: {} events", 600 - lost);
    assert!(repaired.stdout.contains(&kept), "{kept}: {}", repaired.stdout);
    assert!(site.buffer("repair").exits(0).stdout.contains("nothing is damaged"));
}

#[test]
fn a_segment_that_is_missing_is_told_of_and_accepted() {
    let (site, _) = filled();
    fs::remove_file(&site.segments()[1]).unwrap();
    let refused = site.run().run().exits(2);
    assert!(refused.stderr.contains("are missing in front of it"), "{}", refused.stderr);
    site.buffer("repair").exits(0);
    site.run().run().exits(0);
    let there = site.numbers();
    assert!(there.is_sorted() && (350..600).contains(&there.len()), "{}", there.len());
}

#[test]
fn damage_that_comes_while_it_runs_ends_the_run() {
    // Far more than is read ahead.
    let (count, site) = (8_000, Site::new(STDIN, "buffer = { type = \"disk\", max_size_bytes = 16777216 }"));
    site.block();
    let mut live = site.run().live();
    live.write(long_lines(0..count).as_bytes());
    site.holds(&live, count);
    let path = site.segments().pop().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[32] ^= 1;
    fs::write(&path, &bytes).unwrap();
    site.unblock();
    // Its input is open: it ends by itself.
    let (status, stderr) = live.wait(TIMEOUT);
    assert_eq!(status.code(), Some(1), "{stderr}");
    let words = format!("{}, offset 32: the header of a record does not fit its checksum", path.display());
    assert!(stderr.contains(&words) && !stderr.contains("panicked"), "{stderr}");
    site.run().run().exits(2);
    site.buffer("repair").exits(0);
    site.run().run().exits(0);
    let there = site.numbers();
    let lost = count - there.len() as u64;
    assert!(there.is_sorted() && (1..=80).contains(&lost), "one record is lost, not {lost} events");
}

#[test]
fn what_is_no_buffer_is_refused_and_left_alone() {
    let (site, _) = filled();
    site.0.write("data/buffers/list.txt", "");
    for wrong in ["data", "data/buffers", "data/buffers/list.txt", "data/nowhere"] {
        for command in ["show", "repair"] {
            let refused =
                Run::new(&["buffer", command]).arg(site.path(wrong).to_str().unwrap()).run().exits(2);
            assert!(refused.stderr.contains("<data_dir>/buffers/<sink id>"), "{wrong}: {}", refused.stderr);
            assert_eq!(refused.stderr.contains("is a file"), wrong.ends_with("txt"), "{}", refused.stderr);
            assert_eq!(refused.stdout, "");
        }
    }
    assert!(!site.path("data/lock").exists() && !site.path("data/buffers/lock").exists());
    site.buffer("repair").exits(0);
}

#[test]
fn segments_that_a_loss_of_power_has_emptied_are_put_aside() {
    let (site, _) = filled();
    for path in site.segments() {
        fs::write(path, "").unwrap();
    }
    site.run().run().exits(2);
    let repaired = site.buffer("repair").exits(0);
    assert!(repaired.stdout.contains("kept: 0 events"), "{}", repaired.stdout);
    assert!(site.buffer("repair").exits(0).stdout.contains("nothing is damaged"));
    site.run().stdin(lines(600..610)).run().exits(0);
    assert_eq!(site.numbers(), (600..610).collect::<Vec<_>>());
}

#[test]
fn two_processes_do_not_share_a_buffer() {
    let site = Site::new(STDIN, DISK);
    let mut live = site.run().live();
    live.write(lines(0..1).as_bytes());
    assert!(has_lines(&site.output(), 1), "{}", live.stderr());
    assert_eq!(site.numbers(), [0]);
    let refused = site.run().run().exits(2);
    assert!(refused.stderr.contains("another evaltrail has its buffer in"), "{}", refused.stderr);
    let refused = site.buffer("repair").exits(2);
    assert!(refused.stderr.contains("stop it first"), "{}", refused.stderr);
    assert!(site.buffer("show").exits(0).stdout.contains("in use"));
    live.close_stdin();
    assert_eq!(live.wait(TIMEOUT).0.code(), Some(0));
}

#[test]
fn a_buffer_without_its_sink_is_not_forgotten() {
    let (site, _) = filled();
    site.configure(STDIN, "");
    let said = site.run().run().exits(0).stderr;
    let folder = site.folder();
    assert!(said.contains(&format!("{} holds events of an earlier run", folder.display())), "{said}");
    site.configure(STDIN, SMALL);
    site.run().run().exits(0);
    assert_eq!(site.numbers(), all(600));
    site.configure(STDIN, "");
    assert!(!site.run().run().exits(0).stderr.contains("earlier run"));
}

#[test]
fn a_full_disk_under_the_buffer_blocks_and_loses_nothing() {
    let site = Site::new(STDIN, DISK);
    fs::create_dir_all(site.path("data")).unwrap();
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=512k", "tmpfs"])
        .arg(site.path("data"))
        .output();
    if !mount.is_ok_and(|mount| mount.status.success()) {
        crate::tools::skip("a full disk: only root can mount one that is small enough");
        return;
    }
    let _mounted = Mounted(&site.path("data"));
    site.0.write("data/ballast", &"x".repeat(400 * 1024));
    site.block();
    let mut live = site.run().live();
    let mut input = live.stdin.take().unwrap();
    let sender = std::thread::spawn(move || {
        std::io::Write::write_all(&mut input, long_lines(0..300).as_bytes()).unwrap();
    });
    live.says("can't write to the buffer on disk: ");
    assert!(live.stderr().contains("No space left on device"), "{}", live.stderr());
    fs::remove_file(site.path("data/ballast")).unwrap();
    live.says("can write to the buffer on disk again");
    site.unblock();
    let (status, stderr) = live.wait(TIMEOUT);
    sender.join().unwrap();
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert_eq!(site.numbers(), all(300));
}

/// Unmounts what a test has mounted.
struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let done = Command::new("umount").arg("-l").arg(self.0).status();
        assert!(done.is_ok_and(|status| status.success()), "{} stays mounted", self.0.display());
    }
}
