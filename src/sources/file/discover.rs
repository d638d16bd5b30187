//! Finds the files that a source reads.

use super::input::Place;
use crate::delivery::plain;
use glob::{MatchOptions, Pattern, PatternError};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Looks after which two have to agree.
const AGREE_MAX: usize = 100;

/// As a shell has it: a star stops at a slash, and hidden files are only matched by a dot.
const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// A file that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where.
    pub path: PathBuf,
    /// Its inode.
    pub place: Place,
    /// Its length in bytes, as it lies there.
    pub len: u64,
    /// When it was last written to, in milliseconds since 1970.
    pub modified_ms: u64,
}

impl Found {
    /// The regular file at `path`.
    pub fn at(path: &Path) -> Option<Found> {
        let metadata = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
        let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified_ms = modified.map_or(0, |since| since.as_millis() as u64);
        Some(Found { path: path.to_owned(), place: Place::of(&metadata), len: metadata.len(), modified_ms })
    }
}

/// What to look for.
#[derive(Debug)]
pub struct Patterns {
    include: Vec<String>,
    exclude: Vec<Pattern>,
}

impl Patterns {
    /// `Err` names the pattern that is none.
    pub fn new(include: &[String], exclude: &[String]) -> Result<Patterns, (String, PatternError)> {
        let parse = |text: &String| Pattern::new(text).map_err(|e| (text.clone(), e));
        for text in include {
            parse(text)?;
        }
        let exclude = exclude.iter().map(parse).collect::<Result<_, _>>()?;
        Ok(Patterns { include: include.to_vec(), exclude })
    }

    /// Whether a file of this path would be read.
    pub fn fits(&self, path: &str) -> bool {
        let (whole, here) = (plain(path), plain("."));
        let here = here.trim_end_matches('/');
        self.include.iter().any(|text| {
            let is_whole = text.starts_with('/');
            let text = match is_whole {
                true => plain(text),
                false => format!("{}/{}", Pattern::escape(here), relative(text)),
            };
            // A pattern sees names as `include` leads to them.
            let name = whole.strip_prefix(here).and_then(|name| name.strip_prefix('/'));
            let name = name.filter(|_| !is_whole).unwrap_or(&whole);
            Pattern::new(&text).is_ok_and(|yes| yes.matches_with(&whole, OPTIONS))
                && !self.exclude.iter().any(|no| no.matches_with(name, OPTIONS))
        })
    }

    /// The same, looked for until two looks agree: a file that is renamed meanwhile can be missed by one. What could not be
    /// looked into is added to `failed`.
    pub fn find_settled(&self, failed: &mut Vec<String>) -> Vec<Found> {
        let names = |all: &[Found]| -> BTreeSet<(PathBuf, Place)> {
            all.iter().map(|found| (found.path.clone(), found.place)).collect()
        };
        let mut found = self.find(drop);
        for _ in 0..AGREE_MAX {
            let before = names(&found);
            failed.clear();
            found = self.find(|why| failed.push(why));
            if names(&found) == before {
                break;
            }
        }
        found
    }

    /// The files that match, each once, the oldest first; `trouble` hears of folders that can't be read.
    pub fn find(&self, mut trouble: impl FnMut(String)) -> Vec<Found> {
        let mut found = Vec::new();
        let mut places = BTreeSet::new();
        for pattern in &self.include {
            if let Some(why) = closed(pattern) {
                trouble(why);
                continue;
            }
            for path in glob::glob_with(pattern, OPTIONS).into_iter().flatten() {
                match path {
                    Err(e) => trouble(format!("{}: {}", e.path().display(), e.error())),
                    Ok(path) if self.exclude.iter().any(|no| no.matches_path_with(&path, OPTIONS)) => {}
                    // Two names of one file: its links are one log.
                    Ok(path) => found.extend(Found::at(&path).filter(|found| places.insert(found.place))),
                }
            }
        }
        // Of files of one age (a copy keeps it), the higher number is the older one.
        found.sort_by(|a, b| a.modified_ms.cmp(&b.modified_ms).then_with(|| b.path.cmp(&a.path)));
        found
    }
}

/// A pattern below the current folder, without detours.
fn relative(text: &str) -> String {
    plain(&format!("/{text}")).trim_start_matches('/').to_owned()
}

/// Why nothing below the folder can be found that all files of a pattern lie in: a name in a folder that may not be searched
/// looks as if it were not there.
fn closed(pattern: &str) -> Option<String> {
    let literal = pattern.split(['*', '?', '[']).next()?;
    let folder = literal.rsplit_once('/').map(|(folder, _)| folder).filter(|folder| !folder.is_empty())?;
    // The dot asks for the right to search the folder itself.
    let e = std::fs::metadata(format!("{folder}/.")).err()?;
    (e.kind() == ErrorKind::PermissionDenied).then(|| format!("{folder}: {e}"))
}

/// What the names of a log and of its rotated files have in common: `app.log` of `app.log.2.gz`, of `app.log-20261122`,
/// and of `app.log.2.tmp`, which the kubelet packs into before it gives the name its `.gz`.
pub fn stem(path: &Path) -> PathBuf {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return path.to_owned() };
    let is_rotated = |name: &&str| name.ends_with(|c: char| c.is_ascii_digit());
    let mut stem = name.strip_suffix(".tmp").filter(is_rotated).unwrap_or(name);
    for end in [".gz", ".zst"] {
        stem = stem.strip_suffix(end).unwrap_or(stem);
    }
    let digits =
        stem.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '-' | '_' | 'T' | 'Z' | ':'));
    if let Some(base) = digits.strip_suffix('.').filter(|_| digits.len() < stem.len()) {
        stem = base;
    } else if digits.len() + 8 <= stem.len() {
        stem = digits.trim_end_matches('.');
    }
    path.with_file_name(if stem.is_empty() { name } else { stem })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_rotated_files_lead_to_their_log() {
        for (name, log) in [
            ("app.log", "app.log"),
            ("app.log.1", "app.log"),
            ("app.log.12.gz", "app.log"),
            ("app.log.1.zst", "app.log"),
            ("app.log-20261122", "app.log"),
            ("app.log-20261122.gz", "app.log"),
            ("app.log.2026-11-22", "app.log"),
            ("app.log.2026-11-22T10:00:00Z", "app.log"),
            ("app.gz", "app"),
            ("0.log.20251006-090301", "0.log"),
            ("0.log.20251006-090301.tmp", "0.log"),
            ("app.tmp", "app.tmp"),
            ("app.tmp.1", "app.tmp"),
            ("7.log", "7.log"),
            ("123", "123"),
            ("file12.log", "file12.log"),
            ("log10", "log10"),
            ("0.log.3", "0.log"),
        ] {
            assert_eq!(stem(Path::new("/d").join(name).as_path()), Path::new("/d").join(log), "{name}");
        }
    }

    #[test]
    fn a_star_stops_at_a_slash_and_two_names_of_a_file_are_one() {
        let dir = std::env::temp_dir().join(format!("evaltrail-discover-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("sub")).unwrap();
        for name in ["a.log", "b.log", "b.tmp", ".c.log", "sub/d.log"] {
            std::fs::write(dir.join(name), name).unwrap();
        }
        std::fs::hard_link(dir.join("a.log"), dir.join("e.log")).unwrap();
        let names = |include: &[&str], exclude: &[&str]| {
            let full = |patterns: &[&str]| -> Vec<String> {
                patterns.iter().map(|pattern| format!("{}/{pattern}", dir.display())).collect()
            };
            let patterns = Patterns::new(&full(include), &full(exclude)).unwrap();
            let found = patterns.find(|e| panic!("{e}"));
            let mut names: Vec<String> = found
                .iter()
                .map(|found| found.path.strip_prefix(&dir).unwrap().display().to_string())
                .collect();
            names.sort();
            names
        };
        assert_eq!(names(&["*.log"], &[]), ["a.log", "b.log"]);
        assert_eq!(names(&["**/*.log", "b.*"], &["b.log"]), ["a.log", "b.tmp", "sub/d.log"]);
        assert_eq!(names(&["*"], &["*.log"]), ["b.tmp"]);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
