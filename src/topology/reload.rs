//! From the plan that runs to another: what has changed, and what can't be changed while it runs.

use super::plan::{Node, Plan};
use crate::delivery::disk::open_regular;
use crate::sinks::SinkConfig;
use crate::sources::SourceConfig;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::path::PathBuf;

/// Bytes of a file that are looked at for changes: certificates are shorter.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Ids of components, by what becomes of them in a reload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// New ones.
    pub added: Vec<String>,
    /// Those with other options, a changed file that these name included.
    pub changed: Vec<String>,
    /// Those that only consume something else.
    pub rewired: Vec<String>,
    /// Those that are gone.
    pub removed: Vec<String>,
}

impl Changes {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Changes::default()
    }
}

/// What a component is, as far as a reload is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// `source`, `transform` or `sink`.
    pub role: &'static str,
    kind: &'static str,
    print: u64,
    queue: String,
    inputs: Vec<String>,
}

/// What the components of `plan` are, by id. Files that sources and sinks read at their start are looked at.
pub fn known(plan: &Plan) -> BTreeMap<String, Known> {
    let mut all = BTreeMap::new();
    for node in &plan.sources {
        all.insert(node.id.clone(), Known::new("source", node, source_print(node)));
    }
    for node in &plan.transforms {
        all.insert(node.id.clone(), Known::new("transform", node, node.print));
    }
    for node in &plan.sinks {
        all.insert(node.id.clone(), Known::new("sink", node, sink_print(node)));
    }
    all
}

impl Known {
    fn new<C: ?Sized>(role: &'static str, node: &Node<C>, print: u64) -> Known {
        let queue = format!("{:?} {:?}", node.limits, node.disk);
        let inputs = node.inputs.iter().map(ToString::to_string).collect();
        Known { role, kind: node.kind, print, queue, inputs }
    }

    /// Whether it has the same options, whatever it consumes.
    pub fn is_same(&self, other: &Known) -> bool {
        (self.role, self.kind, self.print, &self.queue) == (other.role, other.kind, other.print, &other.queue)
    }

    /// What it is made of.
    pub fn print(&self) -> u64 {
        self.print
    }
}

fn source_print(node: &Node<dyn SourceConfig>) -> u64 {
    with_files(node.print, &node.config.files())
}

fn sink_print(node: &Node<dyn SinkConfig>) -> u64 {
    with_files(node.print, &node.config.files())
}

fn with_files(print: u64, files: &[PathBuf]) -> u64 {
    if files.is_empty() {
        return print;
    }
    let mut hash = DefaultHasher::new();
    print.hash(&mut hash);
    for path in files {
        let mut content = Vec::new();
        let read = open_regular(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut content));
        read.map_err(|e| e.kind()).hash(&mut hash);
        content.hash(&mut hash);
    }
    hash.finish()
}

/// What has changed from `before` to `after`.
pub fn changes(before: &BTreeMap<String, Known>, after: &BTreeMap<String, Known>) -> Changes {
    let mut changes = Changes::default();
    for (id, now) in after {
        let list = match before.get(id) {
            None => &mut changes.added,
            Some(then) if then == now => continue,
            Some(then) if then.is_same(now) => &mut changes.rewired,
            Some(_) => &mut changes.changed,
        };
        list.push(id.clone());
    }
    changes.removed = before.keys().filter(|id| !after.contains_key(*id)).cloned().collect();
    changes
}

/// Why `after` can't take the place of `before` while that runs; none where it can.
pub fn refusal(
    before: (&Plan, &BTreeMap<String, Known>),
    after: (&Plan, &BTreeMap<String, Known>),
) -> Option<String> {
    let ((running, then), (plan, now)) = (before, after);
    if running.data_dir() != plan.data_dir() {
        return Some("`data_dir` can't be changed while it is in use: restart evaltrail for that".to_owned());
    }
    for (id, known) in now {
        if let Some(other) = then.get(id).filter(|other| other.role != known.role) {
            let (was, is) = (other.role, known.role);
            return Some(format!(
                "`{id}` was a {was} and would be a {is}: give it another id, or restart evaltrail"
            ));
        }
    }
    for node in &running.sources {
        let same = |now: &Known| {
            then.get(&node.id).is_some_and(|then| (then.kind, then.print) == (now.kind, now.print))
        };
        if let (false, Err(why)) = (now.get(&node.id).is_some_and(same), node.config.can_be_exchanged()) {
            return Some(format!(
                "the source `{}` can't be changed while it runs, since {why}: restart evaltrail for that",
                node.id
            ));
        }
    }
    None
}
