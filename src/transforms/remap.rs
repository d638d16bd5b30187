//! `remap`: changes events by a program in VRL, the language of Vector.
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `source` | the program; one of `source` and `file` is needed | |
//! | `file` | a file with the program, read once, with the config; a relative path counts from where evaltrail was started | |
//! | `drop_on_error` | whether an event is dropped on which the program fails; if not, it goes on as it came, with the error in `%error` | `false` |
//! | `drop_on_abort` | whether an event is dropped on which the program says `abort`; if not, it goes on as it came | `true` |
//! | `reroute_dropped` | whether dropped events leave by the port `dropped`, as they came, with the reason in `%dropped` | `false` |
//! | `timezone` | where times without a zone are: `local`, or a name such as `Europe/Berlin` | `local` |
//!
//! `.` is the record, `%` is where it was read: `%source`, `%file`, `%container`, `%peer`, `%offset`, `%received`, `%id`.
//! What a program writes to `%` is there for the VRL components and the projection behind it, and changes nothing of
//! how evaltrail itself knows the record. An array assigned to `.` becomes as many events, an empty one none. A program
//! that fails has changed nothing. What is not written keeps its bytes: the order of its members, the digits of its
//! numbers.
//!
//! What is dropped is counted as `error`, `abort` or `empty_array`; failures are counted besides. `%error` has
//! `message`, `component_id` and `component_type`, and `%dropped` has these, `component_kind` and `reason` (`error` or
//! `abort`).
//!
//! ```toml
//! [transforms.team]
//! type = "remap"
//! inputs = ["policy"]
//! source = '''
//!     .metadata.team = if ends_with(string(.metadata.users[0].email) ?? "", "@research.example.com") {
//!         "research"
//!     } else {
//!         "other"
//!     }
//!     .metadata.code_lines = length(split(string(.metadata.code) ?? "", "\n"))
//!     .metadata.read_from = %file
//! '''
//! ```

use super::{Ports, Transform, TransformConfig};
use crate::codec::zone::Zone;
use crate::event::{Batch, Demand, Event, Invalid, Made, Notes, Tree};
use crate::language::{Failure, Program, timezone};
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use vrl::value::{ObjectMap, Value};

/// The port of dropped events.
const DROPPED: &str = "dropped";

/// The options; see the [module](self).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend(
    "if" = {"required": ["source"]},
    "then" = {"properties": {"file": false}},
    "else" = {"required": ["file"]},
))]
pub struct Remap {
    /// The program.
    pub source: Option<String>,
    /// A file with the program.
    pub file: Option<PathBuf>,
    /// Whether an event is dropped on which the program fails.
    pub drop_on_error: bool,
    /// Whether an event is dropped on which the program aborts.
    pub drop_on_abort: bool,
    /// Whether dropped events leave by a port.
    pub reroute_dropped: bool,
    /// Where times without a zone are.
    #[schemars(with = "Option<Zone>")]
    pub timezone: Option<String>,
    /// What stands in the file.
    #[serde(skip)]
    pub text: Option<String>,
}

impl Default for Remap {
    fn default() -> Remap {
        Remap {
            source: None,
            file: None,
            drop_on_error: false,
            drop_on_abort: true,
            reroute_dropped: false,
            timezone: None,
            text: None,
        }
    }
}

impl Remap {
    fn program(&self) -> Result<Program, Invalid> {
        let timezone = timezone(self.timezone.as_deref())?;
        match (&self.source, &self.file) {
            (Some(source), None) => Program::new("source", source, timezone),
            (None, Some(file)) => {
                let unread = || Invalid::new("file", format!("`{}` has not been read", file.display()));
                let text = self.text.as_ref().ok_or_else(unread)?;
                Program::new("file", text, timezone).map_err(|invalid| in_file(invalid, file, text))
            }
            (None, None) => {
                Err(Invalid::new("", "there is no program").help("write one as `source`, or name a `file`"))
            }
            (Some(_), Some(_)) => {
                let message = "there are two programs, this one and `source`";
                Err(Invalid::new("file", message).help("take one of them away"))
            }
        }
    }
}

/// Puts the places of a fault into words: they are in another file than the config.
fn in_file(mut invalid: Invalid, file: &Path, text: &str) -> Invalid {
    invalid.others = invalid.others.into_iter().map(|other| in_file(other, file, text)).collect();
    if let Some(mark) = invalid.marks.first() {
        let before = text.get(..mark.span.start).unwrap_or_default();
        let line = 1 + before.matches('\n').count();
        let column = 1 + before.rsplit('\n').next().unwrap_or_default().chars().count();
        let label = if mark.label.is_empty() { String::new() } else { format!(" ({})", mark.label) };
        invalid.message = format!("{}:{line}:{column}: {}{label}", file.display(), invalid.message);
    }
    invalid.marks = Vec::new();
    invalid
}

impl TransformConfig for Remap {
    fn take_files(&mut self, read: &dyn Fn(&Path) -> Result<String, String>) -> Result<(), Invalid> {
        if let (Some(file), None) = (&self.file, &self.source) {
            self.text =
                Some(read(file).map_err(|why| {
                    Invalid::new("file", format!("can't read `{}`: {why}", file.display()))
                })?);
        }
        Ok(())
    }

    fn build(&self) -> Result<Box<dyn Transform>, Invalid> {
        Ok(Box::new(Remapper {
            program: self.program()?,
            options: self.clone(),
            id: String::new(),
            notes: Notes::default(),
        }))
    }

    fn warnings(&self) -> Vec<Invalid> {
        let warnings = self.program().map(|program| program.warnings().to_vec()).unwrap_or_default();
        match (&self.file, &self.text) {
            (Some(file), Some(text)) => warnings.into_iter().map(|one| in_file(one, file, text)).collect(),
            _ => warnings,
        }
    }

    fn demand(&self, downstream: Demand) -> Demand {
        // A program may make an evaluation of anything.
        if downstream == Demand::Nothing { Demand::Nothing } else { Demand::Everything }
    }

    fn ports(&self) -> Vec<String> {
        if self.reroute_dropped { vec![DROPPED.to_owned()] } else { Vec::new() }
    }
}

struct Remapper {
    program: Program,
    options: Remap,
    id: String,
    notes: Notes,
}

impl Transform for Remapper {
    fn apply(&mut self, batch: &mut Batch, ports: &mut Ports) {
        let mut events = std::mem::take(&mut batch.events);
        let mut made: Vec<(usize, Vec<Event>)> = Vec::new();
        let mut kept = 0;
        events.retain_mut(|event| {
            let keep = match self.program.run(&mut Tree::new(event, &mut self.notes)) {
                Err(failure) => self.failed(event, &failure, batch, ports),
                Ok(_) => match event.change(&mut self.notes) {
                    Made::Itself => true,
                    Made::More(others) => {
                        made.push((kept + 1, others));
                        true
                    }
                    Made::Nothing => {
                        batch.count_dropped("empty_array", 1);
                        false
                    }
                    Made::TooLarge => {
                        let message =
                            "the program has written more than an event can hold: too much, or too deep"
                                .to_owned();
                        self.failed(event, &Failure { is_abort: false, message }, batch, ports)
                    }
                },
            };
            kept += usize::from(keep);
            keep
        });
        for (at, others) in made.into_iter().rev() {
            events.splice(at..at, others);
        }
        self.notes.clear();
        batch.events = events;
    }

    fn set_id(&mut self, id: &str) {
        id.clone_into(&mut self.id);
    }
}

impl Remapper {
    /// Whether the event stays on which the program has failed.
    fn failed(&self, event: &mut Event, failure: &Failure, batch: &mut Batch, ports: &mut Ports) -> bool {
        let Remap { drop_on_error, drop_on_abort, reroute_dropped, .. } = self.options;
        if !failure.is_abort {
            batch.count_failed(1);
        }
        let is_dropped = if failure.is_abort { drop_on_abort } else { drop_on_error };
        let mut note = ObjectMap::new();
        note.insert("message".into(), failure.message.as_str().into());
        note.insert("component_id".into(), self.id.as_str().into());
        note.insert("component_type".into(), "remap".into());
        if !is_dropped {
            if !failure.is_abort {
                event.set_percent("error", Value::Object(note));
            }
            return true;
        }
        if reroute_dropped {
            note.insert("component_kind".into(), "transform".into());
            note.insert("reason".into(), failure.reason().into());
            event.set_percent("dropped", Value::Object(note));
            let nothing = Event::new(event.origin().clone());
            ports.send(DROPPED, std::mem::replace(event, nothing));
        } else {
            batch.count_dropped(failure.reason(), 1);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Acks, Origin};
    use bytes::Bytes;

    fn json(events: &[Event]) -> Vec<String> {
        let json = |event: &Event| {
            let mut out = Vec::new();
            event.write_json(&mut out);
            String::from_utf8(out).unwrap()
        };
        events.iter().map(json).collect()
    }

    /// What stays, what leaves by the port, and the drops.
    fn remap(options: &str, records: &[&str]) -> (Vec<String>, Vec<String>, Vec<(&'static str, u64)>) {
        let options: Remap = toml::from_str(options).unwrap();
        let event =
            |text: &&str| Event::from_json(Bytes::copy_from_slice(text.as_bytes()), Origin::nowhere());
        let mut batch =
            Batch::new(records.iter().map(|text| event(text).unwrap()).collect(), 0, Acks::default());
        let mut ports = Ports::default();
        let mut remapper = options.build().unwrap();
        remapper.set_id("fix");
        remapper.apply(&mut batch, &mut ports);
        let left = ports.take().into_iter().flat_map(|(_, events)| events).collect::<Vec<Event>>();
        (json(&batch.events), json(&left), batch.take_drops().into_iter().collect())
    }

    const FAILS: &str = "source = '''\n.x = 1\n.y = to_int!(.n)\nif .y == 0 { abort \"none\" }'''\n";
    const RECORDS: [&str; 3] = [r#"{"n":"7"}"#, r#"{"n":"z"}"#, r#"{"n":0}"#];

    #[test]
    fn an_error_and_an_abort_do_as_the_options_say() {
        let good = r#"{"n":"7","x":1,"y":7}"#.to_owned();
        let [_, bad, none] = RECORDS.map(str::to_owned);
        let (kept, _, drops) = remap(FAILS, &RECORDS);
        assert_eq!((kept, drops), (vec![good.clone(), bad.clone()], vec![("abort", 1)]));
        let (kept, _, drops) =
            remap(&format!("{FAILS}drop_on_error = true\ndrop_on_abort = false"), &RECORDS);
        assert_eq!((kept, drops), (vec![good.clone(), none.clone()], vec![("error", 1)]));
        let (kept, left, drops) =
            remap(&format!("{FAILS}drop_on_error = true\nreroute_dropped = true"), &RECORDS);
        assert_eq!((kept, left, drops), (vec![good], vec![bad, none], vec![]));
    }

    #[test]
    fn several_events_come_where_the_one_was() {
        let source = "source = '. = if exists(.list) { array!(.list) } else { . }'";
        let records = [r#"{"a":1}"#, r#"{"list":[{"b":1},{"b":2}]}"#, r#"{"list":[]}"#, r#"{"c":1}"#];
        let (kept, _, drops) = remap(source, &records);
        assert_eq!(kept, [r#"{"a":1}"#, r#"{"b":1}"#, r#"{"b":2}"#, r#"{"c":1}"#]);
        assert_eq!(drops, [("empty_array", 1)]);
    }

    #[test]
    fn a_program_is_needed_and_only_one() {
        let build = |options: &str| toml::from_str::<Remap>(options).unwrap().build().map(drop);
        assert!(build("").is_err() && build("source = ''\nfile = 'a'").is_err());
        assert_eq!(build("source = ''\ntimezone = 'Mars'").unwrap_err().key, "timezone");
        let mut options: Remap = toml::from_str("file = 'a.vrl'").unwrap();
        options.take_files(&|path| Ok(format!("# {}\n.a = nope()", path.display()))).unwrap();
        let invalid = options.build().map(drop).unwrap_err();
        assert!(invalid.message.starts_with("a.vrl:2:6: call to undefined function"), "{invalid}");
        assert!(options.take_files(&|_| Err("can't".to_owned())).is_err());
    }
}
