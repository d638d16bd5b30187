//! The plan: what a config asks for, as data.

use crate::delivery::Limits;
use crate::delivery::buffer::Settings;
use crate::sinks::SinkConfig;
use crate::sources::SourceConfig;
use crate::transforms::TransformConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Bytes that the queue in front of a component holds at most, in KiB.
pub const QUEUE_KIB_MAX: u32 = 4 * 1024;

/// An output of a component: its main one, or a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OutputId {
    /// Id of the component.
    pub component: String,
    /// Name of the port; none for the main output.
    pub port: Option<String>,
}

impl std::fmt::Display for OutputId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.port {
            None => write!(f, "{}", self.component),
            Some(port) => write!(f, "{}.{port}", self.component),
        }
    }
}

/// One component with its id, its place in the graph and its options.
pub struct Node<C: ?Sized> {
    /// Unique in the config.
    pub id: String,
    /// The `type` it was declared with.
    pub kind: &'static str,
    /// What it consumes; globs are resolved. Empty for a source.
    pub inputs: Vec<OutputId>,
    /// How much the queue in front of it holds, where it has one: a sink does, a source does not.
    pub limits: Limits,
    /// The buffer on disk in front of it, where a sink has one.
    pub disk: Option<Settings>,
    /// What its options say, as a number: the same where nothing has changed.
    pub print: u64,
    /// The files that were read for it, and are a part of what it says.
    pub files: Vec<PathBuf>,
    /// Its options.
    pub config: Box<C>,
}

impl<C: ?Sized> Node<C> {
    /// One that no file declares.
    pub fn new(
        id: String,
        kind: &'static str,
        inputs: Vec<OutputId>,
        limits: Limits,
        config: Box<C>,
    ) -> Node<C> {
        Node { id, kind, inputs, limits, disk: None, print: 0, files: Vec::new(), config }
    }
}

/// A whole pipeline, checked: every input exists and there is no cycle.
pub struct Plan {
    /// In the order of their ids.
    pub sources: Vec<Node<dyn SourceConfig>>,
    /// In the order of their ids.
    pub transforms: Vec<Node<dyn TransformConfig>>,
    /// In the order of their ids.
    pub sinks: Vec<Node<dyn SinkConfig>>,
    /// How long a shutdown may take until what is left is given up.
    pub shutdown_timeout: Duration,
    /// Where checkpoints and what can't be delivered are kept.
    pub data_dir: Option<PathBuf>,
    /// Where to tell how it goes, by HTTP; none where nobody may ask.
    pub api: Option<SocketAddr>,
    /// Who may see events there.
    pub tap: TapPolicy,
}

/// Who may see a sample of the events by the API: they hold code, and in front of a `redact` secrets too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TapPolicy {
    /// Who connects from a loopback address of this machine.
    #[default]
    Loopback,
    /// Everybody who can connect.
    Everyone,
    /// Nobody.
    Off,
}

/// Where checkpoints are kept unless `data_dir` says otherwise.
pub const DATA_DIR: &str = "/var/lib/evaltrail";

impl Plan {
    /// Where checkpoints, buffers and dead letters are kept.
    pub fn data_dir(&self) -> &Path {
        self.data_dir.as_deref().unwrap_or(Path::new(DATA_DIR))
    }

    /// Files besides the config itself that are a part of it: programs, rules, certificates.
    pub fn files(&self) -> Vec<PathBuf> {
        let read = self.transforms.iter().flat_map(|node| node.files.iter().cloned());
        let sources = self.sources.iter().flat_map(|node| node.config.files());
        let sinks = self.sinks.iter().flat_map(|node| node.config.files());
        read.chain(sources).chain(sinks).collect()
    }

    /// Ids of all components, sorted.
    pub fn ids(&self) -> Vec<&str> {
        let sources = self.sources.iter().map(|node| node.id.as_str());
        let transforms = self.transforms.iter().map(|node| node.id.as_str());
        let sinks = self.sinks.iter().map(|node| node.id.as_str());
        let mut ids: Vec<&str> = sources.chain(transforms).chain(sinks).collect();
        ids.sort_unstable();
        ids
    }
}
