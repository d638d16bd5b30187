//! From text to plan.
//!
//! TOML is parsed once, into a tree that knows where everything stands. The common keys of a component are taken out,
//! its `type` is looked up in the [registry](Registry), and the rest is read straight into the component's own
//! options, by a deserializer of ours that keeps the places. All faults of all files come back together, in the order
//! of the files, each with the exact token to blame and with what to do about it.
//!
//! Invariants: nothing here opens anything but the files that [`read`] is given, and those that options of transforms name as a
//! part of the config (rules of `redact`, programs of `remap`); nothing is printed; the value of an
//! environment variable is never part of a diagnostic, nor of the `Debug` text of anything in here.

mod api;
mod buffer;
mod component;
mod de;
mod diagnostic;
mod environment;
mod exclusive;
mod fault;
mod files;
mod given;
mod glob;
mod graph;
mod inside;
pub mod manual;
mod options;
mod registry;
mod schema;
mod secret;
mod suggest;
mod syntax;
#[cfg(test)]
mod tests;
mod tree;
mod unit;
mod unredacted;
mod written;

pub use api::{API_ADDRESS, api_address};
pub use diagnostic::{Diagnostic, Place, Severity, Source};
pub use environment::Environment;
pub use files::read;
pub use registry::{BUILTIN, Entry, Registry, SINKS, SOURCES, TRANSFORMS, sink, source, transform};
pub use schema::schema;
pub use secret::{is_secret_key, is_slip, is_strategy};
pub use unit::{Flaw, Shown, Tests};

use crate::delivery::Exclusive;
use crate::topology::{DATA_DIR, Node, Plan};
use api::Api;
use component::{Component, Options, Reader, Role};
use fault::Fault;
use graph::{Graph, Scope};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;
use tree::Item;

/// How long a shutdown may take where the config does not say.
const SHUTDOWN_TIMEOUT_SECS_DEFAULT: u32 = 60;

/// The sections that are made of components, and the tests.
const SECTIONS: [&str; 4] = ["sources", "transforms", "sinks", unit::SECTION];

/// A config without errors.
pub struct Loaded {
    /// What it asks for. With [`Environment::Absent`] it is there to be looked at, not to be run: placeholders stand
    /// for what is not known, and a component for which they will not do is missing.
    pub plan: Plan,
    /// What is hardly as meant, in the order of the files.
    pub warnings: Vec<Diagnostic>,
    /// How many tests it has; 0 where nobody looked.
    pub tests: usize,
}

/// What a config is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// To be run: its tests are not looked at, be they as wrong as they may. They never keep a pipeline from starting,
    /// and cost its start nothing.
    Run,
    /// To know what is wrong with it; `here`: and with the machine, as it needs it.
    Validate { here: bool },
    /// To test its transforms: sources and sinks are known by their ids only, and may be missing.
    Test,
    /// To use its transforms; the same, without its tests.
    Transforms,
}

impl Purpose {
    /// The sections of which the content does not count.
    fn unread(self) -> &'static [&'static str] {
        match self {
            Purpose::Run => &[unit::SECTION],
            Purpose::Validate { .. } => &[],
            Purpose::Test => &["sources", "sinks", "data_dir", "api"],
            Purpose::Transforms => &["sources", "sinks", "data_dir", "api", unit::SECTION],
        }
    }
}

/// Merges `files` into one plan to be run, with components out of `registry`. Tests in it are not looked at.
///
/// # Errors
///
/// Everything that is wrong, warnings included, in the order of the files; at least one of them is an error. Places
/// refer to `files` by index.
pub fn load(
    files: &[Source],
    registry: &Registry<'_>,
    environment: Environment<'_>,
) -> Result<Loaded, Vec<Diagnostic>> {
    read_all(files, registry, environment, Purpose::Run).map(|(loaded, ..)| loaded)
}

/// The same, and looks at the tests too.
///
/// # Errors
///
/// As in [`load`].
pub fn validate(
    files: &[Source],
    registry: &Registry<'_>,
    environment: Environment<'_>,
) -> Result<Loaded, Vec<Diagnostic>> {
    let here = matches!(environment, Environment::Of(_));
    let read = read_all(files, registry, environment, Purpose::Validate { here });
    read.map(|(loaded, tests, _)| Loaded { tests: tests.len(), ..loaded })
}

/// Merges `files` into a plan of transforms alone. Sources and sinks may be missing or wrong, and tests are not looked at.
///
/// # Errors
///
/// As in [`load`].
pub fn transforms(
    files: &[Source],
    registry: &Registry<'_>,
    environment: Environment<'_>,
) -> Result<Loaded, Vec<Diagnostic>> {
    read_all(files, registry, environment, Purpose::Transforms).map(|(loaded, ..)| loaded)
}

/// The tests of `files`, with the transforms that they are about. Sources and sinks may be missing or wrong: nobody looks
/// at more of them than their ids.
///
/// # Errors
///
/// As in [`load`].
pub fn tests(
    files: &[Source],
    registry: &Registry<'_>,
    environment: Environment<'_>,
) -> Result<Tests, Vec<Diagnostic>> {
    let read = read_all(files, registry, environment, Purpose::Test);
    read.map(|(loaded, tests, secrets)| Tests::new(loaded, tests, secrets))
}

fn read_all(
    files: &[Source],
    registry: &Registry<'_>,
    environment: Environment<'_>,
    purpose: Purpose,
) -> Result<(Loaded, Vec<unit::Test>, Vec<String>), Vec<Diagnostic>> {
    let mut collected = Collected::default();
    let mut is_readable = true;
    for (file, source) in files.iter().enumerate() {
        let parsed = syntax::parse(file, source, environment, purpose.unread());
        collected.diagnostics.extend(parsed.diagnostics);
        match parsed.root {
            Some(root) => collected.file(file, &source.text, root, registry, purpose),
            None => is_readable = false,
        }
    }
    let Collected { components, top, listens, written, secrets, keys, mut diagnostics, lacks, .. } =
        collected;
    let (mut inputs, mut tests) = (Vec::new(), Vec::new());
    // What seems to be missing may stand in a file that can't be read.
    if is_readable {
        inputs = connect(&components, purpose, &mut diagnostics);
        if !matches!(purpose, Purpose::Test | Purpose::Transforms) {
            exclusive::check(&components, listens.zip(keys.get("api").cloned()), &mut diagnostics);
        }
        tests = unit::read(written, &components, &inputs, &mut diagnostics);
    }
    let is_sound = |all: &[Diagnostic]| !all.iter().any(|one| one.severity == Severity::Error);
    if is_sound(&diagnostics) {
        let plan = plan(components, inputs, top);
        unit::check_ways(&tests, &plan, &mut diagnostics);
        diagnostics.extend(lacks);
        diagnostic::sort(&mut diagnostics);
        if is_sound(&diagnostics) {
            return Ok((Loaded { plan, warnings: diagnostics, tests: 0 }, tests, secrets));
        }
    }
    diagnostic::sort(&mut diagnostics);
    Err(diagnostics)
}

/// Options that belong to no component.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Top {
    /// The folder of checkpoints, buffers on disk, dead letters, and what is remembered of trails; made where it is missing.
    #[schemars(extend("default" = DATA_DIR))]
    data_dir: Option<PathBuf>,
    /// How long a shutdown may take, in seconds.
    #[schemars(extend("default" = SHUTDOWN_TIMEOUT_SECS_DEFAULT))]
    shutdown_timeout_secs: Option<NonZeroU32>,
    /// Whether sources hear what became of their records; they always do.
    #[serde(default)]
    #[schemars(schema_with = "given::Switch::only_on")]
    acknowledgements: given::Switch,
    /// What a running pipeline tells by HTTP; off unless this is here.
    api: Option<Api>,
}

/// What the files declare.
#[derive(Default)]
struct Collected {
    components: Vec<Component>,
    top: Top,
    /// The address of `[api]`, where it is known.
    listens: Option<Exclusive>,
    /// The tests, each with its file.
    written: Vec<unit::Written>,
    /// Values of variables that what comes out of a test may show.
    secrets: Vec<String>,
    /// Where each id, and each option that belongs to no component, was defined first.
    ids: BTreeMap<String, Place>,
    keys: BTreeMap<String, Place>,
    diagnostics: Vec<Diagnostic>,
    /// What this machine lacks, of no interest where a config is wrong.
    lacks: Vec<Diagnostic>,
}

impl Collected {
    fn file(&mut self, file: usize, text: &str, root: Item, registry: &Registry<'_>, purpose: Purpose) {
        let sections = SECTIONS;
        let (components, top) = root.split(&sections);
        if matches!(purpose, Purpose::Validate { .. } | Purpose::Test) {
            self.secrets.extend(unit::secrets(&components));
            self.written.extend(unit::collect(file, text, &components, &mut self.diagnostics));
        }
        self.top(file, &top, &sections);
        for (name, role) in Role::ALL {
            let Some(section) = components.get(name) else { continue };
            if !matches!(section.item.value, tree::Value::Table(_)) {
                let place = Place::new(file, section.span.clone());
                let label = format!("expected a table, found {}", section.item.noun());
                let help = format!("a {} is declared by `[{name}.<id>]`", role.noun());
                let title = format!("`{name}` is no table");
                self.diagnostics.push(Diagnostic::error(title).at(place, label).help(help));
            }
            for entry in section.item.entries() {
                let key = Place::new(file, entry.span.clone());
                let (diagnostics, files) = (&mut self.diagnostics, Default::default());
                let lacks = matches!(purpose, Purpose::Validate { here: true }).then_some(&mut self.lacks);
                let mut reader = Reader { file, text, registry, diagnostics, files, lacks };
                let component = match (purpose, role) {
                    (Purpose::Test | Purpose::Transforms, Role::Source | Role::Sink) => {
                        reader.name(role, entry.clone())
                    }
                    _ => reader.read(role, entry.clone()),
                };
                let title = format!("the id `{}` is given twice", entry.name);
                let is_new = first(&mut self.ids, &entry.name, key, title, &mut self.diagnostics);
                self.components.extend(component.filter(|_| is_new));
            }
        }
    }

    fn top(&mut self, file: usize, top: &Item, sections: &[&str]) {
        for entry in top.entries() {
            let place = Place::new(file, entry.span.clone());
            let title = format!("`{}` is given twice", entry.name);
            first(&mut self.keys, &entry.name, place, title, &mut self.diagnostics);
        }
        let owner = options::Owner { file, text: "", name: "the top level", common: sections };
        let make = |item: &Item| {
            let top: Top = options::deserialize(item)?;
            top.acknowledgements.acknowledges().map_err(|invalid| Fault::refused(invalid, item))?;
            Ok(top)
        };
        let read = options::read(top, owner, make, &mut self.diagnostics);
        let read = read.unwrap_or_default();
        if let Some(api) = &read.api {
            let table = top.get("api").map(|entry| &entry.item);
            api::check(api, table, file, &mut self.diagnostics);
            self.listens = self.listens.take().or_else(|| api::claims(api, table));
        }
        self.top.data_dir = self.top.data_dir.take().or(read.data_dir);
        self.top.api = self.top.api.take().or(read.api);
        self.top.shutdown_timeout_secs = self.top.shutdown_timeout_secs.or(read.shutdown_timeout_secs);
    }
}

/// Whether `name` is new; reports both places where it is not.
fn first(
    known: &mut BTreeMap<String, Place>,
    name: &str,
    place: Place,
    title: String,
    diagnostics: &mut Vec<Diagnostic>,
) -> bool {
    let Some(before) = known.get(name) else {
        known.insert(name.to_owned(), place);
        return true;
    };
    let diagnostic = Diagnostic::error(title).at(place, "defined again here");
    diagnostics.push(diagnostic.also(before.clone(), "first defined here"));
    false
}

/// The resolved inputs of each component; finds what is wrong with the whole.
fn connect(
    components: &[Component],
    purpose: Purpose,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Vec<crate::topology::OutputId>> {
    let has = |role| components.iter().any(|one| one.role == role);
    let scope = match purpose {
        Purpose::Run | Purpose::Validate { .. } => Scope::Whole,
        Purpose::Test | Purpose::Transforms if has(Role::Source) => Scope::Transforms,
        Purpose::Test | Purpose::Transforms => Scope::TransformsAlone,
    };
    for (section, role) in [("sources", Role::Source), ("sinks", Role::Sink)] {
        if scope == Scope::Whole && !has(role) {
            let help = format!("declare one by `[{section}.<id>]`");
            let title = format!("nothing to run: there is no {}", role.noun());
            diagnostics.push(Diagnostic::error(title).help(help));
        }
    }
    let graph = Graph::new(components, scope, diagnostics);
    let inputs: Vec<_> = (0..components.len()).map(|index| graph.inputs(index)).collect();
    if scope == Scope::Whole {
        written::check(components, &inputs, diagnostics);
        unredacted::check(components, &inputs, diagnostics);
    }
    inputs
}

fn plan(components: Vec<Component>, inputs: Vec<Vec<crate::topology::OutputId>>, top: Top) -> Plan {
    let default = NonZeroU32::new(SHUTDOWN_TIMEOUT_SECS_DEFAULT).unwrap_or(NonZeroU32::MIN);
    let shutdown_secs = top.shutdown_timeout_secs.unwrap_or(default).get();
    let mut plan = Plan {
        sources: Vec::new(),
        transforms: Vec::new(),
        sinks: Vec::new(),
        shutdown_timeout: Duration::from_secs(shutdown_secs.into()),
        data_dir: top.data_dir,
        api: top.api.as_ref().map(|api| api.address.0),
        tap: top.api.map(|api| api.tap).unwrap_or_default(),
    };
    for (component, inputs) in components.into_iter().zip(inputs) {
        let Component { id, limits, disk, options, print, files, .. } = component;
        match options {
            Options::Source(kind, config) => {
                plan.sources.push(Node { id, kind, inputs, limits, disk, print, files, config })
            }
            Options::Transform(kind, config) => {
                plan.transforms.push(Node { id, kind, inputs, limits, disk, print, files, config })
            }
            Options::Sink(kind, config) => {
                plan.sinks.push(Node { id, kind, inputs, limits, disk, print, files, config })
            }
            Options::Unknown => {}
        }
    }
    plan.sources.sort_by(|a, b| a.id.cmp(&b.id));
    plan.transforms.sort_by(|a, b| a.id.cmp(&b.id));
    plan.sinks.sort_by(|a, b| a.id.cmp(&b.id));
    plan
}
