//! Where the prompt remembers what was said to it.

use std::path::PathBuf;

/// The file: below `XDG_STATE_HOME`, or `~/.local/state` without it; none where there is no home either. `variable`
/// reads the environment.
pub fn file(variable: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    // A relative path is to be ignored, as the specification of these folders says.
    let folder = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")))?;
    Some(state.join("evaltrail/vrl_history"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_where_state_belongs() {
        let at = |state: Option<&str>, home: Option<&str>| {
            let variable = |name: &str| if name == "HOME" { home } else { state }.map(str::to_owned);
            file(variable).map(|path| path.display().to_string())
        };
        assert_eq!(at(Some("/s"), Some("/h")).as_deref(), Some("/s/evaltrail/vrl_history"));
        assert_eq!(at(Some("s"), Some("/h")).as_deref(), Some("/h/.local/state/evaltrail/vrl_history"));
        assert_eq!(at(None, None), None);
    }
}
