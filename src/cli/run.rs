//! `evaltrail run`.

use super::args::{LogArgs, LogFormat, RunArgs};
use super::attend::Attendant;
use super::load::{load, variable};
use super::{EXIT_FAILED, EXIT_REFUSED, STACK_BYTES, complain};
use crate::config::Environment;
use crate::delivery::Totals;
use crate::topology::{Outcome, Pipeline, Plan, RunMode};
use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tracing::Level;

/// Threads that run components: more than one even on a small machine, so that decoding and writing overlap.
const THREADS_MIN: usize = 2;
const THREADS_MAX: usize = 8;

/// Runs a pipeline to its end.
pub fn run(args: &RunArgs) -> ExitCode {
    let Some((loaded, _)) = load(&args.config, Environment::Of(&variable)) else {
        return EXIT_REFUSED.into();
    };
    start_log(&args.log);
    if loaded.plan.sources.iter().any(|node| node.kind == "stdin") && io::stdin().is_terminal() {
        complain("evaltrail: waiting for Livebook's log on standard input; end it by Ctrl-D\n");
    }
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(e) => {
            tracing::error!("can't start: {e}");
            return EXIT_FAILED.into();
        }
    };
    let code = runtime.block_on(run_plan(loaded.plan, args));
    // A thread may be stuck in a read or a write that never ends; the process ends without it.
    runtime.shutdown_timeout(Duration::ZERO);
    code
}

/// What components run on.
pub fn runtime() -> io::Result<Runtime> {
    let threads = std::thread::available_parallelism().map_or(THREADS_MIN, usize::from);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(threads.clamp(THREADS_MIN, THREADS_MAX));
    // Where address space is short, shallow programs still run.
    let has_room = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(|| ()).is_ok();
    if has_room {
        builder.thread_stack_size(STACK_BYTES);
    }
    builder.enable_all().build()
}

async fn run_plan(plan: Plan, args: &RunArgs) -> ExitCode {
    let attendant = match Attendant::new(&plan, args).await {
        Ok(attendant) => attendant,
        Err(why) => {
            tracing::error!("{why}");
            return EXIT_FAILED.into();
        }
    };
    let pipeline = match Pipeline::start(plan, RunMode { faults_wanted: args.deny_faults, once: args.once }) {
        Ok(pipeline) => pipeline,
        Err(unbuildable) => {
            tracing::error!("can't start `{}`: {}", unbuildable.id, unbuildable.why);
            return EXIT_REFUSED.into();
        }
    };
    let (stop, abort) = match signals() {
        Ok(signals) => signals,
        Err(e) => {
            tracing::error!("can't listen for signals: {e}");
            return EXIT_FAILED.into();
        }
    };
    let (sender, reloads) = mpsc::channel(1);
    let attending = attendant.attend(pipeline.status(), sender);
    let outcome = tokio::select! {
        outcome = pipeline.finish_reloading(stop, abort, reloads) => outcome,
        never = attending => match never {},
    };
    if !outcome.reader_gone {
        summarise(&outcome);
    }
    for (id, totals) in outcome.totals.iter().filter(|(_, totals)| !totals.hits.is_empty()) {
        let counts = totals.hits.iter().map(|(rule, count)| (&**rule, *count)).collect();
        tracing::info!(transform = id, hits = reasons(&counts), "what its rules have hit");
    }
    for (id, totals) in outcome.totals.iter().filter(|(_, totals)| totals.events_buffered > 0) {
        let events = totals.events_buffered;
        tracing::info!(sink = id, events, "{events} events stay in the buffer on disk for the next start");
    }
    for failure in &outcome.failures {
        tracing::error!("{failure}");
    }
    let faults = args.deny_faults && outcome.faults() > 0;
    if faults {
        tracing::error!("not all could be decoded ({}), and --deny-faults was given", outcome.faults());
    }
    if outcome.is_clean() && !faults { ExitCode::SUCCESS } else { EXIT_FAILED.into() }
}

/// The first SIGTERM or SIGINT, and the second.
fn signals() -> io::Result<(impl Future<Output = ()>, impl Future<Output = ()>)> {
    let (first_sender, first) = tokio::sync::oneshot::channel::<()>();
    let (second_sender, second) = tokio::sync::oneshot::channel::<()>();
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let listener = async move {
        either(&mut term, &mut int).await;
        first_sender.send(()).unwrap_or_default();
        either(&mut term, &mut int).await;
        second_sender.send(()).unwrap_or_default();
    };
    let stop = async move {
        // A sender that is gone without a signal would mean that nobody listens any more: then nobody stops us.
        if first.await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let abort = async move {
        tokio::select! {
            () = listener => {}
            _ = second => {}
        }
    };
    Ok((stop, abort))
}

/// The first SIGTERM or SIGINT, for a run that is too short for a new config.
pub fn first_signal() -> io::Result<impl Future<Output = ()>> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let mut hup = signal(SignalKind::hangup())?;
    Ok(async move {
        let stop = either(&mut term, &mut int);
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return,
                // It must not end this command.
                _ = hup.recv() => tracing::warn!("SIGHUP: this command reads its config once"),
            }
        }
    })
}

/// Waits for one of the two.
async fn either(term: &mut Signal, int: &mut Signal) {
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

/// Starts evaltrail's own log.
pub fn start_log(args: &LogArgs) {
    let level = match (args.quiet, args.verbose) {
        (true, _) => Level::ERROR,
        (_, true) => Level::DEBUG,
        _ => Level::INFO,
    };
    let log = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_max_level(level)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal());
    match args.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}

/// One line that says where everything went.
fn summarise(outcome: &Outcome) {
    let of_role = |role: &str| -> Vec<Totals> {
        let is_it = |id: &String| outcome.roles.get(id).is_some_and(|one| *one == role);
        outcome.totals.iter().filter(|(id, _)| is_it(id)).map(|(_, totals)| totals.clone()).collect()
    };
    let (sources, sinks) = (of_role("source"), of_role("sink"));
    let read: u64 = sources.iter().map(|totals| totals.events_in).sum();
    let bytes: u64 = sources.iter().map(|totals| totals.bytes_in).sum();
    let delivered: u64 = sinks.iter().map(|totals| totals.events_out).sum();
    let rejected: u64 = sinks.iter().map(|totals| totals.events_rejected).sum();
    let mut dropped: BTreeMap<&str, u64> = BTreeMap::new();
    let mut faults: BTreeMap<&str, u64> = BTreeMap::new();
    for totals in outcome.totals.values() {
        for (reason, count) in &totals.dropped {
            *dropped.entry(reason).or_default() += count;
        }
        for (reason, count) in &totals.faults {
            *faults.entry(reason).or_default() += count;
        }
    }
    for (id, totals) in outcome.totals.iter().filter(|(_, totals)| totals.programs_failed > 0) {
        tracing::warn!(events = totals.programs_failed, "the program of {id} has failed");
    }
    let dropped = reasons(&dropped);
    match outcome.faults() {
        0 => tracing::info!(records = read, bytes, delivered, dropped, rejected, "done"),
        count => {
            let faults = reasons(&faults);
            tracing::warn!(
                records = read,
                bytes,
                delivered,
                dropped,
                rejected,
                faults,
                "done; {count} could not be decoded"
            );
        }
    }
}

fn reasons(counts: &BTreeMap<&str, u64>) -> String {
    let total: u64 = counts.values().sum();
    let each: Vec<String> = counts.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    if each.is_empty() { "0".to_owned() } else { format!("{total} ({})", each.join(", ")) }
}
