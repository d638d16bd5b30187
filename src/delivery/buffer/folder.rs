//! The folder of a buffer: what its files are called, and who may write there.

use super::cursor::FILE;
use crate::delivery::disk;
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const LOCK: &str = "lock";
const SEGMENT: &str = ".seg";
/// Digits of a sequence number, so that names sort as numbers do.
const DIGITS: usize = 20;

/// Name of the segment whose first record has this number.
pub fn segment_name(first: u64) -> String {
    format!("{first:0DIGITS$}{SEGMENT}")
}

/// The number in the name of a segment; none where it is the name of something else.
pub fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SEGMENT)?;
    (digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| digits.parse().ok())?
}

/// The segments in `folder`, in order.
pub fn segments(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if let Some(number) = entry.file_name().to_str().and_then(number_of) {
            found.push((number, entry.path()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Whether the disk itself can't give what is asked of it, so that no other try will.
pub fn is_unreadable(e: &io::Error) -> bool {
    let bad = [Errno::IO, Errno::BADMSG, Errno::UCLEAN].map(Errno::raw_os_error);
    e.kind() == ErrorKind::IsADirectory || e.raw_os_error().is_some_and(|code| bad.contains(&code))
}

/// A name in `folder` that nothing has: `name`, with a number where it is taken.
pub fn free_name(folder: &Path, name: String) -> String {
    let is_free = |name: &String| folder.join(name).symlink_metadata().is_err();
    let numbered = (2u64..).map(|number| format!("{name}-{number}"));
    let mut names = std::iter::once(name.clone()).chain(numbered);
    names.find(is_free).unwrap_or(name)
}

/// Refuses what is no folder of a buffer, in words for people.
pub fn refuse_other(folder: &Path) -> Result<(), String> {
    let shown = folder.display();
    let about = "a buffer on disk is a folder with a cursor and segments: `<data_dir>/buffers/<sink id>`";
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => {
            return Err(format!("there is no folder {shown}; {about}"));
        }
        Err(e) if e.kind() == ErrorKind::NotADirectory => {
            return Err(format!("{shown} is a file, and {about}"));
        }
        Err(e) => return Err(format!("can't look into {shown}: {e}")),
    };
    // What a repair has put aside, or is at, is a buffer's too.
    let is_its_own = |name: &str| {
        let is_segment = |at: usize| name.get(..at).and_then(number_of).is_some();
        name == FILE
            || name.starts_with("cursor.damaged")
            || ["repair.new", "repair.ready", "repair.move"].contains(&name)
            || is_segment(DIGITS + SEGMENT.len())
    };
    for entry in entries {
        let entry = entry.map_err(|e| format!("can't look into {shown}: {e}"))?;
        if entry.file_name().to_str().is_some_and(is_its_own) {
            return Ok(());
        }
    }
    Err(format!("{shown} has no buffer in it: {about}"))
}

/// Why a folder can't be had.
#[derive(Debug)]
pub enum NotLocked {
    /// Another process has it.
    Taken,
    /// It can't be opened at all.
    Failed(String),
}

/// Takes the folder for this process, as long as what comes back is kept.
pub fn lock(folder: &Path) -> Result<File, NotLocked> {
    let path = folder.join(LOCK);
    let mut options = OpenOptions::new();
    let lock = options.create(true).truncate(false).write(true).mode(super::cursor::FILE_MODE).open(&path);
    let lock = lock.map_err(|e| NotLocked::Failed(disk::Trouble::at(&path, &e).0))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(NotLocked::Taken),
        // Not every file system has locks; those that do tell of two.
        Err(TryLockError::Error(e)) => {
            tracing::warn!("can't lock {}: {e}", path.display());
            Ok(lock)
        }
    }
}

/// Whether a process has the folder. Makes nothing, so that whoever asks leaves no file of their own there.
pub fn is_locked(folder: &Path) -> bool {
    File::open(folder.join(LOCK)).is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
}

/// `path` as it is typed in a shell.
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_numbers() {
        for number in [0, 7, u64::MAX] {
            assert_eq!(number_of(&segment_name(number)), Some(number));
        }
        for name in ["7.seg", "cursor", "00000000000000000001.seg.damaged-5", "99999999999999999999.seg"] {
            assert_eq!(number_of(name), None, "{name}");
        }
    }

    #[test]
    fn a_command_can_be_typed() {
        assert_eq!(quoted(Path::new("/var/lib/x_1")), "/var/lib/x_1");
        assert_eq!(quoted(Path::new("/a b/it's")), r"'/a b/it'\''s'");
    }
}
