//! The tests of a config: `[[tests]]`, as in Vector.
//!
//! A test is read with the components around it known, so that everything wrong with it is found together: ids that
//! there are not, conditions that do not compile, inputs that no source could have read. What stays is a [`Trial`] for
//! the topology, and the way from its findings back to the lines of the file ([`Flaw`]).

mod explain;
mod input;
mod options;
mod world;

pub use explain::{Flaw, Shown};

use super::component::Component;
use super::diagnostic::{Diagnostic, Place, Severity};
use super::fault::Fault;
use super::options::{self as reading, Owner};
use super::tree::{Item, Value};
use super::{Loaded, Plan};
use crate::event::Invalid;
use crate::topology::{Node, OutputId, Trial, Unbuildable, downstream};
use crate::transforms::TransformConfig;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use std::ops::Range;
use std::sync::Arc;
use world::World;

/// The key of the tests in a file.
pub(super) const SECTION: &str = "tests";

/// What a test is called in messages.
const NAME: &str = "a test";

/// A shorter value of a variable is found in everything, and is no secret.
const SECRET_BYTES_MIN: usize = 4;

/// A test as it stands in its file.
pub(super) struct Written {
    file: usize,
    text: Arc<str>,
    item: Item,
}

impl Written {
    fn owner(&self) -> Owner<'_> {
        Owner { file: self.file, text: &self.text, name: NAME, common: &[] }
    }

    fn describe(&self, invalid: Invalid) -> Diagnostic {
        let fault = Fault::refused(invalid, &self.item).without_numbers();
        reading::describe(&fault, &self.item, self.owner())
    }
}

/// A test that can be run.
pub(super) struct Test {
    name: String,
    written: Written,
    trial: Trial,
    /// The keys of the conditions of each output.
    keys: Vec<Vec<String>>,
}

/// The tests of a config, with the transforms that they are about.
pub struct Tests {
    transforms: Vec<Node<dyn TransformConfig>>,
    tests: Vec<Test>,
    /// Values of variables, which are never shown.
    secrets: Vec<String>,
    /// What is hardly as meant, in the order of the files.
    pub warnings: Vec<Diagnostic>,
}

impl Tests {
    pub(super) fn new(loaded: Loaded, tests: Vec<Test>, secrets: Vec<String>) -> Tests {
        Tests { transforms: loaded.plan.transforms, tests, secrets, warnings: loaded.warnings }
    }

    /// Their names, in the order of the files.
    pub fn names(&self) -> Vec<&str> {
        self.tests.iter().map(|test| test.name.as_str()).collect()
    }

    /// Runs the test with the index `at`: nothing comes back where it passes.
    ///
    /// # Errors
    ///
    /// A transform can't be made.
    pub fn run(&mut self, at: usize) -> Result<Vec<Flaw>, Unbuildable> {
        let Some(test) = self.tests.get_mut(at) else { return Ok(Vec::new()) };
        let (findings, trace) = test.trial.run(&self.transforms)?;
        let flaws = findings.into_iter().map(|finding| test.explain(finding, &trace));
        Ok(flaws.map(|flaw| flaw.without(&self.secrets)).collect())
    }
}

/// What VRL says in front of the error of a function: its name, and its place in the program.
const CALL: &str = "function call error for ";

/// The place of an error in its program, where it says so, and the error alone.
fn placed(message: &str) -> (Option<Range<usize>>, &str) {
    let read = || {
        let (place, rest) = message.strip_prefix(CALL)?.split_once(" at (")?.1.split_once("): ")?;
        let (start, end) = place.split_once(':')?;
        Some((start.parse().ok()?..end.parse().ok()?, rest))
    };
    read().map_or((None, message), |(span, rest)| (Some(span), rest))
}

/// The JSON Schema of a test.
pub(super) fn schema(generator: &mut SchemaGenerator) -> Schema {
    options::Test::json_schema(generator)
}

/// The tests that stand in a file, of which `sections` are the known sections.
pub(super) fn collect(
    file: usize,
    text: &str,
    sections: &Item,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Written> {
    let Some(section) = sections.get(SECTION) else { return Vec::new() };
    let mut wrong = |item: &Item| {
        let place = Place::new(file, item.span.clone());
        let label = format!("expected a table for each test, found {}", item.noun());
        let help = "a test is declared by `[[tests]]`".to_owned();
        diagnostics.push(Diagnostic::error("`tests` are no tests").at(place, label).help(help));
    };
    let Value::Array(items) = &section.item.value else {
        wrong(&section.item);
        return Vec::new();
    };
    let text: Arc<str> = text.into();
    let mut written = Vec::new();
    for item in items {
        match item.value {
            Value::Table(_) => written.push(Written { file, text: Arc::clone(&text), item: item.clone() }),
            _ => wrong(item),
        }
    }
    written
}

/// The values of variables in the strings of the transforms and tests of a file.
pub(super) fn secrets(sections: &Item) -> Vec<String> {
    let read = [SECTION, "transforms"].map(|name| sections.get(name));
    let texts = read.into_iter().flatten().flat_map(|section| section.item.texts());
    let secrets = texts.flat_map(|text| text.secrets.iter());
    secrets.filter(|secret| secret.len() >= SECRET_BYTES_MIN).cloned().collect()
}

/// Makes tests of what is written, among `components` with the resolved `inputs` of each.
pub(super) fn read(
    written: Vec<Written>,
    components: &[Component],
    inputs: &[Vec<OutputId>],
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Test> {
    let world = World::new(components, inputs);
    let mut tests = Vec::new();
    for written in written {
        let make = |item: &Item| {
            let options: options::Test = reading::deserialize(item)?;
            let refused = |invalid| Fault::refused(invalid, item).without_numbers();
            let built = options.build(&world).map_err(refused)?;
            Ok((options, built))
        };
        let Some((options, trial)) = reading::read(&written.item, written.owner(), make, diagnostics) else {
            continue;
        };
        let conditions = trial.checks.iter().flat_map(|check| &check.conditions);
        for warning in conditions.flat_map(|condition| condition.warnings().to_vec()) {
            let diagnostic = written.describe(warning);
            diagnostics.push(Diagnostic { severity: Severity::Warning, ..diagnostic });
        }
        let keys = options.condition_keys();
        tests.push(Test { name: options.name, written, trial, keys });
    }
    tests
}

/// Finds outputs that nothing gets to which the tests insert.
pub(super) fn check_ways(tests: &[Test], plan: &Plan, diagnostics: &mut Vec<Diagnostic>) {
    for Test { written, trial, .. } in tests {
        let starts: Vec<&str> = trial.insertions.iter().flat_map(|one| &one.at).map(String::as_str).collect();
        let reached = downstream(&plan.transforms, &starts);
        let is_reached = |output: &OutputId| reached.contains(&output.component.as_str());
        let mut cut_off = |key: String, output: &OutputId, severity| {
            let message = format!("nothing that is inserted can get to `{}`", output.component);
            let invalid = Invalid::new(&key, message)
                .help("insert at a transform in front of it, or look at the `inputs` between the two");
            diagnostics.push(Diagnostic { severity, ..written.describe(invalid) });
        };
        for (nth, check) in trial.checks.iter().enumerate() {
            for (at, output) in check.from.iter().enumerate().filter(|(_, output)| !is_reached(output)) {
                cut_off(format!("outputs[{nth}].extract_from[{at}]"), output, Severity::Error);
            }
        }
        for (at, output) in trial.silent.iter().enumerate().filter(|(_, output)| !is_reached(output)) {
            cut_off(format!("no_outputs_from[{at}]"), output, Severity::Warning);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_placed_where_it_says() {
        let error = r#"function call error for "assert_eq" at (3:20): assertion failed: 1 == "a at (1:2): ""#;
        assert_eq!(placed(error), (Some(3..20), "assertion failed: 1 == \"a at (1:2): \""));
        for error in ["aborted", "function call error for x", "function call error for \"x\" at (a:b): c"] {
            assert_eq!(placed(error), (None, error));
        }
    }
}
