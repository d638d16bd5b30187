//! `evaltrail trail`: keys of trails, and what can be done with a trail on disk.

mod keygen;
mod show;

use clap::Subcommand;
use std::process::ExitCode;

/// What can be done with trails.
#[derive(Debug, Subcommand)]
pub enum TrailCommand {
    /// Makes a key for a trail: writes what signs into a file, prints what checks
    Keygen(keygen::KeygenArgs),
    /// Shows the records of a trail: who could run what code, and when
    #[command(long_about = show::ABOUT)]
    Show(show::ShowArgs),
}

/// Does it.
pub fn run(command: &TrailCommand) -> ExitCode {
    match command {
        TrailCommand::Keygen(args) => keygen::run(args),
        TrailCommand::Show(args) => show::run(args),
    }
}
