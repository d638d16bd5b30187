//! The bar of a run with `--once` over files, on a terminal that a script of Python plays.

use crate::harness::{Outcome, PROGRAM, Run};
use crate::http_sink::HASTY;
use crate::receiver::{Answer, OK, Receiver};
use std::path::Path;

/// Runs what its arguments say on a terminal, and prints what was shown.
pub const TERMINAL: &str = r#"
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
shown = b""
while True:
    try:
        part = os.read(terminal, 65536)
    except OSError:
        break
    if not part:
        break
    shown += part
_, status = os.waitpid(pid, 0)
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(status))
"#;
pub const PYTHON: &str = "/usr/bin/python3";
/// What only the bar has.
const BAR: &str = "% [";
/// Half a second of failures, or more, in which a bar would be seen.
const FAILURES: usize = 60;

/// A receiver that takes its time.
fn slow() -> Receiver {
    Receiver::start(|number, _| if number < FAILURES { Answer::Status(503, "", "") } else { OK })
}

fn config(receiver: &Receiver, more: &str) -> String {
    format!(
        "data_dir = \"data\"\n[sources.logs]\ntype = \"file\"\ninclude = [\"*.log*\"]\ndecoding.codec = \"text\"\n\
         [sinks.siem]\ntype = \"http\"\ninputs = [\"logs\"]\nuri = \"{}\"\n{HASTY}{more}",
        receiver.uri()
    )
}

fn prepared(run: Run, config: &str, args: &[&str]) -> Run {
    let packed = {
        use std::io::Write;
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packer.write_all(b"packed\n".repeat(100).as_slice()).unwrap();
        packer.finish().unwrap()
    };
    let run = run.file("a.log", &"plain\n".repeat(2_000)).bytes("b.log.gz", &packed);
    run.config(config).arg("--once").arg_all(args)
}

/// What a terminal has shown; none without Python.
fn on_a_terminal(config: &str, args: &[&str]) -> Option<Outcome> {
    if !Path::new(PYTHON).exists() {
        eprintln!("not tested: the bar, since {PYTHON} is not there to play a terminal");
        return None;
    }
    let run = Run::of(PYTHON).arg("-c").arg(TERMINAL).arg(PROGRAM).env("TERM", "xterm");
    Some(prepared(run, config, args).run().exits(0))
}

/// What is left on the screen of each line, without colours.
fn left(shown: &str) -> Vec<String> {
    let kept = |line: &str| {
        let last = line.rsplit("\x1b[2K").next().unwrap().trim_end_matches('\r').to_owned();
        let parts: Vec<&str> = last.split('\x1b').collect();
        let rest = parts[1..].iter().map(|part| part.split_once('m').map_or(*part, |(_, rest)| rest));
        parts[0].to_owned() + &rest.collect::<String>()
    };
    shown.split('\n').map(kept).filter(|line| !line.trim().is_empty()).collect()
}

#[test]
fn a_bar_comes_and_goes_and_lines_of_the_log_stay_whole() {
    let receiver = slow();
    let Some(outcome) = on_a_terminal(&config(&receiver, ""), &[]) else { return };
    let shown = outcome.stdout;
    // Bytes on the disk: 12000 of the plain file, and what the packed one has.
    assert!(shown.contains(BAR) && shown.contains(" of 11.7") && shown.contains("left"), "{shown:?}");
    let left = left(&shown);
    let said = [
        "INFO runs logs → siem",
        "WARN can't deliver: ",
        "INFO delivers again, after ",
        "INFO done records=2100",
    ];
    assert_eq!(left.len(), said.len(), "{left:#?}");
    for (line, said) in left.iter().zip(said) {
        assert!(line.starts_with("20") && line.contains(said), "{line}");
    }
}

#[test]
fn where_it_would_disturb_there_is_none() {
    let console = "[sinks.out]\ntype = \"console\"\ninputs = [\"logs\"]\n";
    let on_stderr = format!("{console}target = \"stderr\"\n");
    for (more, args) in
        [("", &["-q"][..]), ("", &["--log-format", "json"]), (console, &[]), (on_stderr.as_str(), &[])]
    {
        let receiver = slow();
        let Some(outcome) = on_a_terminal(&config(&receiver, more), args) else { return };
        assert!(!outcome.stdout.contains(BAR), "{args:?} {more}: {:?}", outcome.stdout);
        assert!(receiver.count() > FAILURES, "it took its time");
    }
}

#[test]
fn a_pipe_gets_no_byte_of_it() {
    let receiver = slow();
    let outcome = prepared(Run::new(&[]), &config(&receiver, ""), &[]).env("TERM", "xterm").run().exits(0);
    assert!(!outcome.stderr.contains(BAR) && !outcome.stderr.contains('\x1b'), "{}", outcome.stderr);
    assert_eq!(outcome.stderr.lines().count(), 4, "{}", outcome.stderr);
    assert!(outcome.summary().contains("delivered=2100"), "{}", outcome.stderr);
}
