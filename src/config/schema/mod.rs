//! The JSON Schema of a config, by which editors complete, explain and check one while it is written.
//!
//! Nothing is written for it twice: the schema of the options is derived from the structs that read them, with their
//! doc comments; which components there are says the registry; what a component is for, and the defaults that are no
//! value of an option, say the tables of its page. [`plain`] then makes of it what is true of TOML, and of strings
//! that the environment fills in.
//!
//! What a schema can't see is left to `validate`: what components mean by each other's ids, what is in the strings.
//! Nothing is needed at the top, since several files make one config.
//!
//! The form is chosen for what editors do with it. The options of a type are behind an `if`, so that a fault is shown
//! at the value to blame, and not as a component that fits nowhere; completion does not look behind `if`, so the same
//! options are offered by an `anyOf` that everything fits. All but the components and the time zones is written out
//! where it is used: beside a `$ref`, a description is not shown.

mod pages;
mod plain;

use super::component::Role;
use super::registry::{Entry, Registry};
use super::{Top, buffer, given, manual, unit};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// The dialect.
const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";
/// What an id looks like.
const ID: &str = "^[A-Za-z0-9_-]+$";

/// The members of a schema.
type Members = Map<String, Value>;

/// What the schema says of a type of component.
struct Kind {
    name: &'static str,
    description: String,
    /// The text with its page.
    page: &'static str,
    options: Members,
}

/// The JSON Schema of configs with components out of `registry`, as a text that ends in a newline.
pub fn schema(registry: &Registry<'_>) -> String {
    let mut generator =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true).into_generator();
    let mut top = members(Top::json_schema(&mut generator));
    let mut sections = member(&mut top, "properties");
    let (mut definitions, mut described) = (Map::new(), Vec::new());
    for (section, role) in Role::ALL {
        let kinds = match role {
            Role::Source => kinds(registry.sources, &mut generator),
            Role::Transform => kinds(registry.transforms, &mut generator),
            Role::Sink => kinds(registry.sinks, &mut generator),
        };
        described.extend(kinds.iter().map(|kind| (definition(role, kind), kind.page)));
        let component = component(role, kinds, &mut definitions, &mut generator);
        definitions.insert(role.noun().to_owned(), component);
        let id = json!({ID: {"$ref": format!("#/$defs/{}", role.noun())}});
        let description = format!("The {section}, each by its id.");
        let section_schema = json!({
            "description": description,
            "type": "object",
            "patternProperties": id,
            "additionalProperties": false,
        });
        sections.insert(section.to_owned(), section_schema);
    }
    let tests = json!({
        "description": "Tests of the transforms, which `evaltrail test` runs.",
        "type": "array",
        "items": unit::schema(&mut generator),
    });
    sections.insert(unit::SECTION.to_owned(), tests);
    definitions.extend(generator.take_definitions(false));
    top.insert("properties".to_owned(), sections.into());
    plain::make(&mut top);
    for definition in definitions.values_mut().filter_map(Value::as_object_mut) {
        plain::make(definition);
    }
    for (name, page) in described {
        if let Some(Value::Object(options)) = definitions.get_mut(&name) {
            pages::add(options, page);
        }
    }
    top.insert("$defs".to_owned(), definitions.into());
    for (keyword, text) in [
        ("$schema", DRAFT),
        ("title", concat!("Config of evaltrail ", env!("CARGO_PKG_VERSION"))),
        ("description", "A pipeline: where records come from, what is done with them, where they go."),
    ] {
        top.insert(keyword.to_owned(), text.into());
    }
    // There is nothing in it that JSON does not have.
    serde_json::to_string_pretty(&top).unwrap_or_default() + "\n"
}

fn kinds<C: ?Sized>(entries: &[Entry<C>], generator: &mut SchemaGenerator) -> Vec<Kind> {
    let kind = |entry: &Entry<C>| {
        let Entry { name, summary, page, schema, .. } = entry;
        let description = if page.is_empty() { (*summary).to_owned() } else { manual::summary(page) };
        Kind { name, description, page, options: members(schema(generator)) }
    };
    entries.iter().map(kind).collect()
}

/// The schema of a component of `role`; the options of each type go into `definitions`.
fn component(
    role: Role,
    kinds: Vec<Kind>,
    definitions: &mut Members,
    generator: &mut SchemaGenerator,
) -> Value {
    let name = |kind: &Kind| json!({"type": "string", "const": kind.name, "description": kind.description});
    let names: Vec<Value> = kinds.iter().map(name).collect();
    let mut common = common(role, generator);
    common.insert("type".to_owned(), json!({"description": "Which component it is.", "oneOf": names}));
    let required: Vec<&str> =
        ["type", "inputs"].into_iter().filter(|key| common.contains_key(*key)).collect();
    let base = json!({"type": "object", "required": required, "properties": common});
    let (mut every, mut any) = (vec![base], Vec::new());
    for kind in kinds {
        let definition = definition(role, &kind);
        let Kind { name, description, mut options, .. } = kind;
        let mut properties = member(&mut options, "properties");
        // They are known here, and described above.
        properties.extend(role.common().iter().map(|key| ((*key).to_owned(), true.into())));
        options.insert("properties".to_owned(), properties.into());
        options.insert("description".to_owned(), description.into());
        let reference = json!({"$ref": format!("#/$defs/{definition}")});
        definitions.insert(definition, options.into());
        let is_it = json!({"type": "object", "required": ["type"], "properties": {"type": {"const": name}}});
        every.push(json!({"if": is_it, "then": reference}));
        any.push(reference);
    }
    any.push(true.into());
    json!({"allOf": every, "anyOf": any})
}

/// The name of what is said of a type of component.
fn definition(role: Role, kind: &Kind) -> String {
    format!("{}.{}", role.noun(), kind.name)
}

/// The keys that every component of `role` may have, but `type`.
fn common(role: Role, generator: &mut SchemaGenerator) -> Members {
    let mut known = Map::new();
    match role {
        Role::Source => known.extend(properties::<given::OfSource>(generator)),
        Role::Transform => {}
        Role::Sink => {
            known.extend(properties::<buffer::Keys>(generator));
            known.extend(properties::<given::OfSink>(generator));
        }
    }
    if role != Role::Source {
        let description = format!("What it consumes: {}.", manual::INPUTS);
        let inputs = json!({
            "description": description,
            "type": ["array", "string"],
            "minItems": 1,
            "items": {"type": "string"},
        });
        known.insert("inputs".to_owned(), inputs);
    }
    known
}

fn properties<T: JsonSchema>(generator: &mut SchemaGenerator) -> Members {
    member(&mut members(T::json_schema(generator)), "properties")
}

fn members(schema: Schema) -> Members {
    match schema.to_value() {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// Takes the object `name` out of `members`.
fn member(members: &mut Members, name: &str) -> Members {
    match members.remove(name) {
        Some(Value::Object(member)) => member,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_keys_are_those_that_components_take() {
        let mut generator = SchemaGenerator::default();
        for (_, role) in Role::ALL {
            let mut known: Vec<String> = common(role, &mut generator).keys().cloned().collect();
            known.push("type".to_owned());
            known.sort();
            let mut taken = role.common().to_vec();
            taken.sort_unstable();
            assert_eq!(known, taken, "{role:?}");
        }
    }
}
