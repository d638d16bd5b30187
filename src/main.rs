//! The evaltrail program: everything it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    evaltrail::cli::on_deep_stack(|| evaltrail::cli::main(std::env::args_os()))
}
