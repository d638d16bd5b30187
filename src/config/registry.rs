//! The registry: one line for every component there is.
//!
//! A component is added by its own file and one line in a table below, in the order in which `evaltrail list` is to
//! show them:
//!
//! ```text
//! source::<sources::stdin::Stdin>("stdin", "reads standard input").page(include_str!("../sources/stdin.rs")),
//! ```
//!
//! The doc comment at the top of its file is its page, which `evaltrail describe` shows.
//!
//! Its options are a struct that derives `Deserialize` with `deny_unknown_fields` and `JsonSchema`, and implements [`SourceConfig`],
//! [`TransformConfig`] or [`SinkConfig`]. The common keys (`type`, `inputs`, `buffer`) are none of its business.

use super::fault::Fault;
use super::options::deserialize;
use super::tree::Item;
use crate::sinks::{self, SinkConfig};
use crate::sources::{self, SourceConfig};
use crate::transforms::{self, TransformConfig};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;

/// A component that a config can name.
pub struct Entry<C: ?Sized> {
    /// Its `type`.
    pub name: &'static str,
    /// What it does, in a few words.
    pub summary: &'static str,
    /// The text of its file, whose doc comment is its page; empty where it has none.
    pub page: &'static str,
    /// The JSON Schema of its options.
    pub(super) schema: fn(&mut SchemaGenerator) -> Schema,
    /// Reads its options.
    pub(super) make: fn(&Item) -> Result<Box<C>, Fault>,
}

impl<C: ?Sized> Entry<C> {
    /// The same with the text of its file.
    pub const fn page(mut self, source: &'static str) -> Self {
        self.page = source;
        self
    }
}

/// The components that a config can name.
#[derive(Clone, Copy)]
pub struct Registry<'a> {
    /// Where records come from.
    pub sources: &'a [Entry<dyn SourceConfig>],
    /// What is done with them.
    pub transforms: &'a [Entry<dyn TransformConfig>],
    /// Where they go.
    pub sinks: &'a [Entry<dyn SinkConfig>],
}

/// The sources of this program.
pub static SOURCES: &[Entry<dyn SourceConfig>] = &[
    source::<sources::stdin::Stdin>("stdin", "reads standard input")
        .page(include_str!("../sources/stdin.rs")),
    source::<sources::file::FileSource>("file", "reads files as they grow, through rotation and restarts")
        .page(include_str!("../sources/file/mod.rs")),
    source::<sources::http_server::HttpServer>(
        "http_server",
        "takes records by HTTP, and answers when they are delivered",
    )
    .page(include_str!("../sources/http_server/mod.rs")),
    source::<sources::demo_logs::DemoLogs>(
        "demo_logs",
        "makes up the log of a Livebook, for trying things out",
    )
    .page(include_str!("../sources/demo_logs/mod.rs")),
];

/// The transforms of this program.
pub static TRANSFORMS: &[Entry<dyn TransformConfig>] = &[
    transform::<transforms::legacy_message::LegacyMessage>(
        "legacy_message",
        "makes one canonical event of the two records of an evaluation",
    )
    .page(include_str!("../transforms/legacy_message/mod.rs")),
    transform::<transforms::audit_policy::AuditPolicy>(
        "audit_policy",
        "decides which evaluations are recorded, and how much of each",
    )
    .page(include_str!("../transforms/audit_policy/mod.rs")),
    transform::<transforms::redact::Redact>("redact", "takes secrets out of code and messages")
        .page(include_str!("../transforms/redact/mod.rs")),
    transform::<transforms::metadata_projection::MetadataProjection>(
        "metadata_projection",
        "keeps the metadata that you chose, in your order",
    )
    .page(include_str!("../transforms/metadata_projection.rs")),
    transform::<transforms::remap::Remap>("remap", "changes events by a program in VRL")
        .page(include_str!("../transforms/remap.rs")),
    transform::<transforms::filter::Filter>("filter", "passes the events for which a condition holds")
        .page(include_str!("../transforms/filter.rs")),
    transform::<transforms::route::Route>("route", "sends events to ports by conditions")
        .page(include_str!("../transforms/route.rs")),
    transform::<transforms::dedupe::Dedupe>("dedupe", "drops events that were there before")
        .page(include_str!("../transforms/dedupe.rs")),
    transform::<transforms::throttle::Throttle>("throttle", "drops what comes faster than it may")
        .page(include_str!("../transforms/throttle.rs")),
];

/// The sinks of this program.
pub static SINKS: &[Entry<dyn SinkConfig>] = &[
    sink::<sinks::console::Console>("console", "writes to standard output or standard error")
        .page(include_str!("../sinks/console.rs")),
    sink::<sinks::file::File>("file", "writes to files, rotated and synced")
        .page(include_str!("../sinks/file/mod.rs")),
    sink::<sinks::http::Http>("http", "sends requests, repeats and halves them, keeps what is refused")
        .page(include_str!("../sinks/http/mod.rs")),
    sink::<sinks::trail::Trail>(
        "trail",
        "writes a tamper-evident trail: signed, append-only, once per event",
    )
    .page(include_str!("../sinks/trail.rs")),
    sink::<sinks::blackhole::Blackhole>("blackhole", "takes everything and keeps nothing but the count")
        .page(include_str!("../sinks/blackhole.rs")),
];

/// All components of this program.
pub static BUILTIN: Registry<'static> = Registry { sources: SOURCES, transforms: TRANSFORMS, sinks: SINKS };

/// The line of a source.
pub const fn source<T: SourceConfig + DeserializeOwned + JsonSchema + 'static>(
    name: &'static str,
    summary: &'static str,
) -> Entry<dyn SourceConfig> {
    Entry {
        name,
        summary,
        page: "",
        schema: T::json_schema,
        make: |item| Ok(Box::new(deserialize::<T>(item)?)),
    }
}

/// The line of a transform.
pub const fn transform<T: TransformConfig + DeserializeOwned + JsonSchema + 'static>(
    name: &'static str,
    summary: &'static str,
) -> Entry<dyn TransformConfig> {
    Entry {
        name,
        summary,
        page: "",
        schema: T::json_schema,
        make: |item| Ok(Box::new(deserialize::<T>(item)?)),
    }
}

/// The line of a sink.
pub const fn sink<T: SinkConfig + DeserializeOwned + JsonSchema + 'static>(
    name: &'static str,
    summary: &'static str,
) -> Entry<dyn SinkConfig> {
    Entry {
        name,
        summary,
        page: "",
        schema: T::json_schema,
        make: |item| Ok(Box::new(deserialize::<T>(item)?)),
    }
}
