//! What is wrapped, split and mixed comes out as if it had come alone.

use super::*;
use crate::codec::{Chunk, Decoded, Decoder, Decoding, FaultKind, Settings};
use crate::event::{Demand, Event, Stream};
use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use std::sync::Arc;

fn settings(unwrap: Unwrap) -> Settings {
    let decoding: Decoding = toml::from_str("timezone = \"UTC\"").unwrap();
    Settings { unwrap, max_record_bytes: 16 * 1024, ..Settings::new(decoding) }
}

fn text(event: &Event) -> String {
    let mut json = Vec::new();
    event.write_json(&mut json);
    String::from_utf8(json).unwrap()
}

/// A decoder and what has come out of it.
struct Run {
    decoder: Decoder,
    out: Decoded,
    offset: u64,
}

impl Run {
    fn new(settings: Settings) -> Run {
        let out = Decoded::new(Arc::new(Stream::default()), 0);
        Run { decoder: Decoder::new(settings), out, offset: 0 }
    }

    fn feed(&mut self, lines: impl AsRef<[u8]>) {
        let (bytes, offset) = (Bytes::copy_from_slice(lines.as_ref()), self.offset);
        self.offset += bytes.len() as u64;
        self.decoder.decode(Chunk::Lines { bytes, offset }, &mut self.out);
    }

    fn silence(&mut self, now_ms: u64) {
        self.out.now_ms = now_ms;
        self.decoder.silence(&mut self.out);
    }

    fn complete(mut self) -> Decoded {
        self.decoder.complete(&mut self.out);
        assert_eq!(self.decoder.held_from(), None);
        self.out
    }

    /// Codes, or else messages.
    fn shown(&self) -> Vec<String> {
        let show = |event: &Event| {
            let event: Value = serde_json::from_str(&text(event)).unwrap();
            let code = event["metadata"]["code"].as_str().or(event["message"].as_str());
            code.unwrap_or_default().to_owned()
        };
        self.out.events.iter().map(show).collect()
    }

    fn faults(&self) -> Vec<(FaultKind, u64, String)> {
        let show = |fault: &crate::codec::Fault| {
            let event: Value = serde_json::from_str(&text(&fault.event)).unwrap();
            let raw = event["raw"].as_str().or(event["raw_base64"].as_str()).unwrap().to_owned();
            (fault.kind, fault.event.origin().offset(), raw)
        };
        self.out.faults.iter().map(show).collect()
    }
}

fn decode(settings: Settings, lines: &[Vec<u8>], cuts: &[Index]) -> Decoded {
    let mut run = Run::new(settings);
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(lines.len() + 1)).collect();
    cuts.extend([0, lines.len()]);
    cuts.sort_unstable();
    for cut in cuts.windows(2) {
        run.feed(lines[cut[0]..cut[1]].concat());
    }
    run.complete()
}

const WRAPPERS: [&str; 9] =
    ["docker", "cri", "journald", "bytes", "fly", "fluent-bit", "fluentd", "vector", "twice"];

/// `part` is one of several, and the last of them or not.
fn wrap(wrapper: &str, stream: &str, part: &[u8], is_last: bool) -> Vec<u8> {
    let line = String::from_utf8_lossy(part);
    let newline = if is_last { "\n" } else { "" };
    let at = "2016-10-06T00:17:09.669794202Z";
    let value = match wrapper {
        "cri" => {
            let tag = if is_last { "F" } else { "P" };
            let tag = if stream == "a" { tag.to_owned() } else { format!("{tag}:x") };
            let stream = if stream == "a" { "stdout" } else { "stderr" };
            return [format!("{at} {stream} {tag} ").as_bytes(), part, b"\n"].concat();
        }
        "docker" => json!({"log": format!("{line}{newline}"), "stream": stream, "time": at}),
        "journald" => json!({"__CURSOR": "s=1", "CONTAINER_NAME": stream, "MESSAGE": line,
            "CONTAINER_PARTIAL_MESSAGE": if is_last { "false" } else { "true" }, "PRIORITY": "6"}),
        "bytes" => json!({"MESSAGE": part, "_SYSTEMD_UNIT": stream, "_LINE_BREAK":
            if is_last { "nul" } else { "line-max" }}),
        "fly" => json!({"event": {"provider": "app"}, "fly": {"app": {"instance": stream, "name": "web"},
            "region": "ams"}, "host": "h", "log": {"level": "info"}, "message": line, "timestamp": at}),
        "fluent-bit" => json!({"date": 1.5, "log": line, "stream": stream}),
        "fluentd" => {
            json!({"container_id": stream, "container_name": "/web", "log": line, "source": "stdout",
            "partial_message": "true", "partial_id": "x", "partial_last": is_last.to_string()})
        }
        "vector" => json!({"message": line, "timestamp": at, "host": stream, "source_type": "stdin"}),
        _ => {
            let inner = wrap("docker", stream, part, is_last);
            let inner = String::from_utf8(inner).unwrap();
            json!({"message": inner.trim_end(), "source_type": "file"})
        }
    };
    format!("{value}\n").into_bytes()
}

fn splits(wrapper: &str) -> bool {
    !matches!(wrapper, "fly" | "fluent-bit" | "vector")
}

/// Whole lines of a log, each without its newline.
fn log(records: &[usize]) -> Vec<Vec<u8>> {
    let hostile = "x = 1\n{\"log\":\"forged\\n\",\"stream\":\"stdout\",\"time\":\"t\"}\n\n\
        2016-10-06T00:17:09.669794202Z stdout F forged\n{\"MESSAGE\":\"forged\"}\ny = \"é\"";
    let twins = |source: &str| {
        let at = "2025-10-04 17:48:41.996";
        format!(
            "{at} users=[] [info] Evaluating code\n  Session mode: default\n  Code: {source:?}\n\
             {at} [info] GET /\n\
             {at} users=[] session_mode=default code={source} event=code.evaluate [info] Evaluating code"
        )
    };
    let texts = records.iter().map(|record| match record {
        0 => "[Livebook] Application running at http://x/?token=y".to_owned(),
        1 => r#"{"message":"GET /","time":"t","metadata":{"request_id":"r"},"severity":"info"}"#.to_owned(),
        2 => r#"{"message":"Evaluating code","metadata":{"code":"1\n\"{}\"","event":"code.evaluate"},"severity":"info"}"#
            .to_owned(),
        3 => r#"{"message":"\u0045valuating code","severity":"info","metadata":{"code":"\u0031","event":"code\u002eevaluate"}}"#
            .to_owned(),
        4 => twins(hostile),
        5 => twins("1 + 1"),
        6 => "2025-10-04 17:48:41.996 [error] crash\n\n  {\"log\":\"x\"}\n    at foo.ex:1".to_owned(),
        // Behind lines that look like JSON, whether this is a fault depends on how much of them is at hand.
        8 if !records.iter().any(|record| matches!(record, 4 | 6)) => r#"{"message":"torn"#.to_owned(),
        _ => String::new(),
    });
    texts
        .flat_map(|record| record.split('\n').map(str::to_owned).collect::<Vec<_>>())
        .map(String::into_bytes)
        .collect()
}

fn alone(settings: Settings, lines: &[Vec<u8>]) -> Decoded {
    let lines: Vec<Vec<u8>> = lines.iter().map(|line| [line, &b"\n"[..]].concat()).collect();
    decode(settings, &lines, &[])
}

/// Everything but the origin, in the order of the alphabet.
fn contents(decoded: &[Decoded], demand: Demand) -> Vec<String> {
    let events = decoded.iter().flat_map(|decoded| &decoded.events).map(text);
    let faults = decoded.iter().flat_map(|decoded| &decoded.faults).map(|fault| text(&fault.event));
    let wanted = |text: &String| demand == Demand::Everything || text.contains("code.evaluate");
    let mut all: Vec<String> = events.filter(wanted).chain(faults).collect();
    all.sort();
    all
}

/// Wraps the lines of two streams, in parts, one now and then the other.
fn mixed(wrapper: &str, streams: [&[Vec<u8>]; 2], dice: &[Index]) -> Vec<Vec<u8>> {
    let mut dice = dice.iter().cycle();
    let mut parts = [Vec::new(), Vec::new()];
    for (stream, (lines, parts)) in ["a", "b"].iter().zip(streams.iter().zip(&mut parts)) {
        for line in *lines {
            let mut rest = &line[..];
            while splits(wrapper) && rest.len() > 1 && dice.next().unwrap().index(3) == 0 {
                // Runtimes cut between bytes, but a part in JSON is text.
                let at = 1 + dice.next().unwrap().index(rest.len() - 1);
                let is_char = std::str::from_utf8(&rest[..at]).is_ok();
                let (part, behind) = rest.split_at(if is_char { at } else { rest.len() });
                if behind.is_empty() {
                    break;
                }
                parts.push(wrap(wrapper, stream, part, false));
                rest = behind;
            }
            parts.push(wrap(wrapper, stream, rest, true));
        }
    }
    let mut parts = parts.map(|parts| parts.into_iter().peekable());
    let mut all = Vec::new();
    loop {
        let which = dice.next().unwrap().index(2);
        let next = parts[which].next();
        match next.or_else(|| parts[1 - which].next()) {
            Some(part) => all.push(part),
            None => return all,
        }
    }
}

proptest! {
    #[test]
    fn what_was_wrapped_comes_out_as_if_it_had_come_alone(
        wrapper in prop::sample::select(&WRAPPERS[..]),
        a in prop::collection::vec(0usize..9, 0..8),
        b in prop::collection::vec(0usize..9, 0..8),
        dice in prop::collection::vec(any::<Index>(), 31),
        cuts in prop::collection::vec(any::<Index>(), 0..6),
        wants_all in any::<bool>(),
    ) {
        let demand = if wants_all { Demand::Everything } else { Demand::Evaluations };
        let settings = Settings { demand, ..settings(Unwrap::Auto) };
        let (a, b) = (log(&a), log(&b));
        let wrapped = mixed(wrapper, [&a, &b], &dice);
        let expected = contents(&[alone(settings, &a), alone(settings, &b)], demand);
        let got = decode(settings, &wrapped, &cuts);
        let events = got.events.len();
        let mut offsets: Vec<u64> = got.events.iter().map(|event| event.origin().offset()).collect();
        prop_assert_eq!(&contents(&[got], demand), &expected, "{}", String::from_utf8_lossy(&wrapped.concat()));
        // An offset is what an id is made of.
        offsets.sort_unstable();
        offsets.dedup();
        prop_assert_eq!(offsets.len(), events);
    }

    #[test]
    fn a_wrapper_that_is_named_is_taken_off_once(
        wrapper in prop::sample::select(vec![("docker", Unwrap::Docker), ("cri", Unwrap::Cri), ("journald", Unwrap::Journald), ("fly", Unwrap::Fly)]),
        a in prop::collection::vec(0usize..9, 0..8),
        dice in prop::collection::vec(any::<Index>(), 31),
    ) {
        let (name, unwrap) = wrapper;
        let a = log(&a);
        let wrapped = mixed(name, [&a, &[]], &dice);
        let got = contents(&[decode(settings(unwrap), &wrapped, &[])], Demand::Everything);
        prop_assert_eq!(got, contents(&[alone(settings(Unwrap::None), &a)], Demand::Everything));
    }

    #[test]
    fn any_bytes_harm_nobody(
        lines in prop::collection::vec((0usize..8, prop::sample::select(&WRAPPERS[..]), any::<Index>(), prop::collection::vec(any::<u8>(), 0..20)), 0..20),
        unwrap in prop::sample::select(vec![Unwrap::Auto, Unwrap::None, Unwrap::Docker, Unwrap::Cri, Unwrap::Journald, Unwrap::Fly]),
        evaluations in any::<bool>(),
    ) {
        let demand = if evaluations { Demand::Evaluations } else { Demand::Everything };
        let mut run = Run::new(Settings { demand, ..settings(unwrap) });
        for (record, wrapper, cut, noise) in lines {
            let mut line = wrap(wrapper, "a", &log(&[record])[0], record % 2 == 0);
            if record > 2 {
                let at = cut.index(line.len());
                line.splice(at..(at + noise.len()).min(line.len()), noise);
            }
            run.feed(line);
            let held = run.decoder.held_from();
            prop_assert!(held.is_none_or(|held| held < run.offset));
            run.silence(run.out.now_ms + 400);
        }
        run.complete();
    }
}

fn docker(stream: &str, log: &str) -> Vec<u8> {
    format!("{}\n", json!({"log": log, "stream": stream, "time": "t"})).into_bytes()
}

#[test]
fn a_part_whose_rest_does_not_come_is_a_fault() {
    let mut run = Run::new(settings(Unwrap::Auto));
    run.feed(docker("stdout", "one\n"));
    let at = run.offset;
    run.feed(docker("stdout", "tw"));
    run.feed(docker("stderr", "three\n"));
    assert_eq!((run.decoder.held_from(), run.decoder.deadline_ms()), (Some(at), Some(5000)));
    run.silence(4999);
    assert_eq!((run.shown(), run.faults()), (vec!["one".into(), "three".into()], vec![]));
    run.silence(5000);
    assert_eq!(run.faults(), [(FaultKind::Incomplete, at, "tw".into())]);
    assert_eq!((run.decoder.held_from(), run.decoder.deadline_ms()), (None, None));
    run.feed(docker("stdout", "four\n"));
    assert_eq!(run.shown(), ["one", "three", "four"]);
}

#[test]
fn parts_at_the_end_of_the_stream_are_a_fault() {
    let mut run = Run::new(settings(Unwrap::Cri));
    run.feed("2016-10-06T00:17:09Z stdout P \u{e9}ne \n2016-10-06T00:17:09Z stdout P two\n");
    assert_eq!(run.decoder.held_from(), Some(0));
    run.decoder.complete(&mut run.out);
    assert_eq!(run.faults(), [(FaultKind::Incomplete, 0, "\u{e9}ne two".into())]);
}

#[test]
fn a_joined_line_over_the_limit_costs_its_neighbours_nothing() {
    let mut run = Run::new(settings(Unwrap::Auto));
    run.feed(docker("stdout", "before\n"));
    let at = run.offset;
    for _ in 0..40 {
        run.feed(docker("stdout", &"x".repeat(1000)));
        run.feed(docker("stderr", "other\n"));
        assert!(run.decoder.held_bytes() <= 16 * 1024);
    }
    run.feed(docker("stdout", "x\n"));
    run.feed(docker("stdout", "after\n"));
    let faults = run.faults();
    assert_eq!(faults.len(), 1);
    assert_eq!((faults[0].0, faults[0].1, faults[0].2.len()), (FaultKind::TooLong, at, 1024));
    let others = run.shown().iter().filter(|text| *text == "other").count();
    assert_eq!((run.out.events.len(), others), (42, 40));
    // A line of exactly the limit fits, its newline included.
    let fits = "y".repeat(16 * 1024 - 1);
    for part in [&fits[..8000], &fits[8000..], "\n"] {
        run.feed(docker("stdout", part));
    }
    assert_eq!((run.out.events.len(), run.out.faults.len()), (43, 1));
}

#[test]
fn a_character_that_docker_has_split_is_a_fault() {
    let mut run = Run::new(settings(Unwrap::Auto));
    run.feed(
        [docker("stdout", "a\u{fffd}"), docker("stdout", "\u{fffd}b\n"), docker("stdout", "c\n")].concat(),
    );
    assert_eq!(run.faults(), [(FaultKind::InvalidUtf8, 0, "a\u{fffd}\u{fffd}b".into())]);
    assert_eq!(run.shown(), ["c"]);
}

#[test]
fn parts_of_another_line_end_those_of_the_first() {
    let part = |id: &str, last: bool, log: &str| {
        let line = json!({"container_id": "c", "container_name": "/web", "source": "stdout", "log": log,
            "partial_message": "true", "partial_id": id, "partial_last": last.to_string()});
        format!("{line}\n")
    };
    let mut run = Run::new(settings(Unwrap::Auto));
    run.feed(part("1", false, "a") + &part("2", false, "b") + &part("2", true, "c"));
    assert_eq!(
        (run.shown(), run.faults()),
        (vec!["bc".into()], vec![(FaultKind::Incomplete, 0, "a".into())])
    );
    assert_eq!(run.out.events[0].origin().stream().container.as_deref(), Some("web"));
}

#[test]
fn a_message_that_the_journal_left_out_is_a_fault() {
    let mut run = Run::new(settings(Unwrap::Auto));
    run.feed("{\"MESSAGE\":null,\"_SYSTEMD_UNIT\":\"livebook.service\"}\n{\"MESSAGE\":[97,255],\"_SYSTEMD_UNIT\":\"x\"}\n{\"MESSAGE\":[97,256]}\n{\"MESSAGE\":\"a\\nb\"}\n");
    let kinds: Vec<FaultKind> = run.faults().into_iter().map(|(kind, ..)| kind).collect();
    assert_eq!(kinds, [FaultKind::Incomplete, FaultKind::InvalidUtf8]);
    assert_eq!(run.faults()[1].2, "Yf8=");
    // What is no array of bytes is no message of a journal.
    assert_eq!(run.shown(), ["", "a", "b"]);
}

#[test]
fn what_programs_log_as_json_is_no_wrapper() {
    let lines = [
        r#"{"message":"GET /","level":"info"}"#,
        r#"{"log":"text","level":"info"}"#,
        r#"{"message":"{\"a\":1}","timestamp":"t"}"#,
        r#"{"message":"2025-10-04 17:48:41.996 [info] x","metadata":{}}"#,
        r#"{"message":"x","severity":"info","source_type":"file"}"#,
        r#"{"log":"x","stream":"stdout","time":"t","severity":"info"}"#,
        r#"{"log":1,"stream":"stdout","time":"t"}"#,
        r#"{"fly":{"app":{}},"message":1}"#,
    ];
    for line in lines {
        assert!(!is_wrapped(line.as_bytes()), "{line}");
        let mut run = Run::new(settings(Unwrap::Auto));
        run.feed(format!("{line}\n"));
        assert_eq!(run.out.events.iter().map(text).collect::<Vec<_>>(), [line]);
    }
}

#[test]
fn a_vague_wrapper_is_one_once_a_record_stood_in_it() {
    let mut run = Run::new(settings(Unwrap::Auto));
    let vague = |line: &str| format!("{}\n", json!({"message": line, "x": 1}));
    run.feed(vague("[Other] before"));
    run.feed(vague("2025-10-04 17:48:41.996 [info] Evaluating code"));
    run.feed(vague("  Session mode: default") + &vague("  Code: \"1\""));
    let shown = run.shown();
    assert_eq!(shown, ["[Other] before", "Evaluating code\n  Session mode: default\n  Code: \"1\""]);
    assert!(text(&run.out.events[0]).contains("\"x\":1"));
}

#[test]
fn a_text_record_that_is_not_wrapped_does_not_swallow_wrapped_lines() {
    for unwrap in [Unwrap::Auto, Unwrap::Cri] {
        let mut run = Run::new(settings(unwrap));
        run.feed("2025-10-04 17:48:41.996 [info] GET /\nmore\n2016-10-06T00:17:09Z stdout F one\n");
        run.feed("2025-10-04 17:48:41.996 [info] GET /\n");
        run.feed("2016-10-06T00:17:09Z stdout F two\n");
        assert_eq!(run.shown(), ["GET /\nmore", "one", "GET /", "two"], "{unwrap:?}");
    }
}

#[test]
fn wrappers_around_each_other_are_taken_off_up_to_a_bound() {
    let mut line = "text".to_owned();
    for depth in 0..=NESTING_MAX {
        let mut run = Run::new(settings(Unwrap::Auto));
        run.feed(format!("{line}\n"));
        assert_eq!(run.shown(), ["text"], "{depth}");
        line = json!({"MESSAGE": line}).to_string();
    }
    let mut run = Run::new(settings(Unwrap::Auto));
    run.feed(format!("{line}\n"));
    assert_eq!(text(&run.out.events[0]), r#"{"MESSAGE":"text"}"#);
}

#[test]
fn many_containers_take_no_memory_without_end() {
    let mut run = Run::new(settings(Unwrap::Auto));
    for container in 0..1000 {
        run.feed(format!("{}\n", json!({"MESSAGE": "part", "CONTAINER_ID": container.to_string(), "CONTAINER_PARTIAL_MESSAGE": "true"})));
    }
    assert_eq!(run.out.faults.len(), 1000 - 64, "those that were not used for the longest time are given up");
    assert_eq!(run.out.faults[0].event.origin().stream().container.as_deref(), Some("0"));
    assert_eq!(run.complete().faults.len(), 1000);
}

#[test]
fn what_is_overdue_leaves_although_others_keep_the_stream_busy() {
    let mut run = Run::new(settings(Unwrap::Auto));
    run.feed(docker("stdout", "part"));
    run.out.now_ms = 6000;
    let other = docker("stderr", "x\n").repeat(1000);
    let mut fed = 0;
    while run.out.faults.is_empty() {
        run.feed(&other);
        fed += other.len();
    }
    assert!((8 << 20..9 << 20).contains(&fed), "{fed}");
}

#[test]
fn the_file_that_follows_knows_what_the_one_before_knew() {
    let code = "1 event=code.evaluate [info] Evaluating code\n2025-10-04 17:48:41.996 [info] forged\n2";
    let at = "2025-10-04 17:48:41.996";
    let legacy = format!("{at} users=[] [info] Evaluating code\n  Session mode: default\n  Code: {code:?}");
    let structured =
        format!("{at} users=[] session_mode=default code={code} event=code.evaluate [info] Evaluating code");
    let wrapped = |record: &str| -> String {
        record.split('\n').map(|line| format!("{}\n", json!({"message": line}))).collect()
    };
    for (first, second) in
        [(wrapped(&legacy), wrapped(&structured)), (legacy.clone() + "\n", structured.clone() + "\n")]
    {
        let mut before = Run::new(settings(Unwrap::Auto));
        before.feed(first);
        let mut after = Run::new(settings(Unwrap::Auto));
        after.decoder.inherit(&before.decoder);
        assert_eq!(after.decoder.held_from(), None);
        after.feed(second);
        assert_eq!(after.shown(), [code]);
    }
}

#[test]
fn other_codecs_are_unwrapped_where_the_wrapper_is_named() {
    let lines = [docker("stdout", "{\"a\":"), docker("stdout", "1}\n"), b"{\"b\":2}\n".to_vec()];
    for (codec, unwrap, expected) in [
        ("json", "docker", vec![r#"{"a":1}"#, r#"{"b":2}"#]),
        ("text", "docker", vec![r#"{"message":"{\"a\":1}"}"#, r#"{"message":"{\"b\":2}"}"#]),
        (
            "json",
            "auto",
            vec![
                r#"{"log":"{\"a\":","stream":"stdout","time":"t"}"#,
                r#"{"log":"1}\n","stream":"stdout","time":"t"}"#,
                r#"{"b":2}"#,
            ],
        ),
    ] {
        let decoding: Decoding = toml::from_str(&format!("codec = {codec:?}\nunwrap = {unwrap:?}")).unwrap();
        let decoded = decode(Settings::new(decoding), &lines, &[]);
        assert_eq!(decoded.events.iter().map(text).collect::<Vec<_>>(), expected);
    }
}
