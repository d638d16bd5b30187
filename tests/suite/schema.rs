//! `evaltrail schema`: what editors know of a config is what the program knows of it.

mod document;
mod validator;

use crate::harness::{Run, root};
use document::Document;
use expect_test::{Expect, expect};
use regex::Regex;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use validator::{Validator, each};

/// Cases that are not even TOML.
const NO_TOML: [&str; 2] = ["not_toml", "same_id_twice"];
/// Cases in which nothing is wrong that a schema could see: what is wrong is between components, or
/// between the entries of a list.
const ACCEPTED: [&str; 7] =
    ["cycle", "exclusive", "nothing_to_run", "projection", "tests_no_way", "unknown_input", "written"];

#[track_caller]
fn schema() -> Validator {
    let outcome = Run::new(&["schema"]).run().exits(0);
    assert_eq!(outcome.stderr, "");
    assert!(outcome.stdout.ends_with("}\n") && outcome.stdout.contains("\n  \""), "for people too");
    Validator::new(serde_json::from_str(&outcome.stdout).unwrap())
}

/// The texts of the TOML files of a folder, by their names without the ending.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|ending| ending == "toml"));
    files
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// Section, name and page of each component.
fn components() -> Vec<(&'static str, &'static str, &'static str)> {
    let registry = &evaltrail::config::BUILTIN;
    let sources = registry.sources.iter().map(|entry| ("source", entry.name, entry.page));
    let transforms = registry.transforms.iter().map(|entry| ("transform", entry.name, entry.page));
    let sinks = registry.sinks.iter().map(|entry| ("sink", entry.name, entry.page));
    sources.chain(transforms).chain(sinks).collect()
}

/// The schema of the options of a component.
fn options<'a>(schema: &'a Validator, role: &str, name: &str) -> &'a Value {
    &schema.schema()["$defs"][format!("{role}.{name}")]
}

#[test]
fn it_says_what_it_is() {
    let schema = schema();
    assert_eq!(schema.schema()["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let title = schema.schema()["title"].as_str().unwrap();
    assert!(title.contains("evaltrail") && title.contains(env!("CARGO_PKG_VERSION")), "{title}");
}

#[test]
fn every_config_that_is_valid_fits() {
    let schema = schema();
    let mut seen = 0;
    let folders = ["configs", "tests/cases/valid", "tests/vector", "tests/vector/apart"];
    let files = folders.into_iter().flat_map(|folder| files(&root().join(folder)));
    let pages = components().into_iter().map(|(_, name, page)| (name.to_owned(), example(page)));
    for (name, text) in files.chain(pages) {
        let faults = schema.faults(&Document::parse(&text).unwrap().json);
        assert!(faults.is_empty(), "{name}: {faults:?}");
        seen += 1;
    }
    assert!(seen >= 40, "{seen}");
}

/// The first example of a page.
fn example(page: &str) -> String {
    let lines = page.lines().map_while(|line| line.strip_prefix("//!"));
    let lines = lines.map(|line| line.strip_prefix(' ').unwrap_or(line));
    let lines = lines.skip_while(|line| *line != "```toml").skip(1).take_while(|line| *line != "```");
    lines.map(|line| format!("{line}\n")).collect()
}

/// What `validate` has said of a case: line, column and title of each error that has a place.
fn errors(case: &str) -> BTreeSet<(usize, usize, String)> {
    let said = std::fs::read_to_string(root().join(format!("tests/cases/invalid/{case}.stderr"))).unwrap();
    let error = Regex::new(r"(?m)^error: (.*)\n +--> [^:\n]+:(\d+):(\d+)$").unwrap();
    let number = |text: &str| text.parse().unwrap();
    error
        .captures_iter(&said)
        .map(|found| (number(&found[2]), number(&found[3]), found[1].to_owned()))
        .collect()
}

/// What a schema can't see, in cases in which it sees something else.
fn unseen_errors() -> Expect {
    expect![[r#"
        bad_reference:7:12 a reference inside a reference
        encoding_paths:9:61 invalid value of `encoding.only_fields[1]`
        encoding_paths:14:73 invalid value of `encoding.except_fields[2]`
        file_sink:13:8 invalid value of `path`
        file_sink:18:8 invalid value of `path`
        file_sink:23:8 invalid value of `path`
        file_sink:28:8 invalid value of `path`
        file_sink:33:8 invalid value of `path`
        file_sink:71:17 invalid value of `rotation.keep`
        five_faults:16:11 unknown input `prase`
        http_server:56:70 invalid value of `tls.verify_certificate`
        http_server:61:59 invalid value of `tls.ca_file`
        http_sink:30:8 invalid value of `auth`
        http_sink:53:21 invalid value of `headers.x y`
        http_sink:53:43 invalid value of `headers.content-length`
        http_sink:66:25 invalid value of `headers.Authorization`
        http_sink:72:17 invalid value of `headers.x-key`
        http_sink:78:26 invalid value of `tls.verify_certificate`
        http_sink:84:16 invalid value of `tls.crt_file`
        missing_variable:4:10 the variable `EVALTRAIL_UNSET_COUNT` is not set
        missing_variable:5:22 the variable `EVALTRAIL_UNSET_ZONE` is not set
        policy_rules:14:36 mutation of read-only value
        policy_rules:20:1 invalid value of `rules[0]`
        policy_rules:32:14 invalid value of `digest_key`
        policy_rules:33:37 invalid value of `rules[0].users[0]`
        redact:9:14 invalid value of `rules_file`
        redact:14:14 invalid value of `rules_file`
        redact:19:20 invalid value of `allow[1]`
        redact:24:14 invalid value of `digest_key`
        redact:29:12 invalid value of `built_in`
        tests_wrong:21:20 invalid value of `no_outputs_from`
        tests_wrong:21:28 invalid value of `no_outputs_from`
        tests_wrong:23:22 invalid value of `inputs.insert_at`
        tests_wrong:26:13 invalid value of `inputs.insert_at`
        tests_wrong:29:16 invalid value of `outputs.extract_from`
        tests_wrong:31:17 invalid value of `outputs.extract_from`
        tests_wrong:31:30 invalid value of `outputs.extract_from`
        tests_wrong:52:22 call to undefined function
        tests_wrong:58:15 invalid value of `outputs.conditions`
        tests_wrong:58:28 unhandled error
        tests_wrong:71:1 invalid value of `inputs`
        tests_wrong:75:9 invalid value of `inputs.value`
        tests_wrong:86:1 invalid value of `inputs.log_fields`
        tests_wrong:90:19 wrong type of `inputs.log_fields.time`
        tests_wrong:96:6 the program fails
        tests_wrong:105:42 the variable `NOT_SET` is not set
        trail:9:10 invalid value of `origin`
        trail:16:18 invalid value of `encoding.codec`
        trail:35:23 a ring of components: same → same
        vrl:9:8 unhandled fallible assignment
        vrl:10:8 call to undefined function
        vrl:19:6 unhandled fallible assignment
        vrl:35:8 invalid value of `file`
        vrl:40:38 invalid value of `condition.source`
        vrl:45:14 mutation of read-only value
        vrl:51:22 syntax error
        vrl:61:11 `whole` has no output but its ports
        vrl:61:20 unknown port `whole.two`
    "#]]
}

#[test]
fn what_is_invalid_by_its_shape_is_blamed_where_validate_blames_it() {
    let schema = schema();
    let (mut accepted, mut unreadable, mut unseen) = (Vec::new(), Vec::new(), String::new());
    for (case, text) in files(&root().join("tests/cases/invalid")) {
        let Some(document) = Document::parse(&text) else {
            unreadable.push(case);
            continue;
        };
        let faults = schema.faults(&document.json);
        let errors = errors(&case);
        for fault in &faults {
            let is_error = errors.iter().any(|(line, column, _)| document.is_at(fault, (*line, *column)));
            assert!(is_error, "{case}: only the schema finds something wrong: {fault:?}");
        }
        if faults.is_empty() {
            accepted.push(case);
            continue;
        }
        let is_blamed = |place| faults.iter().any(|fault| document.is_at(fault, place));
        let missed = errors.iter().filter(|(line, column, _)| !is_blamed((*line, *column)));
        unseen.extend(missed.map(|(line, column, title)| format!("{case}:{line}:{column} {title}\n")));
    }
    assert_eq!(
        (accepted, unreadable),
        (ACCEPTED.map(str::to_owned).into(), NO_TOML.map(str::to_owned).into())
    );
    unseen_errors().assert_eq(&unseen);
}

#[test]
fn a_value_may_come_from_the_environment() {
    let schema = schema();
    let fits = |options: &str| {
        let text = format!("[sources.a]\ntype = \"demo_logs\"\n{options}\n");
        schema.faults(&Document::parse(&text).unwrap().json).is_empty()
    };
    for options in [
        "count = \"${COUNT}\"",
        "count = \"${COUNT:-10}\"",
        "rate = \"${RATE:?say how many}\"",
        "format = \"livebook_${FORMAT}\"",
        "decoding.codec = \"${CODEC}\"",
    ] {
        assert!(fits(options), "{options}");
    }
    for options in [
        "count = \"10\"",
        "count = \"${COUNT}0\"",
        "count = \"${}\"",
        "rate = \"${RATE-1}\"",
        "format = \"livebook_$FORMAT\"",
        "decoding = \"${DECODING}\"",
    ] {
        assert!(!fits(options), "{options}");
    }
    // Of which type it is, nobody knows then.
    let unknown = "[sinks.a]\ntype = \"${TYPE}\"\ninputs = [\"${INPUT}\"]\npath = \"a\"\n";
    assert!(schema.faults(&Document::parse(unknown).unwrap().json).is_empty());
}

#[test]
fn files_are_parts_of_a_config_but_components_are_whole() {
    let schema = schema();
    let faults = |text: &str| schema.faults(&Document::parse(text).unwrap().json).len();
    assert_eq!(faults(""), 0);
    assert_eq!(faults("[sinks.a]\ntype = \"blackhole\"\ninputs = [\"elsewhere\"]\n"), 0);
    assert_eq!(faults("[sinks.a]\ntype = \"blackhole\"\n"), 1);
    assert_eq!(faults("[sinks.a]\ninputs = \"b\"\n"), 1);
    assert_eq!(faults("[sinks.a]\ntype = \"file\"\ninputs = \"b\"\n"), 1);
}

#[test]
fn everything_is_described() {
    let schema = schema();
    let mut seen = 0;
    each(schema.schema(), &mut |one| {
        for (name, option) in one.get("properties").and_then(Value::as_object).into_iter().flatten() {
            // Where nothing but a bound or a `const` is added, the option is described elsewhere.
            let is_whole = ["type", "oneOf", "$ref"].iter().any(|keyword| option.get(*keyword).is_some());
            let description = option.get("description").and_then(Value::as_str).unwrap_or_default();
            assert!(!is_whole || description.len() >= 5, "{name}: {option}");
            assert!(!description.contains("](") && !description.contains("[`"), "no links: {description}");
            seen += usize::from(is_whole);
        }
    });
    assert!(seen > 100, "{seen}");
    for (role, name, _) in components() {
        let description = options(&schema, role, name)["description"].as_str().unwrap();
        let page = Run::new(&["describe", role, name]).run().exits(0).stdout;
        let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(page.contains(description), "{name}: {description}");
        let types = &schema.schema()["$defs"][role]["allOf"][0]["properties"]["type"]["oneOf"];
        let named = types.as_array().unwrap().iter().find(|one| one["const"] == name).unwrap();
        assert_eq!(named["description"], description);
    }
}

/// The options of a table by their paths: a table stands for what is in it, a list of tables for itself as well.
fn paths(table: &Value, before: &str, known: &mut BTreeMap<String, Value>) {
    let none = Map::new();
    for (name, option) in
        table["properties"].as_object().unwrap_or(&none).iter().filter(|(_, one)| one.is_object())
    {
        let path = format!("{before}{name}");
        if option["type"] == "object" && option.get("properties").is_some() {
            paths(option, &format!("{path}."), known);
            continue;
        }
        paths(&option["items"], &format!("{path}."), known);
        known.insert(path, option.clone());
    }
}

#[test]
fn the_options_are_those_of_the_page() {
    let schema = schema();
    let name_of_option = Regex::new(r"^[a-z][a-z_]*(\.[a-z][a-z_]*)*$").unwrap();
    for (role, name, _) in components() {
        let mut known = BTreeMap::new();
        paths(options(&schema, role, name), "", &mut known);
        // Another name of `auth.user`.
        known.remove("auth.username");
        let page = Run::new(&["describe", role, name]).run().exits(0).stdout;
        let titles =
            page.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
        let listed = titles.flat_map(|title| title.split(" (").next().unwrap().split(", "));
        let listed = listed.map(|title| title.trim_matches('`'));
        let listed: BTreeSet<&str> = listed.filter(|option| name_of_option.is_match(option)).collect();
        assert_eq!(listed, known.keys().map(String::as_str).collect(), "{name}");
    }
}

#[test]
fn defaults_fit_and_are_those_of_the_page() {
    let schema = schema();
    each(schema.schema(), &mut |one| {
        let Some(default) = one.get("default") else { return };
        let faults = schema.faults_of(&Value::Object(one.clone()), default);
        assert!(faults.is_empty(), "{one:?}");
    });
    let row = Regex::new(r"(?m)^//! \| `([a-z_.]+)` \| .* \| `([^`]+)` \|$").unwrap();
    let mut compared = 0;
    for (role, name, page) in components() {
        let mut known = BTreeMap::new();
        paths(options(&schema, role, name), "", &mut known);
        for found in row.captures_iter(page) {
            let written = serde_json::from_str(&found[2]).unwrap_or_else(|_| json!(&found[2]));
            let default = &known[&found[1]]["default"];
            let is_same = *default == written || default.is_f64() && default.as_f64() == written.as_f64();
            assert!(is_same, "{name}: {}: {default}, not {written}", &found[1]);
            compared += 1;
        }
    }
    assert!(compared >= 50, "{compared}");
    let described = |role, name, pointer: &str| {
        let option = options(&schema, role, name).pointer(pointer).unwrap();
        option["description"].as_str().unwrap().to_owned()
    };
    // What is no value is said in words.
    assert!(described("source", "http_server", "/properties/auth").ends_with("Default: everybody."));
    assert!(described("sink", "file", "/properties/rotation/properties/keep").ends_with("Default: all."));
    assert_eq!(schema.schema()["properties"]["shutdown_timeout_secs"]["default"], 60);
}
