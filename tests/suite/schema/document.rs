//! A TOML file as an editor sees it: JSON, with the place of each part.

use super::validator::Place;
use serde_json::Value;
use std::collections::HashMap;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A file.
pub struct Document {
    pub json: Value,
    text: String,
    /// Where each key and its value stand, by the steps to them.
    places: Places,
}

type Places = HashMap<Vec<String>, [Range<usize>; 2]>;

impl Document {
    /// None where the text is not TOML.
    pub fn parse(text: &str) -> Option<Document> {
        let table = DeTable::parse(text).ok()?;
        let mut places = HashMap::from([(Vec::new(), [0..0, 0..0])]);
        let json = members(table.get_ref(), &[], &mut places);
        Some(Document { json, text: text.to_owned(), places })
    }

    /// Whether an error at this line and column, from 1, is one at `place`: where it begins, or inside a string.
    pub fn is_at(&self, place: &Place, (line, column): (usize, usize)) -> bool {
        let text = self.text.split_inclusive('\n').nth(line - 1).unwrap();
        let before: usize = self.text.split_inclusive('\n').take(line - 1).map(str::len).sum();
        let at = before + text.chars().take(column - 1).map(char::len_utf8).sum::<usize>();
        match place {
            Place::Key(path) => at == self.places[path][0].start,
            Place::Value(path) => {
                let [key, value] = &self.places[path];
                match self.value(path) {
                    Value::String(_) => value.contains(&at),
                    // A component stands where its header does, or else its key.
                    Value::Object(_) if path.len() == 2 && path[0] != "tests" => {
                        at == value.start.min(key.start)
                    }
                    _ => at == value.start,
                }
            }
        }
    }

    fn value(&self, path: &[String]) -> &Value {
        let mut value = &self.json;
        for step in path {
            value = match value {
                Value::Array(items) => &items[step.parse::<usize>().unwrap()],
                other => &other[step.as_str()],
            };
        }
        value
    }
}

fn members(table: &DeTable<'_>, path: &[String], places: &mut Places) -> Value {
    let member = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>), places: &mut Places| {
        let name: &std::borrow::Cow<'_, str> = key.get_ref();
        let path: Vec<String> = path.iter().cloned().chain([name.to_string()]).collect();
        (name.to_string(), json(value, key.span(), path, places))
    };
    table.iter().map(|entry| member(entry, places)).collect::<serde_json::Map<_, _>>().into()
}

fn json(value: &Spanned<DeValue<'_>>, key: Range<usize>, path: Vec<String>, places: &mut Places) -> Value {
    let made = match value.get_ref() {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Integer(integer) => {
            let wide = i128::from_str_radix(integer.as_str(), integer.radix()).unwrap();
            i64::try_from(wide).map_or_else(|_| (wide as f64).into(), Value::from)
        }
        DeValue::Float(float) => float.as_str().parse::<f64>().unwrap().into(),
        DeValue::Boolean(value) => (*value).into(),
        DeValue::Datetime(time) => time.to_string().into(),
        DeValue::Array(items) => {
            let item = |(at, item): (usize, &Spanned<DeValue<'_>>)| {
                let path = path.iter().cloned().chain([at.to_string()]).collect();
                json(item, item.span(), path, places)
            };
            items.iter().enumerate().map(item).collect()
        }
        DeValue::Table(table) => members(table, &path, places),
    };
    places.insert(path, [key, value.span()]);
    made
}
