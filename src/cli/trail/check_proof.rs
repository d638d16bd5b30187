//! `evaltrail trail check-proof`.

use super::{key_of, refuse};
use crate::cli::{EXIT_FAILED, complain};
use crate::delivery::counted;
use crate::trail::proof::{PROOF_BYTES_MAX, Proof};
use clap::Args;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Which proof, by which key.
#[derive(Debug, Args)]
pub struct CheckProofArgs {
    /// The proof, as `trail prove` prints it; `-` for standard input
    #[arg(value_name = "FILE|-")]
    pub file: PathBuf,
    /// The key that checks the trail, as `trail keygen` printed it, or a file that holds it
    #[arg(long, value_name = "VKEY|FILE")]
    pub key: String,
    /// The record, where the proof does not hold it, or to make sure that it is this one; a newline at its end is no part
    /// of it
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
}

/// Prints the record, and what is proven of it: 0 when it is, 1 when not, 2 when there is no key or no such file.
pub fn run(args: &CheckProofArgs) -> ExitCode {
    let read = || -> Result<_, String> {
        let key = key_of(&args.key)?;
        let record = args.record.as_deref().map(read).transpose()?;
        Ok((key, record, read(&args.file)?))
    };
    let (key, record, text) = match read() {
        Ok(read) => read,
        Err(why) => return refuse(&why),
    };
    let record = record.as_deref().map(|record| record.strip_suffix(b"\n").unwrap_or(record));
    match Proof::parse(&text).and_then(|proof| proof.check(&key, record)) {
        Ok(proven) => {
            complain(&format!(
                "proven: this is record {} of {}, which had {} then\n",
                proven.index,
                proven.origin,
                counted(proven.size, "record")
            ));
            let mut line = proven.record;
            line.push(b'\n');
            super::prove::write(&line)
        }
        Err(why) => {
            complain(&format!("evaltrail: {}: nothing is proven: {why}\n", args.file.display()));
            EXIT_FAILED.into()
        }
    }
}

/// A file of at most so many bytes as a proof may have.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let why = |e: io::Error| format!("{}: {e}", path.display());
    let mut bytes = Vec::new();
    let mut from: Box<dyn Read> =
        if path == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(path).map_err(why)?) };
    from.by_ref().take(PROOF_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(why)?;
    if bytes.len() as u64 > PROOF_BYTES_MAX {
        return Err(format!("{}: no proof is longer than {PROOF_BYTES_MAX} bytes", path.display()));
    }
    Ok(bytes)
}
