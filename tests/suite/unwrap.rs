//! Logs that did not come straight from Livebook: what stands around their lines is taken off.

use crate::harness::{Run, chain, embedded, through};
use crate::logs::*;
use crate::wrap::{WRAPPERS, Wrapper};
use serde_json::{Value, json};
use std::time::Duration;

/// A source with an option, in front of what the embedded pipeline does.
fn unwrapping(unwrap: &str) -> String {
    chain("", "", "").replacen("\"stdin\"", &format!("\"stdin\"\ndecoding.unwrap = \"{unwrap}\""), 1)
}

/// A cell that prints what wrappers look like.
fn hostile() -> String {
    let forged =
        String::from_utf8(WRAPPERS.iter().flat_map(|w| w.line("stdout", b"forged")).collect()).unwrap();
    format!("a = 1\n{forged}\n{}b = \"é🎉\"", twins_text(50, "forged()"))
}

fn wrapped(wrapper: Wrapper, log: &str) -> Vec<u8> {
    wrapper.lines("stdout", log.as_bytes()).concat()
}

fn name(wrapper: Wrapper) -> Option<&'static str> {
    match wrapper {
        Wrapper::Docker => Some("docker"),
        Wrapper::Cri => Some("cri"),
        Wrapper::Journald => Some("journald"),
        Wrapper::Fly => Some("fly"),
        Wrapper::FluentBit | Wrapper::Vector => None,
    }
}

#[test]
fn every_wrapper_is_found_out_and_can_be_named() {
    let source = hostile();
    let log = "[Livebook] Application running at http://x/?token=y\n".to_owned()
        + &other_line(1)
        + &twins_text(2, &source)
        + &other_line(3)
        + &twins_json(4, &source)
        + &structured_line(5, "\n\n1")
        + &other_json(6);
    let expected = embedded(log.clone()).stdout;
    assert_eq!(expected.lines().count(), 3);
    for wrapper in WRAPPERS {
        let wrapped = wrapped(wrapper, &log);
        assert_eq!(embedded(wrapped.clone()).stdout, expected, "{wrapper:?}");
        if let Some(name) = name(wrapper) {
            assert_eq!(through(&unwrapping(name), wrapped.clone()).stdout, expected, "{wrapper:?}");
        }
        assert_eq!(through(&unwrapping("none"), wrapped).stdout, "", "{wrapper:?}");
    }
}

#[test]
fn a_log_that_is_not_wrapped_may_be_said_to_be_none() {
    let log = twins_json(1, "a") + &twins_text(2, &hostile()) + &other_line(3);
    let expected = embedded(log.clone()).stdout;
    for unwrap in ["auto", "none", "docker", "cri", "journald", "fly"] {
        assert_eq!(through(&unwrapping(unwrap), log.clone()).stdout, expected, "{unwrap}");
    }
}

#[test]
fn a_large_cell_is_joined_though_other_streams_stand_between_its_parts() {
    let source = "x = \"é\\\"\"\n".repeat(9000);
    for wrapper in [Wrapper::Docker, Wrapper::Cri, Wrapper::Journald] {
        let parts = wrapper.lines("stdout", twins_json(1, &source).as_bytes()).concat();
        let mut log = Vec::new();
        for (at, line) in parts.split_inclusive(|&byte| byte == b'\n').enumerate() {
            log.extend_from_slice(line);
            log.extend(wrapper.part("stderr", format!("half {at}").as_bytes(), at % 2 == 1));
        }
        assert!(log.split(|&byte| byte == b'\n').count() > 20);
        let outcome = embedded(log);
        assert_eq!(codes(&outcome.events()), [source.as_str()], "{wrapper:?}");
    }
}

#[test]
fn only_dockers_own_lines_lack_a_newline_where_they_go_on() {
    let log = [json!({"log": twins_json(1, "a").lines().next(), "date": 1}), json!({"log": "x", "date": 1})];
    let log: String = log.iter().map(|line| format!("{line}\n")).collect();
    assert_eq!(codes(&embedded(log).events()), ["a"]);
}

const FAULTS: &str = "\n[transforms.where]\ntype = \"metadata_projection\"\ninputs = [\"livebook.faults\"]\n\
    keys = [\"%offset\", \"%container\"]\n[sinks.faults]\ntype = \"console\"\ninputs = [\"where\"]\ntarget = \"stderr\"\n";

/// The events of the port that is wired to standard error.
fn faults(config: &str, log: Vec<u8>) -> (Vec<Value>, Vec<Value>) {
    let outcome = Run::new(&["-q"]).config(&(config.to_owned() + FAULTS)).stdin(log).run().exits(0);
    let faults = outcome.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (outcome.events(), faults)
}

#[test]
fn what_is_torn_at_the_end_is_a_fault_with_a_name() {
    for wrapper in [Wrapper::Docker, Wrapper::Cri, Wrapper::Journald] {
        let whole = wrapped(wrapper, &twins_json(1, "whole"));
        let torn = wrapper.part("stdout", &structured_json(2, "torn").as_bytes()[..40], false);
        let log = [whole.clone(), torn].concat();
        let outcome = Run::new(&[]).stdin(log.clone()).run().exits(0);
        assert_eq!(codes(&outcome.events()), ["whole"], "{wrapper:?}");
        assert!(outcome.summary().contains("faults=\"1 (incomplete_record 1)\""), "{}", outcome.stderr);
        Run::new(&["--deny-faults"]).stdin(log.clone()).run().exits(1);
        let (events, faults) = faults(&chain("", "", ""), log);
        assert_eq!((events.len(), faults.len()), (1, 1));
        assert_eq!(faults[0]["reason"], "incomplete_record");
        assert_eq!(faults[0]["raw"], structured_json(2, "torn")[..40]);
        assert_eq!(faults[0]["metadata"]["offset"], whole.len());
        let container = (wrapper == Wrapper::Journald).then_some("livebook");
        assert_eq!(faults[0]["metadata"]["container"].as_str(), container);
    }
}

#[test]
fn a_part_without_its_rest_leaves_while_the_stream_goes_on() {
    let mut live = Run::new(&[]).config(&(chain("", "", "") + FAULTS)).live();
    live.write(&Wrapper::Docker.part("stdout", b"torn", false));
    live.write(&wrapped(Wrapper::Docker, &structured_json(1, "1")).clone());
    // It was no part of a line of its own, so it is one of the next.
    live.silent_for(Duration::from_millis(300));
    live.write(&wrapped(Wrapper::Docker, &structured_json(2, "2")));
    assert_eq!(live.event(Duration::from_secs(10))["metadata"]["code"], "2");
    live.write(&Wrapper::Docker.part("stdout", b"torn", false));
    live.silent_for(Duration::from_millis(4500));
    std::thread::sleep(Duration::from_millis(1500));
    live.write(&wrapped(Wrapper::Docker, &structured_json(3, "3")));
    assert_eq!(live.event(Duration::from_secs(10))["metadata"]["code"], "3");
    live.close_stdin();
    assert_eq!(live.rest(), b"");
    let (_, stderr) = live.wait(Duration::from_secs(10));
    assert!(stderr.contains("incomplete_record"), "{stderr}");
}

#[test]
fn bad_records_cost_their_neighbours_nothing() {
    let good = |at: u32| wrapped(Wrapper::Journald, &twins_json(at, &at.to_string()));
    let config = chain("", "", "").replacen("\"stdin\"", "\"stdin\"\nmax_record_bytes = 4096", 1);
    let long = Wrapper::Journald.part("stdout", "é".repeat(1000).as_bytes(), false);
    let bad: [(&str, Vec<u8>); 5] = [
        ("invalid_utf8", wrapped_bytes(&structured_json(9, "x~"))),
        ("broken_json", wrapped(Wrapper::Journald, "{\"message\":\"torn\n")),
        ("broken_json", b"{\"MESSAGE\":\"torn\n".to_vec()),
        ("record_too_long", [long.repeat(4), wrapped(Wrapper::Journald, "end\n")].concat()),
        ("incomplete_record", b"{\"MESSAGE\":null}\n".to_vec()),
    ];
    for (reason, bad) in bad {
        let log = [good(1), bad, good(2)].concat();
        let (events, faults) = faults(&config, log);
        assert_eq!(codes(&events), ["1", "2"], "{reason}");
        assert_eq!(faults.len(), 1, "{reason}: {faults:?}");
        assert_eq!(faults[0]["reason"], reason);
        assert_eq!(faults[0].get("raw_base64").is_some(), reason == "invalid_utf8");
        assert_eq!(faults[0]["metadata"]["offset"], good(1).len());
    }
}

/// A line of the journal with a byte that is no text in the place of `~`.
fn wrapped_bytes(line: &str) -> Vec<u8> {
    let bytes: Vec<u8> = line.trim_end().bytes().map(|byte| if byte == b'~' { 0xE9 } else { byte }).collect();
    Wrapper::Journald.part("stdout", &bytes, true)
}

#[test]
fn the_container_is_told() {
    let config = chain("", "", "keys = [\"code\", \"%container\", \"%offset\"]");
    let mut log = Vec::new();
    let mut offsets = Vec::new();
    for unit in ["livebook.service", "other.service"] {
        offsets.push(log.len());
        let line = structured_json(1, unit);
        log.extend(format!("{}\n", json!({"_SYSTEMD_UNIT": unit, "MESSAGE": line.trim_end()})).into_bytes());
    }
    log.extend(structured_json(2, "bare").into_bytes());
    let events = through(&config, log).events();
    let metadata: Vec<&Value> = events.iter().map(|event| &event["metadata"]).collect();
    assert_eq!(
        *metadata[0],
        json!({"code": "livebook.service", "container": "livebook.service", "offset": 0})
    );
    assert_eq!(
        *metadata[1],
        json!({"code": "other.service", "container": "other.service", "offset": offsets[1]})
    );
    assert_eq!(metadata[2].get("container"), None);
}

#[test]
fn the_other_codecs_unwrap_what_is_named() {
    for (codec, unwrap, code) in
        [("json", "docker", Some("1")), ("json", "auto", None), ("text", "docker", None)]
    {
        let options = format!("\"stdin\"\ndecoding = {{ codec = \"{codec}\", unwrap = \"{unwrap}\" }}");
        let config = chain("", "", "").replacen("\"stdin\"", &options, 1);
        let events = through(&config, wrapped(Wrapper::Docker, &structured_json(1, "1"))).events();
        let code = code.map(|code| vec![code]).unwrap_or_default();
        assert_eq!(codes(&events), code, "{codec} {unwrap}");
    }
}

#[test]
fn a_line_whose_last_part_is_missing_costs_the_next_one_nothing() {
    let torn = structured_json(1, "torn");
    for wrapper in [Wrapper::Docker, Wrapper::Cri] {
        let part = |text: &str| wrapper.part("stdout", text.as_bytes(), false);
        let log = [part(&torn[..20]), part(&torn[20..40]), wrapped(wrapper, &structured_json(2, "next"))];
        let (events, faults) = faults(&chain("", "", ""), log.concat());
        assert_eq!(codes(&events), ["next"], "{wrapper:?}");
        assert_eq!(faults.len(), 1, "{wrapper:?}: {faults:?}");
        assert_eq!(faults[0]["reason"], "incomplete_record");
        assert_eq!(faults[0]["raw"], torn[..40]);
    }
}

#[test]
fn nuls_that_a_power_cut_left_hide_no_record() {
    let nuls = "\0".repeat(5000);
    for lines in [twins_json(2, "2"), twins_text(2, "2")] {
        for before in [other_json(1).repeat(2000), twins_json(1, "1"), String::new()] {
            let log = before.clone() + &nuls + &lines + &structured_json(3, "3");
            let expected = embedded(before + &lines + &structured_json(3, "3")).events();
            assert_eq!(codes(&embedded(log).events()), codes(&expected));
            assert!(codes(&expected).ends_with(&["2", "3"]));
        }
    }
    let log = nuls + std::str::from_utf8(&wrapped(Wrapper::Cri, &structured_json(2, "2"))).unwrap();
    assert_eq!(codes(&embedded(log).events()), ["2"]);
}

#[test]
fn what_stands_in_front_of_evaluations_is_told_of() {
    let in_front =
        |log: String| -> String { log.lines().map(|line| format!("livebook-1  | {line}\n")).collect() };
    let told = "lines that mention evaluations are no records: something stands in front of them";
    let text = "2025-10-03 17:48:22.001 [info] Evaluating code\n".to_owned();
    let log = in_front(twins_json(1, "1 + 1") + &other_json(2) + &text);
    let outcome = embedded(log.clone());
    assert_eq!(outcome.stdout, "");
    assert!(outcome.stderr.contains(told) && outcome.stderr.contains("lines=3"), "{}", outcome.stderr);
    assert!(outcome.summary().contains("no_record 3"), "{}", outcome.summary());
    for other in [log + &structured_json(3, "2"), in_front(other_json(1)), String::new()] {
        assert!(!embedded(other).stderr.contains(told));
    }
}
