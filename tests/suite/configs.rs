//! Where a config comes from, and what is never said about it.

use crate::harness::{Run, TempDir, chain};
use crate::logs::*;

const SOURCE: &str = "[sources.livebook]\ntype = \"stdin\"\n";
const SINK: &str = "[sinks.out]\ntype = \"console\"\ninputs = [\"livebook\"]\n";

#[test]
fn parts_of_a_config_are_merged() {
    let log = other_json(1);
    let expected = log.clone();
    let several = Run::new(&["-c", "a.toml", "-c", "b.toml"]).file("a.toml", SOURCE).file("b.toml", SINK);
    let folder = Run::new(&["-c", "parts"])
        .file("parts/a.toml", SOURCE)
        .file("parts/b.toml", SINK)
        .file("parts/README.md", "no config = [");
    for run in [several, folder] {
        let outcome = run.stdin(log.clone()).run().exits(0);
        assert_eq!(outcome.events(), [serde_json::from_str::<serde_json::Value>(&expected).unwrap()]);
    }
}

#[test]
fn an_id_in_two_files_is_an_error_that_shows_both() {
    let run = Run::new(&["validate", "-c", "a.toml", "-c", "b.toml"]);
    let outcome = run.file("a.toml", &format!("{SOURCE}{SINK}")).file("b.toml", SINK).run().exits(2);
    for part in ["`out`", "a.toml:3", "b.toml:1"] {
        assert!(outcome.stderr.contains(part), "{part}: {}", outcome.stderr);
    }
}

#[test]
fn a_config_can_come_from_standard_input() {
    let demo = "[sources.livebook]\ntype = \"demo_logs\"\ncount = 5\ninterval_secs = 0\n";
    let config = format!("{demo}{SINK}");
    let outcome = Run::new(&["-c", "-"]).stdin(config.clone()).run().exits(0);
    assert!(outcome.events().len() >= 5, "{}", outcome.stdout);
    Run::new(&["validate", "-c", "-"]).stdin(config).run().exits(0);
    let outcome = Run::new(&["validate", "-c", "-"]).stdin("[sources.x]\n").run().exits(2);
    assert!(outcome.stderr.contains("<stdin>:1"), "{}", outcome.stderr);
}

#[test]
fn what_can_not_be_read_is_named() {
    for path in ["missing.toml", "no/such/folder"] {
        let outcome = Run::new(&["validate", "-c", path]).run().exits(2);
        assert!(outcome.stderr.contains(path), "{}", outcome.stderr);
    }
    let outcome = Run::new(&["validate", "-c", "empty"]).file("empty/note.txt", "").run().exits(2);
    assert!(outcome.stderr.contains("empty"), "{}", outcome.stderr);
}

#[test]
fn init_prints_the_pipeline_that_runs_without_a_config() {
    let init = Run::new(&["init"]).run().exits(0).stdout;
    Run::new(&["validate", "--deny-warnings"]).config(&init).run().exits(0);
    let log =
        other_json(1) + &twins_json(2, "a\nb") + &structured_json(3, "<<0>>") + &legacy_json(4, "<<255>>");
    let embedded = Run::new(&[]).stdin(log.clone()).run().exits(0);
    let written = Run::new(&[]).config(&init).stdin(log).run().exits(0);
    assert_eq!(embedded.stdout, written.stdout);
    assert_eq!(embedded.events().len(), 3);
}

#[test]
fn every_commented_line_of_init_shows_a_default() {
    let init = Run::new(&["init"]).run().exits(0).stdout;
    let uncomment = |line: &str| match line.strip_prefix("# ") {
        Some(option) if option.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')) => {
            option.to_owned()
        }
        _ => line.to_owned(),
    };
    let all: String = init.lines().map(|line| uncomment(line) + "\n").collect();
    assert_ne!(all, init);
    let log = other_json(1) + &twins_json(2, "a\nb") + &legacy_line(3, "\"é\"") + "{\n";
    let defaults = Run::new(&[]).config(&init).stdin(log.clone()).run().exits(0);
    assert_eq!(Run::new(&[]).config(&all).stdin(log).run().exits(0).stdout, defaults.stdout);
}

#[test]
fn variables_are_replaced_in_strings_and_take_the_type_of_their_field() {
    let config = chain(
        "twin_wait_ms = \"${WAIT}\"\nmessage = \"${MESSAGE:-short}\"",
        "",
        "keys = [\"${KEY}\"]\nmessage = \"${SHOW_MESSAGE}\"\nrename = { code = \"$$${KEY}\" }",
    );
    let run = Run::new(&[]).config(&config).env("WAIT", "250").env("KEY", "code").env("SHOW_MESSAGE", "true");
    let outcome = run.stdin(legacy_json(1, "\"1\"")).run().exits(0);
    assert_eq!(outcome.events()[0]["metadata"], serde_json::json!({"$code": "1"}));
    assert_eq!(outcome.events()[0]["message"], "Evaluating code");
}

#[test]
fn a_variable_never_changes_the_structure() {
    let config = chain("", "", "rename = { code = \"${NAME}\" }");
    let name = "x\" }\n[sinks.evil]\ntype = \"console";
    let outcome =
        Run::new(&[]).config(&config).env("NAME", name).stdin(legacy_json(1, "\"1\"")).run().exits(0);
    assert_eq!(outcome.events()[0]["metadata"][name], "1");
}

#[test]
fn validation_without_an_environment_needs_no_variables() {
    let config = chain("twin_wait_ms = \"${WAIT}\"", "default_level = \"${LEVEL:?say which}\"", "");
    let outcome = Run::new(&["validate"]).config(&config).run().exits(2);
    for part in ["`WAIT`", "`LEVEL`", "say which", "2 errors"] {
        assert!(outcome.stderr.contains(part), "{part}: {}", outcome.stderr);
    }
    Run::new(&["validate", "--no-environment"]).config(&config).run().exits(0);
    // What a variable leads to is not known either.
    let ports = "[api]\naddress = \"${API}\"\n[sources.a]\ntype = \"http_server\"\naddress = \"127.0.0.1:8686\"\n\
                 [sinks.out]\ntype = \"console\"\ninputs = [\"a\"]\n";
    Run::new(&["validate", "--no-environment"]).config(ports).run().exits(0);
    Run::new(&["validate"]).config(ports).env("API", "127.0.0.1:8686").run().exits(2);
    let faulty = config.replace("keys", "kyes").replace("legacy_message", "legacy_massage");
    let outcome = Run::new(&["validate", "--no-environment"]).config(&faulty).run().exits(2);
    assert!(outcome.stderr.contains("legacy_massage"), "{}", outcome.stderr);
}

#[test]
fn the_value_of_a_variable_is_never_told() {
    const SECRET: &str = "hunter2-correct-horse";
    // Each in a place where its value is refused, or may be shown by whoever is not careful.
    let places = [
        chain("message = \"${SECRET}\"", "", ""),
        chain("twin_wait_ms = \"${SECRET}\"", "", ""),
        chain("", "other_events = \"x${SECRET}\"", ""),
        chain("", "", "keys = [\"%${SECRET}\"]"),
        chain("", "", "user_fields = [\"${SECRET}\"]"),
        chain("", "", "").replace("[\"parse\"]", "[\"${SECRET}\"]"),
        chain("", "", "").replace("[\"parse\"]", "[\"livebook.${SECRET}\"]"),
        chain("", "", "").replace("\"console\"", "\"${SECRET}\""),
        chain("", "", "").replace("\"stdin\"", "\"stdin\"\ndecoding.timezone = \"${SECRET}\""),
        chain("", "", "") + "encoding.only_fields = [\"metadata.${SECRET}[0]\"]\n",
        chain("", "", "") + "buffer.max_events = \"${SECRET}\"\n",
        chain("", "", "") + "target = \"${SECRET}\"\n",
    ];
    for config in places {
        for args in [&["validate"][..], &["run", "-v"], &["run", "-v", "--log-format", "json"]] {
            let outcome = Run::new(args).config(&config).env("SECRET", SECRET).run().exits(2);
            for text in [&outcome.stdout, &outcome.stderr] {
                assert!(!text.contains("hunter2") && !text.contains("horse"), "{config}\n{text}");
            }
            assert!(outcome.stderr.contains("error: "), "{config}\n{}", outcome.stderr);
        }
    }
}

#[test]
fn a_valid_config_with_a_secret_does_not_tell_it_either() {
    let config = chain("", "", "rename = { code = \"${SECRET}\" }");
    for args in [&["validate"][..], &["run", "-v"], &["run", "-v", "--log-format", "json"]] {
        let run = Run::new(args).config(&config).env("SECRET", "hunter2").stdin("{\"broken\n");
        let outcome = run.run().exits(0);
        assert!(
            !outcome.stderr.contains("hunter2") && !outcome.stdout.contains("hunter2"),
            "{}",
            outcome.stderr
        );
    }
}

#[test]
fn a_secret_in_the_wrong_place_or_form_is_not_told() {
    // Options of a sink, each with the words that have to be said of it.
    let forms = [
        (r#"auth = { strategy = "basic", user = "u", pasword = "SEKRET" }"#, "unknown option `pasword`"),
        (r#"auth = { strategy = "bearer", tken = "SEKRET" }"#, "unknown option `tken`"),
        (r#"auth = { strategy = "bearer", tokn = "SEKRET" }"#, "unknown option `tokn`"),
        (r#"api_key = "SEKRET""#, "unknown option `api_key`"),
        (r#"header = { Authorization = "Bearer SEKRET" }"#, "unknown option `header`"),
        (r#"auth = "SEKRET""#, "wrong type of `auth`"),
        (r#"auth.strategy = "SEKRET""#, "invalid value of `auth.strategy`"),
        (r#"auth.strategy = "Bearer SEKRET""#, "invalid value of `auth.strategy`"),
        (r#"auth = { strategy = "bearer", token = ["SEKRET"] }"#, "wrong type of `auth.token`"),
        (
            "auth.strategy = \"basic\"\nauth.user = \"u\"\nauth.password = \"p\"\nauth.token = \"\"\"\nSEKRET\n\"\"\"",
            "invalid value of `auth.token`",
        ),
        (
            r#"auth = { strategy = "basic", user = "u", password = "p", token = "${T:-SEK RET SEKRET}" }"#,
            "invalid value of `auth.token`",
        ),
        (r#"auth = { strategy = "${T:-Bearer SEKRET}" }"#, "invalid value of `auth.strategy`"),
        (r#"auth = { strategy = "SEKRET ${SET}" }"#, "invalid value of `auth.strategy`"),
        (r#"auth = { strategy = "bearer", token = "a", user = "a:SEKRET" }"#, "invalid value of `auth.user`"),
        (r#"method = "Bearer SEKRET""#, "invalid value of `method`"),
        (r#"method = "http://u:SEKRET@h/""#, "invalid value of `method`"),
        (r#"uri = "user:SEKRET@127.0.0.1/x""#, "invalid value of `uri`"),
        (r#"uri = "h/?token=SEKRET""#, "invalid value of `uri`"),
        (r#"uri = "https://u:SEK/SEKRET@h/x""#, "invalid value of `uri`"),
        ("token=SEKRET", "token="),
        ("token = Bearer SEKRET", "token = "),
        (r#"headers={Authorization:"Bearer SEKRET"}"#, "headers={Authorization:"),
        (r#"token: "SEKRET""#, "token: "),
        (r#"token "SEKRET""#, "token "),
        ("token =\n\"SEKRET\"", "token ="),
        ("token = \"SEK\nSEKRET\"", "token = "),
    ];
    for (form, said) in forms {
        let uri = if form.starts_with("uri") { "" } else { "uri = \"http://127.0.0.1/\"\n" };
        let config = format!("{SOURCE}[sinks.out]\ntype = \"http\"\ninputs = [\"livebook\"]\n{uri}{form}\n");
        for args in [&["validate"][..], &["validate", "--no-environment"], &["run", "--log-format", "json"]] {
            let outcome = Run::new(args).config(&config).env("SET", "set").run();
            for text in [&outcome.stdout, &outcome.stderr] {
                assert!(!text.contains("SEKRET"), "{config}\n{text}");
            }
            // Without an environment, what may come from it is taken for right.
            let is_known = !(args.contains(&"--no-environment") && form.contains("${"));
            assert!(!is_known || outcome.stderr.contains(said), "{config}\n{}", outcome.stderr);
            assert!(!is_known || outcome.code == Some(2), "{config}\n{}", outcome.stderr);
        }
    }
    let address = "[sources.livebook]\ntype = \"http_server\"\naddress = \"u:SEKRET@127.0.0.1:80\"\n";
    let outcome = Run::new(&["validate"]).config(&format!("{address}{SINK}")).run().exits(2);
    assert!(!outcome.stderr.contains("SEKRET"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("invalid value of `address`"), "{}", outcome.stderr);
}

#[test]
fn a_file_that_is_given_as_it_can_not_be_is_told_how() {
    for (args, hint) in [
        (&["livebook.log"][..], "a log is read from standard input: `evaltrail < livebook.log`"),
        (&["validate", "evaltrail.toml"], "a config is given by `-c evaltrail.toml`"),
        (&["graph", "evaltrail.toml"], "a config is given by `-c evaltrail.toml`"),
    ] {
        let run = Run::new(args).file("livebook.log", "").file("evaltrail.toml", "").run().exits(2);
        assert!(run.stderr.contains(hint), "{args:?}: {}", run.stderr);
    }
    let none = Run::new(&["validat"]).run().exits(2);
    assert!(!none.stderr.contains("is given by") && !none.stderr.contains("is read from"), "{}", none.stderr);
}

#[test]
fn a_loop_is_found_however_its_paths_are_spelt() {
    let dir = TempDir::new();
    let root = dir.path().canonicalize().unwrap().display().to_string();
    let whole = format!("{root}/*.jsonl");
    let validate = |include: &str, exclude: &str, path: &str| {
        dir.write(
            "c.toml",
            &format!(
                "[sources.in]\ntype = \"file\"\ninclude = [\"{include}\"]\nexclude = [{exclude}]\n\
                 [sinks.out]\ntype = \"file\"\ninputs = [\"in\"]\npath = \"{path}\"\n"
            ),
        );
        Run::new(&["validate", "-c", "c.toml"]).current_dir(dir.path()).run()
    };
    let file = format!("{root}/x.jsonl");
    for include in [&whole, "*.jsonl", "./*.jsonl"] {
        for path in [&file, "x.jsonl", "./x.jsonl", "y/../x.jsonl", "./%Y.jsonl"] {
            let outcome = validate(include, "", path).exits(2);
            assert!(
                outcome.stderr.contains("`out` writes what `in` reads"),
                "{include}, {path}: {}",
                outcome.stderr
            );
        }
        validate(include, "", "y/x.jsonl").exits(0);
    }
    // What the source would read all the same is not left out.
    validate("*.jsonl", "\"x.jsonl\"", &file).exits(0);
    validate(&whole, "\"x.jsonl\"", "x.jsonl").exits(2);
}
