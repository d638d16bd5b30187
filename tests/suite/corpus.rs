//! Real logs. They stay where they are: in the folder that `EVALTRAIL_CORPUS` names, or in `../shared/corpus`.

use crate::harness::{PROGRAM, chain, root, through};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;

/// The folder of the corpus, where there is one.
pub fn folder() -> Option<PathBuf> {
    let named = std::env::var_os("EVALTRAIL_CORPUS").map(PathBuf::from);
    let path = named.unwrap_or_else(|| root().join("../shared/corpus"));
    if path.join("manifest.json").exists() {
        return Some(path);
    }
    crate::tools::skip(&format!(
        "no corpus of real logs at {}; set EVALTRAIL_CORPUS to its folder",
        path.display()
    ));
    None
}

#[test]
fn every_evaluation_of_the_corpus_is_told_exactly() {
    let Some(folder) = folder() else { return };
    let check = Command::new("python3").arg("-B").arg(folder.join("check.py")).args(["--", PROGRAM]).output();
    let Ok(check) = check else {
        return crate::tools::skip("the corpus is scored by python3, which is not here");
    };
    let table = String::from_utf8_lossy(&check.stdout);
    assert!(check.status.success(), "{table}\n{}", String::from_utf8_lossy(&check.stderr));
    assert!(table.lines().count() >= 10 && !table.contains("LOW"), "{table}");
}

struct Evaluation {
    row: Value,
    legacy: Value,
    structured: Value,
}

/// The evaluations of a log whose two records are both there.
fn evaluations(folder: &std::path::Path, name: &str) -> Vec<Evaluation> {
    let read = |file: String| std::fs::read_to_string(folder.join(file)).unwrap();
    let log = read(format!("{name}.jsonl"));
    let lines: Vec<&str> = log.split('\n').collect();
    let rows = read(format!("{name}.expected.jsonl"));
    let rows = rows.lines().map(|row| serde_json::from_str::<Value>(row).unwrap());
    let evaluation = |row: Value| {
        let twin = |at: usize| {
            let line = row["twin_lines"][at].as_u64().unwrap() as usize;
            serde_json::from_str::<Value>(lines[line - 1]).unwrap()
        };
        let mut twins = [twin(0), twin(1)];
        twins.sort_by_key(|twin| twin["message"] == "Evaluating code");
        let [legacy, structured] = twins;
        Evaluation { row, legacy, structured }
    };
    rows.filter(|row| row["twin_lines"].as_array().unwrap().len() == 2).map(evaluation).collect()
}

/// What `message = "legacy"` makes of a structured record. Each record has a stream of its own but for the process:
/// their times are far apart.
fn rendered(records: Vec<Value>) -> Vec<(String, bool)> {
    let time = |at: usize| format!("2025-10-04T{:02}:{:02}:{:02}.000Z", at / 360, at / 6 % 60, at % 6 * 10);
    let mut log = String::new();
    for (at, mut record) in records.into_iter().enumerate() {
        record["time"] = json!(time(at));
        log += &format!("{record}\n");
    }
    let mut events = through(&chain("message = \"legacy\"", "", ""), log).events();
    events.sort_by_key(|event| event["time"].as_str().unwrap().to_owned());
    let text = |event: Value| {
        let unsure = event["metadata"]["code_incomplete"] == true;
        (event["message"].as_str().unwrap().to_owned(), unsure)
    };
    events.into_iter().map(text).collect()
}

#[track_caller]
fn same_text(name: &str, records: Vec<Value>, expected: &[&Value]) -> usize {
    let rendered = rendered(records);
    assert_eq!(rendered.len(), expected.len(), "{name}");
    let mut same = 0;
    for ((text, unsure), legacy) in rendered.into_iter().zip(expected) {
        // A source that reads like the inspected form of another one can't be told from it without its twin.
        if !unsure {
            assert_eq!(Value::String(text), legacy["message"], "{name}");
            same += 1;
        }
    }
    same
}

#[test]
fn a_structured_record_is_rendered_as_the_legacy_text_was() {
    let Some(folder) = folder() else { return };
    for name in ["v1_json_new", "x9_json_new_ex118"] {
        let evaluations = evaluations(&folder, name);
        let whole = |kinds: &'static [&'static str]| {
            move |one: &&Evaluation| kinds.contains(&one.row["legacy"].as_str().unwrap())
        };
        let exact: Vec<&Evaluation> = evaluations
            .iter()
            .filter(whole(&["exact", "bytes_exact"]))
            .filter(|one| one.row["structured"] == "exact")
            .collect();
        let legacy: Vec<&Value> = exact.iter().map(|one| &one.legacy).collect();
        let same = same_text(name, exact.iter().map(|one| one.structured.clone()).collect(), &legacy);
        assert!(same >= 80 && same + 5 >= exact.len(), "{name}: {same} of {}", exact.len());
    }
}

#[test]
fn an_unprintable_source_is_rendered_as_bytes() {
    let Some(folder) = folder() else { return };
    for name in ["v1_json_new", "x9_json_new_ex118"] {
        let evaluations = evaluations(&folder, name);
        let bytes: Vec<&Evaluation> = evaluations
            .iter()
            .filter(|one| one.row["legacy"] == "bytes_exact" && one.row["code"].is_string())
            .collect();
        // The structured record as it is once the source is known.
        let known = |one: &&Evaluation| {
            let mut record = one.structured.clone();
            record["metadata"]["code"] = one.row["code"].clone();
            record
        };
        let legacy: Vec<&Value> = bytes.iter().map(|one| &one.legacy).collect();
        let same = same_text(name, bytes.iter().map(known).collect(), &legacy);
        assert!(same >= 5 && same == bytes.len(), "{name}: {same} of {}", bytes.len());
    }
}

#[test]
fn both_records_give_the_legacy_text_whichever_comes_first() {
    let Some(folder) = folder() else { return };
    for name in ["v1_json_new", "x9_json_new_ex118"] {
        for evaluation in
            evaluations(&folder, name).iter().filter(|one| one.row["legacy"] == "bytes_exact").take(12)
        {
            for pair in
                [[&evaluation.legacy, &evaluation.structured], [&evaluation.structured, &evaluation.legacy]]
            {
                let log = format!("{}\n{}\n", pair[0], pair[1]);
                let events = through(&chain("message = \"legacy\"", "", ""), log).events();
                assert_eq!(events.len(), 1, "{name}: {}", evaluation.row);
                assert_eq!(events[0]["message"], evaluation.legacy["message"], "{name}");
            }
        }
    }
}
