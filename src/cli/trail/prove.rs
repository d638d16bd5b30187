//! `evaltrail trail prove`.

use super::{key_of, refuse};
use crate::cli::{EXIT_FAILED, complain};
use crate::trail::proof::Proof;
use clap::Args;
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// What `--key` is where nothing is to be checked.
const NO_KEY: &str = "none";

/// Which record of which trail.
#[derive(Debug, Args)]
pub struct ProveArgs {
    /// Folder of the trail: the `path` of the sink
    #[arg(value_name = "PATH")]
    pub folder: PathBuf,
    /// Index of the record, from 0, as `trail show` tells it
    #[arg(value_name = "INDEX")]
    pub index: u64,
    /// The key that checks the trail, as `trail keygen` printed it, or a file that holds it; `none` to take it unchecked
    #[arg(long, value_name = "VKEY|FILE|none")]
    pub key: String,
}

/// Prints a proof: 0 when there is one, 1 when not, 2 when there is no trail or no key.
pub fn run(args: &ProveArgs) -> ExitCode {
    let key = match Some(&args.key).filter(|key| *key != NO_KEY).map(|key| key_of(key)).transpose() {
        Ok(key) => key,
        Err(why) => return refuse(&why),
    };
    if !args.folder.is_dir() {
        return refuse(&format!("{}: there is no such folder", args.folder.display()));
    }
    match Proof::make(&args.folder, args.index, key.as_ref()) {
        Ok(proof) => {
            if key.is_none() {
                complain("evaltrail: without a key, nobody has checked who signed this trail\n");
            }
            write(&proof.text())
        }
        Err(why) => {
            complain(&format!("evaltrail: {why}\n"));
            EXIT_FAILED.into()
        }
    }
}

/// Writes bytes to standard output; a reader who went away is no failure.
pub fn write(bytes: &[u8]) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            complain(&format!("evaltrail: can't write to standard output: {e}\n"));
            EXIT_FAILED.into()
        }
        _ => ExitCode::SUCCESS,
    }
}
