//! A program that is written while it runs: one piece after the other, with variables and the event kept in between.

use super::{FUNCTIONS, Failure, all_of};
use crate::event::{Event, Invalid, Notes, Tree};
use vrl::compiler::codes::ParserCode;
use vrl::compiler::state::{ExternalEnv, RuntimeState, TypeState};
use vrl::compiler::{CompileConfig, Context, ExpressionError, TargetValue, TimeZone, compile_with_state};
use vrl::path::OwnedTargetPath;
use vrl::value::{ObjectMap, Secrets, Value};

/// What a piece of a program can have wrong.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// It does not compile.
    Invalid(Box<Invalid>),
    /// It has failed, and changed nothing of the event.
    Failed(Failure),
}

/// The state between the pieces.
#[derive(Debug)]
pub struct Session {
    types: TypeState,
    variables: RuntimeState,
    target: TargetValue,
    timezone: TimeZone,
}

impl Session {
    /// Begins with an empty event.
    pub fn new(timezone: TimeZone) -> Session {
        let empty = || Value::Object(ObjectMap::new());
        let target = TargetValue { value: empty(), metadata: empty(), secrets: Secrets::new() };
        Session { types: TypeState::default(), variables: RuntimeState::default(), target, timezone }
    }

    /// Goes on with another event. Variables stay.
    pub fn turn_to(&mut self, event: &Event) {
        let mut notes = Notes::default();
        let tree = Tree::new(event, &mut notes);
        self.target.metadata = tree.get(&OwnedTargetPath::metadata_root()).cloned().unwrap_or(Value::Null);
        self.target.value = tree.get(&OwnedTargetPath::event_root()).cloned().unwrap_or(Value::Null);
        self.types.external = ExternalEnv::default();
    }

    /// The event as it is now.
    pub fn event(&self) -> &Value {
        &self.target.value
    }

    /// Runs the next piece and gives the value of its last expression.
    pub fn run(&mut self, source: &str) -> Result<Value, Trouble> {
        let mut config = CompileConfig::default();
        config.disable_unused_expression_check();
        let compiled = compile_with_state(source, &FUNCTIONS, &self.types, config)
            .map_err(|faults| Trouble::Invalid(Box::new(all_of("", faults))))?;
        let types = compiled.program.final_type_info().state;
        let (value, metadata) = (self.target.value.clone(), self.target.metadata.clone());
        let mut context = Context::new(&mut self.target, &mut self.variables, &self.timezone);
        let failure = match compiled.program.resolve(&mut context) {
            Ok(value) | Err(ExpressionError::Return { value, .. }) => {
                self.types = types;
                return Ok(value);
            }
            Err(ExpressionError::Error { message, .. }) => Failure { is_abort: false, message },
            Err(other) => Failure { is_abort: true, message: other.to_string() },
        };
        self.target.value = value;
        self.target.metadata = metadata;
        // Some of its variables may be set by now, others not: each is what it was or what it would have become.
        self.types = self.types.clone().merge(types);
        Err(Trouble::Failed(failure))
    }
}

/// Whether `source` only lacks its end: a bracket, a quote, the other side of an operator.
pub fn is_incomplete(source: &str) -> bool {
    let mut config = CompileConfig::default();
    config.disable_unused_expression_check();
    let ends = [
        ParserCode::UnrecognizedEof as usize,
        ParserCode::StringLiteral as usize,
        ParserCode::Literal as usize,
    ];
    match compile_with_state(source, &FUNCTIONS, &TypeState::default(), config) {
        Ok(_) => false,
        Err(faults) => faults.iter().any(|fault| ends.contains(&fault.code)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Origin;
    use bytes::Bytes;

    fn value(session: &mut Session, source: &str) -> String {
        match session.run(source) {
            Ok(value) => value.to_string(),
            Err(Trouble::Invalid(invalid)) => format!("invalid: {}", invalid.message),
            Err(Trouble::Failed(failure)) => format!("{}: {}", failure.reason(), failure.message),
        }
    }

    #[test]
    fn variables_and_the_event_stay() {
        let mut session = Session::new(TimeZone::default());
        let event = |text| Event::from_json(Bytes::from_static(text), Origin::nowhere()).unwrap();
        session.turn_to(&event(b"{\"n\":1}"));
        assert_eq!(value(&mut session, "x = 2"), "2");
        assert_eq!(value(&mut session, ".m = x + int!(.n)"), "3");
        assert_eq!(value(&mut session, "."), "{ \"m\": 3, \"n\": 1 }");
        assert!(value(&mut session, "x = 7\n.n = 9\n.n = to_int!(\"z\")").starts_with("error: "));
        assert_eq!(session.event().to_string(), "{ \"m\": 3, \"n\": 1 }", "nothing has changed");
        assert_eq!(value(&mut session, "y"), "invalid: call to undefined variable");
        session.turn_to(&event(b"{\"n\":\"a\"}"));
        assert_eq!(value(&mut session, "string!(.n) + to_string(x)"), "\"a7\"");
        assert_eq!(value(&mut session, "abort \"no\""), "abort: no");
    }

    #[test]
    fn what_lacks_its_end_is_told_from_what_is_wrong() {
        for source in ["{", "[1,", "\"abc", "x =", "if true {", "s'abc", "f(1,", "1 +", ".a = {\n\"b\": 1"] {
            assert!(is_incomplete(source), "{source}");
        }
        for source in ["", "1", "}", "t'x'", "r'('", "nope()", "x = 1", ".a = upcase(", "# {"] {
            assert_eq!(is_incomplete(source), source.ends_with('('), "{source}");
        }
    }
}
