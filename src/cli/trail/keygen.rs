//! `evaltrail trail keygen`.

use crate::cli::{EXIT_FAILED, EXIT_REFUSED, complain, print};
use crate::trail::key;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// For which trail, and where to.
#[derive(Debug, Args)]
pub struct KeygenArgs {
    /// The trail's name for the whole world, such as `example.com/livebook/audit`; by default `<host>/evaltrail`
    pub origin: Option<String>,
    /// The new file for what signs, which is secret; the option `key_file` of the sink
    #[arg(long, value_name = "FILE", default_value = "trail.key")]
    pub key_file: PathBuf,
}

/// Makes a key: 0 when it is written, 1 when that failed, 2 when the origin can be none.
pub fn run(args: &KeygenArgs) -> ExitCode {
    let origin = args.origin.clone().unwrap_or_else(|| format!("{}/evaltrail", host()));
    if let Err(why) = key::check_origin(&origin) {
        complain(&format!("evaltrail: {why}\n"));
        return EXIT_REFUSED.into();
    }
    match key::generate(&origin, &args.key_file) {
        Ok(verifier) => print(&format!("{verifier}\n")),
        Err(why) => {
            complain(&format!("evaltrail: {why}\n"));
            EXIT_FAILED.into()
        }
    }
}

/// The name of this machine, as the system has it.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    Some(name.trim().to_owned()).filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned())
}
