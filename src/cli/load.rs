//! Reading a config, and showing what is wrong with it.

use super::args::{ConfigArgs, ValidateArgs};
use super::{EMBEDDED, EXIT_REFUSED, complain, print, render::render};
use crate::config::{self, BUILTIN, Diagnostic, Environment, Loaded, Source};
use std::io::{self, IsTerminal};
use std::process::ExitCode;

/// Reads the config that `args` name, the embedded one where they name none. Warnings and errors go to standard
/// error; none comes back where there is an error.
pub fn load(args: &ConfigArgs, environment: Environment<'_>) -> Option<(Loaded, Vec<Source>)> {
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
    match config::load(&files, &BUILTIN, environment) {
        Ok(loaded) => {
            show(&loaded.warnings, &files);
            Some((loaded, files))
        }
        Err(diagnostics) => {
            show(&diagnostics, &files);
            None
        }
    }
}

fn show(diagnostics: &[Diagnostic], files: &[Source]) {
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
    let Some((loaded, files)) = load(&args.config, environment) else { return EXIT_REFUSED.into() };
    if args.deny_warnings && !loaded.warnings.is_empty() {
        return EXIT_REFUSED.into();
    }
    let plan = &loaded.plan;
    let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    let counts = [
        counted(plan.sources.len(), "source"),
        counted(plan.transforms.len(), "transform"),
        counted(plan.sinks.len(), "sink"),
    ];
    print(&format!("{}: valid ({})\n", names.join(", "), counts.join(", ")))
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
