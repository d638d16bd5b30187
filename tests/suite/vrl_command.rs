//! `evaltrail vrl`: programs over events from standard input and from files.

use crate::harness::{Live, Outcome, PROGRAM, Run, TIMEOUT};
use crate::logs::*;
use serde_json::json;
use std::io::Write;

#[track_caller]
fn vrl(args: &[&str], input: &str) -> Outcome {
    Run::new(&["vrl"]).arg_all(args).stdin(input).run()
}

#[test]
fn events_come_out_as_the_program_leaves_them() {
    let outcome = vrl(&[".b = to_int!(.a) + 1"], "{\"z\":1.50,\"a\":\"1\"}\n{\"a\":2}").exits(0);
    assert_eq!(outcome.lines(), [r#"{"z":1.50,"a":"1","b":2}"#, r#"{"a":2,"b":3}"#]);
    assert_eq!(outcome.stderr, "");
    // An object is an event as it stands, whatever it looks like.
    let wrapped = "{\"log\":\"x\\n\",\"stream\":\"stdout\",\"time\":\"2025-10-06T09:00:00Z\"}\n";
    assert_eq!(vrl(&["."], wrapped).exits(0).stdout, wrapped);
    assert_eq!(vrl(&[".", "--unwrap", "docker"], wrapped).exits(0).stdout, "{\"message\":\"x\"}\n");
}

#[test]
fn the_input_is_decoded_as_by_a_source() {
    let log = structured_line(1, "1 +\n 1") + "plain\n";
    let events = vrl(&["."], &log).exits(0).events();
    assert_eq!(events[0]["metadata"]["code"], "1 +\n 1");
    assert_eq!(events[1], json!({"message": "plain"}));
    let outcome = vrl(&[".", "--codec", "text"], "{\"a\":1}\n").exits(0);
    assert_eq!(outcome.events(), [json!({"message": "{\"a\":1}"})]);
    let outcome = vrl(&["%offset", "--result", "--codec", "json"], "{\"a\":1}\n\n{}\nno\n{}\n").exits(1);
    assert_eq!(outcome.lines(), ["0", "9", "15"]);
    assert!(outcome.stderr.contains("line 4: this can't be decoded"), "{}", outcome.stderr);
}

#[test]
fn results_are_shown_on_demand_one_in_a_line() {
    let program = "x = split(string!(.a), \"-\")\nif x[0] == \"q\" { return null }\nx";
    let outcome = vrl(&["-r", program], "{\"a\":\"1-2\"}\n{\"a\":\"q\"}\n{\"a\":\"é\\n\"}\n").exits(0);
    assert_eq!(outcome.lines(), [r#"["1","2"]"#, "null", r#"["é\n"]"#]);
}

#[test]
fn without_input_there_is_one_empty_event() {
    assert_eq!(vrl(&["-n", ".a = 1"], "{\"b\":1}").exits(0).stdout, "{\"a\":1}\n");
    assert_eq!(vrl(&[".a = 1"], "").exits(0).stdout, "", "an empty log has no event");
}

#[test]
fn a_program_and_its_input_may_be_files() {
    let run = Run::new(&["vrl", "-f", "p.vrl", "-i", "in.log"]);
    let run = run.file("p.vrl", ".file = %file\n").file("in.log", "{\"a\":1}\n");
    assert_eq!(run.run().exits(0).stdout, "{\"a\":1,\"file\":\"in.log\"}\n");
    let outcome = Run::new(&["vrl", "-f", "p.vrl"]).file("p.vrl", ".a = 1\n.b = nope()\n").run().exits(2);
    assert!(outcome.stderr.contains("--> p.vrl:2:6"), "{}", outcome.stderr);
    for (args, said) in [(&["-f", "none.vrl"][..], "none.vrl"), (&[".", "-i", "none.log"], "none.log")] {
        let outcome = vrl(args, "").exits(2);
        assert!(outcome.stderr.contains(&format!(
            "can't read the {}",
            if said.ends_with("vrl") { "program" } else { "input" }
        )));
        assert!(outcome.stderr.contains(said), "{}", outcome.stderr);
    }
}

#[test]
fn a_program_that_does_not_compile_is_shown_with_its_places() {
    let outcome = vrl(&[".a = upcas(.b)\n.c = to_int(.d)"], "{}").exits(2);
    assert_eq!(outcome.stdout, "");
    for said in
        ["--> <program>:1:6", "^^^^^ undefined function", "did you mean \"upcase\"?", "2 errors in <program>"]
    {
        assert!(outcome.stderr.contains(said), "{said}: {}", outcome.stderr);
    }
    // What may be a secret is not shown, and what is wrong is.
    let outcome = vrl(&[".password = upcas(\"hunter2\")"], "").exits(2);
    assert!(outcome.stderr.contains(".password = upcas(\"*******\")"), "{}", outcome.stderr);
    let outcome = vrl(&["\"unused\"\n.a = 1"], "{}\n").exits(0);
    assert!(outcome.stderr.contains("warning: "), "{}", outcome.stderr);
    for (args, said) in [
        (&[][..], "there is no program"),
        (&[".", "--timezone", "Mars"], "unknown time zone `Mars`"),
        (&[".", "-f", "x"], "cannot be used with"),
    ] {
        let outcome = vrl(args, "").exits(2);
        assert!(outcome.stderr.contains(said), "{said}: {}", outcome.stderr);
    }
}

#[test]
fn an_event_on_which_the_program_fails_goes_on_as_it_came() {
    let program = ".x = 1\nn = to_int!(.n)\nif n == 0 { abort \"none\" }\nif n == 9 { . = [] }\nif n == 2 { . = [{\"n\": 1}, {\"n\": 1}] }";
    let log = "{\"n\":\"7\"}\n{\"n\":\"z\"}\n\n{\"n\":0}\n{\"n\":9}\n{\"n\":2}\n{\"n\":5}";
    let outcome = vrl(&[program], log).exits(1);
    let good = [r#"{"n":"7","x":1}"#, r#"{"n":"z"}"#, r#"{"n":1}"#, r#"{"n":1}"#, r#"{"n":5,"x":1}"#];
    assert_eq!(outcome.lines(), good);
    for said in [
        "line 2: function call error for \"to_int\" at 2:5: ",
        "1 event dropped: the program said `abort`",
        "made no event of it",
        "1 event on which",
    ] {
        assert!(outcome.stderr.contains(said), "{said}: {}", outcome.stderr);
    }
    // Of a result there is none.
    assert_eq!(vrl(&["-r", program], "{\"n\":\"z\"}\n{\"n\":0}").exits(1).stdout, "");
    assert_eq!(vrl(&["abort"], "{}\n").exits(0).stdout, "");
}

#[test]
fn times_without_a_zone_are_in_the_one_that_is_named() {
    let program = "parse_timestamp!(\"2025-10-06 12:00:00\", \"%F %T\")";
    for (zone, time) in [("UTC", "12"), ("Europe/Berlin", "10")] {
        let outcome = vrl(&["-n", "-r", "--timezone", zone, program], "").exits(0);
        assert_eq!(outcome.stdout, format!("\"2025-10-06T{time}:00:00Z\"\n"));
    }
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_quietly() {
    let script = "yes '{\"a\":1}' | \"$0\" vrl '.b = 1' | head -n 2; exit \"${PIPESTATUS[1]}\"";
    let run = Run::of("bash").arg("-c").arg(script).arg(PROGRAM).env("PATH", "/usr/bin:/bin");
    let outcome = run.run().exits(0);
    assert_eq!((outcome.lines().len(), outcome.stderr.as_str()), (2, ""));
}

#[test]
fn events_appear_while_the_input_goes_on_and_memory_stays_small() {
    let mut live: Live = Run::new(&["vrl", "del(.fill)"]).live();
    live.write(b"{\"a\":1}\n");
    assert_eq!(live.event(TIMEOUT), json!({"a": 1}));
    // A text record may go on, until nothing comes.
    live.write(structured_line(1, "1").as_bytes());
    assert_eq!(live.event(TIMEOUT)["metadata"]["code"], "1");
    let mut stdin = live.stdin.take().unwrap();
    let line = format!("{{\"a\":2,\"pad\":\"{}\",\"fill\":\"{}\"}}\n", "x".repeat(200), "x".repeat(4000));
    let block = line.repeat(256);
    let writer =
        std::thread::spawn(move || (0..100).for_each(|_| stdin.write_all(block.as_bytes()).unwrap()));
    (0..24_000).for_each(|_| drop(live.event(TIMEOUT)));
    // What is written and not read yet is less than the last 1600 lines: it is still at work.
    let peak = live.peak_kib();
    assert!(peak < 64 * 1024, "{peak} KiB after 100 MB");
    drop(live.rest());
    writer.join().unwrap();
}
