//! What was planted is nowhere: not in an event, whatever the codec and the schema, not in a message, not in a log.
//!
//! Thousands of cells in all shapes of records, through the library; some through the program.

use super::labelled::{self, Cell};
use super::through;
use crate::dice::{Dice, seeds};
use crate::harness::Run;
use crate::logs::{inspect, legacy_json, legacy_text, structured_json, time};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use evaltrail::codec::{Encoder, Encoding};
use evaltrail::event::{Acks, Batch, Event, Origin};
use evaltrail::livebook::inspect::write_literal;
use evaltrail::livebook::legacy::read_legacy;
use evaltrail::transforms::redact::Redact;
use evaltrail::transforms::{Ports, Transform, TransformConfig};
use serde_json::{Value, json};

/// The shapes of records in which a source stands.
fn records(code: &str, dice: &mut Dice) -> Vec<Value> {
    let metadata = |more: Value| {
        let mut all = json!({"event": "code.evaluate", "session_mode": "default"});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let literal = inspect(code);
    // Cut as the text format cuts a long message: anywhere, in the middle of a secret as well.
    let mut cut = dice.below(literal.len());
    while !literal.is_char_boundary(cut) {
        cut += 1;
    }
    let broken = [code.as_bytes(), &[0xFF]].concat();
    let mut list = Vec::new();
    write_literal(&broken, &mut list);
    let list = String::from_utf8(list).unwrap();
    let line = json!({"message": legacy_text("default", &literal), "metadata": {"code": code}}).to_string();
    vec![
        json!({"message": "Evaluating code", "metadata": metadata(json!({"code": code}))}),
        json!({"message": legacy_text("default", &literal), "metadata": metadata(json!({"code": code}))}),
        json!({"message": legacy_text("default", &literal), "metadata": {}}),
        json!({"message": format!("Evaluating code Session mode: app Code: {literal}\n")}),
        json!({"message": legacy_text("default", &format!("{} (truncated)", &literal[..cut])),
            "metadata": metadata(json!({"code": code}))}),
        json!({"message": legacy_text("default", &list), "metadata": metadata(json!({"code_base64": STANDARD.encode(&broken)}))}),
        json!({"message": "m", "metadata": metadata(json!({"code": list, "code_incomplete": true}))}),
        json!({"message": "m", "metadata": {"source": code, "a\"b": code}, "code": code}),
        json!({"message": {"crash": [code, {"label": code}]}, "metadata": {"mfa": [code]}}),
        json!({"message": format!("** (RuntimeError) boom\n    nofile:1: {code}\n"), "severity": "error"}),
        json!({"message": format!("crash: {literal}")}),
        json!({"reason": "broken_json", "raw": line, "truncated": true}),
        json!({"reason": "invalid_utf8", "raw_base64": STANDARD.encode(&broken)}),
    ]
}

fn encoders() -> Vec<Encoder> {
    let options = [
        "codec = \"json\"",
        "codec = \"text\"",
        "codec = \"pretty\"",
        "schema = \"ecs\"",
        "schema = \"ocsf\"",
        "schema = \"otel\"",
    ];
    options.map(|text| Encoder::new(&toml::from_str::<Encoding>(text).unwrap(), false).unwrap()).into()
}

fn apply(transform: &mut dyn Transform, record: &Value) -> Event {
    let event = Event::from_json(Bytes::from(record.to_string()), Origin::nowhere()).unwrap();
    let mut batch = Batch::new(vec![event], 0, Acks::default());
    transform.apply(&mut batch, &mut Ports::default());
    batch.events.pop().unwrap()
}

fn encoded(encoder: &Encoder, event: &Event) -> String {
    let mut out = Vec::new();
    encoder.encode(event, &mut out);
    String::from_utf8(out).unwrap()
}

/// How a secret may be spelt in an output: as it stands in the source, and as it reads.
fn spellings(secret: &str) -> Vec<String> {
    let once = |text: &str| {
        let json = serde_json::to_string(text).unwrap();
        json[1..json.len() - 1].to_owned()
    };
    let plain = secret.replace("\\n", "\n").replace("\\\"", "\"");
    let mut all = vec![secret.to_owned(), once(secret), once(&once(secret)), once(&plain), plain];
    all.push(STANDARD.encode(secret).trim_end_matches('=').to_owned());
    all.push(secret.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", "));
    all
}

/// Whether the rules find it at all; what they miss is the business of the labelled set.
fn is_found(transform: &mut dyn Transform, cell: &Cell) -> bool {
    let event = apply(transform, &json!({"metadata": {"code": cell.code}}));
    let text = encoded(&encoders()[0], &event);
    cell.secrets
        .iter()
        .all(|secret| spellings(secret).iter().all(|spelling| !text.contains(spelling.as_str())))
}

#[test]
fn what_was_planted_is_nowhere_in_the_encoded_event() {
    let mut transform = Redact::default().build().unwrap();
    let encoders = encoders();
    for seed in seeds("EVALTRAIL_REDACT_SEEDS", 1) {
        let mut dice = Dice::new(seed);
        let (mut checked, mut missed, mut all) = (0, 0, 0);
        for mut cell in labelled::secrets(&mut dice) {
            if dice.chance(30) {
                cell.code = format!("\"zażółć\" <> '\u{1F389}'\n{}\n# \u{200d}\t\"\\\" end", cell.code);
            }
            all += 1;
            if !is_found(&mut *transform, &cell) {
                missed += 1;
                continue;
            }
            for (shape, record) in records(&cell.code, &mut dice).iter().enumerate() {
                let event = apply(&mut *transform, record);
                for encoder in &encoders {
                    let text = encoded(encoder, &event);
                    for secret in &cell.secrets {
                        for spelling in spellings(secret) {
                            assert!(
                                !text.contains(&spelling),
                                "seed {seed}, shape {shape}, {}: {record}\n{text}",
                                cell.rule
                            );
                        }
                    }
                }
                let json = encoded(&encoders[0], &event);
                assert!(serde_json::from_str::<Value>(&json).is_ok(), "seed {seed}, shape {shape}: {json}");
                checked += 1;
            }
        }
        assert!(checked > 5000, "{checked}");
        assert!(missed * 100 <= all, "seed {seed}: {missed} of {all} are not found");
    }
}

#[test]
fn a_legacy_message_stays_the_literal_of_the_redacted_code() {
    let mut transform = Redact::default().build().unwrap();
    let mut dice = Dice::new(7);
    for cell in labelled::secrets(&mut dice) {
        let code = format!("{}\n\"\\\" \u{200d} #\\{{x}}\t\u{1b}", cell.code);
        let mut literal = Vec::new();
        write_literal(code.as_bytes(), &mut literal);
        let literal = String::from_utf8(literal).unwrap();
        for metadata in [json!({"code": code}), json!({})] {
            let event = apply(
                &mut *transform,
                &json!({"message": legacy_text("default", &literal), "metadata": metadata}),
            );
            let alone = apply(&mut *transform, &json!({"metadata": {"code": code}}));
            let value =
                |event: &Event| serde_json::from_str::<Value>(&encoded(&encoders()[0], event)).unwrap();
            let (message, expected) =
                (value(&event)["message"].clone(), value(&alone)["metadata"]["code"].clone());
            let legacy = read_legacy(message.as_str().unwrap().as_bytes()).unwrap();
            assert_eq!(legacy.code.extent, evaltrail::livebook::inspect::Extent::Whole, "{message}");
            assert_eq!(
                String::from_utf8(legacy.code.bytes).unwrap(),
                expected.as_str().unwrap(),
                "{}",
                cell.code
            );
        }
    }
}

#[test]
fn the_program_says_nothing_of_it_either() {
    let mut dice = Dice::new(3);
    let cells = labelled::secrets(&mut dice);
    let mut log: String = cells
        .iter()
        .map(|cell| structured_json(1, &cell.code) + &legacy_json(2, &inspect(&cell.code)))
        .collect();
    // What can't be decoded is logged as a fault.
    log += &cells
        .iter()
        .map(|cell| format!("{{\"message\": \"{}\n", cell.code.replace('\n', " ")))
        .collect::<String>();
    let run = Run::new(&["-v", "-c", "c.toml"])
        .file("c.toml", &super::config("digest_key = \"0123456789abcdef0123\""))
        .stdin(log)
        .run();
    let outcome = run.exits(0);
    for cell in &cells {
        for secret in &cell.secrets {
            assert!(!outcome.stderr.contains(secret.as_str()), "{}: {}", cell.rule, outcome.stderr);
        }
    }
    assert!(
        !outcome.stderr.contains("0123456789abcdef0123") && !outcome.stdout.contains("0123456789abcdef0123")
    );
}

#[test]
fn an_address_of_livebook_loses_its_token() {
    let token = labelled::draw("⟦L:32⟧", &mut Dice::new(5));
    // The start-up line itself has lost its token before any transform sees it; here somebody passes the address on.
    let message = format!("open http://localhost:8080/?token={token} for me");
    let log = format!(
        "{message}\n{}\n",
        json!({"message": message, "time": time(1), "severity": "info", "metadata": {}})
    );
    let outcome = through("", log);
    let shown = "open http://localhost:8080/?token=[REDACTED:livebook-token] for me";
    let messages: Vec<Value> = outcome.events().iter().map(|event| event["message"].clone()).collect();
    assert_eq!(messages, [shown, shown]);
    assert!(outcome.stderr.contains("livebook-token 2"), "{}", outcome.stderr);
}
