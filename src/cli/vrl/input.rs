//! Events out of a file or standard input, a piece at a time, so that the input may be of any length.

use super::args::VrlArgs;
use crate::codec::zone::Zone;
use crate::codec::{Decoded, Decoding, Fault, Feed, Settings};
use crate::delivery::clock::now_ms;
use crate::event::{Event, Stream};
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::vec;

/// What comes out of the input.
pub enum Item {
    /// An event, and where it stood.
    Event(Event, String),
    /// What could not be decoded, and where it stood.
    Fault(String, String),
    /// What comes next may take its time.
    Pause,
}

/// The input.
pub struct Input {
    reader: Box<dyn Read>,
    feed: Feed,
    events: vec::IntoIter<Event>,
    faults: vec::IntoIter<Fault>,
    has_ended: bool,
    has_paused: bool,
}

impl Input {
    /// The input that `args` name: a file, or standard input.
    pub fn open(args: &VrlArgs) -> Result<Input, String> {
        let stdin = || -> Box<dyn Read> { Box::new(io::stdin()) };
        let (reader, file) = match &args.input {
            None => (stdin(), None),
            Some(path) if path.as_os_str() == "-" => (stdin(), None),
            Some(path) => {
                let file =
                    File::open(path).map_err(|e| format!("can't read the input {}: {e}", path.display()))?;
                (Box::new(file) as Box<dyn Read>, Some(path.display().to_string()))
            }
        };
        let zone = args.timezone.clone().map(Zone::try_from).transpose();
        let timezone = zone.map_err(|e| format!("--timezone: {e}"))?.unwrap_or_default();
        let decoding = Decoding { codec: args.codec.into(), unwrap: args.unwrap.into(), timezone };
        let stream = Stream { source: "vrl".to_owned(), file, ..Stream::default() };
        Ok(Input {
            reader,
            feed: Feed::new(Settings::new(decoding), stream),
            events: Vec::new().into_iter(),
            faults: Vec::new().into_iter(),
            has_ended: false,
            has_paused: false,
        })
    }

    /// What comes next; none at the end.
    pub fn next(&mut self) -> Result<Option<Item>, String> {
        loop {
            // Both in the order of the stream.
            let offset = |event: Option<&Event>| event.map_or(u64::MAX, |event| event.origin().offset());
            let event_at = offset(self.events.as_slice().first());
            let fault_at = offset(self.faults.as_slice().first().map(|fault| &fault.event));
            if let Some(fault) = self.faults.as_slice().first().filter(|_| fault_at < event_at) {
                let item = Item::Fault(fault.detail.clone(), self.place(fault_at));
                self.faults.next();
                return Ok(Some(item));
            }
            if let Some(event) = self.events.next() {
                return Ok(Some(Item::Event(event, self.place(event_at))));
            }
            if self.has_ended {
                return Ok(None);
            }
            if !self.has_paused {
                self.has_paused = true;
                return Ok(Some(Item::Pause));
            }
            let Decoded { events, faults, .. } = self.read()?;
            self.events = events.into_iter();
            self.faults = faults.into_iter();
            self.has_paused = false;
        }
    }

    fn read(&mut self) -> Result<Decoded, String> {
        loop {
            match self.reader.read(self.feed.room()) {
                Ok(read) => {
                    self.has_ended = read == 0;
                    return Ok(self.feed.read(read, now_ms()));
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(format!("can't read the input: {e}")),
            }
        }
    }

    fn place(&self, offset: u64) -> String {
        self.feed.line(offset).map_or_else(|| format!("byte {offset}"), |line| format!("line {line}"))
    }
}
