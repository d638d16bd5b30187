//! Reading a table into options, with all that is wrong in it.
//!
//! Serde stops at the first fault. So the faulty entry is taken out, and the table is read again, until nothing new
//! is found. What is then missed because it was taken out is no fault; a needed option that was never there is
//! replaced by a hole, so that the next one that is missing shows up too.

use super::de::Reader;
use super::diagnostic::{Diagnostic, Place};
use super::environment::Text;
use super::fault::{At, Fault, Kind};
use super::inside::Inside;
use super::secret::{is_private, is_quotable, is_secret_path, is_strategy};
use super::suggest;
use super::tree::{Entry, Item, Value};
use crate::event::Mark;
use serde::de::DeserializeOwned;
use std::collections::HashSet;

/// Shorter values are no secrets, and would be found in every message.
const SECRET_BYTES_MIN: usize = 4;
/// The number of an item that stands in no file; below those of holes.
const NOWHERE: usize = usize::MAX / 2;
/// Longer strings are not said again as a list.
const LISTED_CHARS_MAX: usize = 60;

/// Whose options are read.
#[derive(Clone, Copy)]
pub(super) struct Owner<'a> {
    /// Index of its file.
    pub file: usize,
    /// Text of its file.
    pub text: &'a str,
    /// What it is called in messages ("`stdin`").
    pub name: &'a str,
    /// Keys that it may have besides its own options.
    pub common: &'a [&'a str],
}

/// Reads `table` with `make`, adding what is wrong to `diagnostics`. None where anything is, and where no value could
/// be made because a part of the table is unknown.
pub(super) fn read<T>(
    table: &Item,
    owner: Owner<'_>,
    make: impl Fn(&Item) -> Result<T, Fault>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<T> {
    let (missed, filled, hurt) = (HashSet::new(), HashSet::new(), HashSet::new());
    let mut reading = Reading { table: table.clone(), missed, filled, hurt };
    let mut is_sound = true;
    loop {
        match make(&reading.table) {
            Ok(value) => return is_sound.then_some(value),
            Err(fault) => {
                // What is not known is taken out silently: the rest may still make a value.
                if reading.is_news(&fault) {
                    is_sound = false;
                    let mut diagnostic = describe(&fault, table, owner);
                    if diagnostic.help.is_none() {
                        diagnostic = diagnostic
                            .help(reading.as_list(&fault, &make).map(|list| format!("write `{list}`")));
                    }
                    diagnostics.push(diagnostic);
                    diagnostics.extend(fault.others().iter().map(|other| describe(other, table, owner)));
                }
                if !reading.step_over(&fault) {
                    return None;
                }
            }
        }
    }
}

/// Reads an item into a value: the usual `make` of [`read`].
pub(super) fn deserialize<T: DeserializeOwned>(item: &Item) -> Result<T, Fault> {
    T::deserialize(Reader(item)).map_err(|fault| fault.at_value(item))
}

/// A table on its way to have no fault left.
struct Reading {
    table: Item,
    /// Keys that were taken out of a table, and missing ones that were noted, by the number of the table.
    missed: HashSet<(usize, String)>,
    /// Missing keys that a hole was put in for.
    filled: HashSet<(usize, String)>,
    /// Numbers of the items that something was taken out of.
    hurt: HashSet<usize>,
}

impl Reading {
    fn is_news(&self, fault: &Fault) -> bool {
        let Some(at) = fault.at() else { return true };
        match fault.kind() {
            Kind::Missing(name) => !self.missed.contains(&(at.number, (*name).to_owned())),
            Kind::Field { .. } => true,
            // A string with an unknown part is a string all the same.
            Kind::Type { .. } => {
                !self.table.find(at.number).is_some_and(|item| matches!(item.value, Value::Hole))
            }
            _ => !at.opaque && !self.hurt.contains(&at.number),
        }
    }

    /// How the string at fault reads as a list of one, where that is what is wanted.
    fn as_list<T>(&self, fault: &Fault, make: impl Fn(&Item) -> Result<T, Fault>) -> Option<String> {
        let (Kind::Type { expected, .. }, Some(at)) = (fault.kind(), fault.at()) else { return None };
        if !expected.contains("array") {
            return None;
        }
        let mut table = self.table.clone();
        let item = table.find_mut(at.number)?;
        let Value::Text(text) = &item.value else { return None };
        let shown = (!is_private(&text.value, &fault.path())
            && text.value.chars().count() <= LISTED_CHARS_MAX)
            .then(|| format!("[{:?}]", text.written));
        let list = Item { number: NOWHERE, span: item.span.clone(), value: Value::Array(vec![item.clone()]) };
        *item = list;
        // Whatever else is wrong in the table, nothing may be at the list.
        let left = make(&table).err().and_then(|left| left.at().map(|left| left.number));
        let fits = left != Some(at.number) && left != Some(NOWHERE);
        fits.then(|| shown.unwrap_or_else(|| "[\"…\"]".to_owned()))
    }

    /// Changes the table so that the next reading gets past `fault`; false where it can't.
    fn step_over(&mut self, fault: &Fault) -> bool {
        let Some(at) = fault.at() else { return false };
        match fault.kind() {
            Kind::Missing(name) => self.fill(at, name) || self.prune(at.number),
            _ => self.prune(at.number),
        }
    }

    /// Puts a hole where an option is missing, once.
    fn fill(&mut self, at: &At, name: &str) -> bool {
        let number = usize::MAX - self.filled.len();
        let Some(Item { value: Value::Table(entries), span, .. }) = self.table.find_mut(at.number) else {
            return false;
        };
        let is_first = self.filled.insert((at.number, name.to_owned()));
        if is_first {
            let item = Item { number, span: span.clone(), value: Value::Hole };
            entries.push(Entry { name: name.to_owned(), span: at.span.clone(), item });
            self.missed.insert((at.number, name.to_owned()));
        }
        is_first
    }

    fn prune(&mut self, number: usize) -> bool {
        if let Some((table, key)) = key_of(&self.table, number) {
            self.missed.insert((table, key));
        }
        let around = self.table.prune(number);
        self.hurt.extend(&around);
        !around.is_empty()
    }
}

/// The table that the item `number` is an entry of, and its key.
fn key_of(item: &Item, number: usize) -> Option<(usize, String)> {
    match &item.value {
        Value::Table(entries) => entries.iter().find_map(|entry| {
            let is_it = entry.item.number == number;
            is_it.then(|| (item.number, entry.name.clone())).or_else(|| key_of(&entry.item, number))
        }),
        Value::Array(items) => items.iter().find_map(|item| key_of(item, number)),
        _ => None,
    }
}

/// What there is to say of `fault`, found in `table`.
pub(super) fn describe(fault: &Fault, table: &Item, owner: Owner<'_>) -> Diagnostic {
    let path = fault.path();
    let is_top = fault.at().is_none_or(|at| at.number == table.number || is_entry(table, at.number));
    let whose = if path.is_empty() || is_top { owner.name.to_owned() } else { format!("`{path}`") };
    let place = match fault.at() {
        Some(at) => Place::new(owner.file, at.span.clone()),
        None => Place::new(owner.file, table.span.clone()),
    };
    let invalid = if path.is_empty() {
        format!("invalid options of {}", owner.name)
    } else {
        format!("invalid value of `{path}`")
    };
    let reference = fault.at().and_then(|at| at.reference.as_ref());
    let from = reference.filter(|written| is_reference(written) || !is_private(written, &path));
    let from = from.map(|written| format!("the value comes from `{written}`"));
    match fault.kind() {
        Kind::Refused { message, help, marks } if marks.is_empty() => Diagnostic::error(invalid)
            .at(place, sparing(message, fault, table))
            .help(help.as_ref().map(|help| sparing(help, fault, table)).or(from)),
        Kind::Refused { message, help, marks } => {
            let number = fault.at().map(|at| at.number);
            let text = match number.and_then(|number| table.find(number)).map(|item| &item.value) {
                Some(Value::Text(text)) => Some(text),
                _ => None,
            };
            marked(message, marks, place, text, owner).help(help.clone().or(from))
        }
        Kind::Custom(message) => {
            Diagnostic::error(invalid).at(place, sparing(message, fault, table)).help(from)
        }
        Kind::Type { found, expected } => Diagnostic::error(format!("wrong type of `{path}`"))
            .at(place, format!("expected {expected}, found {found}"))
            .help(from),
        Kind::Value { found, expected } => {
            let found = found.as_ref().map(|found| format!(", found {found}")).unwrap_or_default();
            let found = if is_secret_path(&path) { String::new() } else { found };
            Diagnostic::error(invalid).at(place, format!("expected {expected}{found}")).help(from)
        }
        Kind::Variant { found: Some(found), valid } => Diagnostic::error(invalid)
            .at(place, format!("{} is not one of its values", quoted(found, &path)))
            .help(suggest::help(found, valid, "the values are")),
        Kind::Variant { found: None, valid } => Diagnostic::error(invalid)
            .at(place, "what comes from the environment is not one of its values")
            .help(format!("the values are {}", suggest::listed(valid))),
        Kind::Field { name, valid } => {
            let common = if is_top { owner.common } else { &[] };
            let known: Vec<&str> = valid.iter().chain(common).copied().collect();
            Diagnostic::error(format!("unknown option `{name}`"))
                .at(place, format!("not an option of {whose}"))
                .help(misplaced(name, is_top).or_else(|| suggest::help(name, &known, "the options are")))
        }
        Kind::Missing(name) => Diagnostic::error(format!("the option `{name}` is missing")).at(
            place,
            if path.is_empty() { format!("{} needs it", owner.name) } else { format!("`{path}` needs it") },
        ),
        Kind::Repeated(name) => {
            Diagnostic::error(format!("`{name}` stands twice")).at(place, "the same option by another name")
        }
    }
}

/// A diagnostic that points into a string: at its parts, where the string stands in the file as it reads, else at all
/// of it, with the line.
fn marked(title: &str, marks: &[Mark], place: Place, text: Option<&Text>, owner: Owner<'_>) -> Diagnostic {
    let token = owner.text.get(place.span.clone()).unwrap_or_default();
    let inside = text.and_then(|text| Inside::new(token, &text.written, &text.value));
    let mut diagnostic = Diagnostic::error(title);
    for mark in marks {
        let (place, label) = match &inside {
            Some(inside) => {
                let [start, end] =
                    [mark.span.start, mark.span.end].map(|at| place.span.start + inside.at(at));
                (Place::new(place.file, start..end), mark.label.clone())
            }
            None => {
                let value = text.map(|text| text.value.as_str()).unwrap_or_default();
                let line = 1 + value.get(..mark.span.start).unwrap_or_default().matches('\n').count();
                (place.clone(), format!("line {line} of it: {}", mark.label))
            }
        };
        diagnostic = match diagnostic.at {
            None => diagnostic.at(place, label),
            Some(_) => diagnostic.also(place, label),
        };
    }
    diagnostic
}

/// `message`, without the values at fault where these may be secrets.
fn sparing(message: &str, fault: &Fault, table: &Item) -> String {
    let path = fault.path();
    let item = fault.at().and_then(|at| table.find(at.number));
    let texts = item.map(Item::texts).unwrap_or_default().into_iter();
    let texts = texts.filter(|text| text.value.len() >= SECRET_BYTES_MIN && !is_strategy(&text.value));
    let private = texts.filter(|text| is_private(&text.value, &path));
    private.fold(message.to_owned(), |message, text| message.replace(&text.value, "…"))
}

/// Whether `written` is the name of a variable and nothing else: no default, nothing around it.
fn is_reference(written: &str) -> bool {
    let name = written.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    name.is_some_and(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
}

/// The word `found` at `path`, unless it may be a secret in the wrong place.
fn quoted(found: &str, path: &str) -> String {
    let is_said = is_quotable(found) && (!is_secret_path(path) || is_strategy(found));
    if is_said { format!("`{found}`") } else { "this".to_owned() }
}

/// Help for a common key where it does not belong.
fn misplaced(name: &str, is_top: bool) -> Option<String> {
    match name {
        "inputs" if is_top => Some("only transforms and sinks have `inputs`".to_owned()),
        "buffer" if is_top => Some("only sinks have a `buffer`".to_owned()),
        _ => None,
    }
}

fn is_entry(table: &Item, number: usize) -> bool {
    table.entries().iter().any(|entry| entry.item.number == number)
}
