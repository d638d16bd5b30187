//! `dedupe`: drops events that were there before.
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `fields.match` | paths of the fields that make two events the same | `["time", "message", "metadata"]` |
//! | `fields.ignore` | in the place of `fields.match`: all of the record but these | |
//! | `cache.num_events` | how many events are remembered; the one that was met longest ago is forgotten first | `5000` |
//!
//! Two values are the same if they have the same type and read the same; a field that is missing is another thing than
//! one that is `null`. Numbers are read as in VRL: those that differ only beyond 64 bits, or beyond some 16 digits behind a
//! point, are the same. What is dropped is counted as `duplicate`.
//!
//! The default is not Vector's (`timestamp`, `host`, `message`): two people may run a cell in the same millisecond, and
//! only the metadata tell. Events are remembered in memory, by a digest; behind a `file` source a restart brings back
//! those that were read last. What was seen counts as seen, even where a sink lost it later and the sender sends it
//! again: behind `http_server`, let the store drop repeats by `%id`, or match on more than the text.
//!
//! ```toml
//! [transforms.once]
//! type = "dedupe"
//! inputs = ["policy"]
//! fields.match = ["time", "metadata.users", "metadata.code"]
//! cache.num_events = 20000
//! ```

use super::{Memory, Ports, Transform, TransformConfig};
use crate::event::{Batch, Demand, Event, Invalid, Notes, Tree, write_value};
use crate::language::Field;
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU32;
use vrl::value::Value;

/// As many events as a cache may be asked to hold: some 100 bytes each.
const EVENTS_MAX: u32 = 10_000_000;

/// The options; see the [module](self).
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Dedupe {
    /// What makes two events the same.
    pub fields: Fields,
    /// How much is remembered.
    pub cache: Cache,
}

/// The options `fields.*`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Fields {
    /// These have to be the same.
    #[serde(rename = "match")]
    #[schemars(length(min = 1))]
    pub matched: Option<Vec<String>>,
    /// All but these have to be the same.
    #[schemars(length(min = 1))]
    pub ignore: Option<Vec<String>>,
}

/// The options `cache.*`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cache {
    /// How many events are remembered.
    #[schemars(range(max = EVENTS_MAX))]
    pub num_events: NonZeroU32,
}

impl Default for Cache {
    fn default() -> Cache {
        Cache { num_events: NonZeroU32::new(5000).unwrap_or(NonZeroU32::MIN) }
    }
}

impl Dedupe {
    fn compared(&self) -> Result<Compared, Invalid> {
        let parse = |key: &str, paths: &[String]| {
            let numbered = paths.iter().enumerate();
            let fields = numbered.map(|(index, path)| Field::parse(&format!("{key}[{index}]"), path));
            let fields = fields.collect::<Result<Vec<Field>, Invalid>>()?;
            if fields.is_empty() {
                return Err(Invalid::new(key, "no fields").help("name one, or leave the option out"));
            }
            Ok(fields)
        };
        match (&self.fields.matched, &self.fields.ignore) {
            (Some(_), Some(_)) => Err(Invalid::new("fields", "both `match` and `ignore`")
                .help("name the fields that count, or those that do not")),
            (Some(paths), None) => Ok(Compared::These(parse("fields.match", paths)?)),
            (None, Some(paths)) => Ok(Compared::AllBut(parse("fields.ignore", paths)?)),
            (None, None) => {
                let paths = ["time", "message", "metadata"].map(str::to_owned);
                Ok(Compared::These(parse("fields.match", &paths)?))
            }
        }
    }
}

impl TransformConfig for Dedupe {
    fn build(&self) -> Result<Box<dyn Transform>, Invalid> {
        let events_max = self.cache.num_events.get();
        if events_max > EVENTS_MAX {
            return Err(Invalid::new("cache.num_events", format!("more than {EVENTS_MAX}"))
                .help("what is remembered is in memory, some 100 bytes for each event"));
        }
        let seen = Seen { events_max: events_max as usize, ..Seen::default() };
        let (compared, fields) = (self.compared()?, self.fields.clone());
        Ok(Box::new(Deduper { compared, fields, seen, text: Vec::new(), notes: Notes::default() }))
    }

    fn demand(&self, downstream: Demand) -> Demand {
        // Any event may be the same as a later one.
        if downstream == Demand::Nothing { Demand::Nothing } else { Demand::Everything }
    }
}

enum Compared {
    These(Vec<Field>),
    AllBut(Vec<Field>),
}

type Key = [u8; 32];

/// What was met, and when.
#[derive(Default)]
struct Seen {
    events_max: usize,
    /// When each was met last, by a count of meetings.
    last: HashMap<Key, u64>,
    /// Meetings in their order; all but the last of each event count no more.
    order: VecDeque<(Key, u64)>,
    count: u64,
}

impl Seen {
    /// Whether `key` is new. From now on it is the one that was met last.
    fn meet(&mut self, key: Key) -> bool {
        self.count += 1;
        let is_new = self.last.insert(key, self.count).is_none();
        self.order.push_back((key, self.count));
        while self.last.len() > self.events_max {
            let Some((oldest, count)) = self.order.pop_front() else { break };
            if self.last.get(&oldest) == Some(&count) {
                self.last.remove(&oldest);
            }
        }
        if self.order.len() > 2 * self.events_max {
            self.order.retain(|(key, count)| self.last.get(key) == Some(count));
        }
        is_new
    }
}

struct Deduper {
    compared: Compared,
    /// What `compared` was made of: with others, a digest means something else.
    fields: Fields,
    seen: Seen,
    text: Vec<u8>,
    notes: Notes,
}

impl Deduper {
    /// A digest of what makes the event what it is.
    fn key(&mut self, event: &Event) -> Key {
        let tree = Tree::new(event, &mut self.notes);
        self.text.clear();
        match &self.compared {
            Compared::These(fields) => {
                for field in fields {
                    match field.get(&tree) {
                        Some(value) => write_typed(value, &mut self.text),
                        None => self.text.push(b'?'),
                    }
                    self.text.push(b'\n');
                }
            }
            Compared::AllBut(fields) => {
                let mut record = tree.record();
                fields.iter().for_each(|field| field.remove_from(&mut record));
                write_typed(&record, &mut self.text);
            }
        }
        Sha256::digest(&self.text).into()
    }
}

/// Writes a value so that another type makes another text.
fn write_typed(value: &Value, out: &mut Vec<u8>) {
    out.push(match value {
        Value::Timestamp(_) => b't',
        Value::Regex(_) => b'r',
        _ => b'j',
    });
    write_value(value, out);
}

impl Transform for Deduper {
    fn apply(&mut self, batch: &mut Batch, _: &mut Ports) {
        batch.retain("duplicate", |event| {
            let key = self.key(event);
            self.seen.meet(key)
        });
        self.notes.clear();
    }

    fn hand_over(&mut self) -> Option<Memory> {
        Some(Box::new((self.fields.clone(), std::mem::take(&mut self.seen))))
    }

    fn take_over(&mut self, memory: Memory) {
        let Ok(memory) = memory.downcast::<(Fields, Seen)>() else { return };
        let (fields, seen) = *memory;
        if fields == self.fields {
            self.seen = Seen { events_max: self.seen.events_max, ..seen };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Acks, Origin};
    use bytes::Bytes;
    use proptest::prelude::*;

    fn kept(options: &str, records: &[&str]) -> Vec<usize> {
        let mut deduper = toml::from_str::<Dedupe>(options).unwrap().build().unwrap();
        let is_kept = |(at, text): (usize, &&str)| {
            let event = Event::from_json(Bytes::copy_from_slice(text.as_bytes()), Origin::nowhere()).unwrap();
            let mut batch = Batch::new(vec![event], 0, Acks::default());
            deduper.apply(&mut batch, &mut Ports::default());
            (!batch.events.is_empty()).then_some(at)
        };
        records.iter().enumerate().filter_map(is_kept).collect()
    }

    #[test]
    fn values_types_and_missing_fields_are_told_apart() {
        let options = r#"fields.match = ["a", "m.b"]"#;
        let records = [
            r#"{"a":1}"#,
            r#"{"a":1,"x":2}"#,
            r#"{"a":"1"}"#,
            r#"{"a":null}"#,
            "{}",
            r#"{"b":0}"#,
            r#"{"a":1,"m":{"b":1}}"#,
            r#"{"m":{"b":1,"c":1},"a":1}"#,
        ];
        assert_eq!(kept(options, &records), [0, 2, 3, 4, 6]);
        let records = [r#"{"a":1,"t":1}"#, r#"{"t":2,"a":1}"#, r#"{"a":2}"#, r#"{"a":1}"#];
        assert_eq!(kept(r#"fields.ignore = ["t"]"#, &records), [0, 2]);
        assert_eq!(kept("", &[r#"{"time":"t","n":1}"#, r#"{"time":"t","n":2}"#, r#"{"time":"u"}"#]), [0, 2]);
    }

    #[test]
    fn the_one_met_longest_ago_is_forgotten() {
        let options = "cache.num_events = 2\nfields.match = [\"a\"]";
        let of = |n: &u32| format!("{{\"a\":{n}}}");
        let records: Vec<String> = [1, 2, 1, 3, 1, 2].iter().map(of).collect();
        let records: Vec<&str> = records.iter().map(String::as_str).collect();
        assert_eq!(kept(options, &records), [0, 1, 3, 5]);
    }

    #[test]
    fn options_that_make_no_sense_are_refused() {
        for (options, key) in [
            ("fields = { match = ['a'], ignore = ['b'] }", "fields"),
            ("fields.match = []", "fields.match"),
            ("fields.ignore = ['a', 'b..c']", "fields.ignore[1]"),
            ("cache.num_events = 4000000000", "cache.num_events"),
        ] {
            let options: Dedupe = toml::from_str(options).unwrap();
            assert_eq!(options.build().map(drop).unwrap_err().key, key);
        }
    }

    proptest! {
        #[test]
        fn remembers_as_a_list_would(keys in proptest::collection::vec(0u8..8, 0..200), max in 1usize..6) {
            let mut seen = Seen { events_max: max, ..Seen::default() };
            let mut list: Vec<u8> = Vec::new();
            for key in keys {
                let is_new = !list.contains(&key);
                list.retain(|other| *other != key);
                list.push(key);
                if list.len() > max {
                    list.remove(0);
                }
                prop_assert_eq!(seen.meet([key; 32]), is_new);
                prop_assert!(seen.order.len() <= 2 * max && seen.last.len() <= max);
            }
        }
    }
}
