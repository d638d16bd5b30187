//! `evaltrail trail verify`.

use super::{key_of, refuse};
use crate::cli::{EXIT_FAILED, EXIT_REFUSED, complain, print};
use crate::trail::verify::{self, Anchors, Refused, Report};
use clap::Args;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Which trail, by which key, against what.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Folder of the trail: the `path` of the sink
    #[arg(value_name = "PATH")]
    pub folder: PathBuf,
    /// The key that checks it, as `trail keygen` printed it, or a file that holds it
    #[arg(long, value_name = "VKEY|FILE")]
    pub key: String,
    /// A checkpoint of before, or JSON lines with checkpoints as their `message` (what the sink's port `checkpoints`
    /// sends): the trail has to go on from each of them
    #[arg(long, value_name = "FILE")]
    pub against: Vec<PathBuf>,
    /// Print what was found as JSON
    #[arg(long)]
    pub json: bool,
}

/// Verifies: 0 when everything fits, 1 when something does not or can't be read, 2 when there is no trail or no key.
pub fn run(args: &VerifyArgs) -> ExitCode {
    let key = match key_of(&args.key) {
        Ok(key) => key,
        Err(why) => return refuse(&why),
    };
    let mut anchors = Anchors::default();
    for path in &args.against {
        if let Err(why) = anchors.read(path, &key) {
            return refuse(&why);
        }
    }
    match verify::verify(&args.folder, &key, &anchors) {
        Ok(report) => {
            let text = if args.json { json(&report) } else { text(&report) };
            match print(&text) {
                ExitCode::SUCCESS if !report.is_good() => EXIT_FAILED.into(),
                code => code,
            }
        }
        Err(refused) => {
            let (Refused::NoTrail(why) | Refused::Unreadable(why)) = &refused;
            complain(&format!("evaltrail: {why}\n"));
            if matches!(refused, Refused::NoTrail(_)) { EXIT_REFUSED } else { EXIT_FAILED }.into()
        }
    }
}

fn json(report: &Report) -> String {
    let value = serde_json::json!({
        "good": report.is_good(),
        "origin": report.origin,
        "other_origin": report.other_origin,
        "size": report.size,
        "root": report.root,
        "first_kept": report.first_kept,
        "first_time": report.times.0,
        "last_time": report.times.1,
        "compared": report.anchors,
        "faults": report.faults,
        "more_faults": report.has_more,
        "remarks": report.remarks,
        "being_written": report.is_written,
    });
    format!("{value}\n")
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    let mut line = |line: std::fmt::Arguments<'_>| text.write_fmt(line).unwrap_or_default();
    if report.is_good() {
        line(format_args!("{}: everything is as it was signed\n", report.origin));
        line(format_args!("  records   {}\n", report.size.unwrap_or(0)));
        line(format_args!("  root      {}\n", report.root.as_deref().unwrap_or_default()));
        if report.first_kept > 0 {
            line(format_args!(
                "  kept      from record {} on; those before were removed by retention\n",
                report.first_kept
            ));
        }
        if let (Some(first), Some(last)) = &report.times {
            line(format_args!("  times     {} to {}\n", first.escape_debug(), last.escape_debug()));
        }
        match report.anchors {
            0 => line(format_args!(
                "  compared  with no older checkpoint: a tail that was cut off together with its checkpoint does not show\n"
            )),
            1 => line(format_args!("  compared  with 1 checkpoint of before\n")),
            count => line(format_args!("  compared  with {count} checkpoints of before\n")),
        }
    } else {
        match &report.other_origin {
            None => line(format_args!("{}: NOT as it was signed\n", report.origin)),
            Some(other) => line(format_args!(
                "{0}: not signed by this key: this trail is of {0}, the key is of {1}\n",
                other.escape_debug(),
                report.origin
            )),
        }
        for fault in &report.faults {
            line(format_args!("  {}\n", fault.to_string().replace(char::is_control, "\u{fffd}")));
        }
        if report.has_more {
            line(format_args!("  and more\n"));
        }
    }
    for remark in &report.remarks {
        line(format_args!("  note: {}\n", remark.replace(char::is_control, "\u{fffd}")));
    }
    if report.is_written {
        line(format_args!("  note: the trail is being written; what is not signed yet was left out\n"));
    }
    text
}
