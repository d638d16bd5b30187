//! The sink `trail`, through the program: what it writes, when it acknowledges, what it refuses to go on with.

use crate::harness::{Live, Outcome, Run, TIMEOUT, TempDir, until};
use crate::http_client::Server;
use crate::logs;
use evaltrail::trail::key::VerifierKey;
use evaltrail::trail::note::Checkpoint;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use tlog_tiles::{HashReader, record_hash, stored_hashes, tree_hash};

pub const ORIGIN: &str = "example.com/audit";

/// A folder with a key, a config, a log and a trail.
pub struct Ground {
    pub dir: TempDir,
    pub verifier: String,
    options: String,
}

impl Ground {
    /// `options` are those of the sink.
    pub fn new(options: &str) -> Ground {
        let dir = TempDir::new();
        let made =
            Run::new(&["trail", "keygen", ORIGIN, "--key-file", "trail.key"]).current_dir(dir.path()).run();
        let verifier = made.exits(0).lines()[0].to_owned();
        fs::write(dir.path().join("app.log"), "").unwrap();
        let ground = Ground { dir, verifier, options: options.to_owned() };
        ground.configure("");
        ground
    }

    /// Writes the config, with `more` at its end.
    pub fn configure(&self, more: &str) {
        let config = format!(
            "data_dir = \"data\"\n\n[sources.logs]\ntype = \"file\"\ninclude = [\"app.log\"]\n\
             glob_minimum_cooldown_ms = 50\n\n\
             [transforms.parse]\ntype = \"legacy_message\"\ninputs = [\"logs\"]\n\n\
             [transforms.policy]\ntype = \"audit_policy\"\ninputs = [\"parse\"]\n\n\
             [transforms.project]\ntype = \"metadata_projection\"\ninputs = [\"policy\"]\n\
             keys = [\"users\", \"session_mode\", \"code\"]\n\n\
             [sinks.evidence]\ntype = \"trail\"\ninputs = [\"project\"]\npath = \"trail\"\n\
             key_file = \"trail.key\"\n{}\n{more}\n",
            self.options
        );
        self.dir.write("evaltrail.toml", &config);
    }

    /// Changes the config.
    pub fn change(&self, from: &str, to: &str) {
        let config = fs::read_to_string(self.path("evaltrail.toml")).unwrap();
        assert!(config.contains(from));
        fs::write(self.path("evaltrail.toml"), config.replace(from, to)).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Appends evaluations to the log, each as both of its records.
    pub fn log(&self, numbers: std::ops::Range<u32>) {
        let mut file = OpenOptions::new().append(true).open(self.path("app.log")).unwrap();
        let text: String = numbers.map(|at| logs::twins_json(at % 59_000, &code(at))).collect();
        file.write_all(text.as_bytes()).unwrap();
    }

    pub fn run(&self) -> Run {
        Run::new(&["-c", "evaltrail.toml"]).current_dir(self.dir.path())
    }

    pub fn once(&self) -> Outcome {
        self.run().arg("--once").run()
    }

    pub fn live(&self) -> Live {
        self.run().live()
    }

    /// The published checkpoint, whose signature is right.
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        let bytes = fs::read(self.path("trail/checkpoint")).ok()?;
        Some(Checkpoint::open(&bytes, &VerifierKey::parse(&self.verifier).unwrap()).unwrap())
    }

    pub fn size(&self) -> u64 {
        self.checkpoint().map_or(0, |checkpoint| checkpoint.size)
    }

    /// `trail verify` finds nothing, also while the trail is written.
    #[track_caller]
    pub fn verify(&self) {
        let run = Run::new(&["trail", "verify", "trail", "--key", &self.verifier]);
        run.current_dir(self.dir.path()).run().exits(0);
    }

    /// The numbers of the evaluations in the trail, in order.
    pub fn numbers(&self) -> Vec<u32> {
        records(&self.path("trail")).iter().map(|record| number(record)).collect()
    }

    /// The trail has exactly the evaluations up to `count`, and the checkpoint is that of its records, as another
    /// implementation computes it.
    #[track_caller]
    pub fn holds(&self, count: u32) {
        assert_eq!(self.numbers(), (0..count).collect::<Vec<u32>>());
        let checkpoint = self.checkpoint().unwrap();
        assert_eq!(checkpoint.size, u64::from(count));
        assert_eq!(checkpoint.root, root(&records(&self.path("trail"))));
        self.verify();
    }
}

fn code(number: u32) -> String {
    format!("x = {number}\n{}", "# filler\n".repeat(number as usize % 7))
}

fn number(record: &[u8]) -> u32 {
    let event: Value = serde_json::from_slice(record).unwrap();
    let text = event["metadata"]["code"].as_str().unwrap().to_owned();
    let digits: String = text.chars().skip(4).take_while(char::is_ascii_digit).collect();
    let number = digits.parse().unwrap();
    assert_eq!(text, code(number));
    number
}

/// All lines of the records of a trail.
pub fn records(trail: &Path) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(trail.join("records"))
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let mut all = Vec::new();
    for path in paths {
        let first: usize = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        assert_eq!(first, all.len(), "{}", path.display());
        let text = fs::read(path).unwrap();
        assert!(text.is_empty() || text.ends_with(b"\n"));
        all.extend(text.split_inclusive(|byte| *byte == b'\n').map(|line| line[..line.len() - 1].to_vec()));
    }
    all
}

#[derive(Default)]
struct Stored(Vec<tlog_tiles::Hash>);

impl HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        Ok(indexes.iter().map(|at| self.0[*at as usize]).collect())
    }
}

fn root(records: &[Vec<u8>]) -> tlog_tiles::Hash {
    let mut stored = Stored::default();
    for (at, record) in records.iter().enumerate() {
        let more = stored_hashes(at as u64, record, &stored).unwrap();
        stored.0.extend(more);
    }
    tree_hash(records.len() as u64, &stored).unwrap()
}

/// The files below a folder, with what is in them.
pub fn snapshot(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(snapshot(&path)),
            false => drop(found.insert(path.clone(), fs::read(&path).unwrap())),
        }
    }
    found
}

/// Puts files back into `folder`, and takes away what else was there.
pub fn put_back(folder: &Path, files: &BTreeMap<PathBuf, Vec<u8>>) {
    fs::remove_dir_all(folder).unwrap();
    for (path, bytes) in files {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn records_are_plain_lines_and_the_tree_is_that_of_their_bytes() {
    let ground = Ground::new("");
    ground.log(0..700);
    ground.once().exits(0);
    ground.holds(700);
    let record: Value = serde_json::from_slice(&records(&ground.path("trail"))[3]).unwrap();
    assert_eq!(record["metadata"]["session_mode"], "default");
    let tile = fs::read(ground.path("trail/tile/0/000")).unwrap();
    assert_eq!(tile[..32], record_hash(&records(&ground.path("trail"))[0]).0);
    // Again: nothing new, nothing changed.
    let before = snapshot(&ground.path("trail"));
    ground.once().exits(0);
    assert_eq!(snapshot(&ground.path("trail")), before);
    ground.log(700..1_400);
    ground.once().exits(0);
    ground.holds(1_400);
}

#[test]
fn what_comes_again_is_acknowledged_and_not_written() {
    let ground = Ground::new("");
    ground.log(0..300);
    ground.once().exits(0);
    // The source has forgotten where it was.
    fs::remove_dir_all(ground.path("data/logs")).unwrap();
    ground.log(300..400);
    let outcome = ground.once().exits(0);
    assert!(outcome.summary().contains("repeat 300"), "{}", outcome.summary());
    ground.holds(400);
}

#[test]
fn a_run_of_standard_input_is_no_repeat_of_another() {
    let ground = Ground::new("");
    let config = fs::read_to_string(ground.path("evaltrail.toml")).unwrap();
    let (_, rest) = config.split_once("[transforms.parse]").unwrap();
    let feed = |source: &str, log: String| {
        let config = format!("data_dir = \"data\"\n\n[sources.logs]\n{source}\n\n[transforms.parse]{rest}");
        fs::write(ground.path("evaltrail.toml"), config).unwrap();
        ground.run().stdin(log).run().exits(0)
    };
    // A Livebook that starts again begins with the same line, and then somebody runs another cell of the same length.
    for at in 0..2 {
        let boot = "[Livebook] Application running at http://localhost:8080/\n";
        feed("type = \"stdin\"", format!("{boot}{}", logs::twins_json(1, &code(at * 7))));
    }
    assert_eq!(ground.numbers(), [0, 7]);
    let demo = "type = \"demo_logs\"\ncount = 200\nevaluations = 0.5\ninterval_secs = 0";
    feed(demo, String::new());
    let first = ground.size() - 2;
    assert!(first > 0);
    feed(demo, String::new());
    assert_eq!(ground.size(), 2 + 2 * first);
    ground.verify();
}

#[test]
fn a_record_waits_for_its_checkpoint_and_no_longer() {
    let ground = Ground::new("checkpoint.every_records = 50\ncheckpoint.every_secs = 3600");
    let mut live = ground.live();
    ground.log(0..49);
    live.is_ready();
    let written = || {
        fs::metadata(ground.path("trail/records/00000000000000000000.jsonl")).is_ok_and(|file| file.len() > 0)
    };
    live.says("runs");
    assert!(!written() && ground.size() == 0);
    ground.log(49..60);
    assert!(until(TIMEOUT, || ground.size() >= 50));
    // A stop does not wait for the rest of the hour.
    ground.log(60..61);
    live.signal_when_ready("TERM");
    assert_eq!(live.wait(TIMEOUT).0.code(), Some(0));
    ground.once().exits(0);
    ground.holds(61);
    let soon = Ground::new("checkpoint.every_secs = 1");
    let _live = soon.live();
    soon.log(0..3);
    assert!(until(TIMEOUT, || soon.size() == 3));
}

#[test]
fn a_request_is_answered_when_it_is_signed() {
    let ground = Ground::new("checkpoint.every_secs = 0");
    ground.configure(
        "[sources.web]\ntype = \"http_server\"\naddress = \"127.0.0.1:0\"\n\n\
         [transforms.narrow]\ntype = \"metadata_projection\"\ninputs = [\"web\"]\n\
         keys = [\"users\", \"session_mode\", \"code\"]\n",
    );
    ground.change("inputs = [\"project\"]", "inputs = [\"project\", \"narrow\"]");
    let server = Server::of(ground.run());
    let post = |key: &str, at: u32| {
        let headers = format!("Idempotency-Key: {key}\r\n");
        let reply = server.post(&headers, logs::structured_json(1, &code(at)));
        assert_eq!(reply.status, 200, "{reply:?}");
        ground.size()
    };
    assert_eq!(post("one", 0), 1);
    // The same again is one record still.
    assert_eq!(post("one", 0), 1);
    assert_eq!(post("two", 1), 2);
    server.stop();
    ground.holds(2);
}

#[test]
fn every_checkpoint_leaves_by_the_port() {
    let ground = Ground::new("checkpoint.every_records = 1");
    ground.configure(
        "[sinks.anchors]\ntype = \"file\"\ninputs = [\"evidence.checkpoints\"]\npath = \"anchors.jsonl\"\n",
    );
    for round in 0..3 {
        ground.log(round * 10..round * 10 + 10);
        ground.once().exits(0);
    }
    let text = fs::read_to_string(ground.path("anchors.jsonl")).unwrap();
    let key = VerifierKey::parse(&ground.verifier).unwrap();
    let mut sizes = Vec::new();
    for line in text.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let checkpoint = Checkpoint::open(event["message"].as_str().unwrap().as_bytes(), &key).unwrap();
        assert_eq!(event["metadata"]["size"], checkpoint.size);
        assert_eq!(event["metadata"]["root"], checkpoint.root.to_string());
        assert_eq!(event["metadata"]["origin"], ORIGIN);
        assert_eq!(event["metadata"]["event"], "trail.checkpoint");
        assert_eq!(checkpoint.root, root(&records(&ground.path("trail"))[..checkpoint.size as usize]));
        sizes.push(checkpoint.size);
    }
    assert!(
        sizes.is_sorted() && sizes.contains(&10) && sizes.contains(&20) && sizes.contains(&30),
        "{sizes:?}"
    );
}

#[test]
fn what_was_not_signed_is_set_aside() {
    let ground = Ground::new("");
    ground.log(0..300);
    ground.once().exits(0);
    let segment = ground.path("trail/records/00000000000000000000.jsonl");
    let forged = "{\"message\":\"nobody did this\"}\n{\"torn";
    OpenOptions::new().append(true).open(&segment).unwrap().write_all(forged.as_bytes()).unwrap();
    let beyond = ground.path("trail/records/00000000000000000302.jsonl");
    fs::write(&beyond, "{}\n").unwrap();
    fs::write(ground.path("trail/tile/0/002"), [7; 8_192]).unwrap();
    fs::create_dir_all(ground.path("trail/tile/0/001.p")).unwrap();
    fs::write(ground.path("trail/tile/0/001.p/45"), [7; 45 * 32]).unwrap();
    ground.log(300..310);
    let outcome = ground.once().exits(0);
    assert!(outcome.stderr.contains("set aside"), "{}", outcome.stderr);
    ground.holds(310);
    let aside: Vec<String> = snapshot(&ground.path("data/trails"))
        .into_iter()
        .filter(|(path, _)| path.ends_with("unsigned.jsonl"))
        .map(|(_, text)| String::from_utf8(text).unwrap())
        .collect();
    assert_eq!(aside.len(), 1);
    assert!(aside[0].contains(forged) && aside[0].contains("{}\n"));
    assert!(
        !beyond.exists()
            && !ground.path("trail/tile/0/002").exists()
            && !ground.path("trail/tile/0/001.p/45").exists()
    );
}

#[test]
fn what_was_signed_before_a_crash_is_published_after_it() {
    let ground = Ground::new("checkpoint.every_records = 1");
    ground.log(0..500);
    ground.once().exits(0);
    let before = snapshot(&ground.path("trail"));
    ground.log(500..1_100);
    ground.once().exits(0);
    // As if it had ended when records and journal were on the disk, and nothing else.
    let after = snapshot(&ground.path("trail"));
    fs::remove_dir_all(ground.path("trail/tile")).unwrap();
    for (path, bytes) in before.iter().filter(|(path, _)| !path.to_str().unwrap().contains("/records/")) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    assert_eq!(ground.size(), 500);
    let outcome = ground.once().exits(0);
    assert!(outcome.stderr.contains("published what was signed"), "{}", outcome.stderr);
    ground.holds(1_100);
    let tiles = |all: &BTreeMap<PathBuf, Vec<u8>>| -> Vec<PathBuf> {
        all.keys()
            .filter(|path| {
                path.to_str().unwrap().contains("/tile/") && !path.to_str().unwrap().contains(".p/")
            })
            .cloned()
            .collect()
    };
    assert_eq!(tiles(&snapshot(&ground.path("trail"))), tiles(&after));
}

#[test]
fn segments_follow_each_other_and_retention_says_what_it_removes() {
    let ground = Ground::new("segment.max_bytes = 20000\ncheckpoint.every_records = 1");
    ground.log(0..600);
    ground.once().exits(0);
    ground.holds(600);
    let segments = || snapshot(&ground.path("trail/records"));
    assert!(segments().len() > 3 && segments().values().all(|text| text.len() <= 20_000));
    assert!(!ground.path("trail/minimum-index").exists());
    ground.change("segment.max_bytes", "retention.max_bytes = 50000\nsegment.max_bytes");
    ground.log(600..601);
    ground.once().exits(0);
    let left: usize = segments().values().map(Vec::len).sum();
    assert!(left <= 50_000, "{left}");
    let note = fs::read_to_string(ground.path("trail/minimum-index")).unwrap();
    let first: u64 = note.lines().nth(2).unwrap().parse().unwrap();
    let oldest = segments().keys().next().unwrap().file_stem().unwrap().to_str().unwrap().to_owned();
    assert_eq!(oldest.parse::<u64>().unwrap(), first);
    assert!(note.contains(&format!("\u{2014} {ORIGIN} ")), "signed: {note}");
    assert_eq!(ground.size(), 601);
}

#[test]
fn a_reload_goes_on_with_the_trail() {
    let ground = Ground::new("checkpoint.every_secs = 1");
    let mut live = ground.live();
    live.is_ready();
    for round in 0..4 {
        ground.log(round * 50..round * 50 + 50);
        let (from, to) = if round % 2 == 0 {
            ("every_secs = 1", "every_secs = 2")
        } else {
            ("every_secs = 2", "every_secs = 1")
        };
        ground.change(from, to);
        live.signal("HUP");
        assert!(until(TIMEOUT, || ground.size() == u64::from(round + 1) * 50), "{}", live.stderr());
    }
    live.signal("TERM");
    assert_eq!(live.wait(TIMEOUT).0.code(), Some(0));
    ground.holds(200);
}
