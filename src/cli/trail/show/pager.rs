//! Where records go: standard output, or the pager in front of it.
//!
//! A pager is started with the first record, so that a search without a hit leaves the terminal alone. As with git, it
//! is `less` with options that let short output pass and colours through, unless the user says otherwise. Ctrl-C goes to
//! both; the pager is what the user looks at, so only it may end by that: we stop searching, and wait for it.

use crate::cli::complain;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufWriter, ErrorKind, IsTerminal, StdoutLock, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{SignalKind, signal};

/// Bytes that wait to be written.
const BUFFER_BYTES: usize = 64 * 1024;
/// Variables that name a pager, the first one that is set.
const VARIABLES: [&str; 2] = ["EVALTRAIL_PAGER", "PAGER"];
/// What is there on nearly every machine.
const LESS: &str = "less";
/// Options of less: end at once where all fits on one screen, let colours through, leave the screen as it is.
const LESS_OPTIONS: &str = "FRX";
/// What reads the command line of a pager.
const SHELL: &str = "/bin/sh";
/// How a shell ends that can't run what it was told to.
const SHELL_FAILED: [i32; 2] = [126, 127];

/// Whether what is written to standard output may be coloured.
pub fn has_colour() -> bool {
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stdout().is_terminal() && !is_plain && !console::is_dumb()
}

/// A command line that shows what it reads, page by page.
pub struct Pager(OsString);

impl Pager {
    /// The pager of the terminal; none where there is no terminal, or nobody wants one.
    pub fn of_terminal() -> Option<Pager> {
        if !io::stdout().is_terminal() {
            return None;
        }
        let named = VARIABLES.iter().find_map(std::env::var_os);
        if let Some(named) = named {
            return Some(Pager(named)).filter(|pager| !pager.0.is_empty() && pager.0 != OsStr::new("cat"));
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let is_there = std::env::split_paths(&path).any(|folder| folder.join(Path::new(LESS)).is_file());
        (is_there && !console::is_dumb()).then(|| Pager(LESS.into()))
    }

    fn start(&self) -> io::Result<Paged> {
        let is_ended = Arc::new(AtomicBool::new(false));
        watch(Arc::clone(&is_ended))?;
        let mut command = Command::new(SHELL);
        command.arg("-c").arg(&self.0).stdin(Stdio::piped());
        if std::env::var_os("LESS").is_none() {
            command.env("LESS", LESS_OPTIONS);
        }
        let mut child = command.spawn()?;
        let stdin = child.stdin.take().ok_or(ErrorKind::BrokenPipe)?;
        Ok(Paged { child, stdin: BufWriter::with_capacity(BUFFER_BYTES, stdin), is_ended })
    }
}

/// Takes Ctrl-C for ourselves, from now on.
fn watch(is_ended: Arc<AtomicBool>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut interrupts = {
        let _inside = runtime.enter();
        signal(SignalKind::interrupt())?
    };
    let wait = move || {
        runtime.block_on(interrupts.recv());
        is_ended.store(true, Ordering::Relaxed);
    };
    std::thread::Builder::new().spawn(wait).map(drop)
}

/// A pager that runs.
struct Paged {
    child: Child,
    stdin: BufWriter<ChildStdin>,
    /// Whether the user wants it to end.
    is_ended: Arc<AtomicBool>,
}

impl Paged {
    /// Waits until the user has seen enough.
    fn wait(mut self) -> io::Result<()> {
        let flushed = self.stdin.flush();
        drop(self.stdin);
        let status = self.child.wait()?;
        if status.code().is_some_and(|code| SHELL_FAILED.contains(&code)) {
            return Err(io::Error::other("the pager can't be run: set EVALTRAIL_PAGER, or give --no-pager"));
        }
        flushed
    }
}

enum Target {
    Stdout(BufWriter<StdoutLock<'static>>),
    Pager(Paged),
}

/// Where records go.
pub struct Output {
    pager: Option<Pager>,
    target: Option<Target>,
}

impl Output {
    /// Through a pager, where there is one.
    pub fn new(pager: Option<Pager>) -> Output {
        Output { pager, target: None }
    }

    /// Writes some of it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BrokenPipe`] where the reader has gone away.
    pub fn write(&mut self, text: &[u8]) -> io::Result<()> {
        let pager = &mut self.pager;
        let target = self.target.get_or_insert_with(|| match pager.take().map(|pager| pager.start()) {
            Some(Ok(paged)) => Target::Pager(paged),
            Some(Err(e)) => {
                complain(&format!("evaltrail: there is no pager, since none can be started: {e}\n"));
                stdout()
            }
            None => stdout(),
        });
        match target {
            Target::Stdout(out) => out.write_all(text),
            Target::Pager(paged) => paged.stdin.write_all(text),
        }
    }

    /// Lets the reader see all that is written. Whether nobody wants more.
    pub fn is_over(&mut self) -> bool {
        match &mut self.target {
            None => false,
            Some(Target::Stdout(out)) => out.flush().is_err(),
            Some(Target::Pager(paged)) => {
                let is_gone = paged.stdin.flush().is_err() || !matches!(paged.child.try_wait(), Ok(None));
                is_gone || paged.is_ended.load(Ordering::Relaxed)
            }
        }
    }

    /// Writes what is left, and waits until the pager is left.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BrokenPipe`] where the reader has gone away; says for people what else went wrong.
    pub fn finish(self) -> io::Result<()> {
        match self.target {
            None => Ok(()),
            Some(Target::Stdout(mut out)) => out.flush(),
            Some(Target::Pager(paged)) => paged.wait(),
        }
    }
}

fn stdout() -> Target {
    Target::Stdout(BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock()))
}
