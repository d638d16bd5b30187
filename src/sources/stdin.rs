//! `stdin`: reads standard input, up to its end. A last line without a newline counts.
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `decoding.codec` | `livebook`: JSON and text records, detected line by line, any other line as `{message}`; `json`; `text` | `livebook` |
//! | `decoding.unwrap` | what stands around each line: `docker` (`json-file`), `cri` (containerd, CRI-O), `journald` (`journalctl -o json`), `fly`, `none`; `auto` finds out, shippers such as Fluent Bit and Vector too | `auto` |
//! | `decoding.timezone` | the zone of text records, whose times have none | the machine's |
//! | `max_record_bytes` | length of the longest record, in bytes; a longer one is a fault | `4194304` |
//!
//! `auto` is for the codec `livebook`, and takes off up to four wrappers; one that is named is taken off once, with any
//! codec, and a line without it is decoded as it is. Lines that came in parts are joined, each container and stream by
//! itself; parts whose rest does not come within five seconds are a fault (`incomplete_record`). The name of the
//! container or unit is `%container`; what else stands in a wrapper is dropped.
//!
//! A stream that is read again is another one: its records have other `%id`s, so what is fed twice comes twice.
//!
//! What can't be decoded leaves by the port `faults`, as `{reason, detail, raw | raw_base64, truncated}`. Where nobody
//! consumes that port, faults are counted and logged with their offset in bytes.
//!
//! ```toml
//! [sources.livebook]
//! type = "stdin"
//! decoding.timezone = "Europe/Berlin"
//! ```

use super::{SourceConfig, Task, number_of_this_run};
use crate::codec::framing::Framer;
use crate::codec::sieve::Sieve;
use crate::codec::{Chunk, Decoder, Decoding, RecordBytes, Settings};
use crate::delivery::{Exclusive, Intake, SourceContext, Wanted};
use crate::event::{Invalid, Stream};
use schemars::JsonSchema;
use serde::Deserialize;
use std::io::{ErrorKind, Read};
use tokio::sync::mpsc;

/// Reads that may be ahead of the decoder.
const READS_AHEAD: usize = 2;

/// The options; see the [module](self).
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Stdin {
    /// How bytes become events.
    pub decoding: Decoding,
    /// Length of the longest record, in bytes.
    pub max_record_bytes: RecordBytes,
}

impl SourceConfig for Stdin {
    fn can_be_exchanged(&self) -> Result<(), &'static str> {
        Err("what was read ahead of standard input would be lost")
    }

    fn claims(&self) -> Option<Exclusive> {
        Some(Exclusive::StandardInput)
    }

    fn build(&self, cx: SourceContext) -> Result<Task, Invalid> {
        let max_record_bytes = self.max_record_bytes.0;
        let (demand, check_all) = cx.wanted.now();
        let settings = Settings { max_record_bytes, demand, check_all, ..Settings::new(self.decoding) };
        Ok(Box::pin(run(cx, settings)))
    }
}

async fn run(cx: SourceContext, settings: Settings) -> Result<(), String> {
    let SourceContext { id, out, wanted, mut shutdown, meter, .. } = cx;
    // Two runs read two streams, however alike they begin: where records stand in them says nothing of the other.
    let stream = Stream { source: id, fingerprint: number_of_this_run(), ..Stream::default() };
    let mut intake = Intake::new(Decoder::new(settings), wanted.clone(), stream, out, meter);
    let (sender, mut chunks) = mpsc::channel(READS_AHEAD);
    // A read of standard input can't be called off, so it has a thread that nobody waits for.
    let reader = std::thread::Builder::new().name("stdin".to_owned());
    reader
        .spawn(move || read_all(settings, &wanted, &sender))
        .map_err(|e| format!("can't start a thread to read standard input: {e}"))?;
    loop {
        tokio::select! {
            // In this order: an endless stream can be stopped, and what waits to be taken is no silence, however long
            // a full pipeline has kept it waiting.
            biased;
            () = shutdown.wait() => {
                chunks.close();
                while let Some(Ok(chunk)) = chunks.recv().await {
                    intake.take(chunk).await;
                }
                break;
            }
            chunk = chunks.recv() => match chunk {
                Some(Ok(chunk)) => intake.take(chunk).await,
                Some(Err(why)) => {
                    intake.complete().await;
                    return Err(why);
                }
                None => break,
            },
            () = intake.silence() => intake.silent().await,
        }
    }
    intake.complete().await;
    Ok(())
}

/// Reads to the end, or until nobody takes what is read.
fn read_all(mut settings: Settings, wanted: &Wanted, chunks: &mpsc::Sender<Result<Chunk, String>>) {
    let mut input = std::io::stdin().lock();
    let mut framer = Framer::new(settings.max_record_bytes);
    let mut sieve = Sieve::new(&settings);
    loop {
        let room = framer.room();
        let room_len = room.len();
        let read = match input.read(room) {
            Ok(read) => read,
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => {
                chunks.blocking_send(Err(format!("can't read standard input: {e}"))).unwrap_or_default();
                return;
            }
        };
        let whole: Vec<Chunk> =
            if read == 0 { framer.finish().into_iter().collect() } else { framer.filled(read) };
        let mut ready: Vec<Chunk> = Vec::new();
        let (demand, check_all) = wanted.now();
        settings.want(demand, check_all);
        sieve.want(&settings);
        for chunk in whole {
            if let Some(back) = sieve.sift(chunk) {
                ready.extend(sieve.flush());
                ready.push(back);
            }
        }
        // A read that did not fill its room was all that is there for now: what was kept may not wait.
        if read < room_len || sieve.is_full() {
            ready.extend(sieve.flush());
        }
        for chunk in ready {
            if chunks.blocking_send(Ok(chunk)).is_err() {
                return;
            }
        }
        if read == 0 {
            return;
        }
    }
}
