//! What the files of a config have to do with each other: a pipeline that reads what it writes goes round for ever, and
//! of two sinks that write one file, one would wait for the other without end.

use super::component::{Component, Options};
use super::diagnostic::Diagnostic;
use crate::delivery::plain;
use crate::topology::OutputId;

/// Reports such files. `inputs` are those of `components`, in their order.
pub(super) fn check(components: &[Component], inputs: &[Vec<OutputId>], diagnostics: &mut Vec<Diagnostic>) {
    let writers: Vec<(usize, &Component, String)> = components
        .iter()
        .enumerate()
        .filter_map(|(at, one)| match &one.options {
            Options::Sink(_, config) if !one.is_opaque => config.writes().map(|path| (at, one, plain(&path))),
            _ => None,
        })
        .collect();
    for (nth, (at, writer, path)) in writers.iter().enumerate() {
        if let Some((_, other, _)) = writers.iter().take(nth).find(|(_, _, other)| other == path) {
            let title = format!("`{}` and `{}` write the same file", other.id, writer.id);
            let help = "give each its own `path`, or give one sink all the `inputs`";
            let diagnostic = Diagnostic::error(title).at(writer.header.clone(), "it would wait for ever");
            diagnostics
                .push(diagnostic.also(other.header.clone(), "it locks the file").help(help.to_owned()));
        }
        for reader in upstream(*at, components, inputs) {
            let Options::Source(_, config) = &reader.options else { continue };
            if !reader.is_opaque && config.reads(path) {
                let title = format!("`{}` writes what `{}` reads", writer.id, reader.id);
                let help = "write to another folder, or leave the file out by `exclude`";
                let diagnostic =
                    Diagnostic::error(title).at(writer.header.clone(), "it gets what it has written");
                let diagnostic = diagnostic.also(reader.header.clone(), "its `include` fits that `path`");
                diagnostics.push(diagnostic.help(help.to_owned()));
            }
        }
    }
}

/// Everything whose events get to the component with index `at`.
fn upstream<'a>(at: usize, components: &'a [Component], inputs: &[Vec<OutputId>]) -> Vec<&'a Component> {
    let (mut todo, mut seen) = (vec![at], vec![false; components.len()]);
    let mut found = Vec::new();
    while let Some(at) = todo.pop() {
        for input in inputs.get(at).into_iter().flatten() {
            let from = components.iter().position(|one| one.id == input.component);
            let Some((from, component)) = from.and_then(|from| Some((from, components.get(from)?))) else {
                continue;
            };
            if let Some(seen) = seen.get_mut(from).filter(|seen| !**seen) {
                *seen = true;
                found.push(component);
                todo.push(from);
            }
        }
    }
    found
}
