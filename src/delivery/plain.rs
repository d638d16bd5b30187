//! Paths as a config may spell them.

use std::path::{Component, Path, PathBuf, absolute};

/// A path from the root on, without the detours (`./`, `//`, `x/..`) that can be told from its text: two that are the same
/// then lead to one file. It may be a pattern, or hold placeholders; links are not followed.
pub fn plain(path: &str) -> String {
    let whole = absolute(path).unwrap_or_else(|_| Path::new(path).to_owned());
    let mut plain = PathBuf::new();
    for part in whole.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_a_path_are_one() {
        for path in ["/a/b/%Y.log", "/a//b/./%Y.log", "/a/c/../b/%Y.log", "/../a/b/%Y.log"] {
            assert_eq!(plain(path), "/a/b/%Y.log");
        }
        let here = std::env::current_dir().unwrap().display().to_string();
        assert_eq!(plain("."), here);
        for path in ["x/*.log", "./x/*.log", "y/../x//*.log"] {
            assert_eq!(plain(path), format!("{here}/x/*.log"));
        }
    }
}
