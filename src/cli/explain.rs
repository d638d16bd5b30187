//! `evaltrail explain`.

use super::args::ConfigArgs;
use super::load::{read, show, variable};
use super::run::{first_signal, runtime};
use super::{EXIT_FAILED, EXIT_REFUSED, complain};
use crate::codec::{Encoding, EncodingCodec};
use crate::config::{self, BUILTIN, Environment};
use crate::sinks::console::Console;
use crate::sources::stdin::Stdin;
use crate::topology::{Doors, Outcome, Pipeline, RunMode, explaining};
use std::process::ExitCode;
use std::time::Duration;

/// Tells what the policies of a config decide about a log on standard input.
pub fn run(args: ConfigArgs) -> ExitCode {
    let environment = Environment::Of(&variable);
    let read = read(&args, |files| config::transforms(files, &BUILTIN, environment));
    let Some((loaded, files)) = read else { return EXIT_REFUSED.into() };
    show(&loaded.warnings, &files);
    let encoding = Encoding { codec: EncodingCodec::Text, ..Encoding::default() };
    let screen = Console { encoding, ..Console::default() };
    let Some(plan) = explaining(loaded.plan, Box::new(Stdin::default()), Box::new(screen)) else {
        complain("evaltrail: there is nothing to explain: the config has no `audit_policy`\n");
        return EXIT_REFUSED.into();
    };
    let failed = |e: std::io::Error| {
        complain(&format!("evaltrail: can't start: {e}\n"));
        EXIT_FAILED.into()
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(e) => return failed(e),
    };
    let done = runtime.block_on(async {
        let stop = first_signal()?;
        let started = Pipeline::start(plan, RunMode { faults_wanted: false, once: true }, Doors::default());
        Ok(match started {
            Ok(pipeline) => Ok(pipeline.finish(stop, std::future::pending()).await),
            Err(unbuildable) => Err(unbuildable),
        })
    });
    // A read of a terminal may never end.
    runtime.shutdown_timeout(Duration::ZERO);
    match done {
        Err(e) => failed(e),
        Ok(Err(unbuildable)) => {
            complain(&format!("evaltrail: can't start `{}`: {}\n", unbuildable.id, unbuildable.why));
            EXIT_REFUSED.into()
        }
        Ok(Ok(outcome)) => {
            if !outcome.reader_gone {
                summarise(&outcome);
            }
            if outcome.is_clean() { ExitCode::SUCCESS } else { EXIT_FAILED.into() }
        }
    }
}

/// How many were decided at each level, and what could not be decoded.
fn summarise(outcome: &Outcome) {
    for (id, totals) in outcome.totals.iter().filter(|(_, totals)| !totals.hits.is_empty()) {
        // The policies themselves count too, where they stand in front of others.
        let Some(id) = id.strip_prefix('<').and_then(|id| id.strip_suffix('>')) else { continue };
        let counts = totals.hits.iter().map(|(level, count)| format!("{level} {count}"));
        complain(&format!("{id}: {}\n", counts.collect::<Vec<_>>().join(", ")));
    }
    if outcome.faults() > 0 {
        let noun = if outcome.faults() == 1 { "record" } else { "records" };
        complain(&format!("{} {noun} could not be decoded\n", outcome.faults()));
    }
    for failure in &outcome.failures {
        complain(&format!("evaltrail: {failure}\n"));
    }
}
