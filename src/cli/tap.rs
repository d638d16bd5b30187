//! `evaltrail tap`.

use super::args::TapArgs;
use super::client::{self, Answer};
use super::{EXIT_FAILED, EXIT_REFUSED, complain};
use crate::codec::{Encoder, Encoding, EncodingCodec};
use crate::event::{Event, Origin};
use bytes::Bytes;
use hyper::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

/// No event is so long.
const LINE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// How a tap came to its end.
enum End {
    /// As was asked for.
    Quiet,
    /// The pipeline has ended it, for this reason.
    Said(String),
    /// Standard output takes nothing more.
    Failed(io::Error),
}

/// Shows what passes a component, until it has shown enough.
pub fn run(args: &TapArgs) -> ExitCode {
    let address = match client::address(&args.api) {
        Ok(address) => address,
        Err(code) => return code,
    };
    let runtime = match client::runtime() {
        Ok(runtime) => runtime,
        Err(code) => return code,
    };
    let code = runtime.block_on(show(&address, args));
    // A write may be stuck in a pipe that nobody reads.
    runtime.shutdown_timeout(Duration::ZERO);
    code
}

async fn show(address: &str, args: &TapArgs) -> ExitCode {
    let output = utf8_percent_encode(&args.output, NON_ALPHANUMERIC);
    let limit = args.limit.map(|limit| format!("&limit={limit}")).unwrap_or_default();
    let path = format!("/tap/{output}?notes=true&origin={}{limit}", args.origin);
    let answer = match client::get(address, &path).await {
        Ok(answer) => answer,
        Err(why) => {
            complain(&client::absent(address, &why));
            return EXIT_FAILED.into();
        }
    };
    let status = answer.status;
    if status != StatusCode::OK {
        let text = answer.text().await.unwrap_or_default();
        let said = serde_json::from_str(&text)
            .ok()
            .and_then(|said: Value| Some(said.get("error")?.as_str()?.to_owned()));
        let said = said.unwrap_or_else(|| format!("{address} answers {status}; is it evaltrail?"));
        let said: String = said.chars().filter(|char| !char.is_control()).collect();
        complain(&format!("evaltrail: {said}\n"));
        let is_usage = matches!(status, StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST);
        return if is_usage { EXIT_REFUSED.into() } else { EXIT_FAILED.into() };
    }
    complain(&format!("evaltrail: what passes `{}`, until Ctrl-C:\n", args.output));
    let mut lines = Lines::new(args.pretty);
    let end = tokio::select! {
        end = lines.copy(answer) => end,
        listening = client::interrupted() => listening.map_or_else(End::Failed, |()| End::Quiet),
    };
    if lines.skipped > 0 {
        let events = if lines.skipped == 1 { "event was" } else { "events were" };
        complain(&format!(
            "evaltrail: {} {events} not shown: they came faster than they could be\n",
            lines.skipped
        ));
    }
    match end {
        End::Quiet => ExitCode::SUCCESS,
        End::Said(why) => {
            complain(&format!("evaltrail: the tap has ended: {why}\n"));
            ExitCode::SUCCESS
        }
        End::Failed(e) => {
            complain(&format!("evaltrail: can't go on: {e}\n"));
            EXIT_FAILED.into()
        }
    }
}

/// The lines that come.
struct Lines {
    /// How an event is written for people, where it is.
    pretty: Option<Encoder>,
    /// A line of which the rest is still to come.
    rest: Vec<u8>,
    skipped: u64,
    said: Option<String>,
}

impl Lines {
    fn new(pretty: bool) -> Lines {
        let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colour = io::stdout().is_terminal() && !is_plain;
        let options = Encoding { codec: EncodingCodec::Pretty, ..Encoding::default() };
        // Only a schema beside it could be wrong.
        let pretty = if pretty { Encoder::new(&options, colour).ok() } else { None };
        Lines { pretty, rest: Vec::new(), skipped: 0, said: None }
    }

    /// Writes what comes to standard output, until it ends.
    async fn copy(&mut self, mut answer: Answer) -> End {
        loop {
            let out = match answer.next().await {
                Ok(Some(_)) if self.rest.len() > LINE_BYTES_MAX => {
                    return End::Said("what comes is no event".to_owned());
                }
                Ok(Some(bytes)) => self.take(&bytes),
                Ok(None) | Err(_) if self.said.as_deref() == Some("") => return End::Quiet,
                Ok(None) | Err(_) => {
                    let broken = || "evaltrail has ended, or the connection was closed".to_owned();
                    return End::Said(self.said.take().unwrap_or_else(broken));
                }
            };
            // A reader may take its time; a signal ends the wait.
            let written = tokio::task::spawn_blocking(move || {
                let mut stdout = io::stdout().lock();
                stdout.write_all(&out).and_then(|()| stdout.flush())
            });
            match written.await.unwrap_or_else(|e| Err(io::Error::other(e))) {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::BrokenPipe => return End::Quiet,
                Err(e) => return End::Failed(e),
            }
        }
    }

    /// What there is to write of a piece of the answer.
    fn take(&mut self, bytes: &Bytes) -> Vec<u8> {
        let mut out = Vec::new();
        self.rest.extend_from_slice(bytes);
        let whole = memchr::memrchr(b'\n', &self.rest).map_or(0, |at| at + 1);
        let rest = self.rest.split_off(whole);
        let lines = std::mem::replace(&mut self.rest, rest);
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            match line.first() {
                Some(b'{') => self.event(line, &mut out),
                Some(b'[') => self.note(line),
                // A sign of life.
                _ => {}
            }
        }
        out
    }

    fn event(&self, line: &[u8], out: &mut Vec<u8>) {
        let event = self.pretty.as_ref().and_then(|encoder| {
            let text = Bytes::copy_from_slice(line.trim_ascii_end());
            Some((encoder, Event::from_json(text, Origin::nowhere()).ok()?))
        });
        match event {
            Some((encoder, event)) => encoder.encode(&event, out),
            None => out.extend_from_slice(line),
        }
    }

    fn note(&mut self, line: &[u8]) {
        match serde_json::from_slice::<(String, Value)>(line) {
            Ok((name, value)) if name == "skipped" => self.skipped = value.as_u64().unwrap_or(self.skipped),
            Ok((name, value)) if name == "end" => self.said = value.as_str().map(str::to_owned),
            // A newer evaltrail may have more to say.
            Ok(_) | Err(_) => {}
        }
    }
}
