//! Runs the program: at once with all of its input, or live, a piece at a time.
//!
//! Nothing outlives a test: a run over its time is killed by its own process id, and its directory is removed.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_evaltrail");
/// No run of the program takes so long, even on a busy machine.
pub const TIMEOUT: Duration = Duration::from_secs(60);
/// How often a condition is looked at that nobody announces.
const POLL: Duration = Duration::from_millis(2);

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A directory that goes with the test.
pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new() -> TempDir {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("evaltrail-test-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        TempDir(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file; gives back its name.
    pub fn write<'a>(&self, name: &'a str, text: &str) -> &'a str {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        name
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        if let Err(e) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{}: {e}", self.0.display());
        }
    }
}

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code; none where a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// Fails the test unless the exit code is `code`.
    #[track_caller]
    pub fn exits(self, code: i32) -> Outcome {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }

    /// The lines of standard output.
    pub fn lines(&self) -> Vec<&str> {
        self.stdout.lines().collect()
    }

    /// The lines of standard output, each of them JSON.
    #[track_caller]
    pub fn events(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        self.stdout.lines().map(parse).collect()
    }

    /// The line that says where everything went.
    #[track_caller]
    pub fn summary(&self) -> &str {
        self.stderr.lines().find(|line| line.contains(" done")).unwrap_or_else(|| panic!("{}", self.stderr))
    }
}

/// A run to come.
pub struct Run {
    dir: TempDir,
    command: Command,
    stdin: Vec<u8>,
}

impl Run {
    /// The program with these arguments.
    pub fn new(args: &[&str]) -> Run {
        let mut run = Run::of(PROGRAM);
        run.command.args(args);
        run
    }

    /// Any program, under the same conditions.
    pub fn of(program: &str) -> Run {
        let dir = TempDir::new();
        let mut command = Command::new(program);
        command.current_dir(dir.path()).env_clear().env("TZ", "UTC");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Run { dir, command, stdin: Vec::new() }
    }

    pub fn arg(mut self, arg: &str) -> Run {
        self.command.arg(arg);
        self
    }

    pub fn arg_all(mut self, args: &[&str]) -> Run {
        self.command.args(args);
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Run {
        self.command.env(name, value);
        self
    }

    pub fn current_dir(mut self, path: &Path) -> Run {
        self.command.current_dir(path);
        self
    }

    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Run {
        self.stdin = bytes.into();
        self
    }

    /// Adds a file to the directory of the run.
    pub fn file(self, name: &str, text: &str) -> Run {
        self.dir.write(name, text);
        self
    }

    /// The same, of any bytes.
    pub fn bytes(self, name: &str, bytes: &[u8]) -> Run {
        std::fs::write(self.dir.path().join(name), bytes).unwrap();
        self
    }

    /// Adds a config file, and says so on the command line.
    pub fn config(self, text: &str) -> Run {
        self.file("evaltrail.toml", text).arg("-c").arg("evaltrail.toml")
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(self) -> Outcome {
        let stdin = self.stdin.clone();
        let mut live = self.live();
        // A program that needs no input may be gone before it is written.
        let mut input = live.stdin.take().unwrap();
        let writer = thread::spawn(move || drop(input.write_all(&stdin)));
        let mut stdout = Vec::new();
        let deadline = Instant::now() + TIMEOUT;
        while let Some(line) = live.line_until(deadline) {
            stdout.extend_from_slice(&line);
        }
        let (status, stderr) = live.wait(TIMEOUT);
        writer.join().unwrap();
        Outcome { code: status.code(), stdout: String::from_utf8(stdout).unwrap(), stderr }
    }

    /// Starts it, with its input open.
    pub fn live(mut self) -> Live {
        let mut child = self.command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut stderr = child.stderr.take().unwrap();
        // Bounded, so that the program meets a reader that does not read.
        let (sender, lines) = sync_channel(0);
        thread::spawn(move || {
            loop {
                let mut line = Vec::new();
                match stdout.read_until(b'\n', &mut line) {
                    Ok(0) | Err(_) => return,
                    Ok(_) if sender.send(line).is_err() => return,
                    Ok(_) => {}
                }
            }
        });
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&said);
        let listener = thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(len @ 1..) = stderr.read(&mut bytes) {
                heard.lock().unwrap().extend_from_slice(&bytes[..len]);
            }
        });
        let stdin = child.stdin.take();
        Live { child, stdin, lines: Some(lines), said, listener: Some(listener), _dir: self.dir }
    }
}

/// Sends a signal by its name to a process, or to a group (`-PID`); whether there was one. The shell does it by itself: a
/// small Debian has no program for it.
pub fn kill(name: &str, target: &str) -> bool {
    let mut command = Command::new("sh");
    command.args(["-c", "kill -s \"$0\" -- \"$1\"", name, target]).stderr(Stdio::null());
    command.status().unwrap().success()
}

/// A running program. Dropped, it is killed.
pub struct Live {
    child: Child,
    pub stdin: Option<ChildStdin>,
    lines: Option<Receiver<Vec<u8>>>,
    said: Arc<Mutex<Vec<u8>>>,
    listener: Option<JoinHandle<()>>,
    _dir: TempDir,
}

impl Live {
    pub fn write(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(bytes).unwrap();
        stdin.flush().unwrap();
    }

    /// Writes to a program that may be gone.
    pub fn try_write(&mut self, bytes: &[u8]) {
        drop(self.stdin.as_mut().unwrap().write_all(bytes));
    }

    /// Ends the input.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Goes away as a reader of standard output.
    pub fn close_stdout(&mut self) {
        self.lines = None;
    }

    /// The next line, with its newline; none at the end. Kills the program where none comes in time.
    #[track_caller]
    fn line_until(&mut self, deadline: Instant) -> Option<Vec<u8>> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.lines.as_ref().unwrap().recv_timeout(left) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("no line and no end in time"),
        }
    }

    /// The next event, which has to come within `limit`.
    #[track_caller]
    pub fn event(&mut self, limit: Duration) -> Value {
        let line = self.line_until(Instant::now() + limit).expect("the output has ended");
        serde_json::from_slice(&line).unwrap()
    }

    /// Fails the test where a line comes within `time`.
    #[track_caller]
    pub fn silent_for(&mut self, time: Duration) {
        match self.lines.as_ref().unwrap().recv_timeout(time) {
            Ok(line) => panic!("unexpected: {}", String::from_utf8_lossy(&line)),
            Err(RecvTimeoutError::Disconnected) => panic!("the output has ended"),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }

    /// The rest of the output.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        let deadline = Instant::now() + TIMEOUT;
        std::iter::from_fn(|| self.line_until(deadline)).flatten().collect()
    }

    /// Sends a signal by its name (`TERM`).
    pub fn signal(&self, name: &str) {
        assert!(kill(name, &self.child.id().to_string()));
    }

    /// Waits until the program listens for signals: its config is read then.
    pub fn is_ready(&mut self) {
        // The mask of caught signals in /proc; SIGTERM is the fifteenth, and asked for behind SIGHUP.
        let listens = |status: &str| {
            let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
            u64::from_str_radix(mask.trim(), 16).unwrap() & (1 << 14) != 0
        };
        let is_ready = until(TIMEOUT, || listens(&self.proc("status")));
        assert!(is_ready, "{}", self.stderr());
    }

    /// Sends a signal as soon as the program listens for it.
    pub fn signal_when_ready(&mut self, name: &str) {
        self.is_ready();
        self.signal(name);
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for the end, which has to come within `limit`.
    #[track_caller]
    pub fn wait(mut self, limit: Duration) -> (ExitStatus, String) {
        assert!(until(limit, || !self.is_running()), "still running after {limit:?}");
        let status = self.child.wait().unwrap();
        self.listener.take().unwrap().join().unwrap();
        (status, self.stderr())
    }

    /// What it has said so far.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.said.lock().unwrap()).into_owned()
    }

    /// Waits until it has said `words`.
    #[track_caller]
    pub fn says(&self, words: &str) {
        assert!(until(TIMEOUT, || self.stderr().contains(words)), "not said: {words}\n{}", self.stderr());
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a power cut would; gives back what it had to say.
    pub fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.wait(TIMEOUT).1
    }

    /// A file of `/proc/PID`.
    pub fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap()
    }

    /// The most memory it ever had, in KiB.
    pub fn peak_kib(&self) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // Both fail where it has ended, which is as well.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Waits until `condition` holds; whether it did within `limit`.
pub fn until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(POLL);
    }
}

/// Waits until a file that is written has so many lines. The last one is whole then.
pub fn has_lines(path: &Path, count: usize) -> bool {
    let newlines = |bytes: Vec<u8>| bytes.iter().filter(|byte| **byte == b'\n').count();
    until(TIMEOUT, || std::fs::read(path).is_ok_and(|bytes| newlines(bytes) >= count))
}

/// Runs the embedded pipeline over a log; its exit code has to be 0.
#[track_caller]
pub fn embedded(log: impl Into<Vec<u8>>) -> Outcome {
    Run::new(&[]).stdin(log).run().exits(0)
}

/// The three transforms between standard input and output, with options added to each.
pub fn chain(parse: &str, policy: &str, project: &str) -> String {
    format!(
        "[sources.livebook]\ntype = \"stdin\"\n\n\
         [transforms.parse]\ntype = \"legacy_message\"\ninputs = [\"livebook\"]\n{parse}\n\n\
         [transforms.policy]\ntype = \"audit_policy\"\ninputs = [\"parse\"]\n{policy}\n\n\
         [transforms.project]\ntype = \"metadata_projection\"\ninputs = [\"policy\"]\n{project}\n\n\
         [sinks.out]\ntype = \"console\"\ninputs = [\"project\"]\n"
    )
}

/// Runs a config over a log; its exit code has to be 0.
#[track_caller]
pub fn through(config: &str, log: impl Into<Vec<u8>>) -> Outcome {
    Run::new(&[]).config(config).stdin(log).run().exits(0)
}
