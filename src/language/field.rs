//! Fields by their paths, and texts with fields in them.

use super::Tree;
use crate::event::Invalid;
use vrl::path::{OwnedTargetPath, PathPrefix, parse_target_path};
use vrl::value::Value;

/// A part of an event by its path, as in a program: `message`, `.metadata.users[0].id`, `%source`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field(OwnedTargetPath);

impl Field {
    /// Reads `path`, which stands in the option `key`.
    pub fn parse(key: &str, path: &str) -> Result<Field, Invalid> {
        let parsed = parse_target_path(path.trim()).ok().filter(|parsed| !parsed.path.is_root());
        parsed.map(Field).ok_or_else(|| {
            Invalid::new(key, format!("`{path}` is no path to a field"))
                .help("write it as in VRL: `message`, `metadata.users[0].id`, `%source`")
        })
    }

    /// Its value.
    pub fn get<'t>(&self, tree: &'t Tree<'_>) -> Option<&'t Value> {
        tree.get(&self.0)
    }

    /// Sets its value.
    pub fn set(&self, tree: &mut Tree<'_>, value: Value) {
        tree.set(&self.0, value);
    }

    /// Takes it out of a whole record; nothing where it is no part of the record itself.
    pub fn remove_from(&self, record: &mut Value) {
        if self.0.prefix == PathPrefix::Event {
            record.remove(&self.0.path, false);
        }
    }
}

/// A text with parts such as `{{ metadata.session_mode }}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
}

impl Template {
    /// Reads `text`, which stands in the option `key`.
    pub fn parse(key: &str, text: &str) -> Result<Template, Invalid> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("{{") {
            let (inner, after) = behind.split_once("}}").ok_or_else(|| {
                Invalid::new(key, "a `{{` without its `}}`").help("write `{{ metadata.session_mode }}`")
            })?;
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Field(Field::parse(key, inner)?));
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Template(parts))
    }

    /// Whether its text is the same for every event.
    pub fn is_constant(&self) -> bool {
        self.0.iter().all(|part| matches!(part, Part::Text(_)))
    }

    /// The text for one event; none where a field is missing.
    pub fn render(&self, tree: &Tree<'_>) -> Option<String> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Field(field) => text.push_str(&field.get(tree)?.to_string_lossy()),
            }
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Notes, Origin};
    use bytes::Bytes;

    #[test]
    fn a_template_has_the_values_of_its_fields() {
        let record = Bytes::from_static(br#"{"a":{"b":[1,"x"]}}"#);
        let event = Event::from_json(record, Origin::nowhere()).unwrap();
        let shown = |text: &str| {
            Template::parse("key_field", text).unwrap().render(&Tree::new(&event, &mut Notes::default()))
        };
        assert_eq!(shown("{{ a.b[1] }}-{{.a.b[0]}}!").as_deref(), Some("x-1!"));
        assert_eq!(shown("plain").as_deref(), Some("plain"));
        assert_eq!(shown("{{ missing }}"), None);
        assert!(Template::parse("key_field", "{{ a").is_err() && Template::parse("k", "{{ }}").is_err());
    }

    #[test]
    fn a_path_that_is_none_is_refused() {
        for path in ["", ".", "a..b", "a[", "%"] {
            assert!(Field::parse("fields.match[0]", path).is_err(), "{path}");
        }
    }
}
