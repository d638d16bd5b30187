//! `evaltrail trail show`, over trails whose records are written here.

mod hostile;
mod schemas;
mod terminal;

use crate::harness::{Outcome, PROGRAM, Run};
use serde_json::{Value, json};

/// Evaluations in two segments, each a minute after the one before.
fn evaluations() -> [Value; 5] {
    let ada = json!({"id": "7", "name": "Ada", "email": "ada@example.org"});
    let zofie = json!({"id": "9", "name": "Žofie"});
    let one = |minute: u32, mode: &str, users: Value, code: &str| {
        json!({
            "message": "Evaluating code",
            "time": format!("2026-01-02T03:{minute:02}:00.000Z"),
            "metadata": {"users": users, "session_mode": mode, "code": code, "event": "code.evaluate"}
        })
    };
    [
        one(0, "default", json!([ada, zofie]), "a = 1\na + 1"),
        one(1, "app", json!([zofie]), "b(\"\\d/\")"),
        one(2, "default", json!([]), "c żółć"),
        one(3, "default", json!([{"id": 12}]), "d = A"),
        one(4, "app", json!([{"email": "bo@example.com"}]), "e"),
    ]
}

/// What is in the file of records that begins with `first`.
pub fn segment(run: Run, first: u64, records: &[Value]) -> Run {
    let text: String = records.iter().map(|record| format!("{record}\n")).collect();
    run.file(&path(first), &text)
}

pub fn path(first: u64) -> String {
    format!("audit/records/{first:020}.jsonl")
}

fn show(args: &[&str]) -> Run {
    let all = evaluations();
    let run = Run::new(&["trail", "show", "audit"]).arg_all(args);
    segment(segment(run, 0, &all[..3]), 3, &all[3..])
}

/// The first letters of the code of what is shown.
#[track_caller]
fn codes(args: &[&str]) -> String {
    let outcome = show(args).arg("--json").run().exits(0);
    outcome.events().iter().map(|event| event["metadata"]["code"].as_str().unwrap()[..1].to_owned()).collect()
}

#[test]
fn people_see_which_when_who_and_what() {
    let outcome = show(&[]).run().exits(0);
    let expected = "\
0  2026-01-02 03:00:00.000Z  default  connected: Ada <ada@example.org>, Žofie (9)
    a = 1
    a + 1

1  2026-01-02 03:01:00.000Z  app  deployed by Žofie (9)
    b(\"\\d/\")

2  2026-01-02 03:02:00.000Z  default  nobody named
    c żółć

3  2026-01-02 03:03:00.000Z  default  connected: {\"id\":12}
    d = A

4  2026-01-02 03:04:00.000Z  app  deployed by bo@example.com
    e
";
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), (expected, ""));
}

#[test]
fn users_fit_by_id_name_or_email_in_any_case() {
    for (globs, expected) in [
        (&["ada"][..], "a"),
        (&["*@EXAMPLE.*"], "ae"),
        (&["ŽOFIE"], "ab"),
        (&["?OFI[a-f]"], "ab"),
        (&["12"], "d"),
        (&["12", "bo@*"], "de"),
        (&["*"], "abde"),
    ] {
        let args: Vec<&str> = globs.iter().flat_map(|glob| ["--user", glob]).collect();
        assert_eq!(codes(&args), expected, "{globs:?}");
    }
}

#[test]
fn times_are_from_and_before() {
    for (args, expected) in [
        (&["--since", "2026-01-02T03:01:00Z"][..], "bcde"),
        (&["--since", "2026-01-02 03:01"], "bcde"),
        (&["--since", "2026-01-02T04:01:00.001+01:00"], "cde"),
        (&["--until", "2026-01-02 03:01"], "a"),
        (&["--until", "2026-01-02"], ""),
        (&["--since", "2026-01-02 03:01", "--until", "2026-01-02 03:03"], "bc"),
    ] {
        assert_eq!(codes(args), expected, "{args:?}");
    }
}

#[test]
fn times_ago_count_from_now() {
    let before = |secs: u64| {
        let time = std::time::SystemTime::now() - std::time::Duration::from_secs(secs);
        chrono::DateTime::<chrono::Utc>::from(time).to_rfc3339()
    };
    let records: Vec<Value> = [9_000, 5_400, 600]
        .iter()
        .map(|secs| json!({"message": secs.to_string(), "time": before(*secs), "metadata": {}}))
        .collect();
    for (args, expected) in [
        (&["--since", "2h"][..], "5400 600 "),
        (&["--since", "7200s"], "5400 600 "),
        (&["--since", "120m ago", "--until", "30m"], "5400 "),
        (&["--until", "2h"], "9000 "),
        (&["--since", "1d"], "9000 5400 600 "),
    ] {
        let run = Run::new(&["trail", "show", "audit", "--json"]).arg_all(args);
        let outcome = segment(run, 0, &records).run().exits(0);
        let shown: String = outcome
            .events()
            .iter()
            .map(|event| event["message"].as_str().unwrap().to_owned() + " ")
            .collect();
        assert_eq!(shown, expected, "{args:?}");
    }
}

#[test]
fn modes_and_texts_are_found() {
    for (args, expected) in [
        (&["--mode", "app"][..], "be"),
        (&["--mode", "default"], "acd"),
        (&["--grep", "\\d/\")"], "b"),
        (&["--grep", "1\na"], "a"),
        (&["--grep", "żó"], "c"),
        (&["--grep", "A"], "d"),
        (&["--grep", "a", "-i"], "abcde"),
        (&["--grep", "= a", "-i"], "d"),
        (&["--grep", "Ada"], ""),
        (&["--grep", "Evaluating"], "abcde"),
        (&["--grep", "1", "--mode", "default", "--user", "ada"], "a"),
    ] {
        assert_eq!(codes(args), expected, "{args:?}");
    }
}

#[test]
fn indices_limits_and_the_other_order() {
    for (args, expected) in [
        (&["--index", "2"][..], "c"),
        (&["--index", "1..3"], "bcd"),
        (&["--index", "3.."], "de"),
        (&["--index", "..1"], "ab"),
        (&["--index", "9"], ""),
        (&["-n", "2"], "de"),
        (&["--limit", "99"], "abcde"),
        (&["--limit", "2", "--mode", "default"], "cd"),
        (&["--limit", "1", "--index", "..1"], "b"),
        (&["--reverse"], "edcba"),
        (&["-r", "-n", "4"], "edcb"),
        (&["-r", "--mode", "app", "-n", "1"], "e"),
    ] {
        assert_eq!(codes(args), expected, "{args:?}");
    }
    let outcome = show(&["--index", "3..", "--reverse"]).run().exits(0);
    let heads: Vec<&str> = outcome.stdout.split("\n\n").map(|record| &record[..3]).collect();
    assert_eq!(heads, ["4  ", "3  "]);
}

#[test]
fn json_is_the_exact_bytes() {
    let lines = "{ \"message\" : \"m\\u00e4\",\t\"time\":1.50 }\nno JSON\n\n[]\n";
    let run =
        |args: &[&str]| Run::new(&["trail", "show", "audit", "--json"]).arg_all(args).file(&path(0), lines);
    assert_eq!(run(&[]).run().exits(0).stdout, lines);
    assert_eq!(run(&["--grep", "mä"]).run().exits(0).lines(), [lines.lines().next().unwrap()]);
    assert_eq!(run(&["--grep", "no"]).run().exits(0).stdout, "no JSON\n");
}

#[test]
fn records_without_a_time_are_left_out_where_times_are_asked_for() {
    let odd = [json!({"message": "odd"}), json!({"time": "later", "message": "odd"}), json!({"time": 7})];
    let run = |args: &[&str]| segment(show(args), 5, &odd);
    assert_eq!(run(&["--json"]).run().exits(0).lines().len(), 8);
    let outcome = run(&["--json", "--since", "2026-01-01"]).run().exits(0);
    assert_eq!(outcome.lines().len(), 5);
    assert_eq!(outcome.stderr, "evaltrail: 3 records without a time left out\n");
    let outcome = run(&["--json", "--until", "2027-01-01", "--grep", "odd", "-v"]).run().exits(0);
    assert_eq!(
        outcome.stderr,
        "evaltrail: none of 8 records fits\nevaltrail: 2 records without a time left out\n"
    );
}

#[test]
fn how_many_there_were_is_said_where_somebody_asks() {
    for (args, expected) in [
        (&["-v", "--mode", "app"][..], "evaltrail: 2 of 5 records\n"),
        (&["-v", "-n", "1"], "evaltrail: the last 1 record that fit\n"),
        (&["-v", "-n", "9"], "evaltrail: 5 of 5 records\n"),
        (&["-v", "--index", "2..3"], "evaltrail: 2 of 2 records\n"),
        (&["--mode", "app"], ""),
        (&["--grep", "nowhere"], "evaltrail: none of 5 records fits\n"),
        (&["--index", "77"], "evaltrail: there is no record with such an index\n"),
    ] {
        assert_eq!(show(args).run().exits(0).stderr, expected, "{args:?}");
    }
}

#[test]
fn what_retention_has_removed_and_what_is_missing_are_told_apart() {
    let all = evaluations();
    let run = |args: &[&str]| {
        let run = Run::new(&["trail", "show", "audit", "--json"]).arg_all(args);
        segment(segment(segment(run, 20, &all[..2]), 22, &all[2..4]), 27, &all[4..]).run()
    };
    for (args, said) in [
        (["--index", "0"], "evaltrail: record 0 is not there any more: the first that is kept is 20\n"),
        (
            ["--index", "2..4"],
            "evaltrail: records up to 4 are not there any more: the first that is kept is 20\n",
        ),
        (["--index", "77"], "evaltrail: there is no record with such an index\n"),
        (["--index", "20..23"], ""),
        (["--index", "27.."], ""),
    ] {
        assert_eq!(run(&args).exits(0).stderr, said, "{args:?}");
    }
    let missing = "evaltrail: records 24 to 26 are not there: look with `evaltrail trail verify`\n";
    let outcome = run(&["-r", "--index", "25"]).exits(1);
    assert_eq!(
        outcome.stderr,
        "evaltrail: record 25 is not there: look with `evaltrail trail verify`
"
    );
    for (args, count) in [
        (&[][..], 5),
        (&["-r"], 5),
        (&["--index", "23.."], 2),
        (&["--index", "25"], 0),
        (&["-r", "--index", "..24"], 4),
    ] {
        let outcome = run(args).exits(1);
        assert_eq!(outcome.stderr, missing, "{args:?}");
        assert_eq!(outcome.events().len(), count, "{args:?}");
    }
}

#[test]
fn an_empty_trail_is_no_failure_and_no_trail_is_bad_usage() {
    for run in [
        Run::new(&["trail", "show", "audit"]).file(&path(0), ""),
        Run::new(&["trail", "show", "audit"]).file("audit/records/other", "x\n"),
    ] {
        let outcome = run.run().exits(0);
        assert_eq!(
            (outcome.stdout.as_str(), outcome.stderr.as_str()),
            ("", "evaltrail: the trail has no records yet\n")
        );
    }
    for (name, help) in [("nowhere", "`path` of a sink"), ("audit/records", "give the one above it")] {
        let outcome = Run::new(&["trail", "show", name]).file(&path(0), "{}\n").run().exits(2);
        assert!(outcome.stderr.contains("no folder `records`") && outcome.stderr.contains(help), "{name}");
    }
}

#[test]
fn bad_usage_is_told() {
    for (args, said) in [
        (&["--since", "soon"][..], "2026-11-22 14:30"),
        (&["--until", "2026-02-30"], "UTC"),
        (&["--since", "1h", "--until", "2h"], "--since is not before --until"),
        (&["--user", "[a"], "`[a` is no pattern"),
        (&["--grep", ""], "an empty text is in everything"),
        (&["-i"], "--grep"),
        (&["--mode", "kiosk"], "default, app"),
        (&["--index", "5..2"], "`20..29`"),
        (&["--limit", "0"], "--limit"),
    ] {
        let outcome = show(args).run().exits(2);
        assert!(outcome.stderr.contains(said) && outcome.stdout.is_empty(), "{args:?}: {}", outcome.stderr);
    }
    let help = Run::new(&["trail", "show", "--help"]).run().exits(0).stdout;
    assert!(help.contains("UTC") && help.contains("not the one who pressed the key"), "{help}");
}

#[test]
fn what_can_not_be_read_fails_and_the_rest_is_shown() {
    let run = show(&["--json"]).file(&format!("{}/file", path(5)), "").file(&path(6), "{\"f\":1}\n");
    let outcome = run.run().exits(1);
    assert_eq!(outcome.lines().len(), 6);
    assert!(outcome.stderr.contains(&format!("can't read {}: ", path(5))), "{}", outcome.stderr);
}

#[test]
fn a_line_that_is_still_being_written_is_left_out() {
    let torn = "{\"message\":\"whole\"}\n{\"message\":\"to";
    for args in [&[][..], &["-n", "1"], &["-n", "1", "--reverse"]] {
        let run = Run::new(&["trail", "show", "audit", "--json"]).arg_all(args);
        let outcome = run.file(&path(0), torn).run().exits(0);
        assert_eq!(outcome.stdout, "{\"message\":\"whole\"}\n", "{args:?}");
        assert!(
            outcome.stderr.contains("the line of record 1 has no end and is left out"),
            "{}",
            outcome.stderr
        );
    }
    let unended = "{\"message\":\"whole\"}";
    let outcome = Run::new(&["trail", "show", "audit", "--json"]).file(&path(0), unended).run().exits(0);
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("{\"message\":\"whole\"}\n", ""));
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_quietly() {
    let line = json!({"message": "x".repeat(500), "time": "2026-01-02T03:04:05.000Z", "metadata": {}});
    for args in ["", "--json", "--reverse", "-n 4000"] {
        let script = format!("\"$0\" trail show audit {args} | head -n 1; exit \"${{PIPESTATUS[0]}}\"");
        let run = Run::of("bash").arg("-c").arg(&script).arg(PROGRAM).env("PATH", "/usr/bin:/bin");
        let Outcome { stdout, stderr, .. } = segment(run, 0, &vec![line.clone(); 5_000]).run().exits(0);
        assert_eq!((stdout.lines().count(), stderr.as_str()), (1, ""), "{args}");
    }
}
