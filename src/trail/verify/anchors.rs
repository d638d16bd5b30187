//! Checkpoints of before, kept elsewhere: what makes a cut tail visible, and a second history under the same key.

use super::fault::{Fault, Findings, Kind};
use crate::delivery::{are, counted};
use crate::trail::key::VerifierKey;
use crate::trail::note::{Checkpoint, is_about};
use crate::trail::proof::Tiles;
use serde::Deserialize;
use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use tlog_tiles::{EMPTY_HASH, Hash, TileHashReader, check_tree, prove_tree, tree_hash};

/// The longest line of a file of checkpoints, in bytes; a note is much shorter.
const LINE_BYTES_MAX: u64 = 1 << 20;
/// The most different checkpoints that are compared, some 60 bytes each.
const ANCHORS_MAX: usize = 1_000_000;

/// A checkpoint of before.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Anchor {
    size: u64,
    root: Hash,
    /// Which of the files.
    file: usize,
    /// From 1; 0 where the whole file is the note.
    line: u64,
}

/// Checkpoints of before.
#[derive(Debug, Default)]
pub struct Anchors {
    files: Vec<PathBuf>,
    known: HashSet<(u64, [u8; 32])>,
    all: Vec<Anchor>,
    /// What is no checkpoint of the trail.
    faults: Vec<Fault>,
}

#[derive(Deserialize)]
struct Sent {
    message: String,
}

impl Anchors {
    /// Adds the checkpoint in the file at `path`, or those in its JSON lines, as members `message`.
    ///
    /// # Errors
    ///
    /// Says why there is none: it can't be read, is empty, or nothing in it is a note of the trail of `key`. What is there
    /// beside such a note, or is one and does not have its signature, is a fault that verifying tells.
    pub fn read(&mut self, path: &Path, key: &VerifierKey) -> Result<(), String> {
        let why = |e: std::io::Error| format!("{}: {e}", path.display());
        let mut reader = BufReader::new(File::open(path).map_err(why)?);
        let file = self.files.len();
        self.files.push(path.to_owned());
        let is_lines = reader.fill_buf().map_err(why)?.first() == Some(&b'{');
        let (mut number, mut bytes) = (0, Vec::new());
        // Whether there is a note of the trail, and why what comes first is none.
        let (mut is_about_it, mut strange) = (false, None);
        loop {
            bytes.clear();
            let mut limited = (&mut reader).take(LINE_BYTES_MAX);
            let read = if is_lines {
                limited.read_until(b'\n', &mut bytes)
            } else {
                limited.read_to_end(&mut bytes)
            };
            if read.map_err(why)? == 0 {
                break;
            }
            number += 1;
            if bytes.trim_ascii().is_empty() {
                continue;
            }
            let line = if is_lines { number } else { 0 };
            if is_lines {
                let sent = serde_json::from_slice::<Sent>(&bytes);
                bytes = sent.map(|sent| sent.message.into_bytes()).unwrap_or_default();
            }
            match Checkpoint::open(&bytes, key) {
                Ok(read) => {
                    is_about_it = true;
                    self.add(Anchor { size: read.size, root: read.root, file, line })?;
                }
                Err(e) => {
                    let name = self.name(file, line);
                    is_about_it |= is_about(&bytes, key.origin());
                    strange.get_or_insert_with(|| {
                        format!("{name}: this is no checkpoint of {}: {e}", key.origin())
                    });
                    self.fault(Fault::of_file(
                        Kind::Anchor,
                        &name,
                        format!("this is no checkpoint to compare with: {e}"),
                    ));
                }
            }
        }
        match strange {
            _ if is_about_it => Ok(()),
            Some(why) => Err(why),
            None => Err(format!("{}: the file is empty, and a checkpoint was expected", path.display())),
        }
    }

    fn add(&mut self, anchor: Anchor) -> Result<(), String> {
        if self.known.insert((anchor.size, anchor.root.0)) {
            self.all.push(anchor);
        }
        if self.all.len() > ANCHORS_MAX {
            return Err(format!("there are more than {ANCHORS_MAX} checkpoints to compare with: give fewer"));
        }
        Ok(())
    }

    fn fault(&mut self, fault: Fault) {
        if self.faults.len() <= super::FAULTS_MAX {
            self.faults.push(fault);
        }
    }

    fn name(&self, file: usize, line: u64) -> String {
        let path = self.files.get(file).map(|path| path.display().to_string()).unwrap_or_default();
        if line == 0 { path } else { format!("{path}:{line}") }
    }

    /// How many different checkpoints there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The one of the most records: its size and root, and where it is from.
    pub(super) fn newest(&self) -> Option<(u64, Hash, String)> {
        let newest = self.all.iter().max_by_key(|anchor| anchor.size)?;
        Some((newest.size, newest.root, self.name(newest.file, newest.line)))
    }

    /// Holds the trail at `folder` with `size` records and this `root` against all of them.
    pub(super) fn check(&self, folder: &Path, size: u64, root: Hash, findings: &mut Findings) {
        self.faults.iter().for_each(|fault| findings.add(fault.clone()));
        let tiles = Tiles::new(folder);
        let has_tiles = !findings.has(Kind::Tile) && !findings.has(Kind::Root);
        let mut sorted: Vec<&Anchor> = self.all.iter().collect();
        sorted.sort_by_key(|anchor| anchor.size);
        for anchor in sorted {
            let name = self.name(anchor.file, anchor.line);
            if anchor.size > size {
                let count = anchor.size - size;
                let what = format!(
                    "tail cut: this checkpoint was signed for {}, and the trail has {size}: {count} {} gone",
                    counted(anchor.size, "record"),
                    are(count)
                );
                let fault = Fault { count, ..Fault::of_file(Kind::TailCut, &name, what) };
                findings.add(fault);
                continue;
            }
            let is_same = match anchor.size {
                0 => anchor.root == EMPTY_HASH,
                whole if whole == size => anchor.root == root,
                part => {
                    let proof = prove_tree(size, part, &TileHashReader::new(size, root, &tiles));
                    proof.is_ok_and(|proof| check_tree(&proof, size, root, part, anchor.root).is_ok())
                }
            };
            if is_same {
                continue;
            }
            let what = if has_tiles || anchor.size == size || anchor.size == 0 {
                format!(
                    "another history: this checkpoint was signed for {}, and the first {} of the trail {} not what it says. The key has signed both",
                    counted(anchor.size, "record"),
                    anchor.size,
                    are(anchor.size)
                )
            } else {
                format!(
                    "the trail can't be compared with this checkpoint of {}, since its tiles do not lead to the signed root",
                    counted(anchor.size, "record")
                )
            };
            findings.add(Fault::of_file(Kind::Anchor, &name, what));
        }
    }

    /// How many records are as one of them says, going by the tiles alone: 0 where none fits.
    pub(super) fn longest_match(&self, folder: &Path, size: u64) -> u64 {
        let tiles = Tiles::new(folder);
        let plain = tiles.unproven(size);
        let is_match = |anchor: &&Anchor| {
            anchor.size <= size && tree_hash(anchor.size, &plain).is_ok_and(|root| root == anchor.root)
        };
        self.all.iter().filter(is_match).map(|anchor| anchor.size).max().unwrap_or(0)
    }
}
