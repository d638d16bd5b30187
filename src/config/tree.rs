//! A config file as a tree that knows where each part of it stands.
//!
//! The `toml` crate parses; its tree is turned into this one, which is in the order of the file, has its references
//! to the environment replaced, and lets go of single entries: reading on after a fault means taking the faulty
//! entry out and reading again. Every item has a number, by which a fault says where it was found.

use super::diagnostic::{Diagnostic, Place};
use super::environment::{Environment, Text, resolve};
use std::hash::{Hash, Hasher};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// A value and where it stands: for a table its header, where it has one.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// Unique in its file.
    pub number: usize,
    pub span: Range<usize>,
    pub value: Value,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(Text),
    Integer(i128),
    Float(f64),
    Boolean(bool),
    /// A date or a time, which no option takes.
    Date,
    Array(Vec<Item>),
    Table(Vec<Entry>),
    /// Unknown: fits every field, so that what is around it can be checked. Faults found at it are none.
    Hole,
}

/// A key with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub name: String,
    /// Where the key stands.
    pub span: Range<usize>,
    pub item: Item,
}

impl Item {
    /// The entries of a table; none of another value.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Table(entries) => entries,
            _ => &[],
        }
    }

    /// The entry `name` of a table.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.name == name)
    }

    /// Splits a table: first its entries that are named, then the others.
    pub fn split(self, names: &[&str]) -> (Item, Item) {
        let Item { number, span, value } = self;
        let entries = if let Value::Table(entries) = value { entries } else { Vec::new() };
        let (named, others) = entries.into_iter().partition(|entry| names.contains(&entry.name.as_str()));
        (
            Item { number, span: span.clone(), value: Value::Table(named) },
            Item { number, span, value: Value::Table(others) },
        )
    }

    /// Takes what is said, and not where or in which order of keys, into `hash`.
    pub fn digest(&self, hash: &mut impl Hasher) {
        std::mem::discriminant(&self.value).hash(hash);
        match &self.value {
            Value::Text(text) => text.value.hash(hash),
            Value::Integer(number) => number.hash(hash),
            Value::Float(number) => number.to_bits().hash(hash),
            Value::Boolean(value) => value.hash(hash),
            Value::Date | Value::Hole => {}
            Value::Array(items) => {
                items.len().hash(hash);
                items.iter().for_each(|item| item.digest(hash));
            }
            Value::Table(entries) => {
                let mut entries: Vec<&Entry> = entries.iter().collect();
                entries.sort_by_key(|entry| &entry.name);
                entries.len().hash(hash);
                for entry in entries {
                    entry.name.hash(hash);
                    entry.item.digest(hash);
                }
            }
        }
    }

    /// What a person calls a value of this type.
    pub fn noun(&self) -> &'static str {
        match self.value {
            Value::Text(_) | Value::Hole => "a string",
            Value::Integer(_) => "a whole number",
            Value::Float(_) => "a number",
            Value::Boolean(true) => "`true`",
            Value::Boolean(false) => "`false`",
            Value::Date => "a date or time",
            Value::Array(_) => "an array",
            Value::Table(_) => "a table",
        }
    }

    /// The items directly below.
    fn children(&self) -> Box<dyn Iterator<Item = &Item> + '_> {
        match &self.value {
            Value::Array(items) => Box::new(items.iter()),
            Value::Table(entries) => Box::new(entries.iter().map(|entry| &entry.item)),
            _ => Box::new(std::iter::empty()),
        }
    }

    /// The strings in it.
    pub fn texts(&self) -> Vec<&Text> {
        match &self.value {
            Value::Text(text) => vec![text],
            _ => self.children().flat_map(Item::texts).collect(),
        }
    }

    /// Whether a part of it is unknown.
    pub fn is_opaque(&self) -> bool {
        matches!(self.value, Value::Hole)
            || matches!(&self.value, Value::Text(text) if text.opaque)
            || self.children().any(Item::is_opaque)
    }

    /// Takes out the item `number`; gives the numbers of all that it was in, none where it is not in here.
    pub fn prune(&mut self, number: usize) -> Vec<usize> {
        let own = self.number;
        let around = |mut around: Vec<usize>| {
            around.push(own);
            around
        };
        match &mut self.value {
            Value::Array(items) => {
                if let Some(index) = items.iter().position(|item| item.number == number) {
                    items.remove(index);
                    return vec![own];
                }
                let found = items.iter_mut().map(|item| item.prune(number)).find(|found| !found.is_empty());
                found.map(around).unwrap_or_default()
            }
            Value::Table(entries) => {
                if let Some(index) = entries.iter().position(|entry| entry.item.number == number) {
                    entries.remove(index);
                    return vec![own];
                }
                let mut below = entries.iter_mut().map(|entry| entry.item.prune(number));
                below.find(|found| !found.is_empty()).map(around).unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }

    /// The item `number`, which may be this one.
    pub fn find(&self, number: usize) -> Option<&Item> {
        if self.number == number { Some(self) } else { self.children().find_map(|item| item.find(number)) }
    }

    /// The item `number`, to be changed.
    pub fn find_mut(&mut self, number: usize) -> Option<&mut Item> {
        if self.number == number {
            return Some(self);
        }
        match &mut self.value {
            Value::Array(items) => items.iter_mut().find_map(|item| item.find_mut(number)),
            Value::Table(entries) => entries.iter_mut().find_map(|entry| entry.item.find_mut(number)),
            _ => None,
        }
    }

    /// The item at the dotted path `path` (`rules.0.when`, `rules[0].when`); none where the file does not have it.
    pub fn at_path(&self, path: &str) -> Option<&Item> {
        let steps = path.split(['.', '[', ']']).filter(|step| !step.is_empty());
        let mut item = self;
        for step in steps {
            item = match &item.value {
                Value::Array(items) => items.get(step.parse::<usize>().ok()?)?,
                _ => &item.get(step)?.item,
            };
        }
        Some(item)
    }
}

/// Builds the tree of a file and notes what is wrong with its references.
pub(super) struct Builder<'a> {
    text: &'a str,
    file: usize,
    environment: Environment<'a>,
    numbers: usize,
    /// Sections that nobody looks into.
    unread: &'a [&'a str],
    /// Whether a part is built that nobody looks at.
    is_unread: bool,
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Builder<'a> {
    /// A builder for the file with index `file`, whose text is `text`.
    pub fn new(file: usize, text: &'a str, environment: Environment<'a>) -> Builder<'a> {
        let (unread, diagnostics) = (&[] as &[&str], Vec::new());
        Builder { text, file, environment, numbers: 0, unread, is_unread: false, diagnostics }
    }

    /// Leaves the strings below the keys `sections` of the file unknown: variables that are missing there are no
    /// fault.
    pub fn without(self, sections: &'a [&'a str]) -> Builder<'a> {
        Builder { unread: sections, ..self }
    }

    /// The tree of `table`, and what is wrong with references in it.
    pub fn build(mut self, table: Spanned<DeTable<'_>>) -> (Item, Vec<Diagnostic>) {
        let span = table.span();
        let mut entries: Vec<Entry> = Vec::new();
        for (key, value) in table.into_inner() {
            self.is_unread = self.unread.contains(&key.get_ref().as_ref());
            entries.push(self.entry(key, value));
        }
        entries.sort_by_key(|entry| entry.span.start);
        let item = Item { number: self.next_number(), span, value: Value::Table(entries) };
        (item, self.diagnostics)
    }

    fn next_number(&mut self) -> usize {
        self.numbers += 1;
        self.numbers
    }

    fn entries(&mut self, table: DeTable<'_>) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        for (key, value) in table {
            entries.push(self.entry(key, value));
        }
        entries.sort_by_key(|entry| entry.span.start);
        entries
    }

    fn entry(&mut self, key: Spanned<DeString<'_>>, value: Spanned<DeValue<'_>>) -> Entry {
        let span = key.span();
        Entry { name: key.into_inner().into_owned(), span, item: self.item(value) }
    }

    fn item(&mut self, value: Spanned<DeValue<'_>>) -> Item {
        let span = value.span();
        let value = match value.into_inner() {
            DeValue::String(text) => self.text(&text, &span),
            DeValue::Integer(integer) => {
                // Beyond 128 bits it is too large for every option anyway.
                let value = i128::from_str_radix(integer.as_str(), integer.radix()).unwrap_or(i128::MAX);
                Value::Integer(value)
            }
            DeValue::Float(float) => Value::Float(float.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(value) => Value::Boolean(value),
            DeValue::Datetime(_) => Value::Date,
            DeValue::Array(items) => Value::Array(items.into_iter().map(|item| self.item(item)).collect()),
            DeValue::Table(table) => Value::Table(self.entries(table)),
        };
        Item { number: self.next_number(), span, value }
    }

    fn text(&mut self, written: &str, span: &Range<usize>) -> Value {
        if self.is_unread {
            return Value::Hole;
        }
        match resolve(written, self.environment) {
            Ok(text) if text.whole && text.opaque => Value::Hole,
            Ok(text) => Value::Text(text),
            Err(troubles) => {
                for trouble in troubles {
                    let place = Place::new(self.file, self.inside(written, span, &trouble.span));
                    let diagnostic = Diagnostic::error(trouble.title).at(place, trouble.label);
                    self.diagnostics.push(diagnostic.help(trouble.help));
                }
                Value::Hole
            }
        }
    }

    /// Where `part` of a string stands in the file: exactly, where the string is written as it reads, else the whole
    /// token.
    fn inside(&self, written: &str, token: &Range<usize>, part: &Range<usize>) -> Range<usize> {
        let raw = self.text.get(token.clone()).unwrap_or_default();
        let plain = [r#"""#, "'"].iter().any(|quote| {
            raw.strip_prefix(quote)
                .and_then(|rest| rest.strip_suffix(quote))
                .is_some_and(|text| text == written)
        });
        if plain { token.start + 1 + part.start..token.start + 1 + part.end } else { token.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> (Item, Vec<Diagnostic>) {
        let variable = |name: &str| (name == "SET").then(|| "value".to_owned());
        Builder::new(0, text, Environment::Of(&variable)).build(DeTable::parse(text).unwrap())
    }

    #[test]
    fn entries_stand_in_the_order_of_the_file() {
        let (item, _) = tree("z = 1\na = { y = 1, b = 2 }\n[m]\nk = 0xff\n");
        let names: Vec<&str> = item.entries().iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["z", "a", "m"]);
        assert!(matches!(item.at_path("m.k").unwrap().value, Value::Integer(255)));
        assert_eq!(item.get("m").unwrap().item.span, 27..30);
    }

    #[test]
    fn paths_lead_through_arrays() {
        let (item, _) = tree("[[rules]]\nwhen = 1\n[[rules]]\nwhen = 2\n");
        for path in ["rules.1.when", "rules[1].when"] {
            assert!(matches!(item.at_path(path).unwrap().value, Value::Integer(2)), "{path}");
        }
        assert!(item.at_path("rules[2].when").is_none() && item.at_path("when").is_none());
    }

    #[test]
    fn an_item_is_taken_out_wherever_it_is() {
        let (mut item, _) = tree("a = { b = [1, 2, 3] }\n");
        let [a, b, second] = ["a", "a.b", "a.b[1]"].map(|path| item.at_path(path).unwrap().number);
        assert_eq!(item.prune(second), [b, a, item.number]);
        assert!(matches!(item.at_path("a.b[1]").unwrap().value, Value::Integer(3)));
        assert!(item.prune(second).is_empty());
        assert!(item.find(b).is_some() && item.find(second).is_none());
    }

    #[test]
    fn a_reference_is_blamed_where_it_stands() {
        let text = "a = \"to ${ONE}\"\nb = \"\\t${TWO}\"\nc = '''${THREE}'''\nd = \"${SET}\"\n";
        let (item, diagnostics) = tree(text);
        let blamed: Vec<&str> = diagnostics.iter().map(|one| &text[one.at.clone().unwrap().span]).collect();
        assert_eq!(blamed, ["${ONE}", "\"\\t${TWO}\"", "'''${THREE}'''"]);
        assert!(matches!(item.get("a").unwrap().item.value, Value::Hole));
        assert!(!format!("{item:?}").contains("value\""), "{item:?}");
    }
}
