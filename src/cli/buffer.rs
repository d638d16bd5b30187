//! `evaltrail buffer`.

use super::args::BufferCommand;
use super::{EXIT_FAILED, EXIT_REFUSED, complain, print};
use crate::delivery::buffer;
use std::process::ExitCode;

/// Shows or repairs a buffer: 0 when it is as it should be now, 1 when it is damaged, 2 when it can't be had.
pub fn run(command: &BufferCommand) -> ExitCode {
    let done = match command {
        BufferCommand::Show(args) => buffer::show(&args.folder),
        BufferCommand::Repair(args) => buffer::repair(&args.folder).map(|done| (done.to_string(), false)),
    };
    match done {
        Ok((text, is_damaged)) => match print(&text) {
            ExitCode::SUCCESS if is_damaged => EXIT_FAILED.into(),
            code => code,
        },
        Err(why) => {
            complain(&format!("evaltrail: {why}\n"));
            EXIT_REFUSED.into()
        }
    }
}
