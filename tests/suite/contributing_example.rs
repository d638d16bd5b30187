//! `label`: puts a label on each event.
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `text` | what `metadata.label` is to be | needed |
//!
//! This is the worked example of CONTRIBUTING.md. It is compiled and run here, through the same registry, config and
//! reference page as the components of the program, so that the page shows nothing that does not work.
//!
//! ```toml
//! [transforms.team]
//! type = "label"
//! inputs = ["policy"]
//! text = "data science"
//! ```

// begin
use evaltrail::event::{Batch, Demand, Invalid, Place};
use evaltrail::transforms::{Ports, Transform, TransformConfig};
use schemars::JsonSchema;
use serde::Deserialize;

/// The options; see the [module](self).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// What `metadata.label` is to be.
    pub text: String,
}

impl TransformConfig for Label {
    fn build(&self) -> Result<Box<dyn Transform>, Invalid> {
        if self.text.is_empty() {
            return Err(Invalid::new("text", "a label has at least one letter"));
        }
        Ok(Box::new(Labeller(self.text.clone())))
    }

    // It wants of its input what its consumers want of its output.
    fn demand(&self, downstream: Demand) -> Demand {
        downstream
    }
}

struct Labeller(String);

impl Transform for Labeller {
    fn apply(&mut self, batch: &mut Batch, _: &mut Ports) {
        for event in &mut batch.events {
            event.set_string(Place::Metadata, "label", self.0.as_bytes());
        }
    }
}
// end

use evaltrail::config::{self, Entry, Environment, Registry, SINKS, SOURCES, Source, manual, transform};

static TRANSFORMS: [Entry<dyn TransformConfig>; 1] =
    [transform::<Label>("label", "puts a label on each event").page(include_str!("contributing_example.rs"))];
static REGISTRY: Registry<'static> = Registry { sources: SOURCES, transforms: &TRANSFORMS, sinks: SINKS };

/// A config with the example, and a test of what it does.
fn config(text: &str) -> Vec<Source> {
    let text = format!(
        "[sources.logs]\ntype = \"demo_logs\"\n\n\
         [transforms.team]\ntype = \"label\"\ninputs = [\"logs\"]\n{text}\n\n\
         [sinks.out]\ntype = \"blackhole\"\ninputs = [\"team\"]\n\n\
         [[tests]]\nname = \"labels\"\n\
         [[tests.inputs]]\ninsert_at = \"team\"\ntype = \"log\"\nlog_fields.message = \"hello\"\n\
         [[tests.outputs]]\nextract_from = \"team\"\ncount = 1\n\
         [[tests.outputs.conditions]]\ntype = \"vrl\"\nsource = '.metadata.label == \"ours\"'\n"
    );
    vec![Source { name: "a.toml".to_owned(), text }]
}

#[test]
fn the_example_is_a_transform_like_any_other() {
    let read = |text: &str| config::tests(&config(text), &REGISTRY, Environment::Absent);
    let flaws = |text: &str| read(text).unwrap().run(0).unwrap().len();
    assert_eq!((flaws("text = \"ours\""), flaws("text = \"theirs\"")), (0, 1));
}

#[test]
fn what_is_wrong_with_its_options_is_told() {
    for (options, said) in [
        ("txet = \"ours\"", "unknown option `txet`"),
        ("text = 5", "wrong type of `text`"),
        ("text = \"\"", "invalid value of `text`"),
        ("", "the option `text` is missing"),
    ] {
        let Err(faults) = config::validate(&config(options), &REGISTRY, Environment::Absent) else {
            panic!("{options} is accepted");
        };
        assert!(faults.iter().any(|fault| fault.title == said), "{options}: {faults:?}");
    }
}

#[test]
fn it_has_a_page_and_a_schema() {
    let page = manual::describe(&REGISTRY, &["label"]).unwrap();
    assert!(
        page.contains("Puts a label on each event.") && page.contains("text (a string; needed)"),
        "{page}"
    );
    let schema = config::schema(&REGISTRY);
    assert!(
        schema.contains("transform.label") && schema.contains("What `metadata.label` is to be."),
        "{schema}"
    );
}
