//! `evaltrail graph` and `completions`.

use super::args::{Cli, GraphArgs, GraphFormat};
use super::load::{load, variable};
use super::{EXIT_REFUSED, print};
use crate::config::Environment;
use crate::topology::{Drawing, draw};
use clap::CommandFactory;
use clap_complete::Shell;
use std::process::ExitCode;

/// Draws a pipeline.
pub fn run(args: &GraphArgs) -> ExitCode {
    let Some((loaded, _)) = load(&args.config, Environment::Of(&variable)) else {
        return EXIT_REFUSED.into();
    };
    let how = match args.format {
        GraphFormat::Text => Drawing::Text,
        GraphFormat::Mermaid => Drawing::Mermaid,
        GraphFormat::Dot => Drawing::Dot,
    };
    print(&draw(&loaded.plan, how))
}

/// Prints what a shell reads to complete our words.
pub fn completions(shell: Shell) -> ExitCode {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "evaltrail", &mut out);
    print(&String::from_utf8_lossy(&out))
}
