//! What each stage costs on 16 MiB of generated log, in memory and on one thread: `cargo bench`.
//!
//! The logs are those of the `demo_logs` source: `mixed` has 5 % records of evaluations, `evaluations` nothing else.

#![allow(clippy::expect_used, reason = "a bench that can't be set up has nothing to say")]

use bytes::Bytes;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use evaltrail::codec::{Chunk, Decoded, Decoder, Decoding, Encoder, Encoding, Settings};
use evaltrail::event::{Acks, Batch, Demand, Stream};
use evaltrail::sources::demo_logs::{self, Format, Generator};
use evaltrail::transforms::audit_policy::AuditPolicy;
use evaltrail::transforms::legacy_message::LegacyMessage;
use evaltrail::transforms::metadata_projection::MetadataProjection;
use evaltrail::transforms::{Ports, Transform, TransformConfig};
use std::sync::Arc;

const LOG_BYTES: usize = 16 << 20;
const CHUNK_BYTES: usize = 512 << 10;
const START_MS: u64 = 1_759_737_600_000;

fn main() {
    divan::main();
}

const LOGS: [(&str, Format, f64); 4] = [
    ("json_mixed", Format::LivebookJson, 0.05),
    ("json_evaluations", Format::LivebookJson, 1.0),
    ("text_mixed", Format::LivebookText, 0.05),
    ("text_evaluations", Format::LivebookText, 1.0),
];

fn names() -> impl Iterator<Item = &'static str> {
    LOGS.iter().map(|(name, ..)| *name)
}

/// The log in chunks of whole lines, as the reader hands them on.
fn log(name: &str) -> Vec<Bytes> {
    let (_, format, evaluations) = *LOGS.iter().find(|log| log.0 == name).expect("a log of the table");
    let settings = demo_logs::Settings { format, evaluations, seed: 1, start_ms: START_MS };
    let mut generator = Generator::new(settings);
    let mut chunks = Vec::new();
    let mut total = 0;
    while total < LOG_BYTES {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES * 2);
        while chunk.len() < CHUNK_BYTES {
            generator.next_record(&mut chunk);
        }
        total += chunk.len();
        chunks.push(Bytes::from(chunk));
    }
    chunks
}

fn bytes(chunks: &[Bytes]) -> BytesCount {
    BytesCount::new(chunks.iter().map(Bytes::len).sum::<usize>())
}

fn decoder(demand: Demand) -> Decoder {
    Decoder::new(Settings { demand, ..Settings::new(Decoding::default()) })
}

fn decode(decoder: &mut Decoder, stream: &Arc<Stream>, chunk: &Bytes) -> Batch {
    let mut decoded = Decoded::new(Arc::clone(stream), START_MS);
    decoder.decode(Chunk::Lines { bytes: chunk.clone(), offset: 0 }, &mut decoded);
    Batch::new(decoded.events, START_MS, Acks::default())
}

fn decode_all(chunks: &[Bytes], demand: Demand) -> Vec<Batch> {
    let (mut decoder, stream) = (decoder(demand), Arc::default());
    chunks.iter().map(|chunk| decode(&mut decoder, &stream, chunk)).collect()
}

fn chain() -> Vec<Box<dyn Transform>> {
    let configs: [&dyn TransformConfig; 3] =
        [&LegacyMessage::default(), &AuditPolicy::default(), &MetadataProjection::default()];
    configs.map(|config| config.build().expect("defaults are valid")).into()
}

#[divan::bench(args = names())]
fn decode_what_is_wanted(bencher: Bencher<'_, '_>, name: &str) {
    let chunks = log(name);
    bencher.counter(bytes(&chunks)).bench_local(|| {
        let (mut decoder, stream) = (decoder(Demand::Evaluations), Arc::default());
        for chunk in &chunks {
            black_box(decode(&mut decoder, &stream, chunk));
        }
    });
}

#[divan::bench(args = names())]
fn decode_everything(bencher: Bencher<'_, '_>, name: &str) {
    let chunks = log(name);
    bencher.counter(bytes(&chunks)).bench_local(|| {
        let (mut decoder, stream) = (decoder(Demand::Everything), Arc::default());
        for chunk in &chunks {
            black_box(decode(&mut decoder, &stream, chunk));
        }
    });
}

/// One transform of the embedded pipeline over the output of those in front of it.
fn transform(bencher: Bencher<'_, '_>, at: usize) {
    let chunks = log("json_evaluations");
    bencher
        .counter(bytes(&chunks))
        .with_inputs(|| {
            let mut batches = decode_all(&chunks, Demand::Evaluations);
            let mut chain = chain();
            for before in chain.iter_mut().take(at) {
                batches.iter_mut().for_each(|batch| before.apply(batch, &mut Ports::default()));
            }
            (chain.swap_remove(at), batches)
        })
        .bench_local_values(|(mut transform, mut batches)| {
            batches.iter_mut().for_each(|batch| transform.apply(batch, &mut Ports::default()));
            batches
        });
}

#[divan::bench]
fn legacy_message(bencher: Bencher<'_, '_>) {
    transform(bencher, 0);
}

#[divan::bench]
fn audit_policy(bencher: Bencher<'_, '_>) {
    transform(bencher, 1);
}

#[divan::bench]
fn metadata_projection(bencher: Bencher<'_, '_>) {
    transform(bencher, 2);
}

#[divan::bench]
fn encode_json(bencher: Bencher<'_, '_>) {
    let chunks = log("json_evaluations");
    let batches = decode_all(&chunks, Demand::Everything);
    let encoder = Encoder::new(&Encoding::default(), false).expect("defaults are valid");
    bencher.counter(bytes(&chunks)).bench_local(|| {
        let mut out = Vec::new();
        for batch in &batches {
            out.clear();
            batch.events.iter().for_each(|event| encoder.encode(event, &mut out));
            black_box(&out);
        }
    });
}

#[divan::bench(args = names())]
fn whole_chain(bencher: Bencher<'_, '_>, name: &str) {
    let chunks = log(name);
    let encoder = Encoder::new(&Encoding::default(), false).expect("defaults are valid");
    bencher.counter(bytes(&chunks)).bench_local(|| {
        let (mut decoder, stream) = (decoder(Demand::Evaluations), Arc::default());
        let mut chain = chain();
        let mut out = Vec::new();
        for chunk in &chunks {
            let mut batch = decode(&mut decoder, &stream, chunk);
            for transform in &mut chain {
                transform.apply(&mut batch, &mut Ports::default());
            }
            out.clear();
            batch.events.iter().for_each(|event| encoder.encode(event, &mut out));
            black_box(&out);
        }
    });
}
