//! One open file: locked, its length known, and what is written either whole and synced or taken back.

use super::{Fsync, Manner};
use crate::delivery::disk::{self, Trouble};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::fs::{self, File, Metadata, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// A file that others keep replacing between two looks is given up for now.
const OPEN_TRIES: usize = 5;
/// How much is read at once on the way back to the last line end.
const BLOCK_BYTES: u64 = 64 * 1024;
/// Few records are as long: of a file whose last line is longer nothing is cut, it may be somebody else's.
const TORN_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// An open file that this process alone writes.
pub struct Output {
    file: File,
    /// Device and inode.
    id: (u64, u64),
    /// Bytes that are whole records, and synced where that is asked for. Nothing behind them counts.
    len: u64,
    /// Whether there may be something behind `len`: a write or a sync has failed and could not be taken back yet.
    is_unsure: bool,
    /// Whether a loss of power can't take the file's entry from its folder. Whoever made the file, this process or
    /// one that has crashed, may not have got so far.
    is_entry_synced: bool,
    /// When its last record was written: of a file that is opened again, its time of modification.
    pub written_ms: Option<u64>,
}

fn id_of(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

impl Output {
    /// Opens `path` for appending, making what is missing; cuts a torn line at its end.
    pub fn open(path: &Path, manner: &Manner) -> Result<Output, Trouble> {
        let trouble = |e: io::Error| Trouble::at(path, &e);
        for _ in 0..OPEN_TRIES {
            if let Some(prefix) = &manner.prefix {
                disk::refuse_links(path, prefix)?;
            }
            disk::make_folder(disk::folder_of(path), manner.syncs()).map_err(trouble)?;
            let is_new = match fs::metadata(path) {
                Ok(found) if found.is_file() => false,
                Ok(found) if found.is_dir() => return Err(trouble(ErrorKind::IsADirectory.into())),
                // To open a pipe would wait for its reader, and neither can be synced.
                Ok(_) => {
                    let why = "it is no regular file; for pipes and devices there is the sink `console`";
                    return Err(Trouble::because(path, why));
                }
                Err(e) if e.kind() == ErrorKind::NotFound => true,
                Err(e) => return Err(trouble(e)),
            };
            let mut options = OpenOptions::new();
            options.read(true).append(true).create(true).mode(manner.mode);
            if manner.prefix.is_some() {
                options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
            }
            let file = options.open(path).map_err(trouble)?;
            if is_new {
                // The mode that was asked for, whatever the umask.
                file.set_permissions(Permissions::from_mode(manner.mode)).map_err(trouble)?;
            }
            lock(&file, path)?;
            let found = file.metadata().map_err(trouble)?;
            let (id, len) = (id_of(&found), found.len());
            let written_ms = if len > 0 { modified_ms(&found) } else { None };
            let mut output = Output { file, id, len, is_unsure: false, is_entry_synced: false, written_ms };
            // Whoever held the lock may have rotated the file in the meantime.
            if output.is_at(path)? {
                output.cut_torn_line(path)?;
                return Ok(output);
            }
        }
        Err(Trouble::because(path, "somebody else keeps replacing it; it is tried again"))
    }

    /// Whether `path` still leads to this file: it may have been renamed, removed or replaced.
    pub fn is_at(&self, path: &Path) -> Result<bool, Trouble> {
        match fs::metadata(path) {
            Ok(found) => Ok(id_of(&found) == self.id),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
            Err(e) => Err(Trouble::at(path, &e)),
        }
    }

    /// Bytes of whole records.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Cuts what a crash has left of a record whose writing it ended.
    fn cut_torn_line(&mut self, path: &Path) -> Result<(), Trouble> {
        let trouble = |e: io::Error| Trouble::at(path, &e);
        let end = line_end(&self.file, self.len).map_err(trouble)?;
        let torn = self.len - end;
        if torn == 0 {
            return Ok(());
        }
        if torn > TORN_BYTES_MAX {
            tracing::warn!(path = %path.display(), "a file ends in a very long line without its end; it is kept");
            return self.append(b"\n", path, Fsync::Never);
        }
        self.file.set_len(end).map_err(trouble)?;
        self.len = end;
        let path = path.display();
        tracing::warn!(%path, bytes = torn, "a line that was torn at the end of a file is cut; it was not delivered");
        Ok(())
    }

    /// Makes `len` true again: takes back what could not be taken back before, and finds out whether somebody else
    /// has cut the file or written to it.
    pub fn realign(&mut self, path: &Path) -> Result<(), Trouble> {
        let trouble = |e: io::Error| Trouble::at(path, &e);
        if self.is_unsure {
            self.file.set_len(self.len).map_err(trouble)?;
            self.is_unsure = false;
        }
        let found = self.file.metadata().map_err(trouble)?.len();
        if found == self.len {
            return Ok(());
        }
        tracing::warn!(path = %path.display(), was = self.len, is = found, "somebody else has changed the length of a file");
        self.len = found;
        // Cut in the middle of a line, or written to without a line end: ours begins on a line of its own.
        if line_end(&self.file, found).map_err(trouble)? != found {
            self.append(b"\n", path, Fsync::Never)?;
        }
        Ok(())
    }

    /// Writes `records` behind the others. Once it returns, they are there to stay; where it fails, there is nothing
    /// of them, or nothing will be before the next write.
    pub fn append(&mut self, records: &[u8], path: &Path, fsync: Fsync) -> Result<(), Trouble> {
        self.is_unsure = true;
        match self.write_and_sync(records, path, fsync) {
            Ok(()) => {
                self.is_unsure = false;
                self.len += records.len() as u64;
                Ok(())
            }
            // A sync that has failed says nothing about what it was for: all of it is written again.
            Err(e) => {
                if self.file.set_len(self.len).is_ok() {
                    self.is_unsure = false;
                }
                Err(Trouble::at(path, &e))
            }
        }
    }

    fn write_and_sync(&mut self, records: &[u8], path: &Path, fsync: Fsync) -> io::Result<()> {
        self.file.write_all(records)?;
        if fsync == Fsync::Batch {
            self.file.sync_data()?;
            if !self.is_entry_synced {
                let folder =
                    |e: io::Error| io::Error::new(e.kind(), format!("its folder can't be synced: {e}"));
                disk::sync_folder_of(path).map_err(folder)?;
                self.is_entry_synced = true;
            }
        }
        Ok(())
    }

    /// Whether no name leads to the file any more: with the last handle, everything in it will be gone.
    pub fn is_removed(&self, path: &Path) -> bool {
        // Some file systems count no links at all.
        self.file.metadata().is_ok_and(|found| found.nlink() == 0) && !self.is_at(path).unwrap_or(false)
    }

    /// The file that `path` stands for, where it is a symbolic link: that is what is rotated.
    pub fn real_path(&self, path: &Path) -> Result<PathBuf, Trouble> {
        let found = fs::symlink_metadata(path).map_err(|e| Trouble::at(path, &e))?;
        if !found.is_symlink() {
            return Ok(path.to_owned());
        }
        fs::canonicalize(path).map_err(|e| Trouble::at(path, &e))
    }
}

fn lock(file: &File, path: &Path) -> Result<(), Trouble> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            let why =
                "another evaltrail, or another sink of this one, writes to it; give each a file of its own";
            Err(Trouble::because(path, why))
        }
        // Not every network file system has locks.
        Err(TryLockError::Error(e)) if e.kind() == ErrorKind::Unsupported || is_without_locks(&e) => {
            tracing::debug!(path = %path.display(), "the file system has no locks");
            Ok(())
        }
        Err(TryLockError::Error(e)) => Err(Trouble(format!("{}: can't be locked: {e}", path.display()))),
    }
}

fn is_without_locks(e: &io::Error) -> bool {
    e.raw_os_error() == Some(Errno::NOLCK.raw_os_error())
}

fn modified_ms(found: &Metadata) -> Option<u64> {
    let since = found.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

/// The offset behind the last line end in the first `len` bytes, found from the back in blocks.
fn line_end(file: &File, len: u64) -> io::Result<u64> {
    let mut block = [0; BLOCK_BYTES as usize];
    let mut end = len;
    // The last byte alone tells of nearly every file that nothing is torn.
    let mut size = 1;
    while end > 0 {
        let start = end.saturating_sub(size);
        let part = block.get_mut(..(end - start) as usize).unwrap_or_default();
        file.read_exact_at(part, start)?;
        if let Some(at) = memchr::memrchr(b'\n', part) {
            return Ok(start + at as u64 + 1);
        }
        if len - start > TORN_BYTES_MAX {
            return Ok(start);
        }
        (end, size) = (start, BLOCK_BYTES);
    }
    Ok(0)
}
