//! Syncing many small files: together they take little longer than one, since a file system joins what is asked of it at
//! the same time.

use crate::delivery::disk::Trouble;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::thread;

/// Files that are synced at a time.
const THREADS: usize = 8;

/// A file or folder that was written and has to be synced.
pub struct Unsynced {
    /// Where it is, for a message.
    pub path: PathBuf,
    /// The file.
    pub file: File,
}

impl Unsynced {
    fn sync(&self) -> io::Result<()> {
        match self.file.sync_all() {
            // Some network file systems have no such call on folders: they keep entries by themselves.
            Err(e) if matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
            done => done,
        }
    }
}

/// Syncs all of them.
///
/// # Errors
///
/// What the system says of one that could not be.
pub fn sync_all(files: &[Unsynced]) -> Result<(), Trouble> {
    let run = |files: &[Unsynced]| {
        files.iter().try_for_each(|one| one.sync().map_err(|e| Trouble::at(&one.path, &e)))
    };
    let each = files.len().div_ceil(THREADS).max(1);
    let mut parts = files.chunks(each);
    let own = parts.next().unwrap_or_default();
    thread::scope(|scope| {
        let others: Vec<_> =
            parts.map(|part| (part, thread::Builder::new().spawn_scoped(scope, move || run(part)))).collect();
        let mut done = run(own);
        for (part, other) in others {
            let other = match other {
                Ok(other) => other.join().unwrap_or_else(|_| run(part)),
                // No thread to be had: it takes longer.
                Err(_) => run(part),
            };
            done = done.and(other);
        }
        done
    })
}
