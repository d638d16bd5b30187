//! The `buffer` of a sink: a queue in memory, or one on disk.

use super::diagnostic::Diagnostic;
use super::fault::Fault;
use super::options::{self, Owner};
use super::tree::Item;
use crate::delivery::buffer::{SIZE_BYTES_MIN, Settings};
use crate::delivery::{Limits, WhenFull};
use crate::event::Invalid;
use crate::topology::QUEUE_KIB_MAX;
use schemars::{JsonSchema, Schema};
use serde::de::Error;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::num::NonZeroU32;

const MAX_EVENTS: u32 = 10_000;

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(transform = by_kind)]
struct Buffer {
    /// Where events wait.
    #[serde(rename = "type")]
    #[schemars(extend("default" = Kind::Memory))]
    kind: Option<Kind>,
    /// Events that wait in memory at most.
    #[schemars(extend("default" = MAX_EVENTS))]
    max_events: Option<NonZeroU32>,
    /// Bytes that a buffer takes on disk at most.
    max_size_bytes: Option<u64>,
    /// What happens when no more events can wait.
    when_full: Full,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// In memory: what waits there when the process is killed is sent again by a source that can.
    Memory,
    /// In files below `data_dir`, which outlive the process.
    Disk,
}

#[derive(Clone, Copy, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Full {
    /// Who brings the next one waits.
    #[default]
    Block,
    /// The next one is dropped, counted.
    DropNewest,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Keys {
    /// Where events wait for the sink.
    #[serde(default)]
    buffer: Buffer,
}

/// Says in the schema which options belong to which type.
fn by_kind(buffer: &mut Schema) {
    let disk = json!({
        "required": ["max_size_bytes"],
        "properties": {"max_events": false, "max_size_bytes": {"minimum": SIZE_BYTES_MIN}},
    });
    let is = |kind: Kind| json!({"properties": {"type": {"const": kind}}});
    buffer.insert("if".to_owned(), is(Kind::Memory));
    buffer.insert("then".to_owned(), json!({"properties": {"max_size_bytes": false}}));
    buffer.insert("else".to_owned(), json!({"if": is(Kind::Disk), "then": disk}));
}

/// Reads the `buffer` among the common keys of a component.
pub(super) fn read(
    common: &Item,
    owner: Owner<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> (Limits, Option<Settings>) {
    let (table, _) = common.clone().split(&["buffer"]);
    // A type that is not known, or wrong and told of, says nothing about the other options.
    let names_type = table.at_path("buffer.type").is_some();
    let make = |item: &Item| {
        let Keys { buffer } = options::deserialize(item)?;
        if buffer.kind.is_some() || !names_type {
            buffer.check(item)?;
        }
        Ok(buffer)
    };
    let buffer = options::read(&table, owner, make, diagnostics).unwrap_or_default();
    (buffer.limits(), buffer.settings())
}

impl Buffer {
    fn check(&self, table: &Item) -> Result<(), Fault> {
        let refused = |key: &str, what: &str, help: &str| {
            Err(Fault::refused(Invalid::new(&format!("buffer.{key}"), what).help(help), table))
        };
        match (self.kind.unwrap_or(Kind::Memory), self.max_events, self.max_size_bytes) {
            (Kind::Disk, Some(_), _) => {
                let help = "a buffer on disk is limited by `max_size_bytes`";
                refused("max_events", "it belongs to a buffer of the type `memory`", help)
            }
            (Kind::Memory, _, Some(_)) => {
                let help = "add `type = \"disk\"`, or limit it by `max_events`";
                refused("max_size_bytes", "it belongs to a buffer of the type `disk`", help)
            }
            (Kind::Disk, None, None) => {
                let buffer = table.at_path("buffer").unwrap_or(table);
                Err(Fault::missing_field("max_size_bytes").at_value(buffer).below("buffer"))
            }
            (Kind::Disk, None, Some(bytes)) if bytes < SIZE_BYTES_MIN => {
                let what = format!("must be {SIZE_BYTES_MIN} or more, not {bytes}");
                refused(
                    "max_size_bytes",
                    &what,
                    "space comes free in steps, and each step has to hold some records",
                )
            }
            _ => Ok(()),
        }
    }

    fn when_full(&self) -> WhenFull {
        match self.when_full {
            Full::Block => WhenFull::Block,
            Full::DropNewest => WhenFull::DropNewest,
        }
    }

    /// Of the queue in memory, which a buffer on disk is behind: that one says what is dropped.
    fn limits(&self) -> Limits {
        let events_max = self.max_events.map_or(MAX_EVENTS, NonZeroU32::get);
        let when_full = if self.kind == Some(Kind::Disk) { WhenFull::Block } else { self.when_full() };
        Limits { events_max, kib_max: QUEUE_KIB_MAX, when_full }
    }

    fn settings(&self) -> Option<Settings> {
        let max_size_bytes = self.max_size_bytes.filter(|_| self.kind == Some(Kind::Disk))?;
        Some(Settings { max_size_bytes, when_full: self.when_full() })
    }
}
