//! What a service manager hears of a run: systemd, or whoever else sets `NOTIFY_SOCKET`.
//!
//! It is told when every source is open and every component runs, when the config is read again and what came of it, and
//! when the run begins to end: what `systemctl start`, `reload` and `stop` wait for. With `WatchdogSec` it hears a beat as
//! long as the task answers that starts, exchanges and stops the components; a receiver that does not answer is no reason
//! to be killed, and is told of in the status and by `/ready`. Nothing of this can end or hold up a run: who can't be
//! told is given up after a second, and the log says so once.

use super::summary::list;
use crate::topology::Status;
use sd_notify::NotifyState;
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// How long a message waits at most for a manager that does not read.
const SEND_WAIT: Duration = Duration::from_secs(1);
/// How often the line is looked at that `systemctl status` shows; it is sent where its counts have changed.
const STATUS_EVERY: Duration = Duration::from_secs(60);
/// How often is looked whether anything else is in trouble; where it is, the line is sent at once.
const TROUBLE_EVERY: Duration = Duration::from_secs(5);
/// How long that line is at most, in characters.
const STATUS_CHARS_MAX: usize = 400;
/// Beats in the time after which a manager loses its patience.
const BEATS: u32 = 2;

/// Who is told.
struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
    /// The address as the environment has it.
    name: OsString,
}

impl Manager {
    /// The one that listens at `name`: a path, or behind an `@` a name that is in no file system, as Linux has them.
    fn new(name: &OsStr) -> io::Result<Manager> {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(SEND_WAIT))?;
        Ok(Manager { socket, address: address(name)?, name: name.to_owned() })
    }
}

#[cfg(target_os = "linux")]
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::ffi::OsStrExt;
    match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(name),
    }
}

#[cfg(not(target_os = "linux"))]
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    SocketAddr::from_pathname(name)
}

/// The manager of one run, or nobody.
pub struct Service {
    run: Arc<Status>,
    manager: Option<Manager>,
    /// How often to say that it is alive.
    beat: Option<Duration>,
    is_stopping: Cell<bool>,
    has_failed: Cell<bool>,
    /// Reloads that are under way.
    reloads: Cell<usize>,
    /// Whether the last one was refused.
    is_refused: Cell<bool>,
    shown: RefCell<String>,
    /// What of it was trouble.
    shown_trouble: RefCell<String>,
}

impl Service {
    /// The manager that the environment names, who is to hear of `run`.
    pub fn new(run: Arc<Status>) -> Service {
        let name = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        let manager = name.and_then(|name| match Manager::new(&name) {
            Ok(manager) => Some(manager),
            Err(e) => {
                tracing::warn!(socket = %name.display(), "the service manager can't be told anything: {e}");
                None
            }
        });
        Service {
            run,
            beat: manager
                .as_ref()
                .and_then(|_| sd_notify::watchdog_enabled())
                .map(|patience| patience / BEATS),
            manager,
            is_stopping: Cell::new(false),
            has_failed: Cell::new(false),
            reloads: Cell::new(0),
            is_refused: Cell::new(false),
            shown: RefCell::default(),
            shown_trouble: RefCell::default(),
        }
    }

    /// Everything has started.
    pub fn ready(&self) {
        self.show(&[NotifyState::Ready]);
    }

    /// The config is about to be read again. Each is followed by [`Service::reloaded`].
    pub fn reloading(&self) {
        self.reloads.set(self.reloads.get() + 1);
        if self.reloads.get() == 1 && !self.is_ending() {
            // Since when: what is said before that is about something older.
            let now = NotifyState::monotonic_usec_now();
            let states: Vec<_> = [NotifyState::Reloading].into_iter().chain(now).collect();
            self.tell_with_line(&states, "reads its config again");
        }
    }

    /// A reload is complete, or was refused.
    pub fn reloaded(&self, is_done: bool) {
        self.is_refused.set(!is_done);
        self.reloads.set(self.reloads.get().saturating_sub(1));
        if self.reloads.get() == 0 && !self.is_ending() {
            self.ready();
        }
    }

    /// The run begins to end, or has ended: only the first call counts.
    pub fn stopping(&self) {
        if !self.is_stopping.replace(true) {
            self.tell_with_line(&[NotifyState::Stopping], "delivers what it has read, and ends");
        }
    }

    /// Tells of the run for as long as it is polled.
    pub async fn attend(&self) -> Infallible {
        if self.manager.is_none() {
            return std::future::pending().await;
        }
        let mut beats = self.beat.map(ticks);
        let (mut looks, mut counts) = (ticks(TROUBLE_EVERY), ticks(STATUS_EVERY));
        let stopping = self.run.stopping();
        tokio::pin!(stopping);
        loop {
            tokio::select! {
                () = next(&mut beats) => self.tell(&[NotifyState::Watchdog]),
                () = &mut stopping, if !self.is_stopping.get() => self.stopping(),
                _ = looks.tick(), if self.is_at_work() => {
                    if *self.shown_trouble.borrow() != trouble(&self.run, self.is_refused.get()) {
                        self.show(&[]);
                    }
                }
                _ = counts.tick(), if self.is_at_work() => {
                    if *self.shown.borrow() != line(&self.run, self.is_refused.get()) {
                        self.show(&[]);
                    }
                }
            }
        }
    }

    /// Whether there is nothing more to be told but the end: the run may know it first.
    fn is_ending(&self) -> bool {
        self.is_stopping.get() || self.run.is_stopping()
    }

    /// Whether it neither ends nor reads its config: then the line is its own.
    fn is_at_work(&self) -> bool {
        !self.is_ending() && self.reloads.get() == 0
    }

    /// Tells how the run goes, with `states`.
    fn show(&self, states: &[NotifyState<'_>]) {
        *self.shown_trouble.borrow_mut() = trouble(&self.run, self.is_refused.get());
        self.tell_with_line(states, &line(&self.run, self.is_refused.get()));
    }

    fn tell_with_line(&self, states: &[NotifyState<'_>], line: &str) {
        line.clone_into(&mut self.shown.borrow_mut());
        self.tell(&[states, &[NotifyState::Status(line)]].concat());
    }

    /// The crate's own sending would wait without end for a manager that does not read.
    fn tell(&self, states: &[NotifyState<'_>]) {
        let Some(Manager { socket, address, name }) = &self.manager else { return };
        let message: String = states.iter().map(|state| format!("{state}\n")).collect();
        if let Err(e) = socket.send_to_addr(message.as_bytes(), address)
            && !self.has_failed.replace(true)
        {
            tracing::warn!(socket = %name.display(), "the service manager can't be told anything: {e}");
        }
    }
}

fn ticks(period: Duration) -> Interval {
    // No interval has a period of nothing.
    let mut ticks = interval(period.max(Duration::from_millis(1)));
    // The first would be at once.
    ticks.reset();
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Waits for the next tick; for ever, where nothing ticks.
async fn next(ticks: &mut Option<Interval>) {
    match ticks {
        Some(ticks) => {
            ticks.tick().await;
        }
        None => std::future::pending().await,
    }
}

/// What is wrong, as it stands in front of the line; nothing where nothing is.
fn trouble(status: &Status, is_refused: bool) -> String {
    let components = status.components();
    let troubled: Vec<&str> =
        components.iter().filter(|one| one.trouble().is_some()).map(|one| one.id.as_str()).collect();
    let mut text = String::new();
    if !troubled.is_empty() {
        // Writing to a string does not fail.
        write!(text, "in trouble: {}; ", list(&troubled)).unwrap_or_default();
    }
    if is_refused {
        text += "the last reload was refused, see the log; ";
    }
    text
}

/// What runs and how it goes, in one line. It names components, and nothing that anybody else has written.
fn line(status: &Status, is_refused: bool) -> String {
    let components = status.components();
    let ids = |kind: &str| -> Vec<&str> {
        components.iter().filter(|one| one.kind == kind).map(|one| one.id.as_str()).collect()
    };
    let all = ["source", "transform", "sink"].map(ids);
    let parts: Vec<String> = all.iter().filter(|ids| !ids.is_empty()).map(|ids| list(ids)).collect();
    let (mut read, mut delivered, mut rejected) = (0, 0, 0);
    for one in components.iter() {
        let totals = one.totals();
        match one.kind {
            "source" => read += totals.events_in,
            "sink" => {
                delivered += totals.events_out;
                rejected += totals.events_rejected;
            }
            _ => {}
        }
    }
    let mut line = trouble(status, is_refused);
    let flow = parts.join(" → ");
    write!(line, "{read} read, {delivered} delivered, {rejected} rejected; {flow}").unwrap_or_default();
    if let Some((end, _)) = line.char_indices().nth(STATUS_CHARS_MAX) {
        line.truncate(end);
        line.push('…');
    }
    line
}
