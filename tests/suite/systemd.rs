//! What a service manager hears of a run, by the socket that it names in `NOTIFY_SOCKET`.

use crate::harness::{Live, Run, TIMEOUT, TempDir};
use crate::logs::*;
use crate::reload::STDIN;
use crate::tools::free_address;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::Duration;

const CONSOLE: &str = "[sinks.out]\ntype = \"console\"\ninputs = [\"in\"]\n";

/// A manager that listens, and the folder of its socket.
struct Manager {
    socket: UnixDatagram,
    dir: TempDir,
}

impl Manager {
    fn new() -> Manager {
        let dir = TempDir::new();
        let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(TIMEOUT)).unwrap();
        Manager { socket, dir }
    }

    fn path(&self) -> String {
        self.dir.path().join("notify").display().to_string()
    }

    /// Starts what is in `config.toml` of the folder.
    fn starts(&self, config: &str) -> Live {
        self.starts_with(config, &[])
    }

    fn starts_with(&self, config: &str, env: &[(&str, &str)]) -> Live {
        self.dir.write("config.toml", config);
        let mut run = Run::new(&["-c", "config.toml"]).current_dir(self.dir.path());
        run = run.env("NOTIFY_SOCKET", &self.path());
        env.iter().fold(run, |run, (name, value)| run.env(name, value)).live()
    }

    /// The next message.
    #[track_caller]
    fn hears(&self) -> String {
        let mut bytes = [0; 8192];
        let len = self.socket.recv(&mut bytes).expect("nothing is said");
        String::from_utf8(bytes[..len].to_vec()).unwrap()
    }

    /// Fails the test unless the next message begins with `words`; gives its line of the status.
    #[track_caller]
    fn hears_of(&self, words: &str) -> String {
        let message = self.hears();
        assert!(message.starts_with(words), "{words:?} was to come, and not {message:?}");
        let line = message.lines().find_map(|line| line.strip_prefix("STATUS="));
        line.unwrap_or_else(|| panic!("no status: {message}")).to_owned()
    }

    /// Nothing is left to be read. Only of a run that is over, which can say nothing more.
    #[track_caller]
    fn hears_no_more(&self) {
        self.socket.set_nonblocking(true).unwrap();
        let mut bytes = [0; 8192];
        match self.socket.recv(&mut bytes) {
            Ok(len) => panic!("{}", String::from_utf8_lossy(&bytes[..len])),
            Err(e) => assert_eq!(e.kind(), ErrorKind::WouldBlock),
        }
    }
}

#[track_caller]
fn ends_well(live: Live) {
    let (status, stderr) = live.wait(TIMEOUT);
    assert_eq!(status.code(), Some(0), "{stderr}");
}

#[test]
fn it_is_ready_when_its_sources_are_open_and_stopping_when_it_is_told_to() {
    let manager = Manager::new();
    let address = free_address();
    let server = format!("[sources.in]\ntype = \"http_server\"\naddress = \"{address}\"\n{CONSOLE}");
    let live = manager.starts(&server);
    let line = manager.hears_of("READY=1\n");
    assert!(line.contains("in → out"), "{line}");
    TcpStream::connect(address).expect("whoever comes after it is ready is let in");
    live.signal("TERM");
    manager.hears_of("STOPPING=1\n");
    ends_well(live);
    manager.hears_no_more();
}

#[test]
fn a_source_that_can_not_be_opened_is_never_ready() {
    let manager = Manager::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let live =
        manager.starts(&format!("[sources.in]\ntype = \"http_server\"\naddress = \"{address}\"\n{CONSOLE}"));
    let (status, stderr) = live.wait(TIMEOUT);
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("can't listen on"), "{stderr}");
    manager.hears_no_more();
}

#[test]
fn a_run_that_comes_to_its_end_by_itself_says_so() {
    let manager = Manager::new();
    let mut live = manager.starts(&format!("{STDIN}{CONSOLE}"));
    manager.hears_of("READY=1\n");
    live.write(other_json(1).as_bytes());
    live.event(TIMEOUT);
    live.close_stdin();
    manager.hears_of("STOPPING=1\n");
    live.rest();
    ends_well(live);
    manager.hears_no_more();
}

#[test]
fn a_reload_has_a_beginning_and_an_end() {
    let manager = Manager::new();
    let live = manager.starts(&format!("{STDIN}{CONSOLE}"));
    manager.hears_of("READY=1\n");
    let more = "[sinks.nowhere]\ntype = \"blackhole\"\ninputs = [\"in\"]\n";
    manager.dir.write("config.toml", &format!("{STDIN}{CONSOLE}{more}"));
    live.signal("HUP");
    let begin = manager.hears();
    let since = begin.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap_or_else(|| panic!("{begin}"));
    // What the kernel calls the monotonic clock counts from the start of the machine.
    let up = std::fs::read_to_string("/proc/uptime").unwrap();
    let up_secs: f64 = up.split_whitespace().next().unwrap().parse().unwrap();
    let since_usec: f64 = since.lines().next().unwrap().parse().unwrap();
    assert!((up_secs - since_usec / 1e6).abs() < TIMEOUT.as_secs_f64(), "{begin} at {up}");
    let line = manager.hears_of("READY=1\n");
    assert!(line.contains("nowhere"), "{line}");
    live.signal("TERM");
    manager.hears_of("STOPPING=1\n");
    ends_well(live);
    manager.hears_no_more();
}

#[test]
fn a_refused_reload_ends_too_and_its_refusal_is_shown_until_the_next() {
    let manager = Manager::new();
    let good = format!("{STDIN}{CONSOLE}");
    // Refused while it is read, and by what runs.
    for bad in [format!("{good}bad = ["), format!("data_dir = \"other\"\n{good}")] {
        let mut live = manager.starts(&format!("data_dir = \"data\"\n{good}"));
        manager.hears_of("READY=1\n");
        manager.dir.write("config.toml", &bad);
        live.signal("HUP");
        manager.hears_of("RELOADING=1\n");
        let line = manager.hears_of("READY=1\n");
        assert!(line.contains("refused"), "{bad}: {line}");
        manager.dir.write("config.toml", &format!("data_dir = \"data\"\n{good}"));
        live.signal("HUP");
        manager.hears_of("RELOADING=1\n");
        let line = manager.hears_of("READY=1\n");
        assert!(!line.contains("refused"), "{line}");
        live.close_stdin();
        manager.hears_of("STOPPING=1\n");
        ends_well(live);
    }
    manager.hears_no_more();
}

#[test]
fn the_watchdog_is_fed_where_there_is_one_and_while_it_drains() {
    let manager = Manager::new();
    let config = "[sources.in]\ntype = \"demo_logs\"\ninterval_secs = 0\n".to_owned() + CONSOLE;
    let mut live = manager.starts_with(&config, &[("WATCHDOG_USEC", "20000")]);
    manager.hears_of("READY=1\n");
    for _ in 0..5 {
        assert_eq!(manager.hears(), "WATCHDOG=1\n");
    }
    // Nobody reads what it writes, so it can't come to its end.
    live.signal("TERM");
    let mut message = manager.hears();
    while message == "WATCHDOG=1\n" {
        message = manager.hears();
    }
    assert!(message.starts_with("STOPPING=1\n"), "{message}");
    assert_eq!(manager.hears(), "WATCHDOG=1\n");
    live.rest();
    live.wait(TIMEOUT);
}

#[test]
fn a_watchdog_of_another_process_is_not_fed() {
    let manager = Manager::new();
    let config = format!("{STDIN}{CONSOLE}");
    let mut live = manager.starts_with(&config, &[("WATCHDOG_USEC", "1000"), ("WATCHDOG_PID", "1")]);
    manager.hears_of("READY=1\n");
    live.write(other_json(1).as_bytes());
    live.event(TIMEOUT);
    live.close_stdin();
    manager.hears_of("STOPPING=1\n");
    ends_well(live);
}

#[test]
fn a_manager_may_listen_under_a_name_that_is_in_no_file_system() {
    use std::os::linux::net::SocketAddrExt;
    let name = format!("evaltrail-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let socket = UnixDatagram::bind_addr(&address).unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    let manager = Manager { socket, dir: TempDir::new() };
    let notify = format!("@{name}");
    let mut live = manager.starts_with(&format!("{STDIN}{CONSOLE}"), &[("NOTIFY_SOCKET", notify.as_str())]);
    manager.hears_of("READY=1\n");
    live.close_stdin();
    manager.hears_of("STOPPING=1\n");
    ends_well(live);
    manager.hears_no_more();
}

#[test]
fn trouble_is_shown_long_before_counts_are() {
    let manager = Manager::new();
    // Nothing of what is only counted would be told of so soon.
    manager.socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let nobody = free_address();
    let sink = format!("[sinks.siem]\ntype = \"http\"\ninputs = [\"in\"]\nuri = \"http://{nobody}/\"\n");
    let mut live = manager.starts(&format!("{STDIN}{sink}"));
    let line = manager.hears_of("READY=1\n");
    assert!(!line.contains("in trouble"), "{line}");
    live.write(other_json(1).as_bytes());
    let line = manager.hears_of("STATUS=");
    assert!(line.starts_with("in trouble: siem; "), "{line}");
    live.kill();
}

#[test]
fn a_long_flow_makes_a_short_line() {
    let manager = Manager::new();
    let name = "long".repeat(60);
    let sinks = (0..9).map(|at| format!("[sinks.{name}{at}]\ntype = \"blackhole\"\ninputs = [\"in\"]\n"));
    let mut live = manager.starts(&format!("{STDIN}{}", sinks.collect::<String>()));
    let line = manager.hears_of("READY=1\n");
    assert!(line.ends_with('…') && line.chars().count() == 401, "{line}");
    live.close_stdin();
    ends_well(live);
}

#[test]
fn other_commands_tell_nothing() {
    let manager = Manager::new();
    manager.dir.write("config.toml", &format!("{STDIN}{CONSOLE}"));
    for command in ["validate", "test", "graph", "explain"] {
        let run = Run::new(&[command, "-c", "config.toml"]).current_dir(manager.dir.path());
        let outcome = run.env("NOTIFY_SOCKET", &manager.path()).env("WATCHDOG_USEC", "1000").run();
        assert!(outcome.code.is_some(), "{command}: {}", outcome.stderr);
    }
    manager.hears_no_more();
}

#[test]
fn a_manager_that_can_not_be_told_costs_a_line_of_the_log() {
    let dir = TempDir::new();
    let nobody = dir.path().join("nobody");
    // A socket that nobody has bound any more is there, and answers nothing.
    drop(UnixDatagram::bind(dir.path().join("left")).unwrap());
    let unnamed = Path::new("@evaltrail-test-nobody");
    for path in [nobody.as_path(), &dir.path().join("left"), Path::new("/"), unnamed] {
        let run = Run::new(&[]).env("NOTIFY_SOCKET", path.to_str().unwrap()).env("WATCHDOG_USEC", "2000");
        let outcome = run.stdin(twins_json(1, "1 + 1")).run().exits(0);
        assert_eq!(codes(&outcome.events()), ["1 + 1"]);
        assert_eq!(
            outcome.stderr.matches("the service manager can't be told").count(),
            1,
            "{}",
            outcome.stderr
        );
    }
    for run in [Run::new(&[]), Run::new(&[]).env("NOTIFY_SOCKET", "")] {
        let outcome = run.stdin(twins_json(1, "1 + 1")).run().exits(0);
        assert!(!outcome.stderr.contains("manager"), "{}", outcome.stderr);
    }
}

#[test]
fn a_manager_that_does_not_read_holds_up_nothing_for_long() {
    let manager = Manager::new();
    // Its queue takes a handful of messages, and no more.
    let full = UnixDatagram::unbound().unwrap();
    full.set_nonblocking(true).unwrap();
    while full.send_to(b"NOISE=1", manager.path()).is_ok() {}
    let mut live = manager.starts(&format!("{STDIN}{CONSOLE}"));
    live.write(other_json(1).as_bytes());
    live.event(TIMEOUT);
    live.close_stdin();
    let (status, stderr) = live.wait(Duration::from_secs(30));
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("the service manager can't be told"), "{stderr}");
}
