//! A program's view of an event, held to what VRL does with a plain value.

use super::*;
use proptest::prelude::*;
use vrl::compiler::Target;
use vrl::path::{OwnedTargetPath, parse_target_path};
use vrl::value::Value;

fn event(text: &str) -> Event {
    Event::from_json(Bytes::copy_from_slice(text.as_bytes()), Origin::nowhere()).unwrap()
}

fn json_of(event: &Event) -> String {
    let mut out = Vec::new();
    event.write_json(&mut out);
    String::from_utf8(out).unwrap()
}

fn path(text: &str) -> OwnedTargetPath {
    parse_target_path(text).unwrap()
}

fn run(event: &mut Event, program: impl FnOnce(&mut Tree<'_>)) -> Made {
    let mut notes = Notes::default();
    program(&mut Tree::new(event, &mut notes));
    event.change(&mut notes)
}

const RECORD: &str = r#"{"z":1.50,"message":"a\u00e9","metadata":{"n":18446744073709551616,"code":"x","o":{"b":1,"a":2}},"big":{"y":1.10,"x":0}}"#;

#[test]
fn what_is_not_written_keeps_its_bytes() {
    let mut e = event(RECORD);
    run(&mut e, |tree| {
        assert_eq!(tree.get(&path(".metadata.code")), Some(&Value::from("x")));
        assert_eq!(tree.get(&path(".metadata.o.a")), Some(&Value::from(2)));
        assert_eq!(tree.get(&path(".message")), Some(&Value::from("aé")));
        assert!(tree.get(&path(".metadata.none")).is_none());
        tree.set(&path(".metadata.new.deep[1]"), true.into());
        tree.set(&path(".first"), 1.into());
        assert_eq!(tree.get(&path(".metadata.new.deep[1]")), Some(&Value::from(true)));
    });
    let expected = RECORD.replace("\"a\":2}}", "\"a\":2},\"new\":{\"deep\":[null,true]}}");
    assert_eq!(json_of(&e), format!("{},\"first\":1}}", expected.strip_suffix('}').unwrap()));
}

#[test]
fn a_program_that_takes_the_whole_keeps_what_reads_the_same() {
    let mut e = event(RECORD);
    run(&mut e, |tree| {
        let mut all = tree.get(&path(".")).unwrap().clone();
        all.insert(&path(".metadata.code").path, "y");
        all.insert(&path(".a").path, 1);
        all.insert(&path(".severity").path, "info");
        all.remove(&path(".z").path, false);
        tree.set(&path("."), all);
    });
    let expected = RECORD.replace("\"x\",\"o\"", "\"y\",\"o\"").replace("\"z\":1.50,", "");
    let expected = format!("{},\"severity\":\"info\",\"a\":1}}", expected.strip_suffix('}').unwrap());
    assert_eq!(json_of(&e), expected);
}

#[test]
fn what_is_only_looked_at_or_not_there_is_not_written() {
    let mut e = event(RECORD);
    run(&mut e, |tree| {
        assert!(tree.get(&path(".")).is_some());
        assert!(tree.target_remove(&path(".metadata.o.none"), false).unwrap().is_none());
        assert!(tree.target_remove(&path(".big.none"), true).unwrap().is_none());
    });
    assert_eq!(json_of(&e), RECORD);
    assert!(e.extra.is_empty());
}

#[test]
fn what_no_event_can_hold_is_refused() {
    let mut e = event(RECORD);
    let made = run(&mut e, |tree| tree.set(&path(".a"), Value::from("x".repeat(65 << 20))));
    assert!(matches!(made, Made::TooLarge));
    assert_eq!(json_of(&e), RECORD);
}

#[test]
fn an_event_is_small() {
    assert!(size_of::<Event>() <= 296, "{}", size_of::<Event>());
}

#[test]
fn metadata_can_be_replaced_and_made_anew() {
    for (record, to, expected) in [
        (r#"{"metadata":{"a":1},"b":2}"#, r#"{"c":3}"#, r#"{"metadata":{"c":3},"b":2}"#),
        (r#"{"metadata":{"a":1},"b":2}"#, "null", r#"{"metadata":null,"b":2}"#),
        (r#"{"metadata":"text","b":2}"#, r#"{"c":3}"#, r#"{"metadata":{"c":3},"b":2}"#),
        (r#"{"b":2}"#, r#"{"c":3}"#, r#"{"b":2,"metadata":{"c":3}}"#),
        (r#"{"metadata":"text"}"#, "5", r#"{"metadata":5}"#),
    ] {
        let mut e = event(record);
        run(&mut e, |tree| tree.set(&path(".metadata"), value::read(to.as_bytes())));
        assert_eq!(json_of(&e), expected);
        assert_eq!(e.has(Place::Metadata, "c"), to.starts_with('{'), "{record} {to}");
        assert!(!e.has(Place::Metadata, "a"));
    }
    let mut e = event(r#"{"metadata":{"a":1}}"#);
    run(&mut e, |tree| drop(tree.target_remove(&path(".metadata"), false)));
    e.set_string(Place::Metadata, "b", b"");
    assert_eq!(json_of(&e), r#"{"metadata":{"b":""}}"#);
}

#[test]
fn types_that_json_does_not_have_last_until_their_text_changes() {
    let time = || Value::Timestamp(chrono::DateTime::from_timestamp_millis(1_760_000_000_123).unwrap());
    let mut e = event(r#"{"time":"x","a":1}"#);
    run(&mut e, |tree| {
        tree.set(&path(".time"), time());
        tree.set(&path(".new"), time());
    });
    assert_eq!(json_of(&e), r#"{"time":"2025-10-09T08:53:20.123Z","a":1,"new":"2025-10-09T08:53:20.123Z"}"#);
    e.rename(Place::Top, "new", "renamed");
    e.set_string(Place::Top, "time", b"2025-10-09T08:53:20.123Z");
    run(&mut e, |tree| {
        assert_eq!(tree.get(&path(".renamed")), Some(&time()));
        assert!(matches!(tree.get(&path(".time")), Some(Value::Bytes(_))));
    });
}

#[test]
fn an_array_makes_events_of_one() {
    let mut e = event(r#"{"a":1,"metadata":{"b":2}}"#);
    let whole = |tree: &mut Tree<'_>, json: &[u8]| tree.set(&path("."), value::read(json));
    let made = run(&mut e, |tree| whole(tree, br#"[{"a":1},"text",{"metadata":{"c":1},"time":"t","b":1}]"#));
    let Made::More(others) = made else { panic!("{made:?}") };
    let all: Vec<String> = [&e].into_iter().chain(&others).map(json_of).collect();
    assert_eq!(all, [r#"{"a":1}"#, r#"{"message":"text"}"#, r#"{"metadata":{"c":1},"time":"t","b":1}"#]);
    assert_ne!(e.origin().id(), others[0].origin().id());
    assert_ne!(others[1].origin().id(), others[0].origin().id());
    assert!(matches!(run(&mut e, |tree| whole(tree, b"[]")), Made::Nothing));
}

#[test]
fn percent_is_the_origin_until_a_program_writes_to_it() {
    let stream = crate::event::Stream { source: "livebook".into(), ..crate::event::Stream::default() };
    let origin = Origin::new(std::sync::Arc::new(stream), 7, 0);
    let mut e = Event::new(origin);
    run(&mut e, |tree| {
        assert_eq!(tree.get(&path("%source")), Some(&Value::from("livebook")));
        assert_eq!(tree.get(&path("%offset")), Some(&Value::from(7)));
        assert!(matches!(tree.get(&path("%received")), Some(Value::Timestamp(_))));
        assert!(tree.get(&path("%file")).is_none());
    });
    assert!(e.hidden.is_none());
    run(&mut e, |tree| {
        tree.set(&path("%own.deep"), 1.into());
        drop(tree.target_remove(&path("%source"), false));
    });
    assert_eq!(json_of(&e), "{}");
    run(&mut e, |tree| {
        assert_eq!(tree.get(&path("%own.deep")), Some(&Value::from(1)));
        assert!(tree.get(&path("%source")).is_none());
    });
    assert_eq!(e.origin().stream().source, "livebook");
}

#[test]
fn a_name_with_escapes_is_one_name() {
    let mut e = event(r#"{"a\nb":1,"metadata":{"\"":2}}"#);
    e.set_string(Place::Top, "a\nb", b"x");
    run(&mut e, |tree| tree.set(&path(".metadata.\"\\\"\""), 3.into()));
    assert_eq!(json_of(&e), r#"{"a\nb":"x","metadata":{"\"":3}}"#);
}

const PATHS: [&str; 14] = [
    ".",
    ".message",
    ".a",
    ".a.b",
    ".a[0]",
    ".b",
    ".metadata",
    ".metadata.code",
    ".metadata.a",
    ".metadata.a.b",
    ".metadata[1]",
    ".time",
    ".a.b.c",
    ".metadata.new",
];

fn tree() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::json;
    let leaf = prop_oneof![any::<i32>().prop_map(|n| json!(n)), "[a-z\"]{0,3}".prop_map(|s| json!(s))];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(|v| json!(v)),
            proptest::collection::btree_map("a|b|code|message|metadata", inner, 0..4).prop_map(|m| json!(m)),
        ]
    })
}

proptest! {
    #[test]
    fn both_forms_do_what_a_value_does(
        start in proptest::collection::btree_map("a|b|message|metadata|time", tree(), 0..5),
        operations in proptest::collection::vec(
            (0..4, 0..PATHS.len(), tree(), any::<bool>(), any::<bool>()), 0..12),
    ) {
        let text = serde_json::json!(start).to_string();
        let (mut e, mut model) = (event(&text), value::read(text.as_bytes()));
        let mut operations = operations.into_iter().peekable();
        // The notes of one program after the other, some of which have failed.
        let mut notes = Notes::default();
        while operations.peek().is_some() {
            // A program of some operations, then some on the text.
            let mut failed = Tree::new(&e, &mut notes);
            failed.set(&path(".metadata.a"), 1.into());
            failed.set(&path(".b"), 1.into());
            failed.remove(&path(".message"), false);
            let mut tree = Tree::new(&e, &mut notes);
            for (what, at, new, compact, more) in operations.by_ref() {
                let path = path(PATHS[at]);
                let new = value::read(new.to_string().as_bytes());
                match what {
                    0 => prop_assert_eq!(tree.get(&path), model.get(&path.path)),
                    1 if !path.path.is_root() => {
                        tree.remove(&path, compact);
                        model.remove(&path.path, compact);
                    }
                    2 if path.path.is_root() && !new.is_object() => {}
                    2 if path.path.is_root() => {
                        tree.set(&path, new.clone());
                        model = new;
                    }
                    _ if !path.path.is_root() => {
                        tree.set(&path, new.clone());
                        model.insert(&path.path, new);
                    }
                    _ => {}
                }
                if !more { break; }
            }
            e.change(&mut notes);
            if e.has(Place::Metadata, "a") {
                e.rename(Place::Metadata, "a", "b");
                let a = model.remove(&path(".metadata.a").path, false).unwrap();
                model.insert(&path(".metadata.b").path, a);
            }
            let json = json_of(&e);
            prop_assert_eq!(value::read(json.as_bytes()), model.clone(), "{}", json);
            // What its index says is what its text says.
            prop_assert_eq!(json_of(&event(&json)), json);
        }
    }
}
