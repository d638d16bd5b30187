//! `evaltrail trail pubkey`.

use crate::cli::print;
use crate::trail::key::SignerKey;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Of which key.
#[derive(Debug, Args)]
pub struct PubkeyArgs {
    /// The file that `trail keygen` has written
    #[arg(long, value_name = "FILE", default_value = "trail.key")]
    pub key_file: PathBuf,
}

/// Prints the public half of a key: 0, or 2 when the file holds none.
pub fn run(args: &PubkeyArgs) -> ExitCode {
    match SignerKey::read(&args.key_file) {
        Ok(key) => print(&format!("{}\n", key.verifier_text())),
        Err(why) => super::refuse(&why),
    }
}
