//! Whether code gets anywhere past the `redact` that stands elsewhere in the pipeline.

use super::component::{Component, Options};
use super::diagnostic::Diagnostic;
use super::suggest;
use crate::delivery::REJECTED;
use crate::topology::OutputId;
use std::collections::{HashSet, VecDeque};

/// The transform that takes secrets out.
const REDACT: &str = "redact";

/// Warns of each sink that unredacted code can reach, where the config redacts at all. `inputs` are those of
/// `components`, in their order.
pub(super) fn check(components: &[Component], inputs: &[Vec<OutputId>], diagnostics: &mut Vec<Diagnostic>) {
    let is_redact = |one: &&Component| matches!(one.options, Options::Transform(REDACT, _));
    let Some(redact) = components.iter().find(is_redact) else { return };
    for (at, sink) in components.iter().enumerate() {
        let Options::Sink(_, config) = &sink.options else { continue };
        let Some(way) = way(at, components, inputs).filter(|_| config.keeps()) else { continue };
        // Where several inputs lead there, the first to blame is shown.
        let last = way.last().map(String::as_str).unwrap_or_default();
        let place = sink.inputs.iter().find(|input| input.text.value == last).map(|input| &input.place);
        let mut where_to = vec![sink.id.clone()];
        where_to.extend(sink.disk.is_some().then(|| format!("buffers/{}", sink.id)));
        where_to.extend(
            config
                .ports()
                .iter()
                .any(|port| port == REJECTED)
                .then(|| format!("dead_letters/{}.jsonl", sink.id)),
        );
        let where_to: Vec<&str> = where_to.iter().map(String::as_str).collect();
        let title = format!("unredacted code can reach {}", suggest::listed(&where_to));
        let label = format!("it comes by {}, and none of these redacts", way.join(" → "));
        let diagnostic = Diagnostic::warning(title).at(place.unwrap_or(&sink.header).clone(), label);
        let help = format!("let it come by `{}`, or take the code out on its way", redact.id);
        diagnostics.push(diagnostic.help(help));
    }
}

/// The shortest way by which code gets from a source to the component with index `at`: outputs, the source's first. What
/// takes the code out of evaluations still passes a fault with all its text.
fn way(at: usize, components: &[Component], inputs: &[Vec<OutputId>]) -> Option<Vec<String>> {
    let mut todo = VecDeque::from([(at, true, Vec::new())]);
    let mut seen = HashSet::new();
    while let Some((at, passes_code, behind)) = todo.pop_front() {
        for input in inputs.get(at).into_iter().flatten() {
            let from = components.iter().position(|one| one.id == input.component);
            let Some((from, component)) = from.and_then(|from| Some((from, components.get(from)?))) else {
                continue;
            };
            let way = || [input.to_string()].into_iter().chain(behind.iter().cloned()).collect();
            let passes_code = match &component.options {
                Options::Source(..) if passes_code || input.port.is_some() => return Some(way()),
                // What is wrong with it is told elsewhere.
                Options::Transform(REDACT, _) | Options::Source(..) | Options::Unknown => continue,
                Options::Transform(_, config) => passes_code && config.passes_code(),
                Options::Sink(..) => passes_code,
            };
            if seen.insert((from, passes_code)) {
                todo.push_back((from, passes_code, way()));
            }
        }
    }
    None
}
