//! From a table of the file to a component: its common keys, its type, its own options.

use super::diagnostic::{Diagnostic, Place};
use super::environment::Text;
use super::fault::discreet;
use super::options::{self, Owner};
use super::registry::{Entry as Line, Registry};
use super::suggest;
use super::tree::{Entry, Item, Value};
use crate::delivery::{Limits, WhenFull};
use crate::event::Invalid;
use crate::sinks::SinkConfig;
use crate::sources::SourceConfig;
use crate::topology::QUEUE_KIB_MAX;
use crate::transforms::TransformConfig;
use serde::Deserialize;
use std::num::NonZeroU32;
use std::ops::Range;

/// The part that a component plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Source,
    Transform,
    Sink,
}

impl Role {
    /// All of them, each with the key of its section.
    pub const ALL: [(&'static str, Role); 3] =
        [("sources", Role::Source), ("transforms", Role::Transform), ("sinks", Role::Sink)];

    /// What a person calls it.
    pub fn noun(self) -> &'static str {
        match self {
            Role::Source => "source",
            Role::Transform => "transform",
            Role::Sink => "sink",
        }
    }

    fn common(self) -> &'static [&'static str] {
        match self {
            Role::Source => &["type"],
            Role::Transform => &["type", "inputs"],
            Role::Sink => &["type", "inputs", "buffer"],
        }
    }
}

/// One of the `inputs` of a component.
pub(super) struct Input {
    pub text: Text,
    pub place: Place,
}

/// Options that were read.
pub(super) enum Options {
    Source(&'static str, Box<dyn SourceConfig>),
    Transform(&'static str, Box<dyn TransformConfig>),
    Sink(&'static str, Box<dyn SinkConfig>),
    /// Something is wrong with them, or a part of them is not known.
    Unknown,
}

/// A component as it was declared.
pub(super) struct Component {
    pub id: String,
    pub role: Role,
    /// Where it was declared: its header, or the key of an inline table.
    pub header: Place,
    pub inputs: Vec<Input>,
    pub limits: Limits,
    pub options: Options,
    /// Whether a part of its options is unknown.
    pub is_opaque: bool,
}

impl Component {
    /// The names of its ports; none where they are not known.
    pub fn ports(&self) -> Option<Vec<String>> {
        match &self.options {
            _ if self.is_opaque => None,
            Options::Source(_, config) => Some(config.ports()),
            Options::Transform(_, config) => Some(config.ports()),
            Options::Sink(_, config) => Some(config.ports()),
            Options::Unknown => None,
        }
    }
}

/// The `buffer` of a sink.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Buffer {
    #[serde(rename = "type")]
    _kind: BufferKind,
    max_events: NonZeroU32,
    when_full: BufferFull,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum BufferKind {
    Memory,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum BufferFull {
    Block,
    DropNewest,
}

impl Default for Buffer {
    fn default() -> Buffer {
        let max_events = NonZeroU32::new(10_000).unwrap_or(NonZeroU32::MIN);
        Buffer { _kind: BufferKind::Memory, max_events, when_full: BufferFull::Block }
    }
}

impl Buffer {
    fn limits(&self) -> Limits {
        let when_full = match self.when_full {
            BufferFull::Block => WhenFull::Block,
            BufferFull::DropNewest => WhenFull::DropNewest,
        };
        Limits { events_max: self.max_events.get(), kib_max: QUEUE_KIB_MAX, when_full }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SinkKeys {
    #[serde(default)]
    buffer: Buffer,
}

/// Reads components of one file.
pub(super) struct Reader<'a> {
    pub file: usize,
    pub registry: &'a Registry<'a>,
    pub diagnostics: &'a mut Vec<Diagnostic>,
}

impl Reader<'_> {
    /// Reads the component that `entry` declares. None where it is no table at all.
    pub fn read(&mut self, role: Role, entry: Entry) -> Option<Component> {
        let Entry { name: id, span: key, item } = entry;
        self.check_id(&id, &key);
        if !matches!(item.value, Value::Table(_)) {
            let label = format!("expected a table, found {}", item.noun());
            let help = format!("a {} is declared by `[{}s.{id}]`", role.noun(), role.noun());
            self.error(format!("the {} `{id}` is no table", role.noun()), item.span, label, Some(help));
            return None;
        }
        // An inline table has no header: its key stands for it.
        let span = if item.span.start <= key.start { item.span.clone() } else { key };
        let header = Place::new(self.file, span.clone());
        let (common, own) = Item { span, ..item }.split(role.common());
        let inputs = if role == Role::Source { Vec::new() } else { self.inputs(&common) };
        let limits = self.limits(role, &common);
        let options = self.options(role, &common, &own);
        let is_opaque = own.is_opaque();
        Some(Component { id, role, header, inputs, limits, options, is_opaque })
    }

    fn error(&mut self, title: String, span: Range<usize>, label: impl Into<String>, help: Option<String>) {
        let place = Place::new(self.file, span);
        self.diagnostics.push(Diagnostic::error(title).at(place, label).help(help));
    }

    fn check_id(&mut self, id: &str, key: &Range<usize>) {
        if id.is_empty() || !id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') {
            let help = "an id has letters, digits, `_` and `-`".to_owned();
            self.error(format!("`{id}` can't be an id"), key.clone(), "not an id", Some(help));
        }
    }

    fn inputs(&mut self, common: &Item) -> Vec<Input> {
        let Some(Entry { item, .. }) = common.get("inputs") else {
            let help = "name what it consumes: `inputs = [\"<id>\"]`".to_owned();
            let title = "the option `inputs` is missing".to_owned();
            self.error(title, common.span.clone(), "gets its events from nowhere", Some(help));
            return Vec::new();
        };
        let items = match &item.value {
            Value::Array(items) => items.as_slice(),
            _ => std::slice::from_ref(item),
        };
        if items.is_empty() {
            let help = "name what it consumes: `inputs = [\"<id>\"]`".to_owned();
            let title = "`inputs` is empty".to_owned();
            self.error(title, item.span.clone(), "gets its events from nowhere", Some(help));
        }
        let mut inputs = Vec::new();
        for item in items {
            match &item.value {
                Value::Text(text) => {
                    let place = Place::new(self.file, item.span.clone());
                    inputs.push(Input { text: text.clone(), place });
                }
                Value::Hole => {
                    let place = Place::new(self.file, item.span.clone());
                    inputs.push(Input { text: Text { opaque: true, ..Text::default() }, place });
                }
                _ => {
                    let label = format!("expected a string, found {}", item.noun());
                    self.error("wrong type of `inputs`".to_owned(), item.span.clone(), label, None);
                }
            }
        }
        inputs
    }

    fn limits(&mut self, role: Role, common: &Item) -> Limits {
        let name = format!("a {}", role.noun());
        let owner = Owner { file: self.file, name: &name, common: &[] };
        let (keys, _) = common.clone().split(&["buffer"]);
        let keys = options::read(&keys, owner, options::deserialize::<SinkKeys>, self.diagnostics);
        keys.map_or_else(|| Buffer::default().limits(), |keys| keys.buffer.limits())
    }

    fn options(&mut self, role: Role, common: &Item, own: &Item) -> Options {
        let Some(Entry { item, .. }) = common.get("type") else {
            let help = format!("the types are {}", suggest::listed(&self.types(role)));
            let label = format!("which {} is it?", role.noun());
            self.error("the option `type` is missing".to_owned(), common.span.clone(), label, Some(help));
            return Options::Unknown;
        };
        let text = match &item.value {
            Value::Text(text) if text.opaque => return Options::Unknown,
            Value::Text(text) => text,
            Value::Hole => return Options::Unknown,
            _ => {
                let label = format!("expected a string, found {}", item.noun());
                self.error("wrong type of `type`".to_owned(), item.span.clone(), label, None);
                return Options::Unknown;
            }
        };
        let made = match role {
            Role::Source => line(self.registry.sources, text).map(|line| self.source(line, own)),
            Role::Transform => line(self.registry.transforms, text).map(|line| self.transform(line, own)),
            Role::Sink => line(self.registry.sinks, text).map(|line| self.sink(line, own)),
        };
        made.unwrap_or_else(|| {
            self.unknown_type(role, text, item.span.clone());
            Options::Unknown
        })
    }

    fn source(&mut self, line: &Line<dyn SourceConfig>, own: &Item) -> Options {
        let Some(config) = self.own_options(Role::Source, line, own) else { return Options::Unknown };
        if let Err(invalid) = config.check() {
            self.invalid(line.name, invalid, own);
        }
        Options::Source(line.name, config)
    }

    fn transform(&mut self, line: &Line<dyn TransformConfig>, own: &Item) -> Options {
        let Some(config) = self.own_options(Role::Transform, line, own) else { return Options::Unknown };
        if let Err(invalid) = config.build() {
            self.invalid(line.name, invalid, own);
        }
        Options::Transform(line.name, config)
    }

    fn sink(&mut self, line: &Line<dyn SinkConfig>, own: &Item) -> Options {
        let Some(config) = self.own_options(Role::Sink, line, own) else { return Options::Unknown };
        if let Err(invalid) = config.build() {
            self.invalid(line.name, invalid, own);
        }
        Options::Sink(line.name, config)
    }

    fn own_options<C: ?Sized>(&mut self, role: Role, line: &Line<C>, own: &Item) -> Option<Box<C>> {
        let name = format!("`{}`", line.name);
        let owner = Owner { file: self.file, name: &name, common: role.common() };
        options::read(own, owner, line.make, self.diagnostics)
    }

    /// What a component itself finds wrong with its options.
    fn invalid(&mut self, kind: &str, invalid: Invalid, own: &Item) {
        let Invalid { key, message, help } = invalid;
        let found = own.at_path(&key).filter(|_| !key.is_empty());
        let item = found.unwrap_or(own);
        if item.is_opaque() {
            return;
        }
        let title = match found {
            Some(_) => format!("invalid value of `{key}`"),
            None => format!("invalid options of `{kind}`"),
        };
        // It may quote any of them, not just the one that it blames.
        let texts = own.texts();
        let help = help.filter(|help| discreet(help.clone(), &texts) == *help);
        self.error(title, item.span.clone(), discreet(message, &texts), help);
    }

    fn types(&self, role: Role) -> Vec<&'static str> {
        match role {
            Role::Source => self.registry.sources.iter().map(|line| line.name).collect(),
            Role::Transform => self.registry.transforms.iter().map(|line| line.name).collect(),
            Role::Sink => self.registry.sinks.iter().map(|line| line.name).collect(),
        }
    }

    fn unknown_type(&mut self, role: Role, text: &Text, span: Range<usize>) {
        let elsewhere = Role::ALL.iter().find(|(_, other)| self.types(*other).contains(&text.value.as_str()));
        let types = self.types(role);
        let help = match elsewhere {
            _ if text.is_secret() => Some(format!("the types are {}", suggest::listed(&types))),
            Some((section, other)) => {
                Some(format!("it is a {}: declare it by `[{section}.<id>]`", other.noun()))
            }
            None => suggest::help(text.shown(), &types, "the types are"),
        };
        let label = format!("there is no such {}", role.noun());
        self.error(format!("unknown type `{}`", text.shown()), span, label, help);
    }
}

fn line<'a, C: ?Sized>(lines: &'a [Line<C>], name: &Text) -> Option<&'a Line<C>> {
    lines.iter().find(|line| line.name == name.value)
}
