//! What can be seen of a running pipeline from outside.

use super::plan::Plan;
use crate::delivery::{Meter, Totals, clock};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A component of a running pipeline.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Its id.
    pub id: String,
    /// `source`, `transform` or `sink`.
    pub kind: &'static str,
    /// Its `type`.
    pub component_type: &'static str,
    /// Size of its buffer on disk at most, in bytes, where it has one.
    pub buffer_max_bytes: Option<u64>,
    meter: Arc<Meter>,
}

impl Watched {
    /// Its counters as they stand.
    pub fn totals(&self) -> Totals {
        self.meter.totals()
    }

    /// How many bytes of files it has to read, and how many of them are left; see [`Meter::set_files`].
    pub fn files(&self) -> (u64, u64) {
        self.meter.files()
    }

    /// Why it can't deliver; none where it can.
    pub fn trouble(&self) -> Option<String> {
        self.meter.trouble_now()
    }
}

/// A running pipeline, for whoever looks at it.
#[derive(Debug)]
pub struct Status {
    /// Sources first, then transforms, then sinks.
    components: Mutex<Arc<[Watched]>>,
    /// When it was started, in milliseconds since 1970.
    pub started_ms: u64,
    is_stopping: AtomicBool,
}

impl Status {
    /// Of a pipeline that is being started.
    pub fn new() -> Status {
        let components = Mutex::new(Arc::default());
        Status { components, started_ms: clock::now_ms(), is_stopping: AtomicBool::new(false) }
    }

    /// Shows the components of `plan`, which count by `meters`.
    pub fn show(&self, plan: &Plan, meters: &BTreeMap<String, Arc<Meter>>) {
        let watched = |id: &str, kind, component_type, buffer_max_bytes| {
            let meter = meters.get(id).map(Arc::clone).unwrap_or_default();
            Watched { id: id.to_owned(), kind, component_type, buffer_max_bytes, meter }
        };
        let sources = plan.sources.iter().map(|node| watched(&node.id, "source", node.kind, None));
        let transforms = plan.transforms.iter().map(|node| watched(&node.id, "transform", node.kind, None));
        let max = |disk: Option<crate::delivery::buffer::Settings>| disk.map(|disk| disk.max_size_bytes);
        let sinks = plan.sinks.iter().map(|node| watched(&node.id, "sink", node.kind, max(node.disk)));
        let components = sources.chain(transforms).chain(sinks).collect();
        *self.components.lock().unwrap_or_else(PoisonError::into_inner) = components;
    }

    /// The components as they are now: a reload changes them.
    pub fn components(&self) -> Arc<[Watched]> {
        Arc::clone(&self.components.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// It has been told to stop.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    /// Whether it has been told to stop.
    pub fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }
}
