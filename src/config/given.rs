//! Options of Vector that have one answer here: they may be written as they are, and not otherwise.

use super::component::Role;
use super::diagnostic::Diagnostic;
use super::fault::Fault;
use super::options::{self, Owner};
use super::tree::Item;
use crate::event::Invalid;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fmt;

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OfSource {
    /// What stands between records.
    framing: Framing,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Framing {
    /// What stands between records.
    #[serde(rename = "method")]
    _method: Method,
}

#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Method {
    /// Each record ends in a newline.
    #[default]
    NewlineDelimited,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OfSink {
    /// Whether sources hear what became of their records; they always do.
    #[schemars(schema_with = "Switch::only_on")]
    acknowledgements: Switch,
    /// Whether the receiver is tried out before the first events; it never is.
    #[schemars(schema_with = "Switch::only_off")]
    healthcheck: Switch,
}

/// `x.enabled = true`, or `x = true`.
#[derive(Clone, Copy, Default)]
pub(super) struct Switch(Option<bool>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    enabled: Option<bool>,
}

impl<'de> Deserialize<'de> for Switch {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Switch, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Switch;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table with `enabled`")
            }

            fn visit_bool<E>(self, enabled: bool) -> Result<Switch, E> {
                Ok(Switch(Some(enabled)))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Switch, A::Error> {
                Ok(Switch(Table::deserialize(MapAccessDeserializer::new(map))?.enabled))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl Switch {
    /// The schema of one that can't be turned off.
    pub fn only_on(_: &mut SchemaGenerator) -> Schema {
        Switch::without(false)
    }

    fn only_off(_: &mut SchemaGenerator) -> Schema {
        Switch::without(true)
    }

    fn without(refused: bool) -> Schema {
        let is_refused = json!({"const": refused});
        let has_refused =
            json!({"type": "object", "required": ["enabled"], "properties": {"enabled": is_refused}});
        let description = format!("Always `{0}`: it may be written, as `{0}`, for Vector's sake.", !refused);
        json_schema!({
            "type": ["boolean", "object"],
            "not": {"anyOf": [is_refused, has_refused]},
            "properties": {"enabled": {"type": "boolean", "description": description, "default": !refused}},
            "additionalProperties": false,
        })
    }

    /// Refuses acknowledgements that are turned off.
    pub fn acknowledges(self) -> Result<(), Invalid> {
        match self.0 {
            Some(false) => {
                let help = "take it out: sinks acknowledge in any case";
                Err(Invalid::new("acknowledgements", "they can't be turned off").help(help))
            }
            _ => Ok(()),
        }
    }

    fn checks_no_health(self) -> Result<(), Invalid> {
        match self.0 {
            Some(true) => {
                let help = "take it out, or turn it off: what can't be delivered is sent again";
                Err(Invalid::new("healthcheck", "no sink is tried out before its first events").help(help))
            }
            _ => Ok(()),
        }
    }
}

/// Checks such options among the common keys of a component.
pub(super) fn check(role: Role, common: &Item, owner: Owner<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let (table, _) = common.clone().split(&["framing", "acknowledgements", "healthcheck"]);
    let make = |item: &Item| {
        if role == Role::Source {
            options::deserialize::<OfSource>(item)?;
        }
        if role != Role::Sink {
            return Ok(());
        }
        let OfSink { acknowledgements, healthcheck } = options::deserialize(item)?;
        let refused = |invalid| Fault::refused(invalid, item);
        acknowledgements.acknowledges().map_err(refused)?;
        healthcheck.checks_no_health().map_err(refused)
    };
    options::read(&table, owner, make, diagnostics);
}
