//! From a table of the file to a component: its common keys, its type, its own options.

use super::buffer;
use super::diagnostic::{Diagnostic, Place, Severity};
use super::environment::Text;
use super::fault::Fault;
use super::files::read_named;
use super::given;
use super::options::{self, Owner};
use super::registry::{Entry as Line, Registry};
use super::secret::is_quotable;
use super::suggest;
use super::tree::{Entry, Item, Value};
use crate::delivery::buffer::Settings;
use crate::delivery::{Limits, WhenFull};
use crate::event::Invalid;
use crate::sinks::SinkConfig;
use crate::sources::SourceConfig;
use crate::transforms::TransformConfig;
use std::cell::RefCell;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::path::{Path, PathBuf};

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

    /// The keys that every component of the role may have.
    pub fn common(self) -> &'static [&'static str] {
        match self {
            Role::Source => &["type", "framing"],
            Role::Transform => &["type", "inputs"],
            Role::Sink => &["type", "inputs", "buffer", "acknowledgements", "healthcheck"],
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
    pub disk: Option<Settings>,
    pub options: Options,
    /// What its options say, files that they name included: the same where nothing has changed.
    pub print: u64,
    /// The files that were read for it.
    pub files: Vec<PathBuf>,
    /// Whether a part of its options is unknown.
    pub is_opaque: bool,
}

impl Component {
    /// One of which nothing is known.
    fn named(role: Role) -> Component {
        Component {
            id: String::new(),
            role,
            header: Place::new(0, 0..0),
            inputs: Vec::new(),
            limits: Limits { events_max: 0, kib_max: 0, when_full: WhenFull::Block },
            disk: None,
            options: Options::Unknown,
            print: 0,
            files: Vec::new(),
            is_opaque: true,
        }
    }

    /// Whether anything comes out of it by another way than its ports.
    pub fn has_main_output(&self) -> bool {
        match &self.options {
            Options::Transform(_, config) => config.has_main_output(),
            Options::Source(..) | Options::Unknown => true,
            Options::Sink(..) => false,
        }
    }

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

/// Reads components of one file.
pub(super) struct Reader<'a> {
    pub file: usize,
    /// The text of the file.
    pub text: &'a str,
    pub registry: &'a Registry<'a>,
    pub diagnostics: &'a mut Vec<Diagnostic>,
    /// The files that were read for the component at hand.
    pub files: Files,
    /// What they need and this machine lacks, where that is asked for.
    pub lacks: Option<&'a mut Vec<Diagnostic>>,
}

/// Files that options name.
#[derive(Default)]
pub(super) struct Files {
    paths: Vec<PathBuf>,
    contents: DefaultHasher,
}

impl Files {
    /// Reads one, and takes note of it, whether it can be read or not.
    fn read(&mut self, path: &Path) -> Result<String, String> {
        self.paths.push(path.to_owned());
        let text = read_named(path);
        text.hash(&mut self.contents);
        text
    }
}

impl Reader<'_> {
    /// Reads the component that `entry` declares. None where it is no table at all.
    pub fn read(&mut self, role: Role, entry: Entry) -> Option<Component> {
        self.part(role, entry, |reader, table| {
            let (common, own) = table.split(role.common());
            let inputs = if role == Role::Source { Vec::new() } else { reader.inputs(&common) };
            let (limits, disk) = reader.buffer(role, &common);
            reader.given(role, &common);
            let options = reader.options(role, &common, &own);
            let Files { paths: files, contents: mut print } = std::mem::take(&mut reader.files);
            own.digest(&mut print);
            let (print, is_opaque) = (print.finish(), own.is_opaque());
            Component { inputs, limits, disk, options, print, files, is_opaque, ..Component::named(role) }
        })
    }

    /// Reads no more than that there is such a component.
    pub fn name(&mut self, role: Role, entry: Entry) -> Option<Component> {
        self.part(role, entry, |_, _| Component::named(role))
    }

    fn part(
        &mut self,
        role: Role,
        entry: Entry,
        make: impl FnOnce(&mut Self, Item) -> Component,
    ) -> Option<Component> {
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
        let component = make(self, Item { span, ..item });
        Some(Component { id, header, ..component })
    }

    fn error(&mut self, title: String, span: Range<usize>, label: impl Into<String>, help: Option<String>) {
        let place = Place::new(self.file, span);
        self.diagnostics.push(Diagnostic::error(title).at(place, label).help(help));
    }

    // `schema::ID` says the same.
    fn check_id(&mut self, id: &str, key: &Range<usize>) {
        if id.is_empty() || !id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') {
            let help = "an id has letters, digits, `_` and `-`".to_owned();
            self.error(format!("`{id}` can't be an id"), key.clone(), "not an id", Some(help));
        }
    }

    fn inputs(&mut self, common: &Item) -> Vec<Input> {
        let items = match common.get("inputs").map(|entry| &entry.item) {
            None => &[],
            Some(Item { value: Value::Array(items), .. }) => items.as_slice(),
            Some(item) => std::slice::from_ref(item),
        };
        if items.is_empty() {
            let (title, span) = match common.get("inputs") {
                None => ("the option `inputs` is missing", common.span.clone()),
                Some(entry) => ("`inputs` is empty", entry.item.span.clone()),
            };
            let help = "name what it consumes: `inputs = [\"<id>\"]`".to_owned();
            let label = "gets its events from nowhere";
            self.error(title.to_owned(), span.clone(), label, Some(help));
            return vec![Input { text: Text::unknown(), place: Place::new(self.file, span) }];
        }
        items.iter().map(|item| self.input(item)).collect()
    }

    fn input(&mut self, item: &Item) -> Input {
        let text = match &item.value {
            Value::Text(text) => text.clone(),
            Value::Hole => Text::unknown(),
            _ => {
                let label = format!("expected a string, found {}", item.noun());
                self.error("wrong type of `inputs`".to_owned(), item.span.clone(), label, None);
                Text::unknown()
            }
        };
        Input { text, place: Place::new(self.file, item.span.clone()) }
    }

    fn buffer(&mut self, role: Role, common: &Item) -> (Limits, Option<Settings>) {
        let name = format!("a {}", role.noun());
        let owner = Owner { file: self.file, text: self.text, name: &name, common: &[] };
        buffer::read(common, owner, self.diagnostics)
    }

    /// What has one answer only.
    fn given(&mut self, role: Role, common: &Item) {
        let name = format!("a {}", role.noun());
        let owner = Owner { file: self.file, text: self.text, name: &name, common: &[] };
        given::check(role, common, owner, self.diagnostics);
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
        let config = self.own_options(Role::Source, line, own, |config| config.check());
        self.look(Role::Source, line.name, own, || config.as_ref()?.lacks());
        config.map_or(Options::Unknown, |config| Options::Source(line.name, config))
    }

    fn transform(&mut self, line: &Line<dyn TransformConfig>, own: &Item) -> Options {
        // A part that is not known leads to no file.
        let reads = !own.is_opaque();
        let files = RefCell::new(std::mem::take(&mut self.files));
        let config = self.own_options(Role::Transform, line, own, |config| {
            if reads {
                config.take_files(&|path| files.borrow_mut().read(path))?;
            }
            config.build().map(drop)
        });
        self.files = files.into_inner();
        let warnings = config.as_ref().map(|config| config.warnings()).unwrap_or_default();
        let diagnostics = warnings.into_iter().map(|one| self.warning(Role::Transform, line.name, own, one));
        let diagnostics: Vec<Diagnostic> = diagnostics.collect();
        self.diagnostics.extend(diagnostics);
        config.map_or(Options::Unknown, |config| Options::Transform(line.name, config))
    }

    fn sink(&mut self, line: &Line<dyn SinkConfig>, own: &Item) -> Options {
        let config = self.own_options(Role::Sink, line, own, |config| config.build().map(drop));
        self.look(Role::Sink, line.name, own, || config.as_ref()?.lacks());
        config.map_or(Options::Unknown, |config| Options::Sink(line.name, config))
    }

    fn look(&mut self, role: Role, kind: &str, own: &Item, lacks: impl FnOnce() -> Option<Invalid>) {
        let lack = self.lacks.as_ref().and_then(|_| lacks()).map(|one| self.warning(role, kind, own, one));
        if let Some(lacks) = &mut self.lacks {
            lacks.extend(lack);
        }
    }

    fn warning(&self, role: Role, kind: &str, own: &Item, invalid: Invalid) -> Diagnostic {
        let name = format!("`{kind}`");
        let owner = Owner { file: self.file, text: self.text, name: &name, common: role.common() };
        let diagnostic = options::describe(&Fault::refused(invalid, own), own, owner);
        Diagnostic { severity: Severity::Warning, ..diagnostic }
    }

    fn own_options<C: ?Sized>(
        &mut self,
        role: Role,
        line: &Line<C>,
        own: &Item,
        check: impl Fn(&mut C) -> Result<(), Invalid>,
    ) -> Option<Box<C>> {
        let name = format!("`{}`", line.name);
        let owner = Owner { file: self.file, text: self.text, name: &name, common: role.common() };
        let make = |item: &Item| {
            let mut config = (line.make)(item)?;
            check(&mut config).map_err(|invalid| Fault::refused(invalid, item))?;
            Ok(config)
        };
        options::read(own, owner, make, self.diagnostics)
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
        // What is no word at all may be a secret in the wrong place.
        let title = match is_quotable(text.shown()) || text.is_secret() {
            true => format!("unknown type `{}`", text.shown()),
            false => "unknown type".to_owned(),
        };
        self.error(title, span, label, help);
    }
}

fn line<'a, C: ?Sized>(lines: &'a [Line<C>], name: &Text) -> Option<&'a Line<C>> {
    lines.iter().find(|line| line.name == name.value)
}
