//! Events by the names of other standards, through the program: a config for each schema.

use crate::harness::{Outcome, Run, TempDir, chain, through};
use crate::logs::*;
use serde_json::{Value, json};

/// A config that writes evaluations by a schema.
fn config(policy: &str, project: &str, encoding: &str) -> String {
    format!("{}{encoding}\n", chain("", policy, project))
}

#[track_caller]
fn evaluation(schema: &str, log: String) -> Value {
    let outcome = through(&config("", "", &format!("encoding.schema = \"{schema}\"")), log);
    let [event] = outcome.events().try_into().unwrap();
    event
}

/// The record in a line of OTLP/JSON, and its attributes by key.
fn otel_record(line: &Value) -> (Value, Value) {
    let record = line["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0].clone();
    let attributes = record["attributes"].as_array().unwrap().iter();
    let by_key = attributes.map(|a| (a["key"].as_str().unwrap().to_owned(), a["value"].clone())).collect();
    (record, Value::Object(by_key))
}

#[test]
fn livebook_is_the_default() {
    let named = evaluation("livebook", twins_json(1, "1 + 1"));
    let [default] = through(&config("", "", ""), twins_json(1, "1 + 1")).events().try_into().unwrap();
    assert_eq!(named, default);
    assert_eq!(named["metadata"]["code"], "1 + 1");
}

#[test]
fn ecs_has_everyone_as_related_and_nobody_as_the_user() {
    let code = "IO.puts(\"ż\")\n:ok";
    let event = evaluation("ecs", twins_json(1, code));
    assert_eq!(event["@timestamp"], time(1));
    assert_eq!(event["event"]["action"], "code.evaluate");
    assert_eq!(
        (&event["event"]["kind"], &event["event"]["category"]),
        (&json!("event"), &json!(["process"]))
    );
    assert_eq!(event["log"]["level"], "info");
    assert_eq!(event["livebook"]["code"], code);
    assert_eq!(event["livebook"]["session_mode"], "default");
    assert_eq!(event["livebook"]["users"], team());
    assert_eq!(event.get("user"), None, "several are connected");
    for user in team().as_array().unwrap() {
        for word in user.as_object().unwrap().values() {
            assert!(event["related"]["user"].as_array().unwrap().contains(word), "{word}: {event}");
        }
    }
}

#[test]
fn ocsf_has_the_source_as_a_script_and_everyone_unmapped() {
    let code = "IO.puts(\"ż\")\n:ok";
    let event = evaluation("ocsf", twins_json(1, code));
    assert_eq!((&event["class_uid"], &event["type_uid"]), (&json!(1009), &json!(100_901)));
    assert_eq!(event["script"]["script_content"]["value"], code);
    assert_eq!(event["unmapped"]["users"], team());
    assert_eq!(event["actor"], json!({"app_name": "Livebook"}));
    assert_eq!(event["metadata"]["original_time"], time(1));
    assert!(event["time"].as_i64().unwrap() > 1_700_000_000_000);
}

#[test]
fn otel_lines_are_requests() {
    let code = "IO.puts(\"ż\")\n:ok";
    let outcome =
        through(&config("", "", "encoding.schema = \"otel\""), twins_json(1, code) + &twins_json(500, "2"));
    let lines = outcome.events();
    assert_eq!(lines.len(), 2);
    let (record, attributes) = otel_record(&lines[0]);
    assert_eq!(record["eventName"], "code.evaluate");
    assert_eq!(record["severityNumber"], 9);
    assert!(record["timeUnixNano"].is_string() && record["observedTimeUnixNano"].is_string());
    assert_eq!(attributes["livebook.code"]["stringValue"], code);
    let users = attributes["livebook.users"]["arrayValue"]["values"].as_array().unwrap();
    assert_eq!(users.len(), team().as_array().unwrap().len());
}

#[test]
fn a_digest_is_mapped_and_the_source_nowhere() {
    for schema in ["ecs", "ocsf", "otel"] {
        let record = json!({"message": "Evaluating code", "time": time(1), "severity": "info",
            "metadata": {"event": "code.evaluate", "session_mode": "kiosk", "code": "żaba()"}});
        let config = config(
            "default_level = \"metadata\"",
            "keys = [\"code\", \"session_mode\", \"event\"]",
            &format!("encoding.schema = \"{schema}\""),
        );
        let outcome = through(&config, format!("{record}\n"));
        // printf "żaba()" | sha256sum
        let digest = "4efc26f581f013b8fa927edc438355bc5ad4d465e74ebccac23783e65c6484cc";
        assert!(outcome.stdout.contains(digest) && outcome.stdout.contains("kiosk"), "{}", outcome.stdout);
        assert!(!outcome.stdout.contains("żaba"), "{schema}: {}", outcome.stdout);
    }
}

#[test]
fn a_digest_under_a_key_is_not_said_to_be_one_without() {
    let policy = "default_level = \"metadata\"\ndigest_key = \"0123456789abcdef\"\n\
                  rules = [{ session_modes = [\"default\"], level = \"metadata\" }]";
    let config = config(policy, "", "encoding.schema = \"ocsf\"");
    let event = &through(&config, twins_json(1, "1 + 1")).events()[0];
    let hash = &event["script"]["hashes"][0];
    assert_eq!(hash["value"].as_str().map(str::len), Some(64), "{event}");
    assert_eq!((&hash["algorithm_id"], &hash["algorithm"]), (&json!(99), &json!("SHA-256 or HMAC-SHA-256")));
}

#[test]
fn other_events_and_faults_are_mapped_too() {
    for (schema, other, fault) in [
        ("ecs", "\"dataset\":\"livebook.log\"", "\"kind\":\"pipeline_error\""),
        ("ocsf", "\"class_uid\":0", "\"raw_data\":\"{\\\"torn\""),
        ("otel", "\"body\":{\"stringValue\":", "\"log.record.original\""),
    ] {
        let config = format!(
            "{}encoding.schema = \"{schema}\"\n\n[sinks.faults]\ntype = \"console\"\ninputs = [\"livebook.faults\"]\n\
             target = \"stderr\"\nencoding.schema = \"{schema}\"\n",
            chain("", "other_events = \"pass\"", "")
        );
        let log = other_json(1) + "Running\n{\"torn\n";
        let Outcome { stdout, stderr, .. } = Run::new(&[]).config(&config).stdin(log).run().exits(0);
        assert_eq!(stdout.lines().count(), 2, "{schema}: {stdout}");
        assert!(stdout.lines().all(|line| line.contains(other)), "{schema}: {stdout}");
        assert!(stdout.contains("Running"), "{schema}: {stdout}");
        let line =
            stderr.lines().find(|line| line.contains(fault)).unwrap_or_else(|| panic!("{schema}: {stderr}"));
        assert!(line.contains("broken_json"), "{schema}: {line}");
    }
}

#[test]
fn fields_are_left_out_by_their_paths_in_livebooks_event() {
    for schema in ["ecs", "ocsf", "otel"] {
        let encoding = format!(
            "encoding = {{ schema = \"{schema}\", except_fields = [\"metadata.code\", \"message\"] }}"
        );
        let outcome = through(&config("", "", &encoding), twins_json(1, "secret()"));
        assert!(!outcome.stdout.contains("secret()"), "{schema}: {}", outcome.stdout);
        assert!(outcome.stdout.contains("code.evaluate"), "{schema}: {}", outcome.stdout);
    }
}

#[test]
fn a_file_takes_a_schema_as_well() {
    let dir = TempDir::new();
    let config = "[sources.in]\ntype = \"stdin\"\n\n[sinks.out]\ntype = \"file\"\ninputs = [\"in\"]\n\
                  path = \"trail.jsonl\"\nencoding.schema = \"ecs\"\n";
    dir.write("evaltrail.toml", config);
    Run::new(&["-c", "evaltrail.toml"]).current_dir(dir.path()).stdin(structured_json(1, "1")).run().exits(0);
    let text = std::fs::read_to_string(dir.path().join("trail.jsonl")).unwrap();
    let event: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(event["livebook"]["code"], "1");
}
