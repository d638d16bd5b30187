//! Events by the names of other standards, for the stores that want those.
//!
//! Each schema is a pure function from an event to one JSON object, a file each. All of them keep everything: a member
//! that the standard has no field for stays under a name that says where it stood (`metadata.x`, `record.x`). None of
//! them calls the users of a notebook session actors, and none picks one of several.

mod back;
mod ecs;
mod object;
mod ocsf;
mod otel;
mod record;
#[cfg(test)]
mod tests;

pub use back::livebook_form;
pub use record::Kind;

use crate::event::Event;
use record::Record;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whose names an event is written with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Schema {
    /// Livebook's own, as it came.
    #[default]
    Livebook,
    /// The Elastic Common Schema.
    Ecs,
    /// The Open Cybersecurity Schema Framework.
    Ocsf,
    /// OpenTelemetry's log data model, as OTLP/JSON.
    Otel,
}

impl Schema {
    /// The name that users write.
    pub fn name(self) -> &'static str {
        match self {
            Schema::Livebook => "livebook",
            Schema::Ecs => "ecs",
            Schema::Ocsf => "ocsf",
            Schema::Otel => "otel",
        }
    }

    /// Appends `event` as one JSON object on one line, without a newline. `kind` is what it was before members were
    /// left out.
    pub fn write(self, event: &Event, kind: Kind, out: &mut Vec<u8>) {
        match self {
            Schema::Livebook => event.write_json(out),
            Schema::Ecs => ecs::write(Record::new(event, kind), out),
            Schema::Ocsf => ocsf::write(Record::new(event, kind), out),
            Schema::Otel => otel::write(Record::new(event, kind), out),
        }
    }
}
