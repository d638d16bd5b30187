//! The screen: arguments in, diagnostics and exit codes out. No logic.

mod args;
mod attend;
mod buffer;
mod client;
mod describe;
mod explain;
mod graph;
mod load;
mod log;
mod man;
mod mask;
mod progress;
pub mod render;
mod replay;
mod run;
mod service;
mod summary;
mod tap;
mod test;
mod top;
mod trail;
mod vrl;

use args::{Cli, Command, Preset};
use clap::Parser;
use clap::error::ErrorKind;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// The pipeline that runs where no config is given.
const EMBEDDED: &str = include_str!("../../configs/embedded.toml");

/// Something was rejected or lost, or a component failed.
const EXIT_FAILED: u8 = 1;
/// Bad usage or a bad config: nothing was started.
const EXIT_REFUSED: u8 = 2;

/// Stack of each thread, in bytes. Compiling a long program in VRL and taking down a deep value go as deep as these are:
/// some 350 bytes a level. Only what is touched takes memory.
pub const STACK_BYTES: usize = 256 << 20;

/// Runs `work` on a thread whose stack is that deep, where the system gives one.
pub fn on_deep_stack(work: impl FnOnce() -> ExitCode + Send + Clone) -> ExitCode {
    std::thread::scope(|scope| {
        let deep = std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work.clone());
        match deep {
            // A panic has said what it is.
            Ok(thread) => thread.join().unwrap_or(EXIT_FAILED.into()),
            Err(_) => work(),
        }
    })
}

/// Runs the program and says how it ended: 0 when all is well, 1 when something was rejected or lost, 2 when nothing
/// was started.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(e) => {
            let code = if e.use_stderr() { EXIT_REFUSED } else { 0 };
            // Help into a pipe whose reader is gone: nobody is left to tell.
            e.print().unwrap_or_default();
            if matches!(e.kind(), ErrorKind::InvalidSubcommand | ErrorKind::UnknownArgument) {
                complain(&file_hint(&args));
            }
            return code.into();
        }
    };
    match cli.command {
        None => run::run(&cli.run),
        Some(Command::Run(args)) => run::run(&args),
        Some(Command::Validate(args)) => load::validate(&args),
        Some(Command::Test(args)) => test::run(&args),
        Some(Command::Init(args)) => print(preset(args.preset)),
        Some(Command::Replay(args)) => replay::run(&args),
        Some(Command::Explain(args)) => explain::run(args),
        Some(Command::Graph(args)) => graph::run(&args),
        Some(Command::Top(args)) => top::run(&args),
        Some(Command::Tap(args)) => tap::run(&args),
        Some(Command::Completions { shell }) => graph::completions(shell),
        Some(Command::Man) => man::run(),
        Some(Command::List) => print(&list()),
        Some(Command::Vrl(args)) => vrl::run(&args),
        Some(Command::Describe(args)) => describe::run(&args),
        Some(Command::Schema) => print(&crate::config::schema(&crate::config::BUILTIN)),
        Some(Command::Buffer(command)) => buffer::run(&command),
        Some(Command::Trail(command)) => trail::run(&command),
    }
}

/// How a file is given, where one is given as it can't be.
fn file_hint(args: &[OsString]) -> String {
    let mut paths = args.iter().skip(1).map(Path::new).filter(|path| path.is_file());
    paths.next().map_or_else(String::new, |path| match path.extension() {
        Some(extension) if extension == "toml" => {
            format!("\n  a config is given by `-c {}`\n", path.display())
        }
        _ => format!("\n  a log is read from standard input: `evaltrail < {}`\n", path.display()),
    })
}

/// The config of a preset.
fn preset(preset: Preset) -> &'static str {
    match preset {
        Preset::Stdin => EMBEDDED,
        Preset::File => include_str!("../../configs/files.toml"),
        Preset::Http => include_str!("../../configs/http.toml"),
        Preset::Docker => include_str!("../../configs/docker.toml"),
        Preset::Kubernetes => include_str!("../../configs/kubernetes.toml"),
        Preset::Demo => include_str!("../../configs/demo.toml"),
    }
}

/// Writes to standard output; a reader who went away is no failure.
fn print(text: &str) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(e) => {
            complain(&format!("evaltrail: can't write to standard output: {e}\n"));
            EXIT_FAILED.into()
        }
    }
}

/// Writes to standard error, where anybody listens.
fn complain(text: &str) {
    io::stderr().lock().write_all(text.as_bytes()).unwrap_or_default();
}

fn list() -> String {
    let registry = &crate::config::BUILTIN;
    let sources = registry.sources.iter().map(|entry| ("source", entry.name, entry.summary));
    let transforms = registry.transforms.iter().map(|entry| ("transform", entry.name, entry.summary));
    let sinks = registry.sinks.iter().map(|entry| ("sink", entry.name, entry.summary));
    let all: Vec<_> = sources.chain(transforms).chain(sinks).collect();
    let width = all.iter().map(|(_, name, _)| name.len()).max().unwrap_or(0);
    let line = |(role, name, summary): &(&str, &str, &str)| format!("{role:<9}  {name:<width$}  {summary}\n");
    all.iter().map(line).collect()
}
