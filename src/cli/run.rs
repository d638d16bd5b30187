//! `evaltrail run`.

use super::args::RunArgs;
use super::attend::Attendant;
use super::load::load;
use super::log::{is_json, start_log, variable};
use super::service::Service;
use super::{EXIT_FAILED, EXIT_REFUSED, STACK_BYTES, complain};
use super::{progress, summary};
use crate::config::Environment;
use crate::delivery::clock::monotonic;
use crate::topology::{Doors, Pipeline, Plan, RunMode};
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// Threads that run components: more than one even on a small machine, so that decoding and writing overlap.
const THREADS_MIN: usize = 2;
const THREADS_MAX: usize = 8;

/// Runs a pipeline to its end.
pub fn run(args: &RunArgs) -> ExitCode {
    start_log(&args.log);
    let Some((loaded, files)) = load(&args.config, Environment::Of(&variable)) else {
        return EXIT_REFUSED.into();
    };
    if loaded.plan.sources.iter().any(|node| node.kind == "stdin") && io::stdin().is_terminal() {
        let waiting = "waiting for Livebook's log on standard input; end it by Ctrl-D";
        match is_json() {
            true => tracing::info!("{waiting}"),
            false => complain(&format!("evaltrail: {waiting}\n")),
        }
    }
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(e) => {
            tracing::error!("can't start: {e}");
            return EXIT_FAILED.into();
        }
    };
    let files =
        files.iter().filter(|_| !args.config.config.is_empty()).map(|file| file.name.as_str()).collect();
    let code = runtime.block_on(run_plan(loaded.plan, files, args));
    leave(runtime);
    code
}

/// Leaves a runtime as it is, for the process to end: a thread may be stuck in a read or a write that never ends. It is
/// not even shut down: a thread that waits for a timer would panic then.
pub fn leave(runtime: Runtime) {
    std::mem::forget(runtime);
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

async fn run_plan(plan: Plan, files: Vec<&str>, args: &RunArgs) -> ExitCode {
    let started = monotonic();
    let attendant = match Attendant::new(&plan, args).await {
        Ok(attendant) => attendant,
        Err(why) => {
            tracing::error!("{why}");
            return EXIT_FAILED.into();
        }
    };
    let doors = match Doors::open(&plan).await {
        Ok(doors) => doors,
        Err(why) => {
            tracing::error!("can't start: {why}");
            return EXIT_FAILED.into();
        }
    };
    let mode = RunMode { faults_wanted: args.deny_faults, once: args.once };
    let pipeline = match Pipeline::start(plan, mode, doors) {
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
    let (plan, status) = (pipeline.plan(), pipeline.status());
    summary::Start { plan: &plan, files, once: args.once, verbose: args.log.verbose }.tell();
    let (sender, reloads) = mpsc::channel(1);
    let service = Service::new(pipeline.status());
    service.ready();
    let attending = attendant.attend(pipeline.status(), sender, &service);
    let outcome = tokio::select! {
        outcome = pipeline.finish_reloading(stop, abort, reloads) => outcome,
        never = attending => match never {},
        never = service.attend() => match never {},
        never = progress::show(&plan, &status, args) => match never {},
    };
    service.stopping();
    summary::tell(&outcome, started.elapsed());
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
