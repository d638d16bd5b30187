//! Attends to a running pipeline: answers for it by HTTP, and reads its config again when somebody asks for it or when its
//! files change.

use super::args::RunArgs;
use super::load::load;
use super::log::variable;
use super::service::Service;
use crate::api::Api;
use crate::config::{Environment, Loaded};
use crate::topology::{Changes, Plan, Reload, Reloaded, Status};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Interval, MissedTickBehavior, interval};

/// How often `--watch-config` looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The address of an API that answers, and what answers.
type Answering = (SocketAddr, Pin<Box<dyn Future<Output = Infallible>>>);

/// Attends to one run.
pub struct Attendant<'a> {
    args: &'a RunArgs,
    hup: Signal,
    listener: Option<(SocketAddr, TcpListener)>,
    watch: Option<Watch>,
}

impl<'a> Attendant<'a> {
    /// Gets ready; an error says why the program can't start.
    pub async fn new(plan: &Plan, args: &'a RunArgs) -> Result<Attendant<'a>, String> {
        let hup = signal(SignalKind::hangup()).map_err(|e| format!("can't listen for signals: {e}"))?;
        let listener = match plan.api {
            Some(address) => {
                Some((address, listen(address).await.map_err(|why| format!("can't start: {why}"))?))
            }
            None => None,
        };
        let watch = args.watch_config.then(|| Watch::new(&args.config.config, plan.files()));
        Ok(Attendant { args, hup, listener, watch })
    }

    /// Attends to the pipeline that `status` shows and that takes `reloads`, for as long as it is polled. What comes of
    /// reloads is told to `service`, too.
    pub async fn attend(
        self,
        status: Arc<Status>,
        reloads: mpsc::Sender<Reload>,
        service: &Service,
    ) -> Infallible {
        let Attendant { args, mut hup, listener, mut watch } = self;
        let serve = |(address, listener)| -> Answering {
            (address, Box::pin(Api::new(listener, Arc::clone(&status)).serve()))
        };
        let mut api: Option<Answering> = listener.map(serve);
        // Bound for an API that answers when its reload is complete.
        let mut bound: Option<(SocketAddr, TcpListener)> = None;
        let mut under_way = FuturesUnordered::new();
        loop {
            let asked = tokio::select! {
                never = answering(&mut api) => match never {},
                Some((answer, address, files)) = under_way.next(), if !under_way.is_empty() => {
                    let is_done = tell(answer);
                    service.reloaded(is_done);
                    if let Some(watch) = watch.as_mut().filter(|_| is_done) {
                        watch.follow(files);
                    }
                    let now = api.as_ref().map(|(address, _)| *address);
                    let listener = bound.take_if(|(bound, _)| Some(*bound) == address);
                    if is_done && address != now {
                        api = listener.map(serve);
                    }
                    continue;
                }
                _ = hup.recv() => {
                    if let Some(watch) = &mut watch {
                        watch.seen();
                    }
                    "SIGHUP"
                }
                () = changed(&mut watch) => "the config has changed",
            };
            service.reloading();
            let taken =
                [api.as_ref().map(|(address, _)| *address), bound.as_ref().map(|(address, _)| *address)];
            let read = tokio::select! {
                never = answering(&mut api) => match never {},
                read = read(args, &taken, asked) => read,
            };
            let Some((Loaded { plan, .. }, listener)) = read else {
                service.reloaded(false);
                continue;
            };
            let (address, files) = (plan.api, plan.files());
            bound = listener.or(bound);
            let (done, answer) = oneshot::channel();
            // It is full only while the pipeline is about to take what is in it.
            if reloads.send(Reload { plan, done }).await.is_ok() {
                under_way.push(async move { (answer.await, address, files) });
            }
        }
    }
}

/// Answers by HTTP, where there is an API.
async fn answering(api: &mut Option<Answering>) -> Infallible {
    match api {
        Some((_, answering)) => answering.await,
        None => std::future::pending().await,
    }
}

/// Opens the door of the API.
async fn listen(address: SocketAddr) -> Result<TcpListener, String> {
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|e| format!("the API can't listen on {address}: {e}"))?;
    let bound = listener.local_addr().unwrap_or(address);
    tracing::info!(address = %bound, "API: /health, /ready and /metrics");
    Ok(listener)
}

/// Reads the config again, and opens the door of its API where that is none of those that are `taken`. What is wrong is
/// told.
async fn read(
    args: &RunArgs,
    taken: &[Option<SocketAddr>],
    asked: &str,
) -> Option<(Loaded, Option<(SocketAddr, TcpListener)>)> {
    if args.config.config.iter().any(|path| path.as_os_str() == "-") {
        refused("a config that came by standard input can't be read again");
        return None;
    }
    if args.config.config.is_empty() {
        refused("there is no config file: it runs the embedded one");
        return None;
    }
    tracing::info!("{asked}: reads the config again");
    let paths = args.config.clone();
    let loaded = tokio::task::spawn_blocking(move || load(&paths, Environment::Of(&variable))).await;
    let Some((loaded, _)) = loaded.ok().flatten() else {
        refused("the config has errors");
        return None;
    };
    match loaded.plan.api.filter(|address| !taken.contains(&Some(*address))) {
        None => Some((loaded, None)),
        Some(address) => match listen(address).await {
            Ok(listener) => Some((loaded, Some((address, listener)))),
            Err(why) => {
                refused(&why);
                None
            }
        },
    }
}

fn refused(why: &str) {
    tracing::error!("the reload is refused, and what runs goes on: {why}");
}

/// Tells what came of a reload; whether it is done.
fn tell(outcome: Result<Reloaded, oneshot::error::RecvError>) -> bool {
    match outcome {
        Ok(Ok(changes)) if changes.is_empty() => tracing::info!("reloaded: no component has changed"),
        Ok(Ok(changes)) => {
            let Changes { added, changed, rewired, removed } = &changes;
            let (added, changed) = (added.join(" "), changed.join(" "));
            let (rewired, removed) = (rewired.join(" "), removed.join(" "));
            tracing::info!(added, changed, rewired, removed, "reloaded");
        }
        Ok(Err(why)) => {
            refused(&why);
            return false;
        }
        Err(_) => {
            tracing::debug!("the run has ended before a reload was complete");
            return false;
        }
    }
    true
}

/// Looks at the files of a config now and then.
struct Watch {
    config: Vec<PathBuf>,
    /// Files that options name.
    named: Vec<PathBuf>,
    ticks: Interval,
    /// What was there when the config was read last.
    known: Stamp,
    /// What has been found since, if that is something else.
    found: Option<Stamp>,
}

/// What tells one version of files from another, without reading them: place, length and time of each.
type Stamp = Vec<(PathBuf, Option<(u64, u64, i64, i64)>)>;

impl Watch {
    fn new(config: &[PathBuf], named: Vec<PathBuf>) -> Watch {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let known = stamp(config, &named);
        Watch { config: config.to_vec(), named, ticks, known, found: None }
    }

    /// The files are about to be read as they are now.
    fn seen(&mut self) {
        (self.known, self.found) = (stamp(&self.config, &self.named), None);
    }

    /// Looks at other files that options name, from now on.
    fn follow(&mut self, named: Vec<PathBuf>) {
        let is_gone = |path: &PathBuf| self.named.contains(path) && !named.contains(path);
        self.known.retain(|(path, _)| !is_gone(path));
        for entry in stamp(&[], &named) {
            if !self.known.iter().any(|(path, _)| *path == entry.0) {
                self.known.push(entry);
            }
        }
        self.known.sort();
        self.named = named;
    }

    /// Waits until the files are others than before, and have stayed so for a while: nobody wants to read half a file.
    async fn changed(&mut self) {
        loop {
            self.ticks.tick().await;
            let (config, named) = (self.config.clone(), self.named.clone());
            let Ok(now) = tokio::task::spawn_blocking(move || stamp(&config, &named)).await else { continue };
            if now == self.known {
                self.found = None;
            } else if self.found.as_ref() == Some(&now) {
                self.found = None;
                self.known = now;
                return;
            } else {
                self.found = Some(now);
            }
        }
    }
}

/// Waits until a watched config has changed; for ever, where none is watched.
async fn changed(watch: &mut Option<Watch>) {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}

fn stamp(config: &[PathBuf], named: &[PathBuf]) -> Stamp {
    let mut stamp = Stamp::new();
    let mut look = |path: &Path| {
        let found = std::fs::metadata(path).ok();
        let found = found.map(|found| (found.ino(), found.len(), found.mtime(), found.mtime_nsec()));
        stamp.push((path.to_owned(), found));
    };
    for path in config {
        look(path);
        // What can't be listed is found to be so when it is read.
        for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "toml") {
                look(&entry.path());
            }
        }
    }
    named.iter().for_each(|path| look(path));
    stamp.sort();
    stamp.dedup();
    stamp
}
