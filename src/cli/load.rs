//! Reading a config, and showing what is wrong with it.

use super::args::{ConfigArgs, ValidateArgs};
use super::log::{is_journal, is_json, priority};
use super::{EMBEDDED, EXIT_REFUSED, complain, print, render::render};
use crate::config::{self, BUILTIN, Diagnostic, Environment, Loaded, Severity, Source};
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use tracing::Level;

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

/// Writes `diagnostics` to standard error; as lines of the log, where that is for programs, and with its level in front of
/// each line, where that is the journal.
pub fn show(diagnostics: &[Diagnostic], files: &[Source]) {
    if is_json() {
        for one in diagnostics {
            let drawn = render(std::slice::from_ref(one), files, false);
            match one.severity {
                Severity::Error => tracing::error!("{drawn}"),
                Severity::Warning => tracing::warn!("{drawn}"),
            }
        }
    } else if is_journal() {
        for one in diagnostics {
            let mark = priority(match one.severity {
                Severity::Error => Level::ERROR,
                Severity::Warning => Level::WARN,
            });
            let drawn = render(std::slice::from_ref(one), files, false);
            complain(&drawn.lines().map(|line| format!("{mark}{line}\n")).collect::<String>());
        }
    } else if !diagnostics.is_empty() {
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
