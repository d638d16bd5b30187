//! One request: read, cut, decoded, sent on, and answered when everything of it is delivered.
//!
//! The reading has a task of its own. HTTP drops whoever answers a request as soon as its client is gone; a batch on its
//! way into a full queue must not be dropped with it.

use super::body::{Body, Coding, Stop, Wire};
use super::reply::{Counts, Listed, RETRY_FULL_SECS, RETRY_LATER_SECS, Reply};
use super::shape::Declared;
use super::site::{Sender, Site};
use super::split::{Piece, Splitter, What};
use super::watch::UnderWay;
use crate::codec::{Chunk, FaultKind};
use crate::delivery::{Intake, Ledger, Noted, Tally};
use crate::event::Verdict;
use bytes::Bytes;
use hyper::StatusCode;
use hyper::body::Incoming;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};

/// How long a request waits for room in the pipeline before it is sent away.
const ROOM_WAIT: Duration = Duration::from_millis(250);
/// Faults that an answer lists; more are counted.
const FAULTS_LISTED_MAX: usize = 100;
/// How much longer than its reading a request may take to say so.
const SLACK: Duration = Duration::from_millis(500);

/// A request whose head is in order.
pub struct Job {
    /// Its body.
    pub incoming: Incoming,
    /// Keeps its connection until the body is read.
    pub under_way: UnderWay,
    /// How that is packed.
    pub codings: Vec<Coding>,
    /// What it is said to be.
    pub declared: Declared,
    /// Who sends it.
    pub sender: Sender,
    /// Whether the client waits to be asked for the body.
    pub expects: bool,
}

/// How the reading has ended.
enum End {
    Whole,
    Stopped(Stop),
    /// There was no room for the first of it.
    Full,
    /// Nobody waits for the answer any more.
    Forgotten,
}

struct Read {
    end: End,
    counts: Counts,
}

/// Takes a request in and says what became of it.
pub async fn serve(site: &Arc<Site>, job: Job) -> Reply {
    if timeout(ROOM_WAIT, site.out.room()).await.is_err() {
        if !job.expects {
            super::body::drain(job.incoming, job.under_way, &site.spawner);
        }
        return full();
    }
    let deadline = Instant::now() + site.request_timeout;
    let (told, mut read) = oneshot::channel();
    let (ledger, receipt) = Ledger::new(FAULTS_LISTED_MAX);
    let (reading, tally) = (Arc::clone(site), ledger.tally());
    site.spawner.spawn(async move { run(&reading, job, deadline, ledger, told).await });
    let read = tokio::select! {
        biased;
        read = &mut read => read,
        () = sleep_until(deadline + SLACK) => {
            // What is being handed on goes on; the rest is not read.
            let secs = site.request_timeout.as_secs();
            let why = format!("the pipeline had no room for all of it within {secs} s; `accepted` says how much it has taken");
            return unavailable(why).counting(so_far(&tally)).closing();
        }
    };
    let Ok(Read { end, counts }) = read else {
        return unavailable("the request could not be finished: send it again")
            .counting(so_far(&tally))
            .closing();
    };
    let verdict = if site.acknowledges {
        match timeout(site.request_timeout, receipt.verdict()).await {
            Ok(verdict) => verdict,
            Err(_) => {
                let secs = site.request_timeout.as_secs();
                let why =
                    format!("not delivered within {secs} s; it may be later: sent again, it may come twice");
                return unavailable(why).counting(counts).closing();
            }
        }
    } else {
        Verdict::Delivered
    };
    if verdict == Verdict::Lost {
        return unavailable("not all of it could be delivered: send it again").counting(counts);
    }
    match end {
        End::Whole => Reply::taken(counts, verdict == Verdict::Rejected),
        End::Full => full(),
        End::Forgotten => stopping(),
        End::Stopped(stop) => {
            let (status, why) = match &stop {
                Stop::TooLarge => {
                    let why =
                        format!("the body is over the limit of {} bytes, unpacked", site.max_body_bytes);
                    (StatusCode::PAYLOAD_TOO_LARGE, why)
                }
                Stop::TimedOut => {
                    let why = format!("the body did not come within {} s", site.request_timeout.as_secs());
                    (StatusCode::REQUEST_TIMEOUT, why)
                }
                Stop::Gone(_) | Stop::Packed(_) => (StatusCode::BAD_REQUEST, stop.to_string()),
            };
            Reply::refusal(status, why).with(counts).closing()
        }
    }
}

/// What was taken by now of a request whose reading goes on.
fn so_far(tally: &Tally) -> Counts {
    let (accepted, rejected) = (tally.accepted(), tally.rejected());
    Counts { accepted, rejected, faults: Vec::new(), faults_total: Some(rejected).filter(|total| *total > 0) }
}

/// The pipeline is full.
fn full() -> Reply {
    Reply::refusal(StatusCode::TOO_MANY_REQUESTS, "the pipeline is full: send it again later")
        .retry_after(RETRY_FULL_SECS)
}

fn unavailable(why: impl Into<String>) -> Reply {
    Reply::refusal(StatusCode::SERVICE_UNAVAILABLE, why).retry_after(RETRY_LATER_SECS)
}

/// The server takes no more requests.
pub fn stopping() -> Reply {
    unavailable("the server is stopping").closing()
}

async fn run(site: &Site, job: Job, deadline: Instant, ledger: Ledger, told: oneshot::Sender<Read>) {
    let Job { incoming, under_way, codings, declared, sender, .. } = job;
    let tally = ledger.tally();
    let mut intake = site.intake(sender, ledger);
    let wire = Wire::new(incoming, under_way, site.spawner.clone());
    let body = Body::open(wire, &codings, site.max_body_bytes, deadline).await;
    let mut taking =
        Taking { site, intake: &mut intake, places: VecDeque::new(), faults: Vec::new(), sent: false };
    let end = match body {
        Ok(body) => taking.all(body, declared, &told).await,
        Err(stop) => End::Stopped(stop),
    };
    let faults = taking.faults;
    let Some(ledger) = intake.into_ledger() else { return };
    let total = tally.rejected();
    let faults_total = (total > faults.len() as u64).then_some(total);
    let counts = Counts { accepted: tally.accepted(), rejected: total, faults, faults_total };
    ledger.close();
    // The client may be gone.
    drop(told.send(Read { end, counts }));
}

/// A body on its way into the pipeline.
struct Taking<'a> {
    site: &'a Site,
    intake: &'a mut Intake,
    /// The pieces that the decoder may still tell of: number of the first line, offset, text.
    places: VecDeque<(u64, u64, Bytes)>,
    faults: Vec<Listed>,
    sent: bool,
}

impl Taking<'_> {
    /// Reads all of `body`, as long as somebody waits for the answer.
    async fn all(&mut self, mut body: Body, declared: Declared, told: &oneshot::Sender<Read>) -> End {
        let site = self.site;
        let mut splitter = Splitter::new(declared, site.settings.max_record_bytes, &site.buffers);
        let mut offset = 0;
        let end = loop {
            let read = tokio::select! {
                // What has come is no silence.
                biased;
                read = body.read(splitter.room()) => read,
                () = self.intake.silence() => {
                    self.intake.silent().await;
                    self.locate();
                    continue;
                }
            };
            if told.is_closed() {
                break End::Forgotten;
            }
            let pieces = match read {
                Ok(0) => splitter.finish(),
                Ok(len) => splitter.filled(len),
                Err(Stop::Packed(why)) => {
                    self.broken(why, offset).await;
                    break End::Whole;
                }
                Err(stop) => break End::Stopped(stop),
            };
            if !self.sent && !pieces.is_empty() && timeout(ROOM_WAIT, site.out.room()).await.is_err() {
                break End::Full;
            }
            for piece in pieces {
                self.take(piece).await;
            }
            match read {
                Ok(len @ 1..) => offset += len as u64,
                _ => {
                    self.intake.complete().await;
                    self.locate();
                    break End::Whole;
                }
            }
        };
        splitter.park();
        end
    }

    /// The rest can't be unpacked. The line that it ends in is torn; those before are taken.
    async fn broken(&mut self, why: String, offset: u64) {
        self.intake.complete().await;
        self.locate();
        self.intake.fault(FaultKind::BrokenCompression, why, b"", offset).await;
        self.locate();
    }

    async fn take(&mut self, piece: Piece) {
        self.sent = true;
        let Piece { line, what } = piece;
        match what {
            What::Fault { kind, detail, raw, offset } => {
                self.places.push_back((line, offset, Bytes::new()));
                self.intake.fault(kind, detail, &raw, offset).await;
            }
            What::Chunk(chunk) => {
                let (offset, bytes) = match &chunk {
                    Chunk::Lines { bytes, offset } => (*offset, bytes.clone()),
                    Chunk::TooLong { offset, .. } => (*offset, Bytes::new()),
                    Chunk::Sifted { .. } => (0, Bytes::new()),
                };
                self.places.push_back((line, offset, bytes));
                self.intake.take(chunk).await;
            }
        }
        self.locate();
    }

    /// Lists the faults that have come up, with their lines, and forgets the text that none can be about any more.
    fn locate(&mut self) {
        for Noted { offset, reason, detail } in self.intake.noted() {
            let behind = self.places.partition_point(|(_, at, _)| *at <= offset);
            let place = behind.checked_sub(1).and_then(|at| self.places.get(at));
            let line = place.map_or(1, |(line, at, text)| {
                let before =
                    usize::try_from(offset - at).ok().and_then(|len| text.get(..len)).unwrap_or(text);
                line + memchr::memchr_iter(b'\n', before).count() as u64
            });
            self.faults.push(Listed { line, reason, detail });
        }
        let held = self.intake.held_from();
        while let [Some((_, _, _)), Some((_, next, _))] = [self.places.front(), self.places.get(1)]
            && held.is_none_or(|held| *next <= held)
        {
            self.places.pop_front();
        }
        // The last place is kept for what is told of the end, its text only where some of it is held.
        if held.is_none()
            && let Some((line, at, text)) = self.places.back_mut()
        {
            *line += memchr::memchr_iter(b'\n', text).count() as u64;
            *at += text.len() as u64;
            *text = Bytes::new();
        }
    }
}
