//! What can be seen of a running pipeline from outside.

use super::plan::{OutputId, Plan, TapPolicy};
use crate::delivery::{Meter, Tap, Totals, clock};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

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
    /// Whether anything passes it besides what leaves by its ports: only a `route` has nothing that does.
    pub has_main_output: bool,
    /// The names of its ports.
    pub ports: Vec<String>,
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

    /// Why it can't do its work; none where it can.
    pub fn trouble(&self) -> Option<String> {
        self.meter.trouble_now()
    }

    /// Whether there is such an output: the main one, or a port.
    pub fn has(&self, port: Option<&str>) -> bool {
        port.map_or(self.has_main_output, |port| self.ports.iter().any(|known| known == port))
    }

    /// Shows from now on what leaves by its main output, or by `port`; of a sink, what it takes in.
    pub fn tap(&self, port: Option<&str>) -> Tap {
        self.meter.tap(port)
    }
}

/// A running pipeline, for whoever looks at it.
#[derive(Debug)]
pub struct Status {
    /// Sources first, then transforms, then sinks.
    components: Mutex<Arc<[Watched]>>,
    /// When it was started, in milliseconds since 1970.
    pub started_ms: u64,
    tap: Mutex<TapPolicy>,
    is_stopping: watch::Sender<bool>,
}

impl Status {
    /// Of a pipeline that is being started.
    pub fn starting() -> Status {
        let (components, tap) = (Mutex::new(Arc::default()), Mutex::default());
        Status { components, started_ms: clock::now_ms(), tap, is_stopping: watch::Sender::new(false) }
    }

    /// Shows the components of `plan`, which count by `meters`.
    pub fn show(&self, plan: &Plan, meters: &BTreeMap<String, Arc<Meter>>) {
        let watched = |id: &str, kind, component_type| {
            let meter = meters.get(id).map(Arc::clone).unwrap_or_default();
            let (has_main_output, ports) = (true, Vec::new());
            let id = id.to_owned();
            Watched { id, kind, component_type, buffer_max_bytes: None, has_main_output, ports, meter }
        };
        let sources = plan
            .sources
            .iter()
            .map(|node| Watched { ports: node.config.ports(), ..watched(&node.id, "source", node.kind) });
        let transforms = plan.transforms.iter().map(|node| Watched {
            has_main_output: node.config.has_main_output(),
            ports: node.config.ports(),
            ..watched(&node.id, "transform", node.kind)
        });
        let sinks = plan.sinks.iter().map(|node| Watched {
            buffer_max_bytes: node.disk.map(|disk| disk.max_size_bytes),
            ports: node.config.ports(),
            ..watched(&node.id, "sink", node.kind)
        });
        let components = sources.chain(transforms).chain(sinks).collect();
        *self.components.lock().unwrap_or_else(PoisonError::into_inner) = components;
        *self.tap.lock().unwrap_or_else(PoisonError::into_inner) = plan.tap;
    }

    /// Who may see events.
    pub fn tap(&self) -> TapPolicy {
        *self.tap.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The components as they are now: a reload changes them.
    pub fn components(&self) -> Arc<[Watched]> {
        Arc::clone(&self.components.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The component that `output` names and the port, where there is such an output now.
    pub fn find(&self, output: &str) -> Option<(Watched, Option<String>)> {
        self.components().iter().find_map(|one| {
            let port = match output.strip_prefix(&one.id)? {
                "" => None,
                rest => Some(rest.strip_prefix('.')?),
            };
            one.has(port).then(|| (one.clone(), port.map(str::to_owned)))
        })
    }

    /// The names of all outputs that there are now.
    pub fn outputs(&self) -> Vec<String> {
        let of = |one: &Watched| {
            let ports = one.ports.iter().map(|port| Some(port.clone()));
            let all = [None].into_iter().filter(|_| one.has_main_output).chain(ports);
            let names = all.map(|port| OutputId { component: one.id.clone(), port }.to_string());
            names.collect::<Vec<String>>()
        };
        self.components().iter().flat_map(of).collect()
    }

    /// It has been told to stop.
    pub fn stop(&self) {
        self.is_stopping.send_replace(true);
    }

    /// Whether it has been told to stop.
    pub fn is_stopping(&self) -> bool {
        *self.is_stopping.borrow()
    }

    /// Waits until it is told to stop.
    pub async fn stopping(&self) {
        // It fails where nobody can tell any more; that is this status itself.
        drop(self.is_stopping.subscribe().wait_for(|is_stopping| *is_stopping).await);
    }
}
