//! `evaltrail test`: the tests of configs through the built program.

use crate::harness::{Outcome, Run, root};

/// A config of two transforms and what it should do; nothing of the rest of it exists.
const PIPELINE: &str = r#"
[sources.kafka]
type = "no_such_source"
password = "${NOT_SET}"

[transforms.parse]
type = "legacy_message"
inputs = ["kafka"]

[transforms.policy]
type = "audit_policy"
inputs = ["parse"]

[transforms.team]
type = "remap"
inputs = ["policy"]
drop_on_error = true
reroute_dropped = true
source = '''
if .metadata.code == "secret" { .password = "${TOKEN:-none}" }
.metadata.lines = length(split!(.metadata.code, "\n"))
.metadata.session_mode = upcase!(.metadata.session_mode)
'''

[sinks.siem]
type = "no_such_sink"
inputs = ["nothing"]
"#;

/// The start of a test of one evaluation.
fn evaluation(name: &str, rest: &str) -> String {
    format!(
        "\n[[tests]]\nname = \"{name}\"\n{rest}\n[[tests.inputs]]\ninsert_at = \"parse\"\ntype = \"log\"\n\
         log_fields.metadata = {{ event = \"code.evaluate\", session_mode = \"default\", code = \"a\\nb\" }}\n"
    )
}

fn output(from: &str, conditions: &str) -> String {
    format!("[[tests.outputs]]\nextract_from = \"{from}\"\nconditions = {conditions}\n")
}

fn test(tests: &str, args: &[&str]) -> Outcome {
    Run::new(&["test"]).arg_all(args).config(&format!("{PIPELINE}{tests}")).run()
}

#[test]
fn each_config_that_comes_with_it_is_tested() {
    let mut seen = 0;
    for entry in std::fs::read_dir(root().join("configs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "toml") {
            continue;
        }
        // No variable is set but one of a transform: what sources and sinks are told does not matter.
        let run = Run::new(&["test", "-c", path.to_str().unwrap()]);
        let outcome = run.env("AUDIT_DIGEST_KEY", "0123456789abcdef").run().exits(0);
        let passed = outcome.lines().iter().filter(|line| line.ends_with(" ... passed")).count();
        assert!(passed >= 2, "{}: {}", path.display(), outcome.stdout);
        assert_eq!(outcome.stderr, "", "{}", path.display());
        seen += 1;
    }
    assert!(seen >= 7);
    let embedded = Run::new(&["test"]).run().exits(0);
    assert!(embedded.stdout.contains("test what a deployed app evaluates is not recorded ... passed"));
    assert!(embedded.stderr.contains("these are the tests of the embedded pipeline"), "{}", embedded.stderr);
}

#[test]
fn tests_pass_without_sources_and_sinks() {
    let tests = evaluation("recorded", "no_outputs_from = \"team.dropped\"")
        + &output("policy", r#"[".metadata.session_mode == \"default\""]"#)
        + &output("team", r#"".metadata.lines == 2""#);
    let outcome = test(&tests, &[]).exits(0);
    assert_eq!(outcome.stdout, "test recorded ... passed\n\n1 passed, 0 failed\n");
    assert_eq!(outcome.stderr, "");
}

#[test]
fn a_condition_that_does_not_hold_is_drawn_with_what_has_come_out() {
    let tests = evaluation("red", "")
        + "[[tests.outputs]]\nextract_from = \"team\"\n[[tests.outputs.conditions]]\ntype = \"vrl\"\n\
           source = '''\nassert!(exists(.metadata))\nassert_eq!(.metadata.lines, 3)\n'''\n"
        + "[[tests.outputs.conditions]]\ntype = \"vrl\"\nsource = '.metadata.lines == 2'\n"
        + "[[tests.outputs.conditions]]\ntype = \"vrl\"\nsource = '.metadata.session_mode == \"app\"'\n";
    let outcome = test(&tests, &[]).exits(1);
    expect_test::expect![[r#"
        test red ... failed

        --- red: the event out of `team` is not as expected

        error: condition 1 has failed
          --> evaltrail.toml:42:1
           |
        42 | assert_eq!(.metadata.lines, 3)
           | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ assertion failed: 2 == 3

        error: condition 3 does not hold
          --> evaltrail.toml:49:11
           |
        49 | source = '.metadata.session_mode == "app"'
           |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ is false

        what was inserted (-), and what has come out (+):

            {
              "metadata": {
                "code": "a\nb",
                "event": "code.evaluate",
          -     "session_mode": "default"
          +     "session_mode": "DEFAULT",
          +     "lines": 2
              }
            }


        0 passed, 1 failed
    "#]]
    .assert_eq(&outcome.stdout);
}

#[test]
fn where_events_have_gone_is_told_when_none_has_come() {
    let app = "\n[[tests]]\nname = \"gone\"\n[[tests.inputs]]\ninsert_at = \"parse\"\ntype = \"log\"\n\
        log_fields.\"metadata.event\" = \"code.evaluate\"\nlog_fields.\"metadata.app_permanent\" = true\n\
        log_fields.\"metadata.session_mode\" = \"app\"\nlog_fields.\"metadata.code\" = \"1\"\n\
        [[tests.inputs]]\ninsert_at = \"policy\"\nvalue = \"any other line\"\n\
        [[tests.outputs]]\nextract_from = \"team\"\n";
    let outcome = test(app, &[]).exits(1);
    assert!(outcome.stdout.contains("nothing has come out of `team`"), "{}", outcome.stdout);
    assert!(
        outcome.stdout.contains("extract_from = \"team\"\n   |                ^^^^^^"),
        "{}",
        outcome.stdout
    );
    let ways = outcome.stdout.split_once("where events have gone:\n\n").unwrap().1;
    let lines: Vec<&str> = ways.lines().take(3).map(str::trim).collect();
    assert_eq!(lines[0], "parse   1 in, 1 out");
    assert!(lines[1].starts_with("policy  2 in, 1 dropped ("), "{lines:?}");
    assert_eq!(lines[2], "team    0 in");
}

#[test]
fn what_may_not_come_out_and_how_much_may_is_checked() {
    let tests = evaluation("silent", "no_outputs_from = [\"policy\"]")
        + &evaluation("two", "")
        + "[[tests.outputs]]\nextract_from = \"policy\"\ncount = 2\n";
    let outcome = test(&tests, &[]).exits(1);
    assert!(
        outcome.stdout.contains("1 event has come out of `policy`, where nothing may"),
        "{}",
        outcome.stdout
    );
    assert!(outcome.stdout.contains("1 event has come out of `policy`, not 2"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("what has come out, as it was inserted:"), "{}", outcome.stdout);
    assert!(outcome.stdout.ends_with("0 passed, 2 failed\n"));
}

#[test]
fn what_leaves_by_a_port_shows_why() {
    let broken = "\n[[tests]]\nname = \"port\"\n[[tests.inputs]]\ninsert_at = \"team\"\nvalue = \"x\"\n"
        .to_owned()
        + &output("team.dropped", r#"["%dropped.reason == \"abort\""]"#);
    let outcome = test(&broken, &[]).exits(1);
    assert!(
        outcome.stdout.contains(
            "what has come out, as it was inserted:\n\n    {\n      \"message\": \"x\"\n    }\n  % {"
        ),
        "{}",
        outcome.stdout
    );
    assert!(outcome.stdout.contains("\"reason\": \"error\""), "{}", outcome.stdout);
}

#[test]
fn held_events_come_out_and_time_is_not_waited_for() {
    let cut = r#"Evaluating code\n  Session mode: default\n  Code: \"a"#;
    let held = format!(
        "\n[[tests]]\nname = \"held\"\n[[tests.inputs]]\ninsert_at = \"parse\"\n\
         value = '{{\"message\":\"{cut}\",\"metadata\":{{}}}}'\n[[tests.outputs]]\nextract_from = \"parse\"\n\
         conditions = ['.metadata.code_incomplete == true']\n"
    );
    let started = std::time::Instant::now();
    test(&held, &[]).exits(0);
    assert!(started.elapsed().as_millis() < 900, "{:?}", started.elapsed());
}

#[test]
fn values_of_variables_are_not_shown() {
    let tests = "\n[[tests]]\nname = \"leak\"\n[[tests.inputs]]\ninsert_at = \"team\"\ntype = \"log\"\n\
        log_fields.metadata = { code = \"secret\", session_mode = \"x\" }\n[[tests.outputs]]\n\
        extract_from = \"team\"\nconditions = ['assert_eq!(.password, \"x\")']\n";
    let config = format!("{PIPELINE}{tests}");
    let run = Run::new(&["test", "--junit-report", "r.xml"]).config(&config).env("TOKEN", "hunter2");
    let outcome = run.run().exits(1);
    assert!(!outcome.stdout.contains("hunter2"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("\"password\": \"…\""), "{}", outcome.stdout);
}

#[test]
fn variables_of_transforms_are_needed() {
    let tests = evaluation("x", "no_outputs_from = \"policy\"");
    let config = format!("{PIPELINE}{tests}").replace("${TOKEN:-none}", "${TOKEN}");
    let refused = Run::new(&["test"]).config(&config).run().exits(2);
    assert!(refused.stderr.contains("the variable `TOKEN` is not set"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("NOT_SET"), "{}", refused.stderr);
}

#[test]
fn a_report_is_written_for_machines() {
    let tests = evaluation("<good> & \\\"so\\\" \\u001b[1m", "") + &output("policy", "[]");
    let tests = tests + &evaluation("bad", "no_outputs_from = [\"policy\"]");
    let config = format!("{PIPELINE}{tests}");
    let dir = crate::harness::TempDir::new();
    dir.write("a.toml", &config);
    let run =
        || Run::new(&["test", "-c", "a.toml", "--junit-report", "report.xml"]).current_dir(dir.path()).run();
    run().exits(1);
    let report = std::fs::read_to_string(dir.path().join("report.xml")).unwrap();
    assert!(report.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites "), "{report}");
    assert!(report.contains("tests=\"2\" failures=\"1\""), "{report}");
    assert!(report.contains("name=\"&lt;good&gt; &amp; &quot;so&quot; \u{fffd}[1m\""), "{report}");
    assert!(
        report.contains("<failure message=\"1 event has come out of `policy`, where nothing may\">"),
        "{report}"
    );
    assert!(report.chars().all(|char| char == '\n' || char >= ' '), "{report:?}");
    std::fs::create_dir(dir.path().join("folder")).unwrap();
    let refused = Run::new(&["test", "-c", "a.toml", "--junit-report", "folder"]).current_dir(dir.path());
    let refused = refused.run().exits(2);
    assert_eq!(refused.stdout, "");
    assert!(refused.stderr.contains("can't write the report"), "{}", refused.stderr);
}

#[test]
fn tests_are_chosen_by_their_names() {
    let tests = evaluation("first thing", "") + &output("policy", "[]");
    let tests = tests + &evaluation("second thing", "") + &output("parse", "[]");
    let outcome = test(&tests, &["second"]).exits(0);
    assert_eq!(outcome.stdout, "test second thing ... passed\n\n1 passed, 0 failed, 1 left out\n");
    let refused = test(&tests, &["my.toml"]).exits(2);
    assert!(refused.stderr.contains("no test has `my.toml` in its name; a config is given by `-c`"));
    assert_eq!(test("", &[]).exits(0).stdout, "no tests: a config has them as `[[tests]]`\n");
}

#[test]
fn secrets_are_found_where_redact_stands() {
    let config = "[transforms.clean]\ntype = \"redact\"\ninputs = [\"policy\"]\n\n[[tests]]\nname = \"redacted\"\n\
        [[tests.inputs]]\ninsert_at = \"clean\"\ntype = \"log\"\nlog_fields.\"metadata.event\" = \"code.evaluate\"\n\
        log_fields.\"metadata.code\" = 'Repo.start_link(password: \"correct-horse-7\")'\n[[tests.outputs]]\n\
        extract_from = \"clean\"\nconditions = ['''\nassert!(!contains(string!(.metadata.code), \"horse\"))\n\
        contains(string!(.metadata.code), \"[REDACTED:\")\n''']\n";
    Run::new(&["test"]).config(config).run().exits(0);
}

#[test]
fn validate_counts_them_and_finds_what_is_wrong() {
    let config = Run::new(&["validate", "-c", root().join("tests/cases/valid/tests.toml").to_str().unwrap()]);
    let outcome = config.run().exits(0);
    assert!(outcome.stdout.contains("(1 source, 2 transforms, 1 sink, 3 tests)"), "{}", outcome.stdout);
    let path = root().join("tests/cases/valid/tests.toml");
    let outcome = Run::new(&["test", "-c", path.to_str().unwrap()]).run().exits(0);
    assert!(outcome.stdout.ends_with("3 passed, 0 failed\n"), "{}", outcome.stdout);
}
