//! Reading a config, and showing what is wrong with it.

use super::args::{ConfigArgs, ValidateArgs};
use super::{EMBEDDED, EXIT_REFUSED, complain, print, render::render};
use crate::config::{self, BUILTIN, Diagnostic, Environment, Loaded, Source};
use std::io::{self, IsTerminal};
use std::process::ExitCode;

/// What a reader makes of a config, or everything that is wrong with it.
type Read<T> = Result<T, Vec<Diagnostic>>;

/// Reads the config that `args` name to run it. Warnings and errors go to standard error; none comes back where there is
/// an error.
pub fn load(args: &ConfigArgs, environment: Environment<'_>) -> Option<(Loaded, Vec<Source>)> {
    let (loaded, files) = read(args, |files| config::load(files, &BUILTIN, environment))?;
    show(&loaded.warnings, &files);
    Some((loaded, files))
}

/// Reads the config that `args` name, the embedded one where they name none, by `read`. Errors go to standard error.
pub fn read<T>(args: &ConfigArgs, read: impl FnOnce(&[Source]) -> Read<T>) -> Option<(T, Vec<Source>)> {
    let files = if args.config.is_empty() {
        Ok(vec![Source { name: "<embedded>".to_owned(), text: EMBEDDED.to_owned() }])
    } else {
        config::read(&args.config)
    };
    let files = match files {
        Ok(files) => files,
        Err(diagnostics) => {
            show(&diagnostics, &[]);
            return None;
        }
    };
    match read(&files) {
        Ok(made) => Some((made, files)),
        Err(diagnostics) => {
            show(&diagnostics, &files);
            None
        }
    }
}

/// Reads the config that `args` name again, to go on with it. Gives it, or nothing where there is an error, with what is
/// to be said about it.
pub fn reload(args: &ConfigArgs) -> (Option<Loaded>, String) {
    let colours = io::stderr().is_terminal();
    let files = match config::read(&args.config) {
        Ok(files) => files,
        Err(diagnostics) => return (None, render(&diagnostics, &[], colours)),
    };
    match config::load(&files, &BUILTIN, Environment::Of(&variable)) {
        Ok(loaded) => {
            let said = render(&loaded.warnings, &files, colours);
            (Some(loaded), said)
        }
        Err(diagnostics) => (None, render(&diagnostics, &files, colours)),
    }
}

/// Writes `diagnostics` to standard error.
pub fn show(diagnostics: &[Diagnostic], files: &[Source]) {
    if !diagnostics.is_empty() {
        complain(&render(diagnostics, files, io::stderr().is_terminal()));
    }
}

/// A variable of this process's environment. One that is not UTF-8 counts as not set: no config could hold it.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// `evaltrail validate`.
pub fn validate(args: &ValidateArgs) -> ExitCode {
    let environment = if args.no_environment { Environment::Absent } else { Environment::Of(&variable) };
    let read = read(&args.config, |files| config::validate(files, &BUILTIN, environment));
    let Some((loaded, files)) = read else { return EXIT_REFUSED.into() };
    show(&loaded.warnings, &files);
    if args.deny_warnings && !loaded.warnings.is_empty() {
        return EXIT_REFUSED.into();
    }
    let plan = &loaded.plan;
    let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    let mut counts = vec![
        counted(plan.sources.len(), "source"),
        counted(plan.transforms.len(), "transform"),
        counted(plan.sinks.len(), "sink"),
    ];
    counts.extend((loaded.tests > 0).then(|| counted(loaded.tests, "test")));
    print(&format!("{}: valid ({})\n", names.join(", "), counts.join(", ")))
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
