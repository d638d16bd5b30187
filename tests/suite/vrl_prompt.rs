//! The prompt of `evaltrail vrl`, on a terminal that a script of Python plays.

use crate::harness::{PROGRAM, Run, TempDir};
use std::path::Path;

/// Opens a terminal, types each argument behind the program's when the prompt asks, and prints what was shown.
const TERMINAL: &str = r#"
import os, pty, select, sys, time
lines, command = sys.argv[1].split("\x1e"), sys.argv[2:]
pid, terminal = pty.fork()
if pid == 0:
    os.execv(command[0], command)
shown = b""
def read(until):
    global shown
    start, end = len(shown), time.time() + 30
    while time.time() < end and until not in shown[start:]:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                part = os.read(terminal, 65536)
            except OSError:
                break
            if not part:
                break
            shown += part
# Whoever asks turns this on first: pasting between brackets.
asked = b"\x1b[?2004h"
read(asked)
for line in lines:
    os.write(terminal, line.encode())
    read(asked if line is not lines[-1] else b"until it ends")
_, status = os.waitpid(pid, 0)
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(status))
"#;

/// What the terminal has shown, after the keys were typed one group after the other; none without Python.
fn typed(args: &[&str], keys: &[&str], home: &Path) -> Option<String> {
    let python = "/usr/bin/python3";
    if !Path::new(python).exists() {
        eprintln!("not tested: the prompt, since {python} is not there to play a terminal");
        return None;
    }
    let run = Run::of(python).arg("-c").arg(TERMINAL).arg(&keys.join("\x1e")).arg(PROGRAM).arg("vrl");
    let run = run.arg_all(args).env("TERM", "xterm").env("HOME", home.to_str().unwrap());
    let outcome = run.file("in.log", "{\"n\":1}\n{\"n\":2}\n").run().exits(0);
    Some(outcome.stdout.replace('\r', ""))
}

#[test]
fn lines_are_answered_and_what_they_make_stays() {
    let home = TempDir::new();
    let keys = [
        "x = 20\r",
        ".a = x + 1\r",
        "upcas(.a)\r",
        ".\r",
        "to_int!(\"z\")\r",
        "y = {\r\"b\": 2\r}\r",
        "\x04",
    ];
    let Some(shown) = typed(&[], &keys, home.path()) else { return };
    for said in [
        "\n20\n",
        "\n21\n",
        "{ \"a\": 21 }",
        "did you mean \"upcase\"?",
        "Invalid integer \"z\"",
        "{ \"b\": 2 }",
    ] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
    // What was typed is there again the next time: the key up.
    let shown = typed(&[], &["\x1b[A\r", "\x04"], home.path()).unwrap();
    assert!(shown.contains("{ \"b\": 2 }"), "{shown}");
    assert!(home.path().join(".local/state/evaltrail/vrl_history").exists());
}

#[test]
fn events_of_a_file_are_gone_through() {
    let home = TempDir::new();
    let keys = [".n\r", "next\r", ".n = int!(.n) + 40\r", "next\r", "prev\r", "prev\r", "exit\r"];
    let Some(shown) = typed(&["--input", "in.log"], &keys, home.path()) else { return };
    assert_eq!(shown.matches("{ \"n\": 1 }").count(), 2, "{shown}");
    for said in ["\n42\n", "there is no event behind this one", "there is no event before this one"] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
}

#[test]
fn help_is_at_hand_and_names_are_completed() {
    let home = TempDir::new();
    let keys = [
        "help\r",
        "help functions\r",
        "help to_elixir_inspect\r",
        "help nope\r",
        "to_elixir_i\t(1)\r",
        "\x03",
        "exit\r",
    ];
    let Some(shown) = typed(&[], &keys, home.path()) else { return };
    for said in [
        "help FUNCTION",
        "parse_livebook_legacy",
        "A function of evaltrail",
        "there is no function `nope`",
        "\"1\"",
    ] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
}
