//! `evaltrail describe`.

use super::args::DescribeArgs;
use super::{EXIT_REFUSED, complain, print};
use crate::config::{BUILTIN, manual};
use std::process::ExitCode;

/// Shows a page, or what there are pages of.
pub fn run(args: &DescribeArgs) -> ExitCode {
    let words: Vec<&str> = args.name.iter().map(String::as_str).collect();
    match manual::describe(&BUILTIN, &words) {
        Ok(page) => print(&page),
        Err(why) => {
            complain(&format!("evaltrail: {why}\n"));
            EXIT_REFUSED.into()
        }
    }
}
