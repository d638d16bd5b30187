//! Events out of a file or standard input, a piece at a time, so that the input may be of any length.
//!
//! A thread reads, so that what the decoder holds back comes out when nothing follows it for a while.

use super::args::VrlArgs;
use crate::codec::zone::Zone;
use crate::codec::{Decoded, Decoding, Fault, Feed, Settings};
use crate::delivery::clock::now_ms;
use crate::event::{Event, Stream};
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;
use std::{thread, vec};

/// Bytes that are read at once.
const READ_BYTES: usize = 256 * 1024;
/// Reads that may be ahead of the decoder.
const READS_AHEAD: usize = 2;
/// How long nothing has to come until the decoder is asked whether that is long.
const SILENCE: Duration = Duration::from_millis(100);

/// What comes out of the input.
#[expect(clippy::large_enum_variant, reason = "it is taken apart at once, and nearly all are events")]
pub enum Item {
    /// An event.
    Event(Event),
    /// What could not be decoded, and where it stood.
    Fault(String, String),
    /// What comes next may take its time.
    Pause,
}

/// The input.
pub struct Input {
    reads: Receiver<io::Result<Vec<u8>>>,
    feed: Feed,
    events: vec::IntoIter<Event>,
    faults: vec::IntoIter<Fault>,
    has_ended: bool,
    /// Whether whoever asks knows that nothing is at hand.
    has_paused: bool,
}

impl Input {
    /// The input that `args` name: a file, or standard input.
    pub fn open(args: &VrlArgs) -> Result<Input, String> {
        let stdin = || -> Box<dyn Read + Send> { Box::new(io::stdin()) };
        let (reader, file) = match &args.input {
            None => (stdin(), None),
            Some(path) if path.as_os_str() == "-" => (stdin(), None),
            Some(path) => {
                let file =
                    File::open(path).map_err(|e| format!("can't read the input {}: {e}", path.display()))?;
                (Box::new(file) as Box<dyn Read + Send>, Some(path.display().to_string()))
            }
        };
        let zone = args.timezone.clone().map(Zone::try_from).transpose();
        let timezone = zone.map_err(|e| format!("--timezone: {e}"))?.unwrap_or_default();
        let decoding = Decoding { codec: args.codec.into(), unwrap: args.unwrap.into(), timezone };
        let stream = Stream { source: "vrl".to_owned(), file, ..Stream::default() };
        let (sender, reads) = sync_channel(READS_AHEAD);
        let spawned =
            thread::Builder::new().name("input".to_owned()).spawn(move || read_all(reader, &sender));
        spawned.map_err(|e| format!("can't start a thread to read the input: {e}"))?;
        Ok(Input {
            reads,
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
                return Ok(Some(Item::Event(event)));
            }
            if self.has_ended {
                return Ok(None);
            }
            let read = match self.reads.try_recv() {
                Ok(read) => read,
                Err(TryRecvError::Disconnected) => Ok(Vec::new()),
                Err(TryRecvError::Empty) if !self.has_paused => {
                    self.has_paused = true;
                    return Ok(Some(Item::Pause));
                }
                Err(TryRecvError::Empty) => match self.reads.recv_timeout(SILENCE) {
                    Ok(read) => read,
                    Err(RecvTimeoutError::Disconnected) => Ok(Vec::new()),
                    Err(RecvTimeoutError::Timeout) => {
                        if self.feed.deadline_ms().is_some_and(|deadline| deadline <= now_ms()) {
                            let decoded = self.feed.silence(now_ms());
                            self.put(decoded);
                        }
                        continue;
                    }
                },
            };
            let bytes = read.map_err(|e| format!("can't read the input: {e}"))?;
            self.has_ended = bytes.is_empty();
            let decoded = self.feed.take(&bytes, now_ms());
            self.put(decoded);
        }
    }

    fn put(&mut self, decoded: Decoded) {
        let Decoded { events, faults, .. } = decoded;
        self.events = events.into_iter();
        self.faults = faults.into_iter();
        self.has_paused = false;
    }

    /// Where in the input it is that has this offset; to be asked as long as it is what came last.
    pub fn place(&self, offset: u64) -> String {
        self.feed.line(offset).map_or_else(|| format!("byte {offset}"), |line| format!("line {line}"))
    }
}

/// Reads to the end, or until nobody takes what is read. No bytes are the end.
fn read_all(mut reader: Box<dyn Read + Send>, reads: &SyncSender<io::Result<Vec<u8>>>) {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = match reader.read(&mut buffer) {
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            read => read.map(|read| buffer.get(..read).unwrap_or_default().to_vec()),
        };
        let is_last = !matches!(&read, Ok(bytes) if !bytes.is_empty());
        if reads.send(read).is_err() || is_last {
            return;
        }
    }
}
