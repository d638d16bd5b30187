//! Makes trails in another way than the sink does: of whole lists, with the crate's functions for stored hashes and tiles.

use crate::harness::TempDir;
use evaltrail::trail::key::{SignerKey, VerifierKey, generate};
use evaltrail::trail::layout::Segment;
use evaltrail::trail::note::{Checkpoint, sign_minimum_index};
use std::path::{Path, PathBuf};
use tlog_tiles::{Error, Hash, HashReader, Tile, stored_hashes, tree_hash};

pub const ORIGIN: &str = "example.com/audit";

/// All hashes of a tree, in memory.
#[derive(Clone, Default)]
pub struct Stored {
    hashes: Vec<Hash>,
    pub size: u64,
}

impl HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        Ok(indexes.iter().map(|index| self.hashes[usize::try_from(*index).unwrap()]).collect())
    }
}

impl Stored {
    /// Of these records.
    pub fn of(records: &[String]) -> Stored {
        let mut stored = Stored::default();
        for record in records {
            let more = stored_hashes(stored.size, record.as_bytes(), &stored).unwrap();
            stored.hashes.extend(more);
            stored.size += 1;
        }
        stored
    }

    pub fn root(&self, size: u64) -> Hash {
        tree_hash(size, self).unwrap()
    }
}

/// A key of a test.
pub struct Key {
    pub signer: SignerKey,
    pub verifier: VerifierKey,
    pub text: String,
}

impl Key {
    pub fn new() -> Key {
        let dir = TempDir::new();
        let path = dir.path().join("key");
        let text = generate(ORIGIN, &path).unwrap();
        let signer = SignerKey::read(&path).unwrap();
        Key { verifier: signer.verifier().unwrap(), signer, text }
    }
}

/// Records that differ from each other.
pub fn records(count: u64) -> Vec<String> {
    let time = |at: u64| {
        format!("2026-11-22T{:02}:{:02}:{:02}.{:03}Z", at / 3600 % 24, at / 60 % 60, at % 60, at % 1000)
    };
    let record = |at: u64| {
        let code = "x".repeat(usize::try_from(at % 7).unwrap());
        format!(
            r#"{{"message":"Evaluating code","time":"{}","metadata":{{"code":"{at} + {code}","event":"code.evaluate"}}}}"#,
            time(at)
        )
    };
    (0..count).map(record).collect()
}

/// A trail in a folder of its own.
pub struct Made {
    pub dir: TempDir,
    pub records: Vec<String>,
    pub stored: Stored,
}

impl Made {
    /// A trail with `per_file` records in a file, and the partial tiles of `older` checkpoints.
    pub fn new(key: &Key, records: Vec<String>, per_file: usize, older: &[u64]) -> Made {
        let made = Made { dir: TempDir::new(), stored: Stored::of(&records), records };
        let folder = made.folder();
        std::fs::create_dir_all(folder.join("records")).unwrap();
        std::fs::create_dir_all(folder.join("tile")).unwrap();
        for (at, chunk) in made.records.chunks(per_file).enumerate() {
            let text: String = chunk.iter().map(|record| format!("{record}\n")).collect();
            std::fs::write(Segment::at(&folder, (at * per_file) as u64).path, text).unwrap();
        }
        let mut before = 0;
        for size in older.iter().copied().chain([made.stored.size]) {
            made.write_tiles(before, size);
            before = size;
        }
        std::fs::write(folder.join("checkpoint"), made.note(key, made.stored.size)).unwrap();
        made
    }

    pub fn folder(&self) -> PathBuf {
        self.dir.path().join("trail")
    }

    pub fn note(&self, key: &Key, size: u64) -> Vec<u8> {
        Checkpoint::sign(size, self.stored.root(size), &key.signer).unwrap().note
    }

    fn write_tiles(&self, before: u64, size: u64) {
        for tile in Tile::new_tiles(8, before, size) {
            // Those of the crate have their height in the path.
            let path = self.folder().join(tile.path().replacen("tile/8/", "tile/", 1));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, tile.read_data(&self.stored).unwrap()).unwrap();
        }
    }

    /// Removes the files in front of the record `first`, and says so.
    pub fn retain(&self, key: &Key, first: u64) {
        std::fs::write(self.folder().join("minimum-index"), sign_minimum_index(first, &key.signer).unwrap())
            .unwrap();
        for segment in evaltrail::trail::layout::segments(&self.folder()).unwrap() {
            if segment.first < first {
                std::fs::remove_file(segment.path).unwrap();
            }
        }
    }
}

/// The files of a trail, by their names below it.
pub fn files(folder: &Path) -> Vec<String> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let mut found = Vec::new();
    walk(folder, &mut found);
    let mut names: Vec<String> =
        found.iter().map(|path| path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}
