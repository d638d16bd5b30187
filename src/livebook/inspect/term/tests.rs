//! Terms as Elixir prints them, and what they read as.

use super::{read_term, write_term};
use proptest::prelude::*;
use vrl::value::{ObjectMap, Value};

/// A value as JSON, what JSON has no type for as a string.
fn json(value: &Value) -> String {
    let mut out = Vec::new();
    crate::event::write_value(value, &mut out);
    String::from_utf8(out).unwrap()
}

fn read(text: &str) -> String {
    json(&read_term(text.as_bytes(), false).unwrap_or_else(|fault| panic!("{text}: {fault}")))
}

#[test]
fn terms_read_as_the_data_they_print() {
    for (text, value) in [
        ("nil", "null"),
        (" true\n", "true"),
        (":default", r#""default""#),
        (r#":"a b""#, r#""a b""#),
        (":<<>>", r#""<<>>""#),
        ("[:+, :==, :ok?]", r#"["+","==","ok?"]"#),
        ("Livebook.Session", r#""Livebook.Session""#),
        ("-7", "-7"),
        ("9223372036854775808", "9.223372036854776e18"),
        ("1.5e-7", "1.5e-7"),
        ("-0.5", "-0.5"),
        (r#""a\"\n\u200D#{""#, "\"a\\\"\\n\u{200d}#{\""),
        ("<<104, 105>>", r#""hi""#),
        (r#"~c"ab\"""#, r#""ab\"""#),
        (r"'it\'s a \x{e9} \'", ""),
        (r#"'it\'s "so"'"#, r#""it's \"so\"""#),
        ("[]", "[]"),
        ("%{}", "{}"),
        ("{:ok, 1, [2.0, nil]}", r#"["ok",1,[2.0,null]]"#),
        (r#"%{"b c" => %{1 => 2}, :d => 3, nil => 4}"#, r#"{"b c":{"1":2},"d":3,"nil":4}"#),
        (r#"%{{1, 2} => %{}}"#, r#"{"{1, 2}":{}}"#),
        (r#"[a: 1, "b c": [d: 2], a: 3]"#, r#"{"a":1,"b c":{"d":2}}"#),
        (r#"%User{id: "1", name: nil}"#, r#"{"__struct__":"User","id":"1","name":null}"#),
        ("~U[2025-10-09 08:53:20.123Z]", r#""2025-10-09T08:53:20.123Z""#),
        ("[~D[2025-10-09], ~T[08:53:20]]", r#"["2025-10-09","08:53:20"]"#),
        (r"~r/a\/[b]/iu", r#""~r/a\\/[b]/iu""#),
        ("{#PID<0.1.0>, #Function<1.2/0 in A.f/1>, 3}", r##"["#PID<0.1.0>","#Function<1.2/0 in A.f/1>",3]"##),
        ("[&String.upcase/1, 1..3, 1..9//2]", r#"["&String.upcase/1","1..3","1..9//2"]"#),
        (r#"{MapSet.new([1, ")"]), 2}"#, r#"["MapSet.new([1, \")\"])",2]"#),
        (r#"[%{id: "1", name: "Ann"}, %{id: "2"}]"#, r#"[{"id":"1","name":"Ann"},{"id":"2"}]"#),
    ] {
        if value.is_empty() {
            assert!(read_term(text.as_bytes(), false).is_err(), "{text}");
        } else {
            assert_eq!(read(text), value, "{text}");
        }
    }
}

#[test]
fn what_is_no_term_says_where() {
    for (text, said) in [
        ("", "byte 0: the text ends"),
        ("[1, 2", "byte 5: the text ends"),
        ("1 2", "byte 2: something stands behind"),
        ("hello", "byte 5: the text ends"),
        ("[hello ]", "byte 1: no term"),
        ("%{a: 1, a: 2}", "byte 8: two keys"),
        ("%{a 1}", "byte 2: no term"),
        ("[1 2]", "byte 3: a `,`"),
        ("[1, a: 2]", "byte 9: a list with"),
        (r#""a\q""#, "byte 2: a string"),
        ("<<1, 300>>", "byte 5: a string"),
        ("<<1::3>>", "byte 2: a string"),
        ("[1, ...]", "byte 7: Elixir has left out"),
        (r#""a" <> ..."#, "byte 10: Elixir has left out"),
    ] {
        let fault = read_term(text.as_bytes(), false).expect_err(text).to_string();
        assert!(fault.starts_with(said), "{text}: {fault}");
    }
    let deep = "[".repeat(1_000_000);
    assert!(read_term(deep.as_bytes(), true).unwrap_err().to_string().contains("too deep"));
}

#[test]
fn of_a_term_that_was_cut_the_certain_part_is_there_for_the_asking() {
    for (text, value) in [
        (r#"[%{id: "1", ...}, %{...}, ...]"#, r#"[{"id":"1"},{}]"#),
        (r#"%{name: "mm" <> ...}"#, r#"{"name":"mm"}"#),
        ("<<97, 195, ...>>", r#""a""#),
        (r#"[%{id: "1"}, %{id: "2", na"#, r#"[{"id":"1"},{"id":"2"}]"#),
        (r#"%{id: "1", name: "An (truncated)"#, r#"{"id":"1","name":"An"}"#),
        (r#"["(truncated)"]"#, r#"["(truncated)"]"#),
        ("[12, 34", "[12]"),
        ("[12, :o", "[12]"),
        ("[<<1, 2", r#"["\u0001"]"#),
        ("{1, [2, {3, ", "[1,[2,[3]]]"),
        (r#"["a\u20"#, r#"["a"]"#),
        ("%{a: ", "{}"),
        ("[1, 2]", "[1,2]"),
    ] {
        assert_eq!(json(&read_term(text.as_bytes(), true).unwrap()), value, "{text}");
    }
    for text in ["", "%{a 1}", "[1 2]", "1..."] {
        assert!(read_term(text.as_bytes(), true).is_err(), "{text}");
    }
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Boolean),
        any::<i64>().prop_map(Value::Integer),
        any::<f64>().prop_filter("a number", |f| f.is_finite()).prop_map(Value::from_f64_or_zero),
        any::<String>().prop_map(Value::from),
        proptest::collection::vec(any::<u8>(), 0..8).prop_map(|bytes| Value::Bytes(bytes.into())),
        (0i64..4_000_000_000_000)
            .prop_map(|ms| { Value::Timestamp(chrono::DateTime::from_timestamp_millis(ms).unwrap()) }),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            proptest::collection::btree_map("[a-z \"#{\\\\é\u{0}]{0,4}", inner, 0..5).prop_map(|map| {
                Value::Object(map.into_iter().map(|(k, v)| (k.into(), v)).collect::<ObjectMap>())
            }),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back(value in values(), cut in any::<prop::sample::Index>()) {
        let mut text = Vec::new();
        write_term(&value, &mut text);
        prop_assert_eq!(read_term(&text, false).unwrap(), value);
        // No cut of it is taken for the whole, and none makes the reader fail that asks for what is certain.
        let part = &text[..cut.index(text.len())];
        if matches!(text[0], b'[' | b'%' | b'"' | b'<') {
            prop_assert!(read_term(part, false).is_err());
        }
        if part.len() > 2 && matches!(text[0], b'[' | b'%') {
            prop_assert!(read_term(part, true).is_ok(), "{}", String::from_utf8_lossy(part));
        }
    }

    #[test]
    fn any_text_is_read_without_panic(text in r#"(\[|\]|%|\{|\}|\(|\)|, |: | => |"|'|<<|>>|1|2.5|\.\.\.|~U|~c|#A<|&|nil|:a|id|é|\\){0,30}"#, raw in any::<Vec<u8>>()) {
        for is_partial in [false, true] {
            drop(read_term(text.as_bytes(), is_partial));
            drop(read_term(&raw, is_partial));
        }
    }
}
