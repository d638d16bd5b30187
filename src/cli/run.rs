//! `evaltrail run`.

use super::args::RunArgs;
use super::load::load;
use super::log::{is_json, start_log, variable};
use super::{EXIT_FAILED, EXIT_REFUSED, STACK_BYTES, complain};
use super::{progress, summary};
use crate::api::Api;
use crate::config::Environment;
use crate::delivery::clock::monotonic;
use crate::topology::{Pipeline, Plan, RunMode};
use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

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
    let code = runtime.block_on(run_plan(&loaded.plan, files, args));
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

async fn run_plan(plan: &Plan, files: Vec<&str>, args: &RunArgs) -> ExitCode {
    let started = monotonic();
    let listener = match listen(plan.api).await {
        Ok(listener) => listener,
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
    summary::Start { plan, files, once: args.once, verbose: args.log.verbose }.tell();
    let status = pipeline.status();
    let api = listener.map(|listener| Api::new(listener, pipeline.status()));
    let outcome = {
        let api = async move {
            match api {
                Some(api) => api.serve().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            outcome = pipeline.finish(stop, abort) => outcome,
            never = api => match never {},
            never = progress::show(plan, &status, args) => match never {},
        }
    };
    summary::tell(&outcome, &status, started.elapsed());
    let faults = args.deny_faults && outcome.faults() > 0;
    if faults {
        tracing::error!("not all could be decoded ({}), and --deny-faults was given", outcome.faults());
    }
    if outcome.is_clean() && !faults { ExitCode::SUCCESS } else { EXIT_FAILED.into() }
}

/// Opens the door of the API, where there is one.
async fn listen(address: Option<SocketAddr>) -> Result<Option<TcpListener>, String> {
    let Some(address) = address else { return Ok(None) };
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|e| format!("can't start: the API can't listen on {address}: {e}"))?;
    let bound = listener.local_addr().unwrap_or(address);
    tracing::info!(address = %bound, "API: /health, /ready and /metrics");
    Ok(Some(listener))
}

/// The first SIGTERM or SIGINT, and the second.
fn signals() -> io::Result<(impl Future<Output = ()>, impl Future<Output = ()>)> {
    let (first_sender, first) = tokio::sync::oneshot::channel::<()>();
    let (second_sender, second) = tokio::sync::oneshot::channel::<()>();
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let mut hup = signal(SignalKind::hangup())?;
    let listener = async move {
        either(&mut term, &mut int, &mut hup).await;
        first_sender.send(()).unwrap_or_default();
        either(&mut term, &mut int, &mut hup).await;
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

/// The first SIGTERM or SIGINT.
pub fn first_signal() -> io::Result<impl Future<Output = ()>> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let mut hup = signal(SignalKind::hangup())?;
    Ok(async move { either(&mut term, &mut int, &mut hup).await })
}

/// Waits for one of the two. A third one, which asks other programs for a new config, must not end this one.
async fn either(term: &mut Signal, int: &mut Signal, hup: &mut Signal) {
    loop {
        tokio::select! {
            _ = term.recv() => return,
            _ = int.recv() => return,
            _ = hup.recv() => {
                tracing::warn!("SIGHUP: the config is read at a start only; stop by SIGTERM and start again for a new one");
            }
        }
    }
}
