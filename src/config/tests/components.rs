//! Components made for the purpose.

use super::super::{Registry, sink, source, transform};
use crate::delivery::{BoxFuture, Sink, SourceContext, Work, WriteError};
use crate::event::{Batch, Demand, Event, Invalid};
use crate::sinks::SinkConfig;
use crate::sources::{SourceConfig, Task};
use crate::transforms::{Ports, Transform, TransformConfig};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Demo {
    _format: Format,
    count: Option<u64>,
    #[serde(default)]
    rate: Fraction,
    on: Option<bool>,
    size: Option<u16>,
    decoding: Option<Decoding>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Format {
    LivebookJson,
    LivebookText,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(try_from = "f64")]
struct Fraction(f64);

impl TryFrom<f64> for Fraction {
    type Error = String;

    fn try_from(value: f64) -> Result<Fraction, String> {
        let is_in = (0.0..1.0).contains(&value);
        if is_in { Ok(Fraction(value)) } else { Err(format!("must be from 0 to below 1, not {value}")) }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Decoding {
    codec: Format,
    timezone: String,
}

impl SourceConfig for Demo {
    fn check(&self) -> Result<(), Invalid> {
        match (self.count, &self.decoding) {
            (Some(count), Some(_)) if count > 1_000 => {
                Err(Invalid::new("", format!("{count} is too many to decode")))
            }
            _ => Ok(()),
        }
    }

    fn build(&self, _: SourceContext) -> Result<Task, Invalid> {
        Err(Invalid::new("", "never built"))
    }

    fn ports(&self) -> Vec<String> {
        // Also tells what was read, to the test that asks.
        let decoding = self.decoding.as_ref().map(|one| matches!(one.codec, Format::LivebookText));
        let zone = self.decoding.as_ref().map(|one| &one.timezone);
        vec![
            "faults".to_owned(),
            format!("{:?} {} {:?} {:?} {decoding:?} {zone:?}", self.count, self.rate.0, self.on, self.size),
        ]
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Pass {
    #[serde(default)]
    ports: Vec<String>,
}

struct Passing;

impl Transform for Passing {
    fn apply(&mut self, _: &mut Batch, _: &mut Ports) {}
}

impl TransformConfig for Pass {
    fn build(&self) -> Result<Box<dyn Transform>, Invalid> {
        match self.ports.iter().position(|port| port.contains(' ')) {
            Some(index) => {
                let invalid =
                    Invalid::new(&format!("ports[{index}]"), format!("{:?} has a space", self.ports[index]));
                Err(invalid.help("use `_`"))
            }
            None => Ok(Box::new(Passing)),
        }
    }

    fn demand(&self, downstream: Demand) -> Demand {
        downstream
    }

    fn ports(&self) -> Vec<String> {
        self.ports.clone()
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Out {
    uri: String,
    _token: String,
    #[serde(default)]
    _headers: BTreeMap<String, String>,
}

impl SinkConfig for Out {
    fn build(&self) -> Result<Work, Invalid> {
        match self.uri.starts_with("http") {
            true => Ok(Work::writing(Nowhere)),
            false => Err(Invalid::new("uri", format!("{} is no address", self.uri))),
        }
    }

    fn ports(&self) -> Vec<String> {
        vec!["rejected".to_owned()]
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Null {}

impl SinkConfig for Null {
    fn build(&self) -> Result<Work, Invalid> {
        Ok(Work::writing(Nowhere))
    }
}

struct Nowhere;

impl Sink for Nowhere {
    fn write<'a>(&'a mut self, _: &'a [Event]) -> BoxFuture<'a, Result<(), WriteError>> {
        Box::pin(async { Ok(()) })
    }

    fn flush(&mut self) -> BoxFuture<'_, Result<(), WriteError>> {
        Box::pin(async { Ok(()) })
    }
}

pub static TESTED: Registry<'static> = Registry {
    sources: &[source::<Demo>("demo", "makes records up")],
    transforms: &[transform::<Pass>("pass", "does nothing")],
    sinks: &[sink::<Null>("null", "forgets"), sink::<Out>("out", "sends")],
};

/// The environment of the tests.
pub fn variable(name: &str) -> Option<String> {
    let value = match name {
        "COUNT" => " 1_000",
        "RATE" => "0.25",
        "ON" => "true",
        "SIZE" => "70000",
        "SECRET" => "hunter2",
        "SPACED" => "hunter2 hunter2",
        "IN" => "demp",
        _ => return None,
    };
    Some(value.to_owned())
}
