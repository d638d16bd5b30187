//! The components that a test can name.

use super::super::component::{Component, Role};
use super::super::suggest;
use crate::event::Invalid;
use crate::topology::OutputId;

/// What a record is read by where nobody can tell.
const NO_SOURCE: &str = "test";

/// The components around a test.
pub(super) struct World<'a> {
    components: &'a [Component],
    inputs: &'a [Vec<OutputId>],
}

impl<'a> World<'a> {
    /// `inputs` are those of `components`, in their order.
    pub fn new(components: &'a [Component], inputs: &'a [Vec<OutputId>]) -> World<'a> {
        World { components, inputs }
    }

    fn position(&self, id: &str) -> Option<usize> {
        self.components.iter().position(|one| one.id == id)
    }

    /// Checks that `id`, which stands in the option `key`, is a transform.
    pub fn transform(&self, id: &str, key: &str) -> Result<&'a Component, Invalid> {
        let component = self.position(id).and_then(|at| self.components.get(at));
        match component {
            Some(component) if component.role == Role::Transform => Ok(component),
            Some(component) => {
                let noun = component.role.noun();
                let message = format!("`{id}` is a {noun}: a test is about transforms");
                Err(Invalid::new(key, message).help(self.beside(id)))
            }
            None => {
                let known = self.transforms();
                let message = format!("there is no transform `{id}`");
                let invalid = Invalid::new(key, message);
                Err(match suggest::help(id, &known, "the transforms are") {
                    Some(help) => invalid.help(help),
                    None => invalid.help("the config has no transforms: give all of its files by `-c`"),
                })
            }
        }
    }

    /// Checks that `text`, which stands in the option `key`, is an output of a transform.
    pub fn output(&self, text: &str, key: &str) -> Result<OutputId, Invalid> {
        let (id, port) = text.split_once('.').map_or((text, None), |(id, port)| (id, Some(port)));
        let transform = self.transform(id, key)?;
        let ports = transform.ports();
        let full: Vec<String> = ports.iter().flatten().map(|port| format!("{id}.{port}")).collect();
        let full: Vec<&str> = full.iter().map(String::as_str).collect();
        match (port, &ports) {
            (Some(port), Some(ports)) if !ports.iter().any(|known| known == port) => {
                let invalid = Invalid::new(key, format!("`{id}` has no port `{port}`"));
                Err(match suggest::help(text, &full, "its ports are") {
                    Some(help) => invalid.help(help),
                    None => invalid.help(format!("it has no ports: write `{id}`")),
                })
            }
            (None, _) if !transform.has_main_output() => {
                let message = format!("`{id}` has no output but its ports");
                Err(Invalid::new(key, message).help(format!("its ports are {}", suggest::listed(&full))))
            }
            _ => Ok(OutputId { component: id.to_owned(), port: port.map(str::to_owned) }),
        }
    }

    fn transforms(&self) -> Vec<&'a str> {
        let transforms = self.components.iter().filter(|one| one.role == Role::Transform);
        transforms.map(|one| one.id.as_str()).collect()
    }

    /// What to name in the place of a source or sink: what it feeds, or any.
    fn beside(&self, id: &str) -> String {
        let fed = self.components.iter().zip(self.inputs);
        let fed = fed.filter(|(_, inputs)| inputs.iter().any(|input| input.component == id));
        let all = self.transforms();
        let near = fed.map(|(component, _)| component.id.as_str()).filter(|id| all.contains(id));
        let near: Vec<&str> = near.collect();
        let near = if near.is_empty() { all } else { near };
        match near.is_empty() {
            true => "name a transform".to_owned(),
            false => format!("name a transform: {}", suggest::listed(&near)),
        }
    }

    /// The id of the source that a record at the transform `id` comes from: the first one, where there are several.
    pub fn source_of(&self, id: &str) -> String {
        let mut todo = vec![id];
        let mut seen: Vec<&str> = Vec::new();
        while let Some(next) = todo.pop() {
            if seen.contains(&next) {
                continue;
            }
            seen.push(next);
            let at = self.position(next);
            match at.and_then(|at| self.components.get(at)).map(|one| one.role) {
                Some(Role::Transform) => {
                    let inputs = at.and_then(|at| self.inputs.get(at)).into_iter().flatten();
                    todo.extend(inputs.rev().map(|input| input.component.as_str()));
                }
                Some(Role::Sink) => {}
                Some(Role::Source) | None => return next.to_owned(),
            }
        }
        NO_SOURCE.to_owned()
    }
}
