//! `evaltrail replay`.

use super::args::ReplayArgs;
use super::load::load;
use super::log::{start_log, tell_held_back, variable};
use super::run::{first_signal, leave, runtime};
use super::{EXIT_FAILED, EXIT_REFUSED, complain};
use crate::config::Environment;
use crate::delivery::TakeError;
use crate::delivery::are;
use crate::topology::{ReplayError, Replayed, replay};
use std::process::ExitCode;

/// Sends dead letters again.
pub fn run(args: &ReplayArgs) -> ExitCode {
    start_log(&args.log);
    let Some((loaded, _)) = load(&args.config, Environment::Of(&variable)) else {
        return EXIT_REFUSED.into();
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(e) => {
            complain(&format!("evaltrail: can't start: {e}\n"));
            return EXIT_FAILED.into();
        }
    };
    let done = runtime.block_on(async {
        let stop = first_signal()?;
        Ok(replay(&loaded.plan, &args.sink, &args.file, stop).await)
    });
    leave(runtime);
    tell_held_back();
    let file = args.file.display();
    match done {
        Err(e) => {
            let e: std::io::Error = e;
            complain(&format!("evaltrail: can't listen for signals: {e}\n"));
            EXIT_FAILED.into()
        }
        Ok(Ok(replayed)) => {
            tell(&replayed, args);
            if replayed.left > 0 {
                complain(&format!("{} put back into {file}: not sent\n", lines(replayed.left)));
            }
            let is_done = replayed.rejected == 0 && replayed.left == 0;
            if is_done { ExitCode::SUCCESS } else { EXIT_FAILED.into() }
        }
        Ok(Err(ReplayError::NotGivenBack(replayed, e))) => {
            tell(&replayed, args);
            complain(&format!("evaltrail: what is left can't be put back into {file}: {e}; "));
            complain("all letters are in the file beside it that ends in .replaying\n");
            EXIT_FAILED.into()
        }
        Ok(Err(ReplayError::NotTaken(TakeError::Io(e)))) => refuse(&format!("can't read {file}: {e}")),
        Ok(Err(ReplayError::NotTaken(TakeError::NoFile))) => {
            refuse(&format!("{file} is no regular file: name one with dead letters"))
        }
        Ok(Err(ReplayError::NotTaken(TakeError::Busy))) => {
            refuse(&format!("another process sends letters of the folder of {file} again: wait for its end"))
        }
        Ok(Err(ReplayError::Unbuildable(unbuildable))) => {
            refuse(&format!("can't start `{}`: {}", unbuildable.id, unbuildable.why))
        }
        Ok(Err(ReplayError::NoSuchSink)) => {
            let ids: Vec<String> = loaded.plan.sinks.iter().map(|node| format!("`{}`", node.id)).collect();
            refuse(&format!("the config has no sink `{}`; its sinks are {}", args.sink, ids.join(", ")))
        }
    }
}

fn refuse(why: &str) -> ExitCode {
    complain(&format!("evaltrail: {why}\n"));
    EXIT_REFUSED.into()
}

fn tell(replayed: &Replayed, args: &ReplayArgs) {
    let Replayed { delivered, rejected, unreadable, unreadable_total, .. } = replayed;
    for (number, why) in unreadable {
        complain(&format!("{}:{number}: no dead letter: {why}\n", args.file.display()));
    }
    if *unreadable_total > unreadable.len() as u64 {
        complain(&format!(
            "{} in all {} no dead letters\n",
            lines(*unreadable_total),
            are(*unreadable_total)
        ));
    }
    complain(&format!("delivered to `{}`: {delivered}; rejected again: {rejected}\n", args.sink));
}

fn lines(count: u64) -> String {
    format!("{count} line{}", if count == 1 { "" } else { "s" })
}
