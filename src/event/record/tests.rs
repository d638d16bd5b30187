//! The event, as its users see it.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn event(text: &str) -> Event {
    Event::from_json(Bytes::copy_from_slice(text.as_bytes()), Origin::nowhere()).unwrap()
}

fn json_of(event: &Event) -> String {
    let mut out = Vec::new();
    event.write_json(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn members_are_found_set_renamed_and_removed() {
    let mut e = event(r#" {"message":"hi","metadata":{"a":1,"b":"x\ny"},"severity":"info"} "#);
    assert!(e.get(Place::Top, "message").unwrap().is("hi"));
    assert!(e.get(Place::Metadata, "b").unwrap().is("x\ny"));
    assert!(e.get(Place::Top, "metadata").is_none());
    e.set_string(Place::Metadata, "a", b"\"two\"");
    e.set_string(Place::Top, "time", b"now");
    e.rename(Place::Metadata, "b", "c");
    assert_eq!(
        json_of(&e),
        r#"{"message":"hi","metadata":{"a":"\"two\"","c":"x\ny"},"severity":"info","time":"now"}"#
    );
    e.bring_forward(Place::Top, &["message", "time"]);
    e.remove(Place::Top, "severity");
    e.select(Place::Metadata, &["c".to_owned(), "a".to_owned()].into_iter().collect());
    assert_eq!(json_of(&e), r#"{"message":"hi","time":"now","metadata":{"c":"x\ny","a":"\"two\""}}"#);
}

#[test]
fn of_two_members_of_one_name_the_last_counts_however_it_is_written() {
    let e = event(r#"{"metadata":{"code":"a"},"m":1,"metadata":{"c\u006fde":"b","code":"c"},"\u006d":2}"#);
    assert_eq!(json_of(&e), r#"{"metadata":{"code":"c"},"m":2}"#);
    let e = event(r#"{"metadata":{"code":"a"},"metadata":7}"#);
    assert_eq!(json_of(&e), r#"{"metadata":7}"#);
    assert!(e.get(Place::Metadata, "code").is_none());
}

#[test]
fn metadata_that_is_no_object_is_kept_inside_a_new_one() {
    let mut e = event(r#"{"metadata":"text"}"#);
    e.set_string(Place::Metadata, "event", b"x");
    assert_eq!(json_of(&e), r#"{"metadata":{"metadata":"text","event":"x"}}"#);
}

#[test]
fn a_member_is_found_by_its_new_name() {
    let mut e = event(r#"{"metadata":{"a":1}}"#);
    e.rename(Place::Metadata, "a", "code");
    assert!(e.has(Place::Metadata, "code") && !e.has(Place::Metadata, "a"));
    let mut e = event(r#"{"metadata":[1]}"#);
    e.set_string(Place::Metadata, "users", b"x");
    assert!(e.has(Place::Metadata, "metadata"));
}

#[test]
fn line_ends_between_tokens_do_not_reach_the_output() {
    assert_eq!(json_of(&event("{\"a\":[1,\r\n2],\n\"b\":\"\\n\"}")), r#"{"a":[1,  2],"b":"\n"}"#);
}

fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![any::<i32>().prop_map(|n| json!(n)), any::<String>().prop_map(Value::String)];
    leaf.prop_recursive(3, 20, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            proptest::collection::btree_map("[a-c\"\u{e9}]{0,2}", inner, 0..4).prop_map(|m| json!(m)),
        ]
    })
}

proptest! {
    #[test]
    fn what_goes_in_comes_out(
        top in proptest::collection::btree_map("[a-d\n]{0,3}", tree(), 0..5),
        metadata in proptest::collection::btree_map("[a-c]", tree(), 0..4),
    ) {
        let mut value = json!(top);
        value["metadata"] = json!(metadata);
        let back: Value = serde_json::from_str(&json_of(&event(&value.to_string()))).unwrap();
        prop_assert_eq!(back, value);
    }
}
