//! Conditions: programs that look at an event and say yes or no.

use super::{Failure, Program, compile};
use crate::event::{Event, Invalid, Notes, Tree};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer};
use serde_json::json;
use std::borrow::Cow;
use vrl::compiler::{CompileConfig, TimeZone};
use vrl::value::Value;

/// The option of a condition: its source, or a table `{ type = "vrl", source = "..." }` as in Vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionOption {
    source: String,
    /// Whether it was written as a table.
    is_table: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Table {
    /// The language that it is written in.
    #[serde(rename = "type")]
    _kind: Kind,
    /// A program that is true or false.
    source: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// VRL, the language of Vector.
    Vrl,
}

impl<'de> Deserialize<'de> for ConditionOption {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ConditionOption, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = ConditionOption;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a condition in VRL, or a table with `type` and `source`")
            }

            fn visit_str<E>(self, source: &str) -> Result<ConditionOption, E> {
                Ok(ConditionOption { source: source.to_owned(), is_table: false })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ConditionOption, A::Error> {
                let Table { source, .. } = Table::deserialize(MapAccessDeserializer::new(map))?;
                Ok(ConditionOption { source, is_table: true })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for ConditionOption {
    fn schema_name() -> Cow<'static, str> {
        "Condition".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = Table::json_schema(generator);
        schema.insert("type".to_owned(), json!(["string", "object"]));
        schema.insert("description".to_owned(), json!("A condition in VRL."));
        schema
    }
}

/// A compiled condition. It can't change the event.
#[derive(Debug)]
pub struct Condition {
    program: Program,
    notes: Notes,
}

/// What a condition says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// It holds.
    Yes,
    /// It does not.
    No,
    /// It has failed, which counts as no.
    Failed,
}

impl ConditionOption {
    /// A condition that is written as its source alone.
    pub fn new(source: &str) -> ConditionOption {
        ConditionOption { source: source.to_owned(), is_table: false }
    }

    /// Compiles the condition, which stands in the option `key`.
    pub fn build(&self, key: &str) -> Result<Condition, Invalid> {
        let key = if self.is_table { format!("{key}.source") } else { key.to_owned() };
        let mut config = CompileConfig::default();
        config.set_read_only();
        let program = compile(&key, &self.source, TimeZone::default(), config)?;
        if !program.program.final_type_info().result.is_boolean() {
            return Err(Invalid::new(
                &key,
                "a condition has to be true or false, and this may be something else",
            )
            .help("compare (`.severity == \"error\"`), or coerce (`bool(.flag) ?? false`)"));
        }
        Ok(Condition { program, notes: Notes::default() })
    }
}

impl Condition {
    /// What it says of `event`.
    pub fn holds(&mut self, event: &Event) -> Holds {
        let result = self.program.run(&mut Tree::new(event, &mut self.notes));
        self.notes.clear();
        match result {
            Ok(Value::Boolean(true)) => Holds::Yes,
            Ok(_) => Holds::No,
            Err(_) => Holds::Failed,
        }
    }

    /// What it says of `event`, or why it does not come to an answer.
    pub fn check(&mut self, event: &Event) -> Result<bool, Failure> {
        let result = self.program.run(&mut Tree::new(event, &mut self.notes));
        self.notes.clear();
        Ok(matches!(result?, Value::Boolean(true)))
    }

    /// What is hardly as meant.
    pub fn warnings(&self) -> &[Invalid] {
        self.program.warnings()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Origin;
    use bytes::Bytes;

    #[test]
    fn a_condition_holds_or_not_or_fails() {
        let event =
            Event::from_json(Bytes::from_static(b"{\"a\":1,\"b\":\"x\"}"), Origin::nowhere()).unwrap();
        for (source, expected) in [
            (".a == 1", Holds::Yes),
            (".a == 2", Holds::No),
            ("exists(.c)", Holds::No),
            ("to_int!(.b) == 1", Holds::Failed),
            ("abort", Holds::Failed),
        ] {
            let Ok(mut condition) = ConditionOption::new(source).build("condition") else {
                assert_eq!(source, "abort");
                continue;
            };
            assert_eq!(condition.holds(&event), expected, "{source}");
        }
    }

    #[test]
    fn a_condition_is_read_only_and_boolean() {
        for source in [".a = 1\ntrue", "del(.a)\ntrue", "%a = 1\ntrue", ".a", "\"true\""] {
            assert!(ConditionOption::new(source).build("condition").is_err(), "{source}");
        }
        let table: ConditionOption = serde_json::from_str(r#"{"type": "vrl", "source": "nope()"}"#).unwrap();
        assert_eq!(table.build("route.a").unwrap_err().key, "route.a.source");
        assert!(serde_json::from_str::<ConditionOption>(r#"{"type": "lua", "source": ""}"#).is_err());
    }
}
