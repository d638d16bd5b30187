//! `docs/reference.md` is what the program says of itself: `UPDATE_EXPECT=1` writes it anew.
//!
//! Names and their order come from `evaltrail list`, options from `evaltrail schema`, the rest of a page from the doc
//! comment that `evaltrail describe` shows. Examples of options are taken from configs that other tests validate.

use crate::harness::{Run, root};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use toml::Table;

const HEAD: &str = "# Reference\n\n\
    Every component and option, as this version of the program knows them. This page is generated from `evaltrail list`,\n\
    `evaltrail describe` and `evaltrail schema`; the program shows the same, for its own version.\n\n";

/// Options that name files which have to be there: a test has them in its own folder, a user would not.
const FILES: [(&str, &str); 3] = [
    ("digest_key_file", "\"/etc/evaltrail/digest.key\""),
    ("rules_file", "\"/etc/evaltrail/gitleaks.toml\""),
    ("file", "\"/etc/evaltrail/team.vrl\""),
];

/// What the examples of options are kept under that belong to no component.
const WHOLE: &str = "config";
const TESTS: &str = "tests";

/// An option as a row of its table.
struct Row {
    path: String,
    kind: String,
    default: String,
    example: String,
    words: String,
}

/// The units of options whose name does not end in one.
const UNITS: [(&str, &str); 13] = [
    ("every_records", "records"),
    ("days", "days"),
    ("outputs.count", "events"),
    ("max_connections", "connections"),
    ("max_open_files", "files"),
    ("keep", "files"),
    ("count", "records"),
    ("rate", "records a second"),
    ("evaluations", "share, 0 to 1"),
    ("threshold", "events"),
    ("concurrency", "requests"),
    ("retry_attempts", "tries"),
    ("seed", "none"),
];

/// The unit of an option: what its name ends in, or what is known of it.
fn unit(path: &str) -> &'static str {
    let units = [("_secs", "seconds"), ("_ms", "milliseconds"), ("_bytes", "bytes"), ("_events", "events")];
    let ends = units.into_iter().find(|(end, _)| path.ends_with(end));
    let name = path.rsplit('.').next().unwrap_or_default();
    ends.or_else(|| UNITS.into_iter().find(|(known, _)| *known == name || *known == path))
        .map_or("", |(_, unit)| unit)
}

/// What an option may be: a few words, or a type.
fn kind(option: &Value, definitions: &Map<String, Value>) -> String {
    if let Some(name) = option["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return if name == "timezone" {
            "time zone".to_owned()
        } else {
            kind(&definitions[name], definitions)
        };
    }
    let constants: Vec<String> = option["oneOf"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|one| Some(format!("`{}`", one.get("const")?.as_str()?)))
        .collect();
    if !constants.is_empty() {
        return constants.join(", ");
    }
    let name = |one: &Value| match one.as_str().unwrap_or_default() {
        "integer" => "whole number",
        "number" => "number",
        "boolean" => "`true` or `false`",
        "array" => "array",
        "object" => "table",
        _ => "string",
    };
    match &option["type"] {
        // A number, but also the name of a variable.
        Value::Array(types) if types.len() == 2 && types[1] == "string" && types[0] != "array" => {
            let is_condition = types[0] == "object";
            if is_condition { "string or table".to_owned() } else { name(&types[0]).to_owned() }
        }
        Value::Array(types) => types.iter().map(name).collect::<Vec<_>>().join(" or "),
        one => name(one).to_owned(),
    }
}

/// Which numbers an option takes, where not all of its type.
fn range(option: &Value, definitions: &Map<String, Value>) -> String {
    if let Some(name) = option["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return range(&definitions[name], definitions);
    }
    // What every number of its type fulfils is not worth a word.
    let most = option.get("maximum").filter(|bound| bound.as_f64() != Some(u32::MAX.into())).map(literal);
    let least = option.get("minimum").and_then(Value::as_f64).unwrap_or_default();
    let is_above = option.get("exclusiveMinimum").is_some() || least > 0.0 && least < 0.001;
    match (is_above, literal(&least.into()), most) {
        (true, _, Some(most)) => format!(", more than 0, {most} at most"),
        (true, _, None) => ", more than 0".to_owned(),
        (false, least, Some(most)) => format!(", {least} to {most}"),
        (false, least, None) if least != "0" => format!(", from {least}"),
        _ => String::new(),
    }
}

/// What there is without a table, as its description ends.
fn absent(table: &Value) -> Option<&str> {
    table["description"].as_str()?.split("Default: ").nth(1).map(|rest| rest.trim_end_matches('.'))
}

/// An option of a table: its path, its schema, and where it is needed, what that depends on.
type Found<'a> = (String, &'a Value, Option<String>);

/// All options of a table by their paths.
fn options<'a>(table: &'a Value, before: &str, found: &mut Vec<Found<'a>>) {
    let needed: Vec<&str> =
        table["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let Some(all) = table["properties"].as_object() else { return };
    let needs = |name: &str| {
        let is_needed = needed.contains(&name);
        is_needed.then(|| match (before.trim_end_matches('.'), absent(table)) {
            ("", _) => "needed".to_owned(),
            (table, Some(absent)) => format!("needed with `{table}`; without it: {absent}"),
            (table, None) => format!("needed with `{table}`"),
        })
    };
    for (name, option) in all.iter().filter(|(_, option)| option.is_object()) {
        let path = format!("{before}{name}");
        let inner = [option, &option["items"]].into_iter().find(|one| one.get("properties").is_some());
        let is_condition =
            option["type"].as_array().is_some_and(|types| types.iter().any(|one| one == "string"));
        match inner {
            Some(inner) if !is_condition => {
                if option["type"] == "array" {
                    found.push((path.clone(), option, needs(name)));
                }
                options(inner, &format!("{path}."), found);
            }
            _ => found.push((path, option, needs(name))),
        }
    }
}

/// Values of options as they stand in configs, by type of component and path.
type Examples = BTreeMap<(String, String), String>;

fn note(kind: &str, before: &str, table: &Table, examples: &mut Examples) {
    for (name, value) in table {
        let path = format!("{before}{name}");
        match value {
            toml::Value::Table(inner) => note(kind, &format!("{path}."), inner, examples),
            toml::Value::Array(all) => {
                for inner in all.iter().filter_map(toml::Value::as_table) {
                    note(kind, &format!("{path}."), inner, examples);
                }
            }
            _ => {}
        }
        let text = value.to_string();
        if text.len() <= 80 && !text.contains('\n') {
            examples.entry((kind.to_owned(), path)).or_insert(text);
        }
    }
}

/// The components of a config.
fn note_config(text: &str, examples: &mut Examples) {
    let Ok(config) = text.parse::<Table>() else { return };
    note(WHOLE, "", &config, examples);
    for test in config.get(TESTS).and_then(toml::Value::as_array).into_iter().flatten() {
        note(TESTS, "", test.as_table().unwrap(), examples);
    }
    for role in ["sources", "transforms", "sinks"] {
        for component in config.get(role).and_then(toml::Value::as_table).into_iter().flat_map(Table::values)
        {
            let Some(table) = component.as_table() else { continue };
            let Some(kind) = table.get("type").and_then(toml::Value::as_str) else { continue };
            let role = role.trim_end_matches('s');
            note(&format!("{role}.{kind}"), "", table, examples);
            note(role, "", table, examples);
        }
    }
}

/// The doc comment of a component, without its name in front.
fn doc(page: &str) -> Vec<&str> {
    page.lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect()
}

fn components() -> Vec<(&'static str, &'static str, &'static str)> {
    let registry = &evaltrail::config::BUILTIN;
    let sources = registry.sources.iter().map(|entry| ("source", entry.name, entry.page));
    let transforms = registry.transforms.iter().map(|entry| ("transform", entry.name, entry.page));
    let sinks = registry.sinks.iter().map(|entry| ("sink", entry.name, entry.page));
    sources.chain(transforms).chain(sinks).collect()
}

fn examples() -> Examples {
    let mut examples = Examples::new();
    for (_, _, page) in components() {
        let text = doc(page).join("\n") + "\n";
        for block in text.split("```toml\n").skip(1) {
            note_config(block.split("```").next().unwrap_or_default(), &mut examples);
        }
    }
    let folders = ["tests/cases/valid", "configs"].map(|folder| root().join(folder));
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let mut files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files.iter().filter(|file| file.extension().is_some_and(|ending| ending == "toml")) {
        note_config(&std::fs::read_to_string(file).unwrap(), &mut examples);
    }
    examples
}

/// A cell of a table, on one line.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// A value as TOML has it.
fn literal(value: &Value) -> String {
    match value {
        Value::Number(number) if number.as_f64().is_some_and(|one| one.fract() == 0.0) => {
            format!("{}", number.as_f64().unwrap())
        }
        Value::Array(all) => format!("[{}]", all.iter().map(literal).collect::<Vec<_>>().join(", ")),
        Value::Object(all) if all.is_empty() => "{}".to_owned(),
        value => value.to_string(),
    }
}

/// The rows of a table of options; what an option lacks is told in `faults`.
fn rows(id: &str, own: &Value, schema: &Value, examples: &Examples, faults: &mut Vec<String>) -> Vec<Row> {
    let definitions = schema["$defs"].as_object().unwrap();
    let mut found = Vec::new();
    options(own, "", &mut found);
    let row = |(path, option, needed): Found<'_>| {
        let words = option["description"].as_str().unwrap_or_default();
        let kind = kind(option, definitions);
        // One of a few words; of `true` and `false`, an option may refuse either.
        let first = || Some(kind.split('`').nth(1)?).filter(|word| *word != "true");
        let example = examples.get(&(id.to_owned(), path.clone())).cloned();
        // A test may have one `input` in the place of several `inputs`.
        let twin = match path.strip_prefix("input.") {
            Some(rest) => format!("inputs.{rest}"),
            None => path.replacen("inputs.", "input.", 1),
        };
        let example = example.or_else(|| examples.get(&(id.to_owned(), twin)).cloned());
        let named = FILES.iter().find(|(name, _)| *name == path).map(|(_, example)| (*example).to_owned());
        let example = named.or(example);
        let example = example
            .or_else(|| option.get("default").map(literal))
            .or_else(|| Some(format!("\"{}\"", first()?)));
        if words.is_empty() {
            faults.push(format!("{id}: `{path}` has no words: write a doc comment for its field"));
        }
        if kind.ends_with("number") && unit(&path).is_empty() {
            faults.push(format!("{id}: `{path}` has no unit: name it in UNITS"));
        }
        if example.is_none() {
            faults.push(format!(
                "{id}: `{path}` has no example: use it in tests/cases/valid/every_option.toml"
            ));
        }
        let in_words = words.split("Default: ").nth(1).map(|rest| rest.trim_end_matches('.').to_owned());
        let default = match option.get("default") {
            Some(value) => format!("`{}`", literal(value)),
            None => needed.or(in_words).unwrap_or_else(|| "none".to_owned()),
        };
        let words = words.split("Default: ").next().unwrap_or_default().to_owned();
        let kind = kind + &range(option, definitions);
        Row { path, kind, default, example: example.unwrap_or_default(), words }
    };
    found.into_iter().map(row).collect()
}

/// Writes a table of options.
fn table(rows: &[Row], text: &mut String) {
    if rows.is_empty() {
        text.push_str("It has no options of its own.\n");
        return;
    }
    text.push_str("| option | type | unit | default | example | meaning |\n|---|---|---|---|---|---|\n");
    for Row { path, kind, default, example, words } in rows {
        let unit = if kind.contains("number") { unit(path) } else { "" };
        let (default, example) = (cell(default), cell(example));
        writeln!(text, "| `{path}` | {} | {unit} | {default} | `{example}` | {} |", cell(kind), cell(words))
            .unwrap();
    }
}

/// The section of a component: its doc comment, with a table of all options in the place of its own.
fn section(id: &str, page: &str, rows: &[Row], text: &mut String) {
    let (role, name) = id.split_once('.').unwrap();
    let summary = Run::new(&["describe", role, name]).run().exits(0).stdout;
    assert!(summary.starts_with(&format!("{name} ({role})")), "{summary}");
    write!(text, "## `{name}` ({role})\n\n").unwrap();
    let mut is_written = false;
    let mut is_options = false;
    for (at, line) in doc(page).into_iter().enumerate() {
        is_options = line.starts_with("| option |") || is_options && line.starts_with('|');
        if is_options && !is_written {
            table(rows, text);
            is_written = true;
        }
        if is_options {
            continue;
        }
        let line = if at == 0 { line.split_once(": ").map_or(line, |(_, rest)| rest) } else { line };
        let mut letters = line.chars();
        match letters.next() {
            Some(first) if at == 0 => writeln!(text, "{}{}", first.to_uppercase(), letters.as_str()).unwrap(),
            _ => writeln!(text, "{line}").unwrap(),
        }
    }
    if !is_written {
        text.push('\n');
        table(rows, text);
    }
    text.push('\n');
}

/// The options that all components of a role have, those of the whole, and those of tests.
fn common(schema: &Value, examples: &Examples, faults: &mut Vec<String>, text: &mut String) {
    let mut whole = schema.clone();
    let properties = whole["properties"].as_object_mut().unwrap();
    let tests = properties.remove(TESTS).unwrap()["items"].clone();
    for role in ["source", "transform", "sink"] {
        properties.remove(&format!("{role}s"));
        write!(text, "## What every {role} has\n\n").unwrap();
        table(&rows(role, &schema["$defs"][role]["allOf"][0], schema, examples, faults), text);
        text.push('\n');
    }
    text.push_str("## The whole config\n\n");
    table(&rows(WHOLE, &whole, schema, examples, faults), text);
    text.push_str(
        "\n## Tests\n\nThe options of `[[tests]]`, which `evaltrail test` runs. A test with one event has it in `input`, which has the\n\
         options of one of `inputs`.\n\n",
    );
    let mut all = rows(TESTS, &tests, schema, examples, faults);
    all.retain(|row| !row.path.starts_with("input."));
    table(&all, text);
}

#[test]
fn the_reference_is_what_the_program_says() {
    let schema: Value = serde_json::from_str(&Run::new(&["schema"]).run().exits(0).stdout).unwrap();
    let (examples, mut faults) = (examples(), Vec::new());
    let mut text = HEAD.to_owned();
    let list = Run::new(&["list"]).run().exits(0).stdout;
    text.push_str("| component | kind | does |\n|---|---|---|\n");
    for line in list.lines() {
        let mut words = line.split_whitespace();
        let (role, name) = (words.next().unwrap(), words.next().unwrap());
        let does = words.collect::<Vec<_>>().join(" ");
        writeln!(text, "| [`{name}`](#{name}-{role}) | {role} | {does} |").unwrap();
    }
    text.push('\n');
    for (role, name, page) in components() {
        let id = format!("{role}.{name}");
        let rows = rows(&id, &schema["$defs"][&id], &schema, &examples, &mut faults);
        section(&id, page, &rows, &mut text);
    }
    common(&schema, &examples, &mut faults, &mut text);
    assert!(faults.is_empty(), "{faults:#?}");
    expect_test::expect_file!["../../../docs/reference.md"].assert_eq(&text);
}

#[test]
fn an_option_without_words_or_example_is_a_fault() {
    let schema = serde_json::json!({"$defs": {"sink.new": {"properties": {
        "speed": {"type": ["integer", "string"]},
        "color": {"type": "string", "description": "What it looks like.", "default": "red"},
    }}}});
    let mut faults = Vec::new();
    let rows = rows("sink.new", &schema["$defs"]["sink.new"], &schema, &Examples::new(), &mut faults);
    assert_eq!(rows.len(), 2);
    let said = faults.join("\n");
    for fault in ["`speed` has no words", "`speed` has no unit", "`speed` has no example"] {
        assert!(said.contains(fault), "{fault}: {said}");
    }
    assert!(!said.contains("color"), "{said}");
}
