//! `evaltrail top`: the numbers of a real pipeline as a table, printed once and drawn on a terminal.

use crate::api::start;
use crate::harness::{Live, Run, TIMEOUT, TempDir, until};
use crate::logs::*;
use crate::receiver::{Answer, Receiver};
use crate::tools::free_address;
use regex::Regex;
use std::net::SocketAddr;
use std::path::Path;

fn stop(mut live: Live) {
    live.signal("TERM");
    assert!(until(TIMEOUT, || !live.is_running()));
}

/// The table of one look, which ends well.
fn table(address: SocketAddr) -> String {
    let args = ["top", "--once", "--interval", "0.1", "--address", &address.to_string()];
    Run::new(&args).run().exits(0).stdout
}

/// The words of the row of `id`.
fn row<'a>(table: &'a str, id: &str) -> Vec<&'a str> {
    let words = |line: &'a str| line.split_whitespace().collect::<Vec<_>>();
    table.lines().map(words).find(|words| words.first() == Some(&id)).unwrap_or_else(|| panic!("{table}"))
}

#[test]
fn a_table_shows_what_was_counted_and_what_is_wrong() {
    let (address, dir) = (free_address(), TempDir::new());
    let receiver = Receiver::start(|_, _| Answer::Status(401, "", "who are you?"));
    dir.write("livebook.log", &(twins_json(1, "1 + 1") + &other_json(3)));
    let folder = dir.path().display();
    let config = format!(
        "data_dir = \"{folder}/data\"\n\
         [sources.in]\ntype = \"file\"\ninclude = [\"{folder}/*.log\"]\n\
         [transforms.parse]\ntype = \"legacy_message\"\ninputs = [\"in\"]\n\
         [transforms.policy]\ntype = \"audit_policy\"\ninputs = [\"parse\"]\n\
         [sinks.all]\ntype = \"blackhole\"\ninputs = [\"parse\"]\n\
         [sinks.siem]\ntype = \"http\"\ninputs = [\"policy\"]\nuri = \"{}\"\nbatch.timeout_secs = 0.01\n\
         buffer = {{ type = \"disk\", max_size_bytes = 1048576 }}\n",
        receiver.uri()
    );
    let live = start(address, &config);
    let mut shown = String::new();
    let is_there = until(TIMEOUT, || {
        shown = table(address);
        shown.contains("siem: ") && row(&shown, "siem")[8] != "0" && row(&shown, "siem")[10] != "0"
    });
    assert!(is_there, "{shown}");
    let title = shown.lines().next().unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert!(title.starts_with(&format!("evaltrail {version} at {address}, up ")), "{shown}");
    assert!(title.ends_with("not ready"), "{shown}");
    assert!(shown.lines().nth(1).unwrap().contains("401"), "{shown}");
    let heads: Vec<&str> =
        "ID TYPE IN/s OUT/s IN OUT DROPPED REJECTED RETRIES LAG BUFFER DROPPED FOR".split(' ').collect();
    assert_eq!(row(&shown, "ID"), heads);
    // In, out, dropped; and what for.
    assert_eq!(row(&shown, "in")[1], "file");
    assert_eq!(row(&shown, "in")[4..6], ["3", "3"]);
    assert_eq!(row(&shown, "parse")[4..7], ["3", "2", "1"]);
    assert_eq!(row(&shown, "parse")[11..], ["twin", "1"]);
    assert_eq!(row(&shown, "policy")[4..7], ["2", "1", "1"]);
    assert_eq!(row(&shown, "policy")[11..], ["other_event", "1"]);
    assert_eq!(row(&shown, "all")[4..9], ["2", "2", "0", "0", "0"]);
    assert_eq!(row(&shown, "siem")[4..7], ["1", "0", "0"]);
    assert!(row(&shown, "siem").contains(&"%"), "{shown}");
    stop(live);
}

#[test]
fn where_to_ask_comes_from_the_line_the_config_or_habit() {
    let address = free_address();
    let rest = "[sources.in]\ntype = \"stdin\"\n[sinks.out]\ntype = \"blackhole\"\ninputs = [\"in\"]\n";
    let live = start(address, rest);
    // What else the config needs is no matter here.
    let other = "[sinks.more]\ntype = \"http\"\nuri = \"${NOT_SET}\"\n";
    let config = format!("{other}[api]\naddress = \"{address}\"\n");
    let outcome = Run::new(&["top", "--interval", "0.1"]).config(&config).run().exits(0);
    assert_eq!((row(&outcome.stdout, "in")[1], row(&outcome.stdout, "out")[1]), ("stdin", "blackhole"));
    let outcome = Run::new(&["top"]).config(other).run().exits(2);
    assert!(outcome.stderr.contains("evaltrail.toml has no `[api]`"), "{}", outcome.stderr);
    stop(live);
    let outcome = Run::new(&["top"]).config(&config).run().exits(1);
    for said in [&format!("can't ask {address}: "), "[api]", &format!("address = \"{address}\"")] {
        assert!(outcome.stderr.contains(said), "{}", outcome.stderr);
    }
    for interval in ["0", "-1", "soon", "1e9"] {
        Run::new(&["top", &format!("--interval={interval}")]).run().exits(2);
    }
    // Something else listens there.
    let receiver = Receiver::start(|_, _| Answer::Status(200, "", "hello"));
    let address = receiver.uri().replace("http://", "");
    let address = address.split('/').next().unwrap();
    let outcome = Run::new(&["top", "--address", address]).run().exits(1);
    assert!(outcome.stderr.contains("line 1 of the metrics can't be read"), "{}", outcome.stderr);
}

/// Opens a terminal of 80 by 12, and reads what is drawn: for each argument in front of `--`, until it has been drawn
/// since the one before; says so by a line of JSON. Then types `q`, and prints what was drawn at the end.
const TERMINAL: &str = r#"
import fcntl, json, os, pty, select, struct, sys, termios, time
split = sys.argv.index("--")
wanted, command = sys.argv[1:split], sys.argv[split + 1:]
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 12, 80, 0, 0))
    os.execv(command[0], command)
shown = b""
def read(until):
    global shown
    start, end = len(shown), time.time() + 60
    while time.time() < end and until not in shown[start:]:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                part = os.read(terminal, 65536)
            except OSError:
                return
            if not part:
                return
            shown += part
for words in wanted:
    read(words.encode())
    print(json.dumps({"seen": words}), flush=True)
modes = termios.tcgetattr(terminal)[3]
os.write(terminal, b"q")
read(b"until it ends")
_, status = os.waitpid(pid, 0)
frames = shown.decode().split("\x1b[H")
print(json.dumps({
    "code": os.waitstatus_to_exitcode(status), "last": frames[-1], "frame": frames[2], "first": frames[0],
    "one_by_one": not modes & termios.ICANON,
}), flush=True)
"#;

#[test]
fn on_a_terminal_it_is_drawn_again_and_again_and_outlives_the_pipeline() {
    let python = "/usr/bin/python3";
    if !Path::new(python).exists() {
        crate::tools::skip("no python3 to play a terminal");
        return;
    }
    let address = free_address();
    let sinks: String =
        (0..20).map(|n| format!("[sinks.out{n}]\ntype = \"blackhole\"\ninputs = [\"in\"]\n")).collect();
    let config = format!("[sources.in]\ntype = \"stdin\"\n{sinks}");
    let live = start(address, &config);
    let wanted = [", ready", "blackhole", "connection lost", ", ready"];
    let run = Run::of(python).arg("-c").arg(TERMINAL).arg_all(&wanted).arg("--");
    let run = run.arg_all(&[env!("CARGO_BIN_EXE_evaltrail"), "top", "--interval", "0.1", "--address"]);
    let mut top = run.arg(&address.to_string()).env("TERM", "xterm").live();
    for seen in &wanted[..2] {
        assert_eq!(top.event(TIMEOUT)["seen"], *seen);
    }
    live.kill();
    assert_eq!(top.event(TIMEOUT)["seen"], "connection lost");
    // With fewer components, whose counters begin anew.
    let live = start(
        address,
        "[sources.in]\ntype = \"stdin\"\n[sinks.out1]\ntype = \"blackhole\"\ninputs = [\"in\"]\n",
    );
    assert_eq!(top.event(TIMEOUT)["seen"], ", ready");
    let end = top.event(TIMEOUT);
    assert_eq!((&end["code"], &end["one_by_one"]), (&0.into(), &true.into()), "{end}");
    let text = |name: &str| end[name].as_str().unwrap().to_owned();
    assert!(text("first").contains("\x1b[?25l"), "the cursor is hidden");
    assert!(text("last").ends_with("\x1b[?25h\x1b[?1049l"), "and comes back: {:?}", text("last"));
    // What was written is turned into the line ends of a terminal on its way.
    let frame = text("frame").replace("\r\r\n", "\r\n");
    let lines: Vec<&str> = frame.split("\r\n").collect();
    assert_eq!(lines.len(), 12, "{frame}");
    assert!(lines[11].contains("lines more"), "{frame}");
    let escape = Regex::new("\x1b\\[[?0-9;]*[A-Za-z]").unwrap();
    let visible = |line: &&str| escape.replace_all(line, "").into_owned();
    assert!(lines.iter().all(|line| visible(line).chars().count() <= 80), "{frame}");
    drop(top);
    stop(live);
}
