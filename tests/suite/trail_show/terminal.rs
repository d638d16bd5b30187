//! Colours and pagers, on a terminal that a script of Python plays.

use super::{evaluations, segment};
use crate::harness::{Outcome, PROGRAM, Run};
use crate::progress::{PYTHON, TERMINAL};
use std::path::Path;

/// What stands in for a pager: it says what it is, and what it was given.
const PAGER: &str = "echo \"[$1 LESS=$LESS]\"\ncat\necho \"[end]\"\n";
const NOTE: &str = "evaltrail: shown as they are: `evaltrail trail verify` checks them\n";

/// What a terminal has shown; none without Python.
fn on_a_terminal(args: &[&str], variables: &[(&str, &str)], code: i32) -> Option<Outcome> {
    if !Path::new(PYTHON).exists() {
        eprintln!("not tested: the pager, since {PYTHON} is not there to play a terminal");
        return None;
    }
    let run = Run::of(PYTHON).arg("-c").arg(TERMINAL).arg(PROGRAM).arg_all(&["trail", "show", "audit"]);
    let run = segment(run.arg_all(args).env("TERM", "xterm"), 0, &evaluations()).file("pager.sh", PAGER);
    let run = variables.iter().fold(run, |run, (name, value)| run.env(name, value));
    let mut outcome = run.run().exits(code);
    outcome.stdout = outcome.stdout.replace('\r', "");
    Some(outcome)
}

#[test]
fn colours_and_what_was_not_checked_are_for_a_terminal() {
    let Some(outcome) = on_a_terminal(&["--no-pager", "--mode", "app"], &[("PAGER", "sh pager.sh x")], 0)
    else {
        return;
    };
    let shown = outcome.stdout;
    assert!(shown.starts_with("\x1b[33m1\x1b[0m  \x1b[2m2026-01-02"), "{shown:?}");
    assert!(shown.ends_with(&format!("    e\nevaltrail: 2 of 5 records\n{NOTE}")), "{shown:?}");
    let plain = on_a_terminal(&["--no-pager"], &[("NO_COLOR", "1")], 0).unwrap().stdout;
    assert!(!plain.contains('\x1b') && plain.contains("0  2026-01-02 03:00"), "{plain:?}");
    let dumb = on_a_terminal(&["--no-pager"], &[("TERM", "dumb")], 0).unwrap().stdout;
    assert!(!dumb.contains('\x1b'), "{dumb:?}");
    let json = on_a_terminal(&["--no-pager", "--json", "-n", "1"], &[], 0).unwrap().stdout;
    assert!(json.starts_with('{') && !json.contains('\x1b'), "{json:?}");
}

#[test]
fn the_pager_is_the_one_that_was_named() {
    let of = |name: &str| format!("sh pager.sh {name}");
    let (own, other) = (of("own"), of("other"));
    let both = [("EVALTRAIL_PAGER", own.as_str()), ("PAGER", other.as_str()), ("LESS", "i")];
    let Some(outcome) = on_a_terminal(&["-n", "1"], &both, 0) else { return };
    let shown = outcome.stdout;
    assert!(shown.starts_with("[own LESS=i]\n\x1b[33m4\x1b[0m  "), "{shown:?}");
    assert!(
        shown.ends_with(&format!("    e\n[end]\nevaltrail: the last 1 record that fit\n{NOTE}")),
        "{shown:?}"
    );
    let shown = on_a_terminal(&[], &both[1..2], 0).unwrap().stdout;
    assert!(shown.starts_with("[other LESS=FRX]\n") && shown.contains("[end]\nevaltrail: 5 of 5 records\n"));
    for none in ["", "cat"] {
        let none = [("EVALTRAIL_PAGER", none), ("PAGER", other.as_str())];
        assert!(!on_a_terminal(&[], &none, 0).unwrap().stdout.contains("[end]"), "{none:?}");
    }
}

#[test]
fn less_is_the_pager_where_none_is_named() {
    // The first `less` of the path is one of ours.
    let script =
        "mkdir bin && cp pager.sh bin/less && chmod +x bin/less && PATH=$PWD/bin:$PATH exec \"$0\" \"$@\"";
    if !Path::new(PYTHON).exists() {
        return eprintln!("not tested: less, since {PYTHON} is not there to play a terminal");
    }
    let run = Run::of("bash").arg("-c").arg(script).arg(PYTHON).arg("-c").arg(TERMINAL).arg(PROGRAM);
    let run = run.arg_all(&["trail", "show", "audit"]).env("TERM", "xterm").env("PATH", "/usr/bin:/bin");
    let pager = format!("#!/bin/sh\n{PAGER}");
    let outcome = segment(run.file("pager.sh", &pager), 0, &evaluations()).run().exits(0);
    assert!(outcome.stdout.starts_with("[ LESS=FRX]\r\n"), "{:?}", outcome.stdout);
}

#[test]
fn a_pager_that_is_left_ends_it_quietly_and_one_that_is_not_there_is_said() {
    let Some(left) = on_a_terminal(&[], &[("PAGER", "exit 0")], 0) else { return };
    assert!(left.stdout.ends_with(NOTE) && !left.stdout.contains("can't"), "{:?}", left.stdout);
    let missing = on_a_terminal(&[], &[("PAGER", "no-such-pager")], 1).unwrap().stdout;
    assert!(
        missing.contains("the pager can't be run: set EVALTRAIL_PAGER, or give --no-pager"),
        "{missing:?}"
    );
}

#[test]
fn nothing_to_show_starts_no_pager() {
    let Some(outcome) = on_a_terminal(&["--grep", "nowhere"], &[("PAGER", "sh pager.sh x")], 0) else {
        return;
    };
    assert_eq!(outcome.stdout, "evaltrail: none of 5 records fits\n");
}

#[test]
fn a_pipe_gets_neither_colours_nor_a_pager() {
    let run = Run::new(&["trail", "show", "audit"]).env("TERM", "xterm").env("PAGER", "sh pager.sh x");
    let outcome = segment(run.file("pager.sh", PAGER), 0, &evaluations()).run().exits(0);
    assert!(
        !outcome.stdout.contains('\x1b') && !outcome.stdout.contains("[end]") && outcome.stderr.is_empty()
    );
}
