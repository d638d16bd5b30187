//! evaltrail's own log, on standard error: who is told what, how often, and in which form.
//!
//! Only what evaltrail itself says is shown: libraries may log headers and addresses, which hold secrets. Of one message
//! only a few lines get through in a while ([`limit`]); what was held back is counted, and told when its time is over, by
//! the next line that passes, or at the end. What [`super`] says is never held back, since it is said once.
//!
//! Where standard error is systemd's journal, each line says its level in the journal's way, and leaves the time to it.
//!
//! While a bar is drawn on the same terminal, it is taken away for each line.

mod limit;
mod line;

pub use line::{counts, priority};

use super::args::{LogArgs, LogFormat};
use crate::config::is_secret_key;
use crate::delivery::clock;
use indicatif::ProgressBar;
use limit::{Held, Key, Limiter, Ruling};
use line::{About, Line, Secret};
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// The only crate whose messages are shown.
const OURS: &str = env!("CARGO_CRATE_NAME");
/// Whose messages are said once, each in its own right: they are not held back.
const SAID_ONCE: [&str; 2] = ["::cli", "::transforms::redact"];
/// Shorter values of variables are no secrets, and would be found everywhere.
const SECRET_BYTES_MIN: usize = 4;

static LOG: OnceLock<Log> = OnceLock::new();

struct Log {
    format: LogFormat,
    level: Level,
    colour: bool,
    /// Whether standard error is systemd's journal.
    is_journal: bool,
    limited: Mutex<Limited>,
    /// The longest first.
    secrets: Mutex<Vec<Secret>>,
    bar: Mutex<Option<ProgressBar>>,
}

#[derive(Default)]
struct Limited {
    limiter: Limiter,
    /// Whether a thread waits for the end of a window.
    is_watched: bool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts evaltrail's own log; does nothing where it has been started.
pub fn start_log(args: &LogArgs) {
    let level = match (args.quiet, args.verbose) {
        (true, _) => Level::ERROR,
        (_, true) => Level::DEBUG,
        _ => Level::INFO,
    };
    let log = Log {
        format: args.log_format,
        level,
        colour: io::stderr().is_terminal(),
        is_journal: is_journal(),
        limited: Mutex::default(),
        secrets: Mutex::default(),
        bar: Mutex::default(),
    };
    if LOG.set(log).is_err() {
        return;
    }
    let subscriber = tracing_subscriber::registry().with(Lines);
    // Somebody else's is as good: there is none in this process.
    tracing::subscriber::set_global_default(subscriber).unwrap_or_default();
    if args.log_format == LogFormat::Json {
        std::panic::set_hook(Box::new(|what| tracing::error!("unexpected: {what}")));
    }
}

/// Whether standard error is the stream to the journal that systemd names. One that was put in its place, as by a shell,
/// is not.
pub fn is_journal() -> bool {
    let is_it = || {
        let named = std::env::var("JOURNAL_STREAM").ok()?;
        let (device, inode) = named.split_once(':')?;
        let stderr = File::from(io::stderr().as_fd().try_clone_to_owned().ok()?).metadata().ok()?;
        Some(device.parse() == Ok(stderr.dev()) && inode.parse() == Ok(stderr.ino()))
    };
    is_it().unwrap_or(false)
}

/// Whether what is said on standard error has to be JSON.
pub fn is_json() -> bool {
    LOG.get().is_some_and(|log| log.format == LogFormat::Json)
}

/// A variable of this process's environment, as [`super::load::variable`]; where its name is that of a secret, its value
/// is shown in no line from now on.
pub fn variable(name: &str) -> Option<String> {
    let value = super::load::variable(name)?;
    if let Some(log) = LOG.get().filter(|_| value.len() >= SECRET_BYTES_MIN && is_secret_key(name)) {
        let mut secrets = locked(&log.secrets);
        if !secrets.iter().any(|known| known.value == value) {
            secrets.push(Secret { shown: format!("${{{name}}}"), value: value.clone() });
            secrets.sort_by_key(|secret| std::cmp::Reverse(secret.value.len()));
        }
    }
    Some(value)
}

/// Says what is still held back: at the end of a run.
pub fn tell_held_back() {
    if let Some(log) = LOG.get() {
        log.tell(true);
    }
}

/// Takes `bar` away for every line that is written from now on; none: there is no bar any more.
pub fn share_screen(bar: Option<ProgressBar>) {
    if let Some(log) = LOG.get() {
        *locked(&log.bar) = bar;
    }
}

/// Takes events, and writes their lines.
struct Lines;

impl<S: Subscriber> Layer<S> for Lines {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let below = metadata.target().strip_prefix(OURS);
        let is_ours = below.is_some_and(|below| below.is_empty() || below.starts_with("::"));
        is_ours && LOG.get().is_some_and(|log| *metadata.level() <= log.level)
    }

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        LOG.get().map(|log| log.level.into())
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if let Some(log) = LOG.get() {
            log.event(event);
        }
    }
}

impl Log {
    fn event(&'static self, event: &Event<'_>) {
        let metadata = event.metadata();
        let target = metadata.target().strip_prefix(OURS).unwrap_or_default();
        if SAID_ONCE.iter().any(|once| target.starts_with(once)) {
            return self.write(&self.line(event));
        }
        let About { fields: about, events } = About::of(event);
        let mut key = Key { callsite: metadata.callsite(), about };
        let now = clock::monotonic();
        let ruling = locked(&self.limited).limiter.judge(&mut key, *metadata.level(), events, now);
        match ruling {
            Ruling::Pass => self.write(&self.line(event)),
            Ruling::PassFor(held) => {
                let mut line = self.line(event);
                let more = grouped(held.lines);
                line.message.push_str(&format!(" (and {more} more like it in {} s)", held.secs));
                self.write(&suppressed(line, &held));
            }
            Ruling::Hold { first: false } => {}
            Ruling::Hold { first: true } => {
                let line = self.line(event);
                let mut limited = locked(&self.limited);
                limited.limiter.keep(&key, &line.message);
                if !limited.is_watched {
                    // Where there is no thread to be had, the next line or the end tells.
                    let watch = std::thread::Builder::new().name("log".to_owned()).spawn(|| self.watch());
                    limited.is_watched = watch.is_ok();
                }
            }
        }
    }

    fn line(&self, event: &Event<'_>) -> Line {
        Line::of(event, &locked(&self.secrets))
    }

    /// Tells of what was held back at the end of each window, until nothing is.
    fn watch(&self) {
        loop {
            let next = {
                let mut limited = locked(&self.limited);
                let next = limited.limiter.next_end();
                limited.is_watched = next.is_some();
                next
            };
            let Some(next) = next else { return };
            std::thread::sleep(next.saturating_duration_since(clock::monotonic()));
            self.tell(false);
        }
    }

    fn tell(&self, everything: bool) {
        let held = locked(&self.limited).limiter.take(clock::monotonic(), everything);
        for held in held {
            let Held { lines, secs, example, .. } = &held;
            let mut line =
                Line::new(held.level, format!("{} more like this in {secs} s: {example}", grouped(*lines)));
            held.about.iter().for_each(|(name, value)| line.with(name, value.as_str()));
            self.write(&suppressed(line, &held));
        }
    }

    fn write(&self, line: &Line) {
        let now = clock::now_ms();
        let text = match self.format {
            LogFormat::Text if self.is_journal => line.journal(),
            LogFormat::Text => line.text(now, self.colour),
            LogFormat::Json if self.is_journal => line.journal_json(now),
            LogFormat::Json => line.json(now),
        };
        // Where nobody listens, nobody is to be told.
        let write = || io::stderr().lock().write_all(text.as_bytes()).unwrap_or_default();
        let bar = locked(&self.bar).clone();
        match bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

/// `line` with how much was held back.
fn suppressed(mut line: Line, held: &Held) -> Line {
    line.with("suppressed", held.lines);
    if held.events > 0 {
        line.with("suppressed_events", held.events);
    }
    line
}

/// A number with commas between its thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_are_told_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1_234, "1,234"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
