//! A file of dead letters that is being sent again: put aside under another name, so that what is refused once more
//! begins a new file, and nobody else sends the same letters.

use super::{give_to_owner_of, open_locked, whole_lines};
use crate::delivery::disk;
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// What the name of a file that was put aside ends in.
const ASIDE: &str = ".replaying";

/// Why a file can't be had.
#[derive(Debug)]
pub enum TakeError {
    /// It is a device, a pipe or a folder.
    NoFile,
    /// Another process sends letters of its folder again.
    Busy,
    /// It can't be read or put aside.
    Io(io::Error),
}

impl From<io::Error> for TakeError {
    fn from(e: io::Error) -> TakeError {
        TakeError::Io(e)
    }
}

/// A file of letters that is ours alone. Dropped, it stays aside, and the next one who takes it puts it back first.
#[derive(Debug)]
pub struct Taken {
    path: PathBuf,
    aside: PathBuf,
    /// The folder, locked: one process at a time sends letters of it again.
    _folder: File,
}

impl Taken {
    /// Takes the letters in the file at `path`; a link is followed.
    pub fn take(path: &Path) -> Result<Taken, TakeError> {
        let path = match fs::canonicalize(path) {
            // A run that was killed may have left it aside.
            Err(e) if e.kind() == io::ErrorKind::NotFound && aside_of(path).exists() => path.to_owned(),
            found => found?,
        };
        let aside = aside_of(&path);
        if path.exists() && !fs::metadata(&path)?.is_file() {
            return Err(TakeError::NoFile);
        }
        let folder = File::open(disk::folder_of(&path))?;
        match folder.try_lock() {
            Err(TryLockError::WouldBlock) => return Err(TakeError::Busy),
            // Not every file system has locks.
            Err(TryLockError::Error(e)) if e.kind() != io::ErrorKind::Unsupported => return Err(e.into()),
            _ => {}
        }
        let taken = Taken { path, aside, _folder: folder };
        if taken.aside.exists() {
            taken.put_back(|_| true)?;
        }
        // Locked for a moment: whoever is writing to it finishes, and finds that it is no longer there.
        let file = open_locked(&taken.path)?;
        fs::rename(&taken.path, &taken.aside)?;
        drop(file);
        disk::sync_folder_of(&taken.path)?;
        Ok(taken)
    }

    /// Its lines.
    pub fn lines(&self) -> io::Result<BufReader<File>> {
        Ok(BufReader::new(File::open(&self.aside)?))
    }

    /// Puts those lines back for which `stays` holds, by their number from 0, and says how many they are. A file
    /// without lines is gone.
    pub fn give_back(self, stays: impl Fn(usize) -> bool) -> io::Result<u64> {
        self.put_back(stays)
    }

    fn put_back(&self, stays: impl Fn(usize) -> bool) -> io::Result<u64> {
        let aside = File::open(&self.aside)?;
        let (mut reader, mut line, mut left) = (BufReader::new(&aside), Vec::new(), 0);
        let mut out: Option<BufWriter<File>> = None;
        for at in 0.. {
            line.clear();
            if reader.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            if !stays(at) {
                continue;
            }
            if !line.ends_with(b"\n") {
                line.push(b'\n');
            }
            let out = match &mut out {
                Some(out) => out,
                None => out.insert(BufWriter::new(self.open_end(&aside)?)),
            };
            out.write_all(&line)?;
            left += 1;
        }
        if let Some(out) = out {
            out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        }
        fs::remove_file(&self.aside)?;
        disk::sync_folder_of(&self.path)?;
        Ok(left)
    }

    /// The file that letters are put back into, at its end. One that is made is like the one that was put aside.
    fn open_end(&self, like: &File) -> io::Result<File> {
        let is_new = !self.path.exists();
        let mut file = open_locked(&self.path)?;
        if is_new {
            let like = like.metadata()?;
            give_to_owner_of(&file, &like);
            file.set_permissions(like.permissions())?;
        }
        let end = whole_lines(&mut file)?;
        file.set_len(end)?;
        file.seek(SeekFrom::Start(end))?;
        Ok(file)
    }
}

fn aside_of(path: &Path) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(ASIDE);
    PathBuf::from(name)
}
