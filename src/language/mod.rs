//! Programs in VRL, the language of Vector's `remap`: compiled once, run on one event at a time.
//!
//! There are no functions that reach outside: none for the network, the environment, files or the name of the machine.
//! A program that fails has changed nothing, see [`Tree`].

mod condition;
mod field;
mod functions;
mod manual;
mod script;
mod session;

pub use condition::{Condition, ConditionOption, Holds};
pub use field::{Field, Template};
pub use manual::{function_examples, function_names, function_page, function_summary, functions_beginning};
pub use script::{Ran, Show, placed, run_shown};
pub use session::{Session, Trouble, is_incomplete};

use crate::event::{Invalid, Mark, Tree};
use std::sync::LazyLock;
use vrl::compiler::state::{ExternalEnv, RuntimeState};
use vrl::compiler::{CompileConfig, Context, ExpressionError, Function, TimeZone, compile_with_external};
use vrl::diagnostic::{Diagnostic, DiagnosticList, Note};

/// Functions that reach outside of the event. They are not compiled in; should another crate ever turn them on, they
/// stay unknown.
const OUTSIDE: [&str; 10] = [
    "get_env_var",
    "get_hostname",
    "get_timezone_name",
    "dns_lookup",
    "reverse_dns",
    "http_request",
    "encode_proto",
    "parse_proto",
    "parse_etld",
    "validate_json_schema",
];

static FUNCTIONS: LazyLock<Vec<Box<dyn Function>>> = LazyLock::new(|| {
    let theirs = vrl::stdlib::all().into_iter().filter(|function| !OUTSIDE.contains(&function.identifier()));
    functions::all().into_iter().chain(theirs).collect()
});

/// A compiled program, with the variables of one run after the other.
#[derive(Debug)]
pub struct Program {
    program: vrl::compiler::Program,
    state: RuntimeState,
    timezone: TimeZone,
    warnings: Vec<Invalid>,
}

/// Why a program has not come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Whether it says so itself, by `abort`.
    pub is_abort: bool,
    /// What it says. It may quote the event, so it belongs nowhere but into the event.
    pub message: String,
}

impl Failure {
    /// `abort` or `error`.
    pub fn reason(&self) -> &'static str {
        if self.is_abort { "abort" } else { "error" }
    }
}

impl Program {
    /// Compiles `source`, which stands in the option `key`. Times without a zone are in `timezone`.
    pub fn new(key: &str, source: &str, timezone: TimeZone) -> Result<Program, Invalid> {
        compile(key, source, timezone, CompileConfig::default())
    }

    /// Runs on `tree`, which has all changes afterwards, also those of a program that has failed: whoever lets go of
    /// the tree then has the event as it was.
    pub fn run(&mut self, tree: &mut Tree<'_>) -> Result<vrl::value::Value, Failure> {
        let mut context = Context::new(tree, &mut self.state, &self.timezone);
        let resolved = self.program.resolve(&mut context);
        // Now, since values may hold on to the buffer that the event came in.
        self.state.clear();
        match resolved {
            Ok(value) | Err(ExpressionError::Return { value, .. }) => Ok(value),
            Err(ExpressionError::Error { message, .. }) => Err(Failure { is_abort: false, message }),
            Err(other) => Err(Failure { is_abort: true, message: other.to_string() }),
        }
    }

    /// What is hardly as meant.
    pub fn warnings(&self) -> &[Invalid] {
        &self.warnings
    }
}

fn compile(key: &str, source: &str, timezone: TimeZone, config: CompileConfig) -> Result<Program, Invalid> {
    let compiled = compile_with_external(source, &FUNCTIONS, &ExternalEnv::default(), config)
        .map_err(|faults| all_of(key, faults))?;
    let warnings = compiled.warnings.into_iter().map(|warning| invalid(key, warning)).collect();
    Ok(Program { program: compiled.program, state: RuntimeState::default(), timezone, warnings })
}

/// The errors of `faults` as one.
fn all_of(key: &str, faults: DiagnosticList) -> Invalid {
    let mut errors = faults.into_iter().filter(Diagnostic::is_problem).map(|fault| invalid(key, fault));
    let mut first = errors.next().unwrap_or_else(|| Invalid::new(key, "the program can't be compiled"));
    first.others = errors.collect();
    first
}

fn invalid(key: &str, diagnostic: Diagnostic) -> Invalid {
    let Diagnostic { code, message, mut labels, notes, .. } = diagnostic;
    labels.sort_by_key(|label| !label.primary);
    let mark = |label: vrl::diagnostic::Label| Mark { span: label.span.range(), label: label.message };
    let mut marks: Vec<Mark> = Vec::new();
    let mut help: Vec<String> = Vec::new();
    // A second label of one place is advice, unless it is what the first one has announced.
    for label in labels {
        match marks.iter_mut().find(|other| other.span == label.span.range()) {
            Some(before) if before.label.ends_with(':') => {
                before.label.push(' ');
                before.label.push_str(&label.message);
            }
            Some(_) => help.push(label.message),
            None => marks.push(mark(label)),
        }
    }
    help.extend(notes.iter().filter_map(advice));
    // Some carry the heading of their own drawing: `function compilation error: error[E315] mutation of ...`.
    let title = message.split_once(": error[E").and_then(|(_, rest)| rest.split_once("] "));
    let title = title.map_or(message.as_str(), |(_, title)| title);
    // Only these have a page.
    if (100..=110).contains(&code) {
        help.push(format!("https://errors.vrl.dev/{code} tells more"));
    }
    let help = (!help.is_empty()).then(|| help.join("\n"));
    Invalid { help, marks, ..Invalid::new(key, title) }
}

/// A note of the compiler, without its general links.
fn advice(note: &Note) -> Option<String> {
    match note {
        Note::SeeErrorDocs
        | Note::SeeLangDocs
        | Note::SeeRepl
        | Note::SeeCodeDocs(_)
        | Note::SeeFunctionCharacteristicsDocs => None,
        Note::Basic(text) if text.trim().is_empty() => None,
        Note::Hint(text) => Some(text.clone()),
        note => Some(note.to_string().trim_end().to_owned()),
    }
}

/// Reads the option `timezone`.
pub fn timezone(name: Option<&str>) -> Result<TimeZone, Invalid> {
    let name = name.unwrap_or("local");
    TimeZone::parse(name).ok_or_else(|| {
        Invalid::new("timezone", format!("unknown time zone `{name}`"))
            .help("use `local` or a name such as `Europe/Berlin` or `UTC`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Notes, Origin};
    use bytes::Bytes;

    fn run(source: &str, record: &'static str) -> Result<String, Failure> {
        let mut program = Program::new("source", source, TimeZone::default()).unwrap();
        let mut event = Event::from_json(Bytes::from_static(record.as_bytes()), Origin::nowhere()).unwrap();
        let mut notes = Notes::default();
        program.run(&mut Tree::new(&event, &mut notes))?;
        event.change(&mut notes);
        let mut out = Vec::new();
        event.write_json(&mut out);
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn programs_change_events() {
        let record = r#"{"message":"a=1 b","n":1.50}"#;
        let source = ".metadata.a = to_int(parse_regex!(.message, r'a=(?P<a>\\d+)').a) ?? 0\ndel(.message)\n";
        assert_eq!(run(source, record).unwrap(), r#"{"n":1.50,"metadata":{"a":1}}"#);
        let early = ".x = 1\nif exists(.n) { return 1 }\n.y = 1";
        assert_eq!(run(early, record).unwrap(), r#"{"message":"a=1 b","n":1.50,"x":1}"#);
    }

    #[test]
    fn a_failure_says_whether_it_was_meant() {
        let failed = run(".x = 1\n.y = to_int!(.message)", r#"{"message":"z"}"#).unwrap_err();
        assert_eq!(failed.reason(), "error");
        assert!(failed.message.contains("to_int"), "{}", failed.message);
        let failed = run("abort \"too much\"", "{}").unwrap_err();
        assert_eq!((failed.reason(), failed.message.as_str()), ("abort", "too much"));
    }

    #[test]
    fn nothing_reaches_outside() {
        for name in OUTSIDE {
            let invalid = Program::new("source", &format!("{name}()"), TimeZone::default()).unwrap_err();
            assert_eq!(invalid.message, "call to undefined function", "{name}");
        }
        let grok = r#"parse_groks!(.a, ["%{x}"], alias_sources: ["/etc/passwd"])"#;
        assert!(Program::new("source", grok, TimeZone::default()).is_err());
    }

    #[test]
    fn all_errors_are_told_with_their_places() {
        let source = ".a = to_int(.b)\n.c = nope()\n";
        let invalid = Program::new("source", source, TimeZone::default()).unwrap_err();
        let all: Vec<&Invalid> = [&invalid].into_iter().chain(&invalid.others).collect();
        assert_eq!(all.len(), 2, "{all:?}");
        let blamed: Vec<&str> = all.iter().map(|one| &source[one.marks[0].span.clone()]).collect();
        assert!(blamed.contains(&"nope"), "{blamed:?}");
    }
}
