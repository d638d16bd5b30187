//! `evaltrail trail`: keys of trails, and what can be done with a trail on disk.

mod check_proof;
mod keygen;
mod prove;
mod pubkey;
mod show;
mod verify;

use super::{EXIT_REFUSED, complain};
use crate::trail::key::VerifierKey;
use clap::Subcommand;
use std::path::Path;
use std::process::ExitCode;

/// What can be done with trails.
#[derive(Debug, Subcommand)]
pub enum TrailCommand {
    /// Makes a key for a trail: writes what signs into a file, prints what checks
    Keygen(keygen::KeygenArgs),
    /// Prints what checks, once more, from the file of what signs
    Pubkey(pubkey::PubkeyArgs),
    /// Shows the records of a trail: who could run what code, and when
    #[command(long_about = show::ABOUT)]
    Show(show::ShowArgs),
    /// Checks every record, tile and signature of a trail; says which record is the first that does not fit, and why
    Verify(verify::VerifyArgs),
    /// Prints a proof that a record is in a trail, which can be checked without the trail
    Prove(prove::ProveArgs),
    /// Checks such a proof, and prints the record
    CheckProof(check_proof::CheckProofArgs),
}

/// Does it.
pub fn run(command: &TrailCommand) -> ExitCode {
    match command {
        TrailCommand::Keygen(args) => keygen::run(args),
        TrailCommand::Pubkey(args) => pubkey::run(args),
        TrailCommand::Show(args) => show::run(args),
        TrailCommand::Verify(args) => verify::run(args),
        TrailCommand::Prove(args) => prove::run(args),
        TrailCommand::CheckProof(args) => check_proof::run(args),
    }
}

/// The key that checks, given as its text or as the file that holds it.
fn key_of(given: &str) -> Result<VerifierKey, String> {
    if Path::new(given).is_file() {
        return VerifierKey::read(Path::new(given));
    }
    VerifierKey::parse(given).map_err(|e| format!("--key: {e}"))
}

/// Says why nothing was done.
fn refuse(why: &str) -> ExitCode {
    complain(&format!("evaltrail: {why}\n"));
    EXIT_REFUSED.into()
}
