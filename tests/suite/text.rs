//! Livebook's text records, whose `code=` is raw: nothing inside a cell may pass for a record.

use crate::harness::{Run, TIMEOUT, chain, embedded, through};
use crate::logs::*;
use serde_json::json;
use std::io::Write;
use std::time::Duration;

const SOURCE: &str = "list = [1, 2]\n\nfor x <- list do\n  \"#{x}\\n\"\nend";

#[test]
fn a_cell_of_many_lines_is_one_evaluation() {
    let log = other_line(1) + &twins_text(2, SOURCE) + &other_line(3) + &twins_text(4, "") + &other_line(5);
    let events = embedded(log).events();
    assert_eq!(codes(&events), [SOURCE, ""]);
    let users = team();
    assert_eq!(
        events[0]["metadata"],
        json!({"users": users, "session_mode": "default", "code": SOURCE, "event": "code.evaluate"})
    );
    assert_eq!((&events[0]["time"], &events[0]["severity"]), (&json!(time(2)), &json!("info")));
}

#[test]
fn the_order_of_metadata_is_the_servers_business() {
    let log = legacy_line(1, &inspect(SOURCE)) + &structured_line_code_last(1, SOURCE) + &other_line(2);
    let events = embedded(log).events();
    assert_eq!(codes(&events), [SOURCE]);
    assert_eq!(events[0]["metadata"]["users"], team());
}

/// A log as a terminal gets it; older versions of Livebook put the reset behind the newline.
fn coloured(records: &[String], old: bool) -> String {
    let end = if old { "\n\u{1b}[0m" } else { "\u{1b}[0m\n" };
    let paint = |record: &String| format!("\u{1b}[22m{}{end}", record.strip_suffix('\n').unwrap());
    records.iter().map(paint).collect()
}

#[test]
fn colours_are_no_part_of_anything() {
    let records = [
        other_line(1),
        legacy_line(2, &inspect(SOURCE)),
        structured_line(2, SOURCE),
        other_line(3),
        legacy_line(4, "\"last\""),
    ];
    for old in [false, true] {
        let log = coloured(&records, old);
        let outcome = embedded(log);
        assert_eq!(codes(&outcome.events()), [SOURCE, "last"], "old: {old}");
        assert!(!outcome.stdout.contains("u001b"), "{}", outcome.stdout);
    }
}

#[test]
fn line_ends_of_another_system_are_no_part_of_anything() {
    for log in [twins_text(1, "1 + 1"), legacy_line(1, "\"1 + 1\""), twins_json(1, "1 + 1")] {
        let crlf = (other_line(0) + &log + &other_line(2)).replace('\n', "\r\n");
        let events = embedded(crlf).events();
        assert_eq!(codes(&events), ["1 + 1"], "{log}");
        assert!(!events[0]["message"].as_str().unwrap().ends_with('\r'));
    }
}

/// Sources that print what looks like records of their own, with all that a record has.
fn hostile() -> Vec<String> {
    let forged = "forged()";
    vec![
        format!("IO.puts(\"\"\"\n{}\"\"\")", twins_text(50, forged)),
        format!("1 event=code.evaluate [info] Evaluating code\n{}2", structured_line(50, forged)),
        format!("1\n{}", structured_line(50, forged).trim_end()),
        format!("1\n{}\n", legacy_line(50, "\"forged()\"")),
        format!("\"\n{}\"", twins_json(50, forged)),
        format!("1 event=code.evaluate [info] Evaluating code\n{}", structured_json(50, forged)),
        format!("x\n\u{1b}[22m{}\u{1b}[0m\n{}", legacy_line(50, "\"forged()\""), other_line(51)),
        format!("1\r\n{}", twins_text(50, forged).replace('\n', "\r\n")),
    ]
}

#[test]
fn a_cell_never_becomes_a_record_of_its_own() {
    for source in hostile() {
        let log = other_line(1) + &twins_text(2, &source) + &other_line(3) + &twins_text(4, "after");
        let outcome = embedded(log.clone());
        assert_eq!(codes(&outcome.events()), [source.as_str(), "after"], "{log}");
    }
}

#[test]
fn a_cell_never_becomes_any_other_event_either() {
    for source in hostile() {
        let log = other_line(1) + &twins_text(2, &source) + &other_line(3);
        let events = through(&chain("", "other_events = \"pass\"", ""), log.clone()).events();
        let messages: Vec<&str> = events.iter().map(|event| event["message"].as_str().unwrap()).collect();
        assert_eq!(messages.len(), 3, "{log}\n{messages:#?}");
        assert!(messages[1].starts_with("Evaluating code"), "{messages:#?}");
        assert_eq!(messages[2], "GET /public/health");
    }
}

#[test]
fn without_a_twin_the_code_ends_where_a_record_follows_its_terminator() {
    let code = "a [info] Evaluating code\nb";
    let log = other_line(1) + &structured_line(2, code) + &other_line(3) + &structured_line(4, "c");
    assert_eq!(codes(&embedded(log).events()), [code, "c"]);
}

#[test]
fn silence_ends_a_code_that_has_no_twin() {
    let mut live = Run::new(&[]).live();
    live.write(structured_line(1, "alone").as_bytes());
    live.silent_for(Duration::from_millis(200));
    let event = live.event(Duration::from_secs(5));
    assert_eq!(event["metadata"]["code"], "alone");
    live.close_stdin();
    assert_eq!(live.rest(), b"");
}

#[test]
fn a_pause_inside_a_code_whose_twin_is_known_ends_nothing() {
    let forged = other_line(9) + &legacy_line(9, "\"forged\"");
    let code = format!("a\n{forged}b");
    let literal = format!("{code:?}");
    let structured = structured_line(2, &code);
    let (front, back) = structured.split_at(structured.find(&forged).unwrap());
    let mut live = Run::new(&[]).live();
    live.write(legacy_line(1, &literal).as_bytes());
    assert_eq!(live.event(Duration::from_secs(5))["metadata"]["code"], code.as_str());
    live.write(front.as_bytes());
    live.silent_for(Duration::from_millis(900));
    live.write(back.as_bytes());
    live.close_stdin();
    assert_eq!(live.rest(), b"", "its twin has gone out, and what it prints is no record");
}

#[test]
fn the_zone_of_text_records_is_an_option() {
    let zoned = |zone: &str| format!("decoding.timezone = \"{zone}\"\n\n[transforms.parse]");
    for (zone, expected) in [
        ("UTC", "2025-10-03T17:48:01.000Z"),
        ("Europe/Warsaw", "2025-10-03T15:48:01.000Z"),
        ("America/New_York", "2025-10-03T21:48:01.000Z"),
    ] {
        let config = chain("", "", "").replacen("[transforms.parse]", &zoned(zone), 1);
        let text = &through(&config, legacy_line(1000, "\"1\"")).events()[0];
        assert_eq!(text["time"], expected, "{zone}");
        let json = &through(&config, legacy_json(1000, "\"1\"")).events()[0];
        assert_eq!(json["time"], time(1000), "JSON has its zone with it");
    }
}

#[test]
fn the_zone_is_the_machines_where_none_is_given() {
    let outcome = Run::new(&[]).env("TZ", "Asia/Tokyo").stdin(legacy_line(1000, "\"1\"")).run().exits(0);
    assert_eq!(outcome.events()[0]["time"], "2025-10-03T08:48:01.000Z");
}

/// A cell too long for one message, and the message cut at Logger's limit.
fn long_cell() -> (String, String) {
    let source: String = (0..900).map(|at| format!("line_{at} = \"{at}\"\n")).collect();
    let text = legacy_text("default", &inspect(&source));
    let cut = format!("{} users={TEAM} [info] {} (truncated)\n", text_time(1), &text[..8096]);
    (source, cut)
}

#[test]
fn the_raw_code_completes_a_truncated_message() {
    let (source, cut) = long_cell();
    let log = cut + &structured_line(2, &source) + &other_line(3);
    let events = embedded(log).events();
    assert_eq!(codes(&events), [source.as_str()]);
    assert_eq!(events[0]["metadata"].get("code_incomplete"), None);
    assert_eq!(events[0]["time"], time(1));
}

#[test]
fn a_truncated_message_alone_is_marked() {
    let (source, cut) = long_cell();
    let events = embedded(cut + &other_line(3)).events();
    let code = codes(&events)[0];
    assert!(source.starts_with(code) && code.len() > 6000, "{code}");
    assert_eq!(events[0]["metadata"]["code_incomplete"], true);
}

#[test]
fn json_and_text_may_stand_in_one_stream() {
    let log =
        twins_text(1, "a") + &twins_json(2, "b") + &other_line(3) + &twins_text(4, "c") + &other_json(5);
    assert_eq!(codes(&embedded(log).events()), ["a", "b", "c"]);
}

#[test]
fn an_event_is_what_its_metadata_say_in_text_as_in_json() {
    // An older or newer Livebook may word its message in another way.
    let text = format!("{} event=code.evaluate session_mode=app [info] Running code\n", text_time(1));
    let record = json!({"message": "Running code", "time": time(1), "severity": "info",
        "metadata": {"event": "code.evaluate", "session_mode": "app"}});
    let (text, record) = (embedded(text).events(), embedded(format!("{record}\n")).events());
    assert_eq!(text.len(), 1);
    assert_eq!(text, record);
}

#[test]
fn a_reader_that_pauses_splits_no_record() {
    // The pipeline is full while a cell is half read: that is no silence of the log.
    let line = |at: u32| {
        format!(
            "{} users=[] [info] Evaluating code\n  Session mode: default\n  Code: \"forged\"\n",
            text_time(at)
        )
    };
    let source: String = (0..60).map(line).collect();
    let log: String = (1..1600).map(|at| twins_text(at % 600 * 100, &format!("{at}\n{source}"))).collect();
    let config = chain("", "", "") + "buffer.max_events = 1\n";
    let mut live = Run::new(&[]).config(&config).live();
    let mut input = live.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(log.as_bytes()).unwrap());
    for at in 1..1600 {
        if at % 200 == 0 {
            std::thread::sleep(Duration::from_millis(700));
        }
        let event = live.event(TIMEOUT);
        let code = event["metadata"]["code"].as_str().unwrap();
        assert!(code == format!("{at}\n{source}"), "{at}: {code}");
    }
    writer.join().unwrap();
    assert_eq!(live.rest(), b"");
}

#[test]
fn a_record_that_elixir_could_not_print_is_lost_but_for_its_twin() {
    let log = legacy_line(1, "<<255, 49>>") + "FORMATTER ERROR: bad return value\n" + &twins_text(2, "after");
    let events = embedded(log).events();
    assert_eq!(events.len(), 2);
    assert_eq!(events[0]["metadata"]["code_base64"], "/zE=");
    assert_eq!(events[1]["metadata"]["code"], "after");
}

/// Every order of `rest` behind what is in `front`.
fn orders<'a>(front: &[&'a str], rest: &[&'a str], all: &mut Vec<Vec<&'a str>>) {
    all.push(front.to_vec());
    for (at, key) in rest.iter().enumerate() {
        let others: Vec<&str> =
            rest.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, key)| *key).collect();
        orders(&[front, &[key]].concat(), &others, all);
    }
}

#[test]
fn whatever_metadata_a_server_logs_in_whatever_order_an_evaluation_is_one_event() {
    let source = format!("1\n{}2", twins_text(50, "forged()"));
    let mut all = Vec::new();
    orders(&[], &["users", "session_mode", "code", "event"], &mut all);
    assert_eq!(all.len(), 65);
    for keys in all {
        let value = |key: &&str| match *key {
            "users" => format!("users={TEAM} "),
            "session_mode" => "session_mode=default ".to_owned(),
            "code" => format!("code={source} "),
            key => format!("{key}=code.evaluate "),
        };
        let metadata: String = keys.iter().map(value).collect();
        let users = if keys.contains(&"users") { value(&"users") } else { String::new() };
        let legacy =
            format!("{} {users}[info] {}\n", text_time(1), legacy_text("default", &inspect(&source)));
        let structured = format!("{} {metadata}[info] Evaluating code\n", text_time(2));
        let outcome = embedded(other_line(0) + &legacy + &structured + &other_line(3));
        let events = outcome.events();
        assert_eq!(codes(&events), [source.as_str()], "{keys:?}: {}", outcome.stdout);
        assert_eq!(events[0]["metadata"]["session_mode"], "default");
        assert_eq!(events[0]["metadata"].get("users").is_some(), keys.contains(&"users"), "{keys:?}");
    }
}

#[test]
fn a_torn_record_neither_swallows_the_next_nor_lets_its_own_lines_out() {
    let forged = r#"{"message":"Evaluating code","metadata":{"event":"code.evaluate","session_mode":"default","code":"x"}}"#;
    let code = format!("a\n{forged}\nb = 2\nc");
    let legacy = legacy_line(1, &format!("{code:?}"));
    let structured = structured_line(2, &code);
    for torn_behind in ["code=a\n", "x\"}}\n", "b = "] {
        let cut = structured.find(torn_behind).unwrap() + torn_behind.len();
        let torn = format!("{legacy}{}", &structured[..cut]);
        assert_eq!(
            codes(&embedded(torn.clone()).events()),
            [code.as_str()],
            "at the end, behind {torn_behind:?}"
        );
        let restarted =
            format!("{torn}\n[Livebook] Application running at http://x\n") + &twins_text(5, "1 + 1");
        if !torn_behind.ends_with('\n') {
            assert_eq!(
                codes(&embedded(restarted).events()),
                [code.as_str(), "1 + 1"],
                "behind {torn_behind:?}"
            );
        }
    }
}

#[test]
fn raw_source_is_never_ambiguous() {
    let line = "2025-10-03 17:48:01.000 session_mode=default code=<<0>> event=code.evaluate [info] Evaluating code\n";
    let events = embedded(line).events();
    assert_eq!(codes(&events), ["<<0>>"]);
    assert_eq!(events[0]["metadata"].get("code_incomplete"), None);
}

#[test]
fn json_behind_the_end_of_a_colour_is_a_record() {
    let log = format!("\u{1b}[22m{}\u{1b}[0m{}", other_line(1), twins_json(2, "1"));
    assert_eq!(codes(&embedded(log).events()), ["1"]);
}
