//! From files to a file: what the tests of the file source and the file sink have in common.

use crate::harness::{Live, Outcome, Run, TempDir};
use serde_json::Value;
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// A place with a log, a config, and an output.
pub struct Place {
    dir: TempDir,
    output: PathBuf,
}

/// How the log is read.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Name of the log, or a glob.
    pub include: &'static str,
    /// Options of the source besides.
    pub options: &'static str,
    /// Whether its lines are evaluations.
    pub evaluations: bool,
}

/// A log of lines, whose rotated files are out of the glob.
pub const LINES: Reading =
    Reading { include: "app.log", options: "decoding.codec = \"text\"", evaluations: false };
/// A log of lines with its rotated files.
pub const LINES_OF_ALL: Reading = Reading { include: "app.log*", ..LINES };

impl Place {
    /// Writes the config. The output is out of reach of the glob; `output` may name another folder for it.
    pub fn new(reading: Reading, output: Option<&Path>) -> Place {
        let dir = TempDir::new();
        let place = Place { output: output.unwrap_or(dir.path()).join("out.jsonl"), dir };
        let (root, output) = (place.dir.path().display(), place.output.display());
        let Reading { include, options, evaluations } = reading;
        let (parse, from, keys) = match evaluations {
            true => (
                "[transforms.parse]\ntype = \"legacy_message\"\ninputs = [\"logs\"]\n\n\
                 [transforms.policy]\ntype = \"audit_policy\"\ninputs = [\"parse\"]\n\n",
                "policy",
                "\"code\", \"code_incomplete\", ",
            ),
            false => ("", "logs", ""),
        };
        let config = format!(
            "data_dir = \"{root}/data\"\n\n\
             [sources.logs]\ntype = \"file\"\ninclude = [\"{root}/{include}\"]\n\
             glob_minimum_cooldown_ms = 50\nrotate_wait_secs = 1\n{options}\n\n{parse}\
             [transforms.named]\ntype = \"metadata_projection\"\ninputs = [\"{from}\"]\n\
             keys = [{keys}\"%id\", \"%file\", \"%offset\"]\n\n\
             [sinks.out]\ntype = \"file\"\ninputs = [\"named\"]\npath = \"{output}\"\n"
        );
        place.dir.write("evaltrail.toml", &config);
        place
    }

    /// Puts a buffer on disk in front of the output.
    pub fn buffered(self) -> Place {
        let path = self.path("evaltrail.toml");
        let config = std::fs::read_to_string(&path).unwrap();
        let buffer = "buffer = { type = \"disk\", max_size_bytes = 4194304 }\n";
        std::fs::write(path, config + buffer).unwrap();
        self
    }

    /// A file of this place.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn run(&self) -> Run {
        Run::new(&["-c"]).arg(self.path("evaltrail.toml").to_str().unwrap())
    }

    /// Starts the program.
    pub fn start(&self) -> Live {
        self.run().live()
    }

    /// Lets the program read what is there.
    pub fn once(&self) -> Outcome {
        self.run().arg("--once").run()
    }

    /// Follows the output.
    pub fn follow(&self) -> Follower {
        Follower { path: self.output.clone(), taken: 0, lines: Vec::new() }
    }
}

/// One line of the output.
#[derive(Debug)]
pub struct Emitted {
    /// The line that was read.
    pub message: String,
    /// The source of an evaluation.
    pub code: Option<String>,
    pub id: String,
    pub file: String,
    pub offset: u64,
}

/// Reads the output as it grows.
pub struct Follower {
    path: PathBuf,
    /// Bytes of whole lines that were taken in.
    taken: u64,
    pub lines: Vec<Emitted>,
}

impl Follower {
    /// Takes in what has come, up to the last newline. Fails the test on a line that is torn, and where lines went.
    #[track_caller]
    pub fn catch_up(&mut self) {
        let Ok(mut file) = File::open(&self.path) else {
            assert_eq!(self.taken, 0, "the output is gone");
            return;
        };
        let len = file.metadata().unwrap().len();
        assert!(len >= self.taken, "whole lines of the output are gone: {len} of {} bytes", self.taken);
        file.seek(SeekFrom::Start(self.taken)).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1));
        self.taken += bytes.len() as u64;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.lines.push(Emitted::read(line));
        }
    }
}

impl Emitted {
    #[track_caller]
    fn read(line: &[u8]) -> Emitted {
        let torn = |why: &str| -> ! { panic!("torn: {why}: {}", shortened(&String::from_utf8_lossy(line))) };
        let event: Value = serde_json::from_slice(line).unwrap_or_else(|e| torn(&e.to_string()));
        let metadata = &event["metadata"];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let need = |value: &Value| text(value).unwrap_or_else(|| torn("a member is missing"));
        Emitted {
            message: need(&event["message"]),
            code: text(&metadata["code"]),
            id: need(&metadata["id"]),
            file: need(&metadata["file"]),
            offset: metadata["offset"].as_u64().unwrap_or_else(|| torn("a member is missing")),
        }
    }
}

/// The beginning of a text that may be long.
pub fn shortened(text: &str) -> String {
    match text.char_indices().nth(100) {
        Some((at, _)) => format!("{}... ({} bytes)", &text[..at], text.len()),
        None => text.to_owned(),
    }
}

/// Where a line was written: in which file, and as which of its lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Spot {
    pub file: usize,
    pub line: usize,
}

/// One run of the program, by what it added to the output.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    /// Lines of the output before it.
    pub from: usize,
    /// Whether the run before was killed: only then anything may be repeated.
    pub after_kill: bool,
}

/// Holds the order of the output against that of the files: within a run, the lines of a file follow each other
/// without a gap, from the next one on that is due; after a kill perhaps from an earlier one. Each line keeps its
/// `%id`, and no two have the same. `spots` says where each line of the output was written, none where it may be
/// passed over; `optional` says which lines need not come. Returns how many lines were repeats.
#[track_caller]
pub fn check_order(
    emitted: &[Emitted],
    stretches: &[Stretch],
    spots: &[Option<Spot>],
    optional: impl Fn(Spot) -> bool,
) -> usize {
    let mut ids: HashMap<Spot, &str> = HashMap::new();
    let mut owners: HashMap<&str, Spot> = HashMap::new();
    let mut due: HashMap<usize, usize> = HashMap::new();
    // The first kill count under which a line came: a later one explains that it comes again.
    let mut came: HashMap<Spot, usize> = HashMap::new();
    let (mut repeated, mut kills) = (0, 0);
    for (at, stretch) in stretches.iter().enumerate() {
        let end = stretches.get(at + 1).map_or(emitted.len(), |next| next.from);
        let mut last: HashMap<usize, usize> = HashMap::new();
        kills += usize::from(stretch.after_kill);
        for (line, spot) in emitted[stretch.from..end].iter().zip(&spots[stretch.from..end]) {
            let Some(spot) = *spot else { continue };
            let said = || {
                format!(
                    "{spot:?} of run {at}, {} at {}: {}",
                    line.file,
                    line.offset,
                    shortened(&line.message)
                )
            };
            let due = due.entry(spot.file).or_default();
            let wanted = last.get(&spot.file).map_or(*due, |last| last + 1);
            let passed = |from: usize| (from..spot.line).all(|line| optional(Spot { line, ..spot }));
            let follows = spot.line >= wanted && passed(wanted);
            let again = !last.contains_key(&spot.file) && spot.line < *due;
            assert!(follows || again, "expected line {wanted} of its file, found {}", said());
            let first = *came.entry(spot).or_insert(kills);
            let is_repeat = ids.contains_key(&spot);
            assert!(!is_repeat || first < kills, "a repeat without a kill: {}", said());
            repeated += usize::from(is_repeat);
            *due = (*due).max(spot.line + 1);
            last.insert(spot.file, spot.line);
            let id = ids.entry(spot).or_insert(&line.id);
            assert_eq!(*id, line.id, "a repeat with another id: {}", said());
            let owner = owners.entry(&line.id).or_insert(spot);
            assert_eq!(*owner, spot, "another line has the same id: {}", said());
        }
    }
    repeated
}
