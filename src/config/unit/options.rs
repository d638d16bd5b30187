//! What stands in a test.

use super::input::Input;
use super::world::World;
use crate::event::{Invalid, Stream};
use crate::language::ConditionOption;
use crate::topology::{Check, Insertion, Trial};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::json;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// When inserted events are received: always the same moment, so that a test that passes today passes tomorrow.
/// 2025-01-01T00:00:00Z in milliseconds since 1970.
pub(super) const RECEIVED_MS: u64 = 1_735_689_600_000;

/// A test.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend(
    "if" = {"not": {"required": ["input"]}},
    "then" = {"required": ["inputs"], "properties": {"inputs": {"minItems": 1}}},
    "anyOf" = [{"required": ["outputs"]}, {"required": ["no_outputs_from"]}],
))]
pub(super) struct Test {
    /// What it is called in the results.
    pub name: String,
    /// Vector's older name for one of `inputs`.
    input: Option<Input>,
    /// The events that are put in.
    #[serde(default)]
    inputs: Vec<Input>,
    /// What has to come out.
    #[serde(default)]
    outputs: Vec<Output>,
    /// Transforms out of which nothing may come: one id, or a list of them.
    #[serde(default)]
    no_outputs_from: Ids,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Output {
    /// The transform, or its port, out of which it comes: one id, or a list of them.
    #[schemars(extend("minItems" = 1))]
    extract_from: Ids,
    /// What has to hold of one of the events, all of it: one condition, or a list of them.
    #[serde(default)]
    conditions: Conditions,
    /// How many events have to come out; one or more where it is not given.
    count: Option<u32>,
}

impl Test {
    /// The test as the topology runs it.
    pub fn build(&self, world: &World<'_>) -> Result<Trial, Invalid> {
        let mut trial = Trial { now_ms: RECEIVED_MS, ..Trial::default() };
        let mut offset = 0;
        let inputs = self.inputs.iter().enumerate().map(|(nth, input)| (format!("inputs[{nth}]"), input));
        for (key, input) in self.input.iter().map(|input| ("input".to_owned(), input)).chain(inputs) {
            let at = input.insert_at.checked(&format!("{key}.insert_at"), |id, key| {
                world.transform(id, key).map(|component| component.id.clone())
            })?;
            let source = at.first().map(|id| world.source_of(id)).unwrap_or_default();
            let stream = Arc::new(Stream { source, ..Stream::default() });
            for event in input.events(&key, &stream, &mut offset)? {
                trial.insertions.push(Insertion { at: at.clone(), event });
            }
        }
        if self.input.is_none() && self.inputs.is_empty() {
            let help = "insert an event: `[[tests.inputs]]` with `insert_at` and `value`";
            return Err(Invalid::new("", "nothing is put in: there are no `inputs`").help(help));
        }
        for ((nth, output), keys) in self.outputs.iter().enumerate().zip(self.condition_keys()) {
            let key = format!("outputs[{nth}].extract_from");
            let from = output.extract_from.checked(&key, |text, key| world.output(text, key))?;
            let conditions = output.conditions.list.iter().zip(keys);
            let conditions =
                conditions.map(|(condition, key)| condition.build(&key)).collect::<Result<_, _>>()?;
            let count = output.count.map(|count| count as usize);
            trial.checks.push(Check { from, conditions, count });
        }
        let silent = &self.no_outputs_from;
        if !silent.0.is_empty() {
            trial.silent = silent.checked("no_outputs_from", |text, key| world.output(text, key))?;
        }
        if trial.checks.is_empty() && trial.silent.is_empty() {
            let help =
                "say what has to come out (`[[tests.outputs]]`), or where nothing may (`no_outputs_from`)";
            return Err(Invalid::new("", "nothing is expected: this test would always pass").help(help));
        }
        Ok(trial)
    }

    /// The option that each condition stands in, by outputs.
    pub fn condition_keys(&self) -> Vec<Vec<String>> {
        let of = |(nth, output): (usize, &Output)| {
            let all = format!("outputs[{nth}].conditions");
            let list = output.conditions.list.iter().enumerate();
            let key = |at| if output.conditions.is_list { format!("{all}[{at}]") } else { all.clone() };
            list.map(|(at, _)| key(at)).collect()
        };
        self.outputs.iter().enumerate().map(of).collect()
    }
}

/// One id, or a list of them.
#[derive(Default)]
pub(super) struct Ids(Vec<String>);

impl Ids {
    /// What `check` makes of each of them; `key` is the option that they stand in.
    fn checked<T>(
        &self,
        key: &str,
        check: impl Fn(&str, &str) -> Result<T, Invalid>,
    ) -> Result<Vec<T>, Invalid> {
        if self.0.is_empty() {
            return Err(Invalid::new(key, "an empty list").help("name a transform"));
        }
        let checked = self.0.iter().enumerate().map(|(at, id)| check(id, &format!("{key}[{at}]")));
        checked.collect()
    }
}

impl<'de> Deserialize<'de> for Ids {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Ids, D::Error> {
        struct OneOrMore;
        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Ids;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an id, or an array of ids")
            }

            fn visit_str<E>(self, id: &str) -> Result<Ids, E> {
                Ok(Ids(vec![id.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Ids, A::Error> {
                let mut ids = Vec::new();
                while let Some(id) = list.next_element()? {
                    ids.push(id);
                }
                Ok(Ids(ids))
            }
        }
        deserializer.deserialize_any(OneOrMore)
    }
}

impl JsonSchema for Ids {
    fn schema_name() -> Cow<'static, str> {
        "Ids".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["string", "array"], "items": {"type": "string"}})
    }
}

/// One condition, or a list of them.
#[derive(Default)]
struct Conditions {
    list: Vec<ConditionOption>,
    is_list: bool,
}

impl<'de> Deserialize<'de> for Conditions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Conditions, D::Error> {
        struct OneOrMore;
        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Conditions;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of conditions in VRL")
            }

            fn visit_str<E>(self, source: &str) -> Result<Conditions, E> {
                Ok(Conditions { list: vec![ConditionOption::new(source)], is_list: false })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Conditions, A::Error> {
                let one = ConditionOption::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Conditions { list: vec![one], is_list: false })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Conditions, A::Error> {
                let mut list = Vec::new();
                while let Some(one) = items.next_element()? {
                    list.push(one);
                }
                Ok(Conditions { list, is_list: true })
            }
        }
        deserializer.deserialize_any(OneOrMore)
    }
}

impl JsonSchema for Conditions {
    fn schema_name() -> Cow<'static, str> {
        "Conditions".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = ConditionOption::json_schema(generator);
        let mut schema = one.clone();
        schema.insert("type".to_owned(), json!(["string", "object", "array"]));
        schema.insert("items".to_owned(), one.to_value());
        schema
    }
}
