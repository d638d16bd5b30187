//! Reading config files: the only I/O of this layer.

use super::diagnostic::{Diagnostic, Source};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Size of a config file at most, in bytes: enough for thousands of components, and a log given by mistake does not
/// fill the memory.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What standard input is called.
const STDIN: &str = "<stdin>";

/// Reads config files: each path is a file, a folder (all `*.toml` in it, sorted, not deeper), or `-` for standard
/// input.
///
/// # Errors
///
/// One diagnostic, without a place, for each path that can't be read.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Source>, Vec<Diagnostic>> {
    let mut sources = Vec::new();
    let mut faults = Vec::new();
    for path in paths {
        let read = if path.as_os_str() == "-" {
            read_text(io::stdin().lock()).map(|text| vec![Source { name: STDIN.to_owned(), text }])
        } else if path.is_dir() {
            read_folder(path)
        } else {
            read_file(path).map(|source| vec![source])
        };
        match read {
            Ok(read) => sources.extend(read),
            Err(error) => faults.push(unreadable(path, &error)),
        }
    }
    if faults.is_empty() { Ok(sources) } else { Err(faults) }
}

/// Reads a file that is part of a config because an option names it.
///
/// # Errors
///
/// Why it can't be read, without its name.
pub(super) fn read_named(path: &Path) -> Result<String, String> {
    File::open(path).and_then(read_text).map_err(|error| error.to_string())
}

fn read_folder(folder: &Path) -> io::Result<Vec<Source>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "no `*.toml` file in this folder"));
    }
    paths.iter().map(|path| read_file(path)).collect()
}

fn read_file(path: &Path) -> io::Result<Source> {
    let text = read_text(File::open(path)?)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    Ok(Source { name: path.display().to_string(), text })
}

fn read_text(input: impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    input.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let message = format!("larger than {FILE_BYTES_MAX} bytes, which no config should be");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
        let line = 1 + line.filter(|byte| **byte == b'\n').count();
        io::Error::new(io::ErrorKind::InvalidData, format!("line {line} is not UTF-8"))
    })
}

fn unreadable(path: &Path, error: &io::Error) -> Diagnostic {
    let name = if path.as_os_str() == "-" { STDIN.to_owned() } else { path.display().to_string() };
    let help = match error.kind() {
        io::ErrorKind::NotFound => Some("`evaltrail init` prints a config to start from".to_owned()),
        _ => None,
    };
    Diagnostic::error(format!("can't read the config `{name}`: {error}")).help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_its_toml_files_in_order() {
        let folder = std::env::temp_dir().join(format!("evaltrail-config-{}", std::process::id()));
        fs::create_dir_all(folder.join("deeper.toml")).unwrap();
        for (name, text) in [("b.toml", "b = 1"), ("a.toml", "a = 1"), ("c.yaml", "c: 1")] {
            fs::write(folder.join(name), text).unwrap();
        }
        fs::write(folder.join("bad.txt"), b"a\nb = \"\xff\"").unwrap();
        let sources = read(std::slice::from_ref(&folder)).unwrap();
        let texts: Vec<&str> = sources.iter().map(|source| source.text.as_str()).collect();
        assert_eq!(texts, ["a = 1", "b = 1"]);
        let faults = read(&[folder.join("bad.txt"), folder.join("none.toml")]).unwrap_err();
        assert_eq!(faults.len(), 2);
        assert!(faults[0].title.contains("line 2 is not UTF-8"), "{}", faults[0].title);
        assert!(faults[1].help.is_some());
        fs::remove_dir_all(folder).unwrap();
    }
}
