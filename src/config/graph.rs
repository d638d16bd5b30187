//! How the components hang together: inputs resolved to outputs, and what is wrong with the whole.

use super::component::{Component, Input, Role};
use super::diagnostic::Diagnostic;
use super::glob;
use super::suggest;
use crate::topology::OutputId;
use std::collections::{BTreeMap, BTreeSet};

/// The resolved inputs of each component, in the order of the components.
pub(super) struct Graph<'a> {
    components: &'a [Component],
    by_id: BTreeMap<&'a str, usize>,
    /// The names of the ports of each; none where they are not known.
    ports: Vec<Option<Vec<String>>>,
    /// For each component what it consumes, with the index of the input that says so.
    edges: Vec<BTreeMap<OutputId, usize>>,
    /// Components that somebody consumes, or wanted to.
    consumed: BTreeSet<usize>,
    scope: Scope,
}

/// How much of a config there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// All of it: every input has to be there, and everything should be consumed.
    Whole,
    /// Of some components only the transforms count: who consumes what does not matter.
    Transforms,
    /// There are no sources: what is not known is one.
    TransformsAlone,
}

impl<'a> Graph<'a> {
    /// Resolves the inputs of `components`, whose ids are unique, and finds what is wrong with them.
    pub fn new(components: &'a [Component], scope: Scope, diagnostics: &mut Vec<Diagnostic>) -> Graph<'a> {
        let by_id = components.iter().enumerate().map(|(index, one)| (one.id.as_str(), index)).collect();
        let ports = components.iter().map(Component::ports).collect();
        let (edges, consumed) = (Vec::new(), BTreeSet::new());
        let mut graph = Graph { components, by_id, ports, edges, consumed, scope };
        for (me, component) in components.iter().enumerate() {
            let mut own = BTreeMap::new();
            for (nth, input) in component.inputs.iter().enumerate() {
                let text = &input.text;
                let mut before = component.inputs.iter().take(nth);
                if let Some(first) = before.find(|one| !text.opaque && one.text.value == text.value) {
                    let title = format!("the input `{}` stands twice", text.shown());
                    let diagnostic = Diagnostic::warning(title).at(input.place.clone(), "counts once");
                    diagnostics.push(diagnostic.also(first.place.clone(), "first here"));
                    continue;
                }
                match graph.resolve(me, input) {
                    Ok(outputs) => outputs.into_iter().for_each(|output| {
                        own.entry(output).or_insert(nth);
                    }),
                    Err(diagnostic) => diagnostics.push(*diagnostic),
                }
            }
            let from = own.keys().filter_map(|output| graph.by_id.get(output.component.as_str()));
            graph.consumed.extend(from);
            graph.edges.push(own);
        }
        graph.cycles(diagnostics);
        if scope == Scope::Whole {
            graph.loose_ends(diagnostics);
        }
        graph
    }

    /// What the component with index `component` consumes.
    pub fn inputs(&self, component: usize) -> Vec<OutputId> {
        self.edges.get(component).map(|own| own.keys().cloned().collect()).unwrap_or_default()
    }

    /// The outputs that `input` of the component with index `me` stands for.
    fn resolve(&mut self, me: usize, input: &Input) -> Result<Vec<OutputId>, Box<Diagnostic>> {
        let text = input.text.value.as_str();
        if input.text.opaque {
            return Ok(Vec::new());
        }
        if glob::is_glob(text) {
            return self.resolve_glob(me, input);
        }
        if let Some(&index) = self.by_id.get(text) {
            self.consumed.insert(index);
            return match self.components.get(index) {
                Some(one) if one.role == Role::Sink => Err(self.sink_as_input(index, input)),
                Some(one) if !one.has_main_output() => Err(self.only_ports(index, input)),
                _ => Ok(vec![output(text, None)]),
            };
        }
        let Some((id, port)) = text.split_once('.') else { return self.unknown(me, input, None) };
        let Some(&index) = self.by_id.get(id) else { return self.unknown(me, input, Some(port)) };
        self.consumed.insert(index);
        match self.ports_of(index) {
            Some(ports) if !ports.iter().any(|known| known == port) => {
                Err(self.unknown_port(id, port, ports, input))
            }
            _ => Ok(vec![output(id, Some(port))]),
        }
    }

    fn resolve_glob(&self, me: usize, input: &Input) -> Result<Vec<OutputId>, Box<Diagnostic>> {
        let pattern = input.text.value.as_str();
        let wants_ports = pattern.contains('.');
        let mut found = Vec::new();
        for (index, component) in self.components.iter().enumerate().filter(|(index, _)| *index != me) {
            let id = component.id.as_str();
            if wants_ports {
                let ports = self.ports_of(index).unwrap_or_default();
                let ports = ports.iter().filter(|port| glob::matches(pattern, &format!("{id}.{port}")));
                found.extend(ports.map(|port| output(id, Some(port))));
            } else if component.role != Role::Sink
                && component.has_main_output()
                && glob::matches(pattern, id)
            {
                found.push(output(id, None));
            }
        }
        let may_match_more =
            wants_ports && self.ports.iter().any(Option::is_none) || self.scope == Scope::TransformsAlone;
        if found.is_empty() && !may_match_more {
            let help = if wants_ports {
                "with a `.`, a pattern is compared with ports (`livebook.faults`)".to_owned()
            } else {
                "a pattern is compared with the ids of all other sources and transforms".to_owned()
            };
            return Err(at(
                input,
                "an input that matches nothing",
                "no component fits this pattern",
                Some(help),
            ));
        }
        Ok(found)
    }

    fn ports_of(&self, index: usize) -> Option<&[String]> {
        self.ports.get(index)?.as_deref()
    }

    fn sink_as_input(&self, index: usize, input: &Input) -> Box<Diagnostic> {
        let title = format!("`{}` is a sink and can't be an input", input.text.shown());
        let names = self.port_names(index, input);
        let help = (!names.is_empty()).then(|| format!("it has the port {names}"));
        at(input, &title, "nothing comes out of a sink, except by a port", help)
    }

    fn only_ports(&self, index: usize, input: &Input) -> Box<Diagnostic> {
        let title = format!("`{}` has no output but its ports", input.text.shown());
        let help = format!("its ports are {}", self.port_names(index, input));
        at(input, &title, "nothing comes out of it, except by a port", Some(help))
    }

    fn port_names(&self, index: usize, input: &Input) -> String {
        let ports = self.ports_of(index).unwrap_or_default();
        let names: Vec<String> = ports.iter().map(|port| format!("{}.{port}", input.text.shown())).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        suggest::listed(&names)
    }

    fn unknown_port(&self, id: &str, port: &str, ports: &[String], input: &Input) -> Box<Diagnostic> {
        let title = format!("unknown port `{}`", input.text.shown());
        let full: Vec<String> = ports.iter().map(|known| format!("{id}.{known}")).collect();
        let near = suggest::nearest(port, ports.iter().map(String::as_str));
        let help = match near {
            _ if input.text.is_secret() => None,
            Some(near) => Some(format!("did you mean `{id}.{near}`?")),
            None if full.is_empty() => None,
            None => {
                let full: Vec<&str> = full.iter().map(String::as_str).collect();
                Some(format!("its ports are {}", suggest::listed(&full)))
            }
        };
        let label = match (input.text.is_secret(), ports.is_empty()) {
            (true, _) => "there is no such port".to_owned(),
            (false, true) => format!("`{id}` has no ports"),
            (false, false) => format!("`{id}` has no port `{port}`"),
        };
        at(input, &title, &label, help)
    }

    fn unknown(
        &mut self,
        me: usize,
        input: &Input,
        port: Option<&str>,
    ) -> Result<Vec<OutputId>, Box<Diagnostic>> {
        if self.scope == Scope::TransformsAlone {
            let id = input.text.value.split('.').next().unwrap_or_default();
            return Ok(vec![output(id, port)]);
        }
        let others = self.components.iter().enumerate();
        let known: Vec<&str> = others
            .filter(|(index, one)| *index != me && one.role != Role::Sink)
            .map(|(_, one)| one.id.as_str())
            .collect();
        let text = input.text.value.as_str();
        let id = text.split_once('.').map_or(text, |(id, _)| id);
        let near = suggest::nearest(id, known.iter().copied());
        // Whoever is meant here is not reported as consumed by nobody.
        self.consumed.extend(near.and_then(|near| self.by_id.get(near)));
        let help = match near {
            Some(near) if !input.text.is_secret() => {
                let port = text.strip_prefix(id).unwrap_or_default();
                Some(format!("did you mean `{near}{port}`?"))
            }
            _ if known.is_empty() => None,
            _ => Some(format!("the sources and transforms are {}", suggest::listed(&known))),
        };
        let title = format!("unknown input `{}`", input.text.shown());
        Err(at(input, &title, "there is no such component", help))
    }

    /// Reports rings: of those that close at the same component, one.
    fn cycles(&self, diagnostics: &mut Vec<Diagnostic>) {
        let mut consumers: Vec<Vec<(usize, usize)>> = vec![Vec::new(); self.components.len()];
        for (me, own) in self.edges.iter().enumerate() {
            for (output, nth) in own {
                let producer = self.by_id.get(output.component.as_str());
                if let Some(list) = producer.and_then(|producer| consumers.get_mut(*producer)) {
                    list.push((me, *nth));
                }
            }
        }
        let mut done = BTreeSet::new();
        let mut closed = BTreeSet::new();
        for start in 0..self.components.len() {
            let mut walk: Vec<(usize, usize)> = vec![(start, 0)];
            while let Some((current, next)) = walk.last_mut() {
                let edge = consumers.get(*current).and_then(|list| list.get(*next)).copied();
                *next += 1;
                let Some((to, nth)) = edge.filter(|_| !done.contains(current)) else {
                    done.insert(*current);
                    walk.pop();
                    continue;
                };
                if let Some(first) = walk.iter().position(|(index, _)| *index == to) {
                    if closed.insert(to) {
                        let ring: Vec<usize> = walk.iter().skip(first).map(|(index, _)| *index).collect();
                        diagnostics.extend(self.cycle(&ring, to, nth));
                    }
                } else if !done.contains(&to) {
                    walk.push((to, 0));
                }
            }
        }
    }

    fn cycle(&self, ring: &[usize], closing: usize, nth: usize) -> Option<Diagnostic> {
        let component = self.components.get(closing)?;
        let input = component.inputs.get(nth)?;
        let mut ids: Vec<&str> =
            ring.iter().filter_map(|index| self.components.get(*index)).map(|one| one.id.as_str()).collect();
        ids.push(&component.id);
        let title = format!("a ring of components: {}", ids.join(" → "));
        let help = "events would go round for ever: take one of these inputs away".to_owned();
        Some(*at(input, &title, "this closes the ring", Some(help)))
    }

    fn loose_ends(&self, diagnostics: &mut Vec<Diagnostic>) {
        // Whatever seems to be consumed by nobody may be meant by an input that is not known.
        if self.components.iter().flat_map(|one| &one.inputs).any(|input| input.text.opaque) {
            return;
        }
        for (index, component) in self.components.iter().enumerate() {
            if component.role != Role::Sink && !self.consumed.contains(&index) {
                let noun = component.role.noun();
                let diagnostic =
                    Diagnostic::warning(format!("nothing consumes the {noun} `{}`", component.id))
                        .at(component.header.clone(), "its events go nowhere")
                        .help(format!(
                            "name it in the `inputs` of a sink or transform: `\"{}\"`",
                            component.id
                        ));
                diagnostics.push(diagnostic);
            }
        }
    }
}

fn at(input: &Input, title: &str, label: &str, help: Option<String>) -> Box<Diagnostic> {
    Box::new(Diagnostic::error(title).at(input.place.clone(), label).help(help))
}

fn output(component: &str, port: Option<&str>) -> OutputId {
    OutputId { component: component.to_owned(), port: port.map(str::to_owned) }
}
