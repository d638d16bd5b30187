//! A validator for JSON Schema, as far as the schema of a config goes: a keyword that it does not know is a panic, so
//! that nothing passes because nobody looked.

use regex::Regex;
use serde_json::{Map, Value};

/// What says nothing of a value.
const NOTES: [&str; 5] = ["$schema", "$defs", "title", "description", "default"];

/// Where something is wrong: the steps to it from the root.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The value there.
    Value(Vec<String>),
    /// The key that leads there.
    Key(Vec<String>),
}

/// A schema of which all keywords are known.
pub struct Validator(Value);

impl Validator {
    pub fn new(schema: Value) -> Validator {
        each(&schema, &mut |schema| schema.keys().for_each(|keyword| check_known(keyword)));
        Validator(schema)
    }

    pub fn schema(&self) -> &Value {
        &self.0
    }

    /// What is wrong with `value`, which is to fit the whole schema.
    pub fn faults(&self, value: &Value) -> Vec<Place> {
        self.faults_of(&self.0, value)
    }

    /// The same for a part of the schema.
    pub fn faults_of(&self, schema: &Value, value: &Value) -> Vec<Place> {
        let mut faults = Vec::new();
        self.check(schema, value, &[], &mut faults);
        faults.sort();
        faults.dedup();
        faults
    }

    fn fits(&self, schema: &Value, value: &Value) -> bool {
        self.faults_of(schema, value).is_empty()
    }

    fn check(&self, schema: &Value, value: &Value, path: &[String], faults: &mut Vec<Place>) {
        let here = || Place::Value(path.to_vec());
        let schema = match schema {
            Value::Bool(true) => return,
            Value::Bool(false) => return faults.push(here()),
            Value::Object(schema) => schema,
            other => panic!("no schema: {other}"),
        };
        for (keyword, wanted) in schema {
            let fits = match keyword.as_str() {
                "$ref" => {
                    let target = wanted.as_str().unwrap().strip_prefix('#').unwrap();
                    self.check(self.0.pointer(target).unwrap(), value, path, faults);
                    true
                }
                "allOf" => {
                    list(wanted).iter().for_each(|one| self.check(one, value, path, faults));
                    true
                }
                "anyOf" => list(wanted).iter().any(|one| self.fits(one, value)),
                "oneOf" => list(wanted).iter().filter(|one| self.fits(one, value)).count() == 1,
                "not" => !self.fits(wanted, value),
                "if" => {
                    let branch = if self.fits(wanted, value) { "then" } else { "else" };
                    schema.get(branch).into_iter().for_each(|one| self.check(one, value, path, faults));
                    true
                }
                "then" | "else" => {
                    assert!(schema.contains_key("if"));
                    true
                }
                "type" => match wanted {
                    Value::Array(kinds) => kinds.iter().any(|kind| is(value, kind.as_str().unwrap())),
                    kind => is(value, kind.as_str().unwrap()),
                },
                "const" => wanted == value,
                "enum" => list(wanted).contains(value),
                "pattern" => value.as_str().is_none_or(|text| matches(wanted.as_str().unwrap(), text)),
                "minimum" => value.as_f64().is_none_or(|number| number >= wanted.as_f64().unwrap()),
                "maximum" => value.as_f64().is_none_or(|number| number <= wanted.as_f64().unwrap()),
                "exclusiveMinimum" => value.as_f64().is_none_or(|number| number > wanted.as_f64().unwrap()),
                "minItems" => value.as_array().is_none_or(|items| items.len() >= size(wanted)),
                "minProperties" => value.as_object().is_none_or(|members| members.len() >= size(wanted)),
                "required" => value.as_object().is_none_or(|members| {
                    list(wanted).iter().all(|name| members.contains_key(name.as_str().unwrap()))
                }),
                "items" => {
                    for (at, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(wanted, item, &below(path, &at.to_string()), faults);
                    }
                    true
                }
                "properties" | "patternProperties" | "additionalProperties" | "propertyNames" => {
                    let members = value.as_object();
                    for (name, member) in members.into_iter().flatten() {
                        self.member(keyword, schema, (name, member), &below(path, name), faults);
                    }
                    true
                }
                note => {
                    check_known(note);
                    true
                }
            };
            if !fits {
                faults.push(here());
            }
        }
    }

    /// What `keyword` says of a member of an object.
    fn member(
        &self,
        keyword: &str,
        schema: &Map<String, Value>,
        (name, value): (&String, &Value),
        path: &[String],
        faults: &mut Vec<Place>,
    ) {
        let named = schema.get("properties").and_then(|all| all.get(name));
        let patterns = schema.get("patternProperties").and_then(Value::as_object).into_iter().flatten();
        let patterned: Vec<&Value> =
            patterns.filter(|(pattern, _)| matches(pattern, name)).map(|(_, one)| one).collect();
        match keyword {
            "properties" => named.into_iter().for_each(|one| self.check(one, value, path, faults)),
            "patternProperties" => {
                patterned.into_iter().for_each(|one| self.check(one, value, path, faults));
            }
            "propertyNames" if self.fits(&schema[keyword], &Value::from(name.as_str())) => {}
            "propertyNames" => faults.push(Place::Value(path.to_vec())),
            _ if named.is_some() || !patterned.is_empty() => {}
            _ if schema[keyword] == false => faults.push(Place::Key(path.to_vec())),
            _ => self.check(&schema[keyword], value, path, faults),
        }
    }
}

/// Calls `look` with each schema in `schema` that is an object.
pub fn each(schema: &Value, look: &mut impl FnMut(&Map<String, Value>)) {
    let Value::Object(members) = schema else { return };
    look(members);
    for (keyword, below) in members {
        match keyword.as_str() {
            "properties" | "patternProperties" | "$defs" => {
                below.as_object().unwrap().values().for_each(|one| each(one, look));
            }
            "allOf" | "anyOf" | "oneOf" => list(below).iter().for_each(|one| each(one, look)),
            "items" | "additionalProperties" | "propertyNames" | "not" | "if" | "then" | "else" => {
                each(below, look);
            }
            _ => {}
        }
    }
}

fn check_known(keyword: &str) {
    let known = [
        "$ref",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "if",
        "then",
        "else",
        "type",
        "const",
        "enum",
        "pattern",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "minItems",
        "minProperties",
        "required",
        "items",
        "properties",
        "patternProperties",
        "additionalProperties",
        "propertyNames",
    ];
    assert!(known.contains(&keyword) || NOTES.contains(&keyword), "unknown keyword `{keyword}`");
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        // As JSON Schema has it, 1.0 is an integer.
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        other => panic!("unknown type `{other}`"),
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    Regex::new(pattern).unwrap_or_else(|e| panic!("{e}")).is_match(text)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn size(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

fn below(path: &[String], step: &str) -> Vec<String> {
    path.iter().cloned().chain([step.to_owned()]).collect()
}
