//! The embedded pipeline without its process: for tests that run it thousands of times.

use evaltrail::codec::framing::Framer;
use evaltrail::codec::{Chunk, Decoded, Decoder, Decoding, Encoder, Encoding, Settings};
use evaltrail::event::{Acks, Batch, Demand, Stream};
use evaltrail::transforms::audit_policy::AuditPolicy;
use evaltrail::transforms::legacy_message::LegacyMessage;
use evaltrail::transforms::metadata_projection::MetadataProjection;
use evaltrail::transforms::{Ports, Transform, TransformConfig};
use std::sync::Arc;

/// Any time will do: no time passes here.
const NOW_MS: u64 = 1_759_513_702_238;

/// What came out.
#[derive(Debug, PartialEq, Eq)]
pub struct Output {
    /// One line of JSON for each event, each with its newline.
    pub lines: Vec<String>,
    /// Reasons of the faults, with their offsets.
    pub faults: Vec<(&'static str, u64)>,
}

struct Inproc {
    decoder: Decoder,
    transforms: Vec<Box<dyn Transform>>,
    encoder: Encoder,
    output: Output,
}

impl Inproc {
    fn step(&mut self, chunk: Option<Chunk>, last: bool) {
        let mut decoded = Decoded::new(Arc::new(Stream::default()), NOW_MS);
        match chunk {
            Some(chunk) => self.decoder.decode(chunk, &mut decoded),
            None => self.decoder.complete(&mut decoded),
        }
        let faults = decoded.faults.iter().map(|fault| (fault.kind.name(), fault.event.origin().offset()));
        self.output.faults.extend(faults);
        let mut batch = Batch::new(decoded.events, NOW_MS, Acks::default());
        batch.last = last;
        for transform in &mut self.transforms {
            transform.apply(&mut batch, &mut Ports::default());
        }
        for event in &batch.events {
            let mut bytes = Vec::new();
            self.encoder.encode(event, &mut bytes);
            self.output.lines.push(String::from_utf8(bytes).expect("output is text"));
        }
    }
}

/// Runs the pipeline over `pieces` of a stream.
pub fn run<'a>(
    demand: Demand,
    max_record_bytes: usize,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Output {
    run_as(demand, false, max_record_bytes, pieces)
}

/// The same, where evaluations are wanted and every record is looked at for faults.
pub fn run_checking<'a>(max_record_bytes: usize, pieces: impl IntoIterator<Item = &'a [u8]>) -> Output {
    run_as(Demand::Evaluations, true, max_record_bytes, pieces)
}

fn run_as<'a>(
    demand: Demand,
    check_all: bool,
    max_record_bytes: usize,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Output {
    let decoding: Decoding = toml::from_str("timezone = \"UTC\"").unwrap();
    let settings = Settings { demand, max_record_bytes, check_all, ..Settings::new(decoding) };
    let transforms = vec![
        LegacyMessage::default().build().unwrap(),
        AuditPolicy::default().build().unwrap(),
        MetadataProjection::default().build().unwrap(),
    ];
    let encoder = Encoder::new(&Encoding::default(), false).unwrap();
    let output = Output { lines: Vec::new(), faults: Vec::new() };
    let mut inproc = Inproc { decoder: Decoder::new(settings), transforms, encoder, output };
    let mut framer = Framer::new(max_record_bytes);
    for mut piece in pieces {
        while !piece.is_empty() {
            let room = framer.room();
            let len = room.len().min(piece.len());
            room[..len].copy_from_slice(&piece[..len]);
            piece = &piece[len..];
            for chunk in framer.filled(len) {
                inproc.step(Some(chunk), false);
            }
        }
    }
    if let Some(chunk) = framer.finish() {
        inproc.step(Some(chunk), false);
    }
    inproc.step(None, true);
    inproc.output
}
