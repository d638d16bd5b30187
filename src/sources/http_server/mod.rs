//! `http_server`: takes records by HTTP, and answers when they are delivered.
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `address` | IP address and port to listen on: `0.0.0.0:8080`, `[::]:8080` | required |
//! | `path` | the path that takes records | `/` |
//! | `strict_path` | whether only that very path does, and not those below it | `true` |
//! | `auth.strategy` | who may send: `bearer` (with `auth.token`) or `basic` (with `auth.user` and `auth.password`) | everybody |
//! | `auth.token` | the token that senders show, by `bearer` | |
//! | `auth.user`, `auth.password` | who senders say they are, by `basic` | |
//! | `tls.crt_file`, `tls.key_file` | the server's certificate (with those it is signed by) and key, in PEM | no TLS |
//! | `tls.ca_file`, `tls.verify_certificate` | with `true`, clients need a certificate signed by one of that file | none is asked for |
//! | `max_body_bytes` | length of the longest body, unpacked, in bytes | `20971520` |
//! | `max_connections` | connections at the same time; others wait, unanswered, until one of them is closed | `1024` |
//! | `header_read_timeout_secs` | how long a TLS handshake and the head of a request may take, in seconds | `10` |
//! | `request_timeout_secs` | how long the rest of a request may take to come, and then its delivery, in seconds | `30` |
//! | `keepalive.max_connection_age_secs` | after so many seconds a connection is closed, with the answer to its next request | `300` |
//! | `acknowledgements.enabled` | answer when the records are delivered, not when they are taken | `true` |
//! | `decoding.codec` | `livebook`: JSON and text records, detected line by line, any other line as `{message}`; `json`; `text` | `livebook` |
//! | `decoding.unwrap` | what stands around each line: `docker`, `cri`, `journald`, `fly`, `none`; `auto` finds out | `auto` |
//! | `decoding.timezone` | the zone of text records, whose times have none | the machine's |
//! | `max_record_bytes` | length of the longest record, in bytes; a longer one is a fault | `4194304` |
//!
//! Records are sent by `POST`: a record a line, one JSON object (over several lines too), or a JSON array of objects.
//! `Content-Type` says which (`application/x-ndjson` and `text/plain` are lines, `application/json` is JSON), or else
//! the first bytes. `Content-Encoding` may be `gzip`, `deflate` and `zstd`, several too. HTTP/1.1 and HTTP/2 are spoken,
//! with and without TLS. A body is taken while it comes, however long it is.
//!
//! | status | means |
//! |---|---|
//! | `200` | `{"accepted":N,"rejected":M,"faults":[{"line":I,"reason":"...","detail":"..."}]}`: N records are delivered, M can't be decoded; the first 100 of those are listed with their line, or element of an array, and `faults_total` says how many there are. `"refused":true`: a sink has refused some for good, which sending again would not change |
//! | `400` | nothing of it can be decoded |
//! | `401` `404` `405` `415` | wrong `Authorization`, path, method; unknown `Content-Encoding` |
//! | `408` `413` | it did not come in time; it is over the limit. What came before may have been taken: `accepted` says how much |
//! | `431` | its head is over 64 KiB or has more than 100 fields |
//! | `429` | the pipeline is full, and nothing was taken: send it again after `Retry-After` seconds |
//! | `503` | the server is stopping, or not all could be delivered: send it again after `Retry-After` seconds. What was delivered all the same then comes twice; `accepted` says how much was taken, where anything was read |
//!
//! What can't be decoded also leaves by the port `faults`, as `{reason, detail, raw | raw_base64, truncated}`. The
//! sender's IP address is the record's `%peer`; behind a proxy it is the proxy's, whatever `X-Forwarded-For` claims.
//!
//! ```toml
//! [sources.livebook]
//! type = "http_server"
//! address = "127.0.0.1:8687"
//! max_body_bytes = 104857600
//! ```

mod array;
mod auth;
mod body;
mod connection;
mod listen;
mod reply;
mod request;
mod scan;
mod service;
mod shape;
mod site;
mod split;
mod tasks;
mod tls;
mod watch;

use super::{SourceConfig, Task};
use crate::codec::{Decoding, RecordBytes, Settings};
use crate::delivery::{BoxFuture, Door, Exclusive, SourceContext};
use crate::event::Invalid;
use crate::net::{Address, Auth};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;
use tls::Tls;

/// A time in seconds, one or more.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Seconds(NonZeroU32);

impl Seconds {
    const fn new(secs: u32) -> Seconds {
        // Only called with more than that.
        Seconds(NonZeroU32::MIN.saturating_add(secs - 1))
    }

    fn duration(self) -> Duration {
        Duration::from_secs(u64::from(self.0.get()))
    }
}

/// The options `keepalive.*`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Keepalive {
    /// After how long a connection is closed.
    pub max_connection_age_secs: Seconds,
}

impl Default for Keepalive {
    fn default() -> Keepalive {
        Keepalive { max_connection_age_secs: Seconds::new(300) }
    }
}

/// The options `acknowledgements.*`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Acknowledgements {
    /// Whether an answer waits for the delivery.
    pub enabled: bool,
}

impl Default for Acknowledgements {
    fn default() -> Acknowledgements {
        Acknowledgements { enabled: true }
    }
}

/// The options; see the [module](self).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpServer {
    /// Where to listen.
    pub address: Address,
    /// The path that takes records.
    #[serde(default = "HttpServer::root")]
    #[schemars(regex(pattern = r"^/[^?#]*$"))]
    pub path: String,
    /// Whether only that very path does.
    #[serde(default = "HttpServer::yes")]
    pub strict_path: bool,
    /// Who may send.
    #[serde(default)]
    pub auth: Option<Auth>,
    /// Certificates.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// Length of the longest body, unpacked, in bytes.
    #[serde(default = "HttpServer::body_bytes")]
    pub max_body_bytes: NonZeroU64,
    /// Connections at the same time.
    #[serde(default = "HttpServer::connections")]
    pub max_connections: NonZeroU32,
    /// How long a handshake and the head of a request may take.
    #[serde(default = "HttpServer::head_secs")]
    pub header_read_timeout_secs: Seconds,
    /// How long the rest of a request may take, and then its delivery.
    #[serde(default = "HttpServer::request_secs")]
    pub request_timeout_secs: Seconds,
    /// How long connections live.
    #[serde(default)]
    pub keepalive: Keepalive,
    /// When requests are answered.
    #[serde(default)]
    pub acknowledgements: Acknowledgements,
    /// How bytes become events.
    #[serde(default)]
    pub decoding: Decoding,
    /// Length of the longest record, in bytes.
    #[serde(default)]
    pub max_record_bytes: RecordBytes,
}

impl HttpServer {
    fn root() -> String {
        "/".to_owned()
    }

    fn yes() -> bool {
        true
    }

    fn body_bytes() -> NonZeroU64 {
        NonZeroU64::MIN.saturating_add(20 * 1024 * 1024 - 1)
    }

    fn connections() -> NonZeroU32 {
        NonZeroU32::MIN.saturating_add(1023)
    }

    fn head_secs() -> Seconds {
        Seconds::new(10)
    }

    fn request_secs() -> Seconds {
        Seconds::new(30)
    }
}

impl SourceConfig for HttpServer {
    fn check(&self) -> Result<(), Invalid> {
        if !self.path.starts_with('/') || self.path.contains(['?', '#']) {
            let help = "write the path of the URL alone, such as `/ingest`";
            return Err(Invalid::new("path", "a path begins with `/` and has no query").help(help));
        }
        if let Some(auth) = &self.auth {
            auth.credentials()?;
        }
        self.tls.as_ref().map_or(Ok(()), Tls::check)
    }

    fn overlaps(&self) -> bool {
        true
    }

    fn prepare<'a>(&'a self, door: &'a Door) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            self.tls.as_ref().map(|tls| tls.acceptor()).transpose()?;
            let address = self.address.0;
            door.prepare(address).await.map_err(|e| listen::cannot_listen(address, &e))
        })
    }

    fn lacks(&self) -> Option<Invalid> {
        let why = self.tls.as_ref()?.acceptor().err()?;
        Some(Invalid::new("tls", why).help(crate::net::LACKS_HELP))
    }

    fn claims(&self) -> Option<Exclusive> {
        Some(Exclusive::Address(self.address.0))
    }

    fn files(&self) -> Vec<PathBuf> {
        self.tls.as_ref().map(Tls::files).unwrap_or_default()
    }

    fn build(&self, cx: SourceContext) -> Result<Task, Invalid> {
        let (demand, check_all) = cx.wanted.now();
        let max_record_bytes = self.max_record_bytes.0;
        let settings = Settings { max_record_bytes, demand, check_all, ..Settings::new(self.decoding) };
        Ok(Box::pin(listen::run(cx, self.clone(), settings)))
    }
}
