//! Where the reading of each file stands, across restarts.
//!
//! One JSON file in `data_dir/<source>/`, written anew beside the old one and put in its place, so that it is whole at
//! any moment. It is locked while a source runs: two that share it would undo each other's work.

use super::input::Place;
use super::mark::{Mark, hexadecimal};
use super::tail::Tail;
use crate::codec::framing::Parked;
use serde::{Deserialize, Serialize};
use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

const VERSION: u32 = 1;

/// Where the reading of one file stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Where the file was last seen.
    pub path: String,
    /// Its inode.
    pub inode: u64,
    /// Its first line.
    pub head: Mark,
    /// Part of every `%id`.
    #[serde(with = "hexadecimal")]
    pub fingerprint: u64,
    /// How many times it was written anew from the same first line on.
    #[serde(default)]
    pub generation: u64,
    /// Everything in front of this offset is delivered.
    pub offset: u64,
    /// From here on it is read again for those who remember.
    pub context: u64,
    /// What stands in front of `offset`; empty where it is not known.
    pub tail: Mark,
    /// Where the last line begins, if it was handed on without its newline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_line: Option<u64>,
    /// Whether the file was rotated away and not yet delivered whole: it is read on under whatever name it has, also
    /// where no pattern matches that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rotated: bool,
    /// Since when the file has been gone, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_since_ms: Option<u64>,
}

impl Checkpoint {
    /// A reading that goes on from here.
    pub fn tail(&self) -> Tail {
        Tail {
            head: Some(self.head),
            fingerprint: self.fingerprint,
            last: if self.tail.bytes > 0 { self.tail } else { Mark::of(self.offset, b"") },
            cut_line: self.cut_line,
            mended: None,
            parked: Parked::at(self.offset),
            replay_from: Some(self.context),
            generation: self.generation,
            sifted: None,
            earlier: Vec::new(),
        }
    }

    /// Whether it says enough to know a copy of its file by.
    pub fn can_be_copied(&self) -> bool {
        self.head.bytes > 0 && (self.offset == 0 || self.tail.bytes > 0)
    }

    /// Whether it was taken of the file that now lies at `place`, by its inode.
    pub fn is_at(&self, place: Place) -> bool {
        self.inode == place.inode
    }
}

#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    files: Vec<Checkpoint>,
}

/// The checkpoints of one source.
pub struct Store {
    folder: PathBuf,
    path: PathBuf,
    /// Held as long as the source runs.
    _lock: File,
    written: Vec<u8>,
}

/// What was found of an earlier run.
pub struct Earlier {
    /// Its checkpoints.
    pub checkpoints: Vec<Checkpoint>,
    /// Whether there was no earlier run.
    pub is_first_run: bool,
}

impl Store {
    /// Opens the checkpoints of the source `id`.
    pub fn open(data_dir: &Path, id: &str) -> Result<(Store, Earlier), String> {
        let folder = data_dir.join(id);
        let advice = "set `data_dir` to a folder that evaltrail may write to";
        std::fs::create_dir_all(&folder).map_err(|e| {
            format!("can't make the folder {} for checkpoints: {e}; {advice}", folder.display())
        })?;
        let lock_path = folder.join("lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&lock_path);
        let lock = lock.map_err(|e| format!("can't open {}: {e}; {advice}", lock_path.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let folder = folder.display();
                return Err(format!(
                    "another evaltrail keeps its checkpoints in {folder}: give each its own `data_dir`"
                ));
            }
            // Not every file system has locks; those that do tell of two.
            Err(TryLockError::Error(e)) => tracing::warn!("can't lock {}: {e}", lock_path.display()),
        }
        let path = folder.join("checkpoints.json");
        let (written, is_first_run) = match std::fs::read(&path) {
            Ok(written) => (written, false),
            Err(e) if e.kind() == ErrorKind::NotFound => (Vec::new(), true),
            Err(e) => return Err(format!("can't read the checkpoints in {}: {e}", path.display())),
        };
        let mut store = Store { folder, path, _lock: lock, written };
        let checkpoints = if is_first_run { Vec::new() } else { store.parse()? };
        Ok((store, Earlier { checkpoints, is_first_run }))
    }

    fn parse(&mut self) -> Result<Vec<Checkpoint>, String> {
        let path = self.path.display().to_string();
        match serde_json::from_slice::<Document>(&self.written) {
            Ok(Document { version: VERSION, files }) => Ok(files),
            Ok(Document { version, .. }) => Err(format!(
                "{path} is of version {version}, this evaltrail knows version {VERSION}; use a newer one"
            )),
            // Better twice than never: without them, everything is read from its beginning.
            Err(e) => {
                let aside = self.folder.join("checkpoints.damaged.json");
                std::fs::rename(&self.path, &aside)
                    .map_err(|e| format!("{path} is damaged and can't be put aside: {e}"))?;
                let aside = aside.display();
                tracing::error!(
                    "{path} is damaged ({e}), and put aside as {aside}: all files are read again"
                );
                self.written.clear();
                Ok(Vec::new())
            }
        }
    }

    /// Keeps `files` in the place of what was kept before; does nothing where they are the same.
    pub fn save(&mut self, files: Vec<Checkpoint>) -> io::Result<()> {
        let document = serde_json::to_vec(&Document { version: VERSION, files })?;
        if document == self.written {
            return Ok(());
        }
        let new = self.folder.join("checkpoints.new.json");
        let mut file = File::create(&new)?;
        file.write_all(&document)?;
        file.sync_all()?;
        std::fs::rename(&new, &self.path)?;
        // Without this a crash of the machine could bring the old name back; that would only cost repeats.
        File::open(&self.folder)?.sync_all()?;
        self.written = document;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_come_back_and_damaged_ones_are_put_aside() {
        let dir = std::env::temp_dir().join(format!("evaltrail-checkpoints-{}", std::process::id()));
        let (mut store, earlier) = Store::open(&dir, "logs").unwrap();
        assert!(earlier.is_first_run);
        let checkpoint = Checkpoint {
            path: "/var/log/a.log".to_owned(),
            inode: 7,
            head: Mark::of(0, b"first\n"),
            fingerprint: u64::MAX,
            generation: 1,
            offset: 9_007_199_254_740_993,
            context: 6,
            tail: Mark::of(90, b"x"),
            cut_line: Some(3),
            rotated: false,
            gone_since_ms: None,
        };
        store.save(vec![checkpoint.clone()]).unwrap();
        let second = Store::open(&dir, "logs").map(|_| ()).unwrap_err();
        assert!(second.contains("another evaltrail"), "{second}");
        drop(store);
        let (store, earlier) = Store::open(&dir, "logs").unwrap();
        assert_eq!((earlier.checkpoints, earlier.is_first_run), (vec![checkpoint], false));
        drop(store);
        std::fs::write(dir.join("logs/checkpoints.json"), "{\"version\":1,\"files\":[{").unwrap();
        let (_, earlier) = Store::open(&dir, "logs").unwrap();
        assert!(earlier.checkpoints.is_empty() && dir.join("logs/checkpoints.damaged.json").exists());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
