//! From what is derived of Rust to what is true of a config.
//!
//! TOML has no `null`, so what an `Option` adds is taken away again. Formats of numbers are for other readers: what
//! they say of bounds is said as bounds. And any string may get its value from the environment: a number or a boolean
//! may be written as a string that is one reference, and a string that has to be one of a few, or of some form, may
//! have a reference in it, which makes it anything.

use super::Members;
use serde_json::{Value, json};

/// A reference to a variable, as `environment` takes it: `${NAME}`, `${NAME:-default}`, `${NAME:?message}`, where what
/// stands behind the name has no reference in it.
const REFERENCE: &str = r"\$\{[A-Za-z_][A-Za-z0-9_]*(:[-?]([^$}]|\$+[^${}])*\$*)?\}";

/// Changes `schema` and all that is in it.
pub(super) fn make(schema: &mut Members) {
    for (key, below) in schema.iter_mut() {
        // `if`, `not` and `propertyNames` say what something is not: they stay as strict as they are.
        match (key.as_str(), below) {
            ("properties" | "patternProperties" | "$defs", Value::Object(named)) => {
                named.values_mut().filter_map(Value::as_object_mut).for_each(make);
            }
            ("allOf" | "anyOf" | "oneOf", Value::Array(items)) => {
                items.iter_mut().filter_map(Value::as_object_mut).for_each(make);
            }
            ("items" | "additionalProperties" | "then" | "else", Value::Object(one)) => make(one),
            _ => {}
        }
    }
    without_null(schema);
    without_format(schema);
    with_references(schema);
}

fn without_null(schema: &mut Members) {
    let null = json!({"type": "null"});
    if let Some(Value::Array(either)) = schema.get_mut("anyOf")
        && either.contains(&null)
    {
        either.retain(|one| *one != null);
        if let [Value::Object(one)] = either.as_mut_slice() {
            let one = std::mem::take(one);
            schema.remove("anyOf");
            // What is said of the option itself comes first.
            for (key, value) in one {
                schema.entry(key).or_insert(value);
            }
        }
    }
    if let Some(kind @ Value::Array(_)) = schema.get_mut("type")
        && let Value::Array(kinds) = kind
    {
        kinds.retain(|kind| kind != "null");
        if let [one] = kinds.as_mut_slice() {
            *kind = one.take();
        }
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if schema.get("default").is_some_and(Value::is_null) {
        schema.remove("default");
    }
}

fn without_format(schema: &mut Members) {
    if schema.remove("format").is_some_and(|format| format == "uint32") {
        schema.entry("maximum").or_insert(u32::MAX.into());
    }
}

fn with_references(schema: &mut Members) {
    if let Some(names) = schema.remove("enum") {
        schema.insert("oneOf".to_owned(), json!([{"type": "string", "enum": names}]));
    }
    if let Some(Value::Array(names)) = schema.get_mut("oneOf")
        && names.iter().all(|name| name.get("enum").or(name.get("const")).is_some())
    {
        let description = "What the environment says: `${NAME}`, `${NAME:-default}`.";
        names.push(json!({"type": "string", "pattern": REFERENCE, "description": description}));
        return;
    }
    let pattern = schema.get("pattern").and_then(Value::as_str).map(|own| format!("(?:{own})|{REFERENCE}"));
    if let Some(pattern) = pattern {
        schema.insert("pattern".to_owned(), pattern.into());
    }
    let scalar = schema.get("type").and_then(Value::as_str).map(str::to_owned);
    if let Some(scalar) = scalar.filter(|kind| matches!(kind.as_str(), "integer" | "number" | "boolean")) {
        schema.insert("type".to_owned(), json!([scalar, "string"]));
        schema.insert("pattern".to_owned(), format!("^{REFERENCE}$").into());
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::environment::{Environment, resolve};
    use super::*;
    use regex::Regex;

    #[test]
    fn a_reference_is_what_the_environment_takes_for_one() {
        let whole = Regex::new(&format!("^{REFERENCE}$")).unwrap();
        for written in [
            "${A}",
            "${_a1}",
            "${A:-}",
            "${A:-b c}",
            "${A:-US$$}",
            "${A:-$5}",
            "${A:-$}",
            "${A:?why?}",
            "${}",
            "${1A}",
            "${A",
            "${A-b}",
            "${A:-${B}}",
            "${A:-$${B}}",
            "${A B}",
            "$A",
            "A",
            "$${A}",
            "${A}${B}",
            " ${A}",
        ] {
            let taken = resolve(written, Environment::Absent).is_ok_and(|text| text.whole);
            assert_eq!(whole.is_match(written), taken, "{written}");
        }
    }

    fn made(schema: Value) -> Value {
        let Value::Object(mut schema) = schema else { panic!("no object") };
        make(&mut schema);
        schema.into()
    }

    #[test]
    fn an_option_is_never_null() {
        let made = made(json!({"properties": {
            "a": {"type": ["string", "null"], "default": null},
            "b": {"description": "own", "anyOf": [{"type": "object", "description": "other"}, {"type": "null"}]},
        }}));
        let expected = json!({"properties": {
            "a": {"type": "string"},
            "b": {"description": "own", "type": "object"},
        }});
        assert_eq!(made, expected);
    }

    #[test]
    fn a_reference_may_stand_for_a_value_but_not_for_a_table() {
        let made = made(json!({"properties": {
            "n": {"type": "integer", "format": "uint32", "minimum": 1},
            "p": {"type": "string", "pattern": "^a$"},
            "t": {"type": "object"},
        }}));
        let n = json!({"type": ["integer", "string"], "minimum": 1, "maximum": u32::MAX, "pattern": format!("^{REFERENCE}$")});
        let p = json!({"type": "string", "pattern": format!("(?:^a$)|{REFERENCE}")});
        assert_eq!(made, json!({"properties": {"n": n, "p": p, "t": {"type": "object"}}}));
    }
}
