//! What is asked of the file system to keep what was delivered, with errors for people.

use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path};

/// Folders that are made on the way to a file: for their owner, and for the group to read.
const FOLDER_MODE: u32 = 0o750;

/// Something did not work; it may, once an operator has seen to it.
#[derive(Debug)]
pub struct Trouble(pub String);

impl Trouble {
    /// `cause` came in the way of something at `path`.
    pub fn at(path: &Path, cause: &io::Error) -> Trouble {
        Trouble(format!("{}: {cause}{}", path.display(), advice(cause)))
    }

    /// `why` it does not work at `path`, and what to do.
    pub fn because(path: &Path, why: &str) -> Trouble {
        Trouble(format!("{}: {why}", path.display()))
    }
}

fn advice(cause: &io::Error) -> &'static str {
    match cause.kind() {
        ErrorKind::StorageFull => "; free some space: nothing is lost meanwhile",
        ErrorKind::QuotaExceeded => "; raise the quota or free some space: nothing is lost meanwhile",
        ErrorKind::FileTooLarge => "; raise the limit on the size of files: nothing is lost meanwhile",
        ErrorKind::PermissionDenied => "; let the user that this runs as write there",
        ErrorKind::ReadOnlyFilesystem => "; make it writable (under systemd: `ReadWritePaths=` of the unit)",
        ErrorKind::IsADirectory => "; a folder is in the place of the file",
        ErrorKind::NotADirectory => "; a file is in the place of a folder",
        _ => "",
    }
}

/// The folder that holds `path`.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Makes sure that the entries of the folder around `path` outlive a loss of power.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    match File::open(folder_of(path))?.sync_all() {
        // Some network file systems have no such call on folders: they keep entries by themselves.
        Err(e) if matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        done => done,
    }
}

/// Makes `folder` and what is missing above it.
pub fn make_folder(folder: &Path, sync: bool) -> io::Result<()> {
    match fs::metadata(folder) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => return Err(ErrorKind::NotADirectory.into()),
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
        Err(_) => {}
    }
    make_folder(folder_of(folder), sync)?;
    match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => Err(e),
        _ if sync => sync_folder_of(folder),
        _ => Ok(()),
    }
}

/// Refuses a path of which a part below `prefix` is a symbolic link: it could lead out of that folder.
pub fn refuse_links(path: &Path, prefix: &Path) -> Result<(), Trouble> {
    let mut at = prefix.to_owned();
    for part in path.strip_prefix(prefix).unwrap_or(path).components() {
        if !matches!(part, Component::Normal(_)) {
            continue;
        }
        at.push(part);
        match fs::symlink_metadata(&at) {
            Ok(found) if found.is_symlink() => {
                let why = "it is a symbolic link, and a path with parts that change follows none; remove it";
                return Err(Trouble::because(&at, why));
            }
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(Trouble::at(&at, &e)),
        }
    }
    Ok(())
}

/// Opens a regular file for reading: to open a pipe would wait for its writer, however long.
///
/// # Errors
///
/// What the system says; what is no regular file is [`ErrorKind::InvalidInput`].
pub fn open_regular(path: &Path) -> io::Result<File> {
    let file =
        OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(ErrorKind::InvalidInput, "it is no regular file")),
    }
}

/// Gives a file another name that no file has yet.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system knows how to.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => match fs::symlink_metadata(to) {
            Ok(_) => Err(ErrorKind::AlreadyExists.into()),
            Err(e) if e.kind() == ErrorKind::NotFound => fs::rename(from, to),
            Err(e) => Err(e),
        },
        done => Ok(done?),
    }
}
