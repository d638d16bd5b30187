//! `http`: sends events to an HTTP server, in batches, and acknowledges what it has taken.
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `uri` | where to, beginning with `http://` or `https://` | needed |
//! | `method` | `post`, `put` or `patch` | `post` |
//! | `framing.method` | `newline_delimited`: one event per line; without it, JSON is sent as an array, text as lines, and `otel` as one export request of OTLP/HTTP | by the encoding |
//! | `encoding.codec` | `json`, `text` (the message alone), `logfmt` or `pretty` | `json` |
//! | `encoding.schema` | whose names an event is written with: `livebook`, `ecs`, `ocsf`, `otel` | `livebook` |
//! | `encoding.only_fields`, `encoding.except_fields` | the members of Livebook's event that are written, or not, by path | all |
//! | `compression` | `none`, `gzip` or `zstd` | `none` |
//! | `auth.strategy` | `bearer` (with `auth.token`) or `basic` (with `auth.user`, `auth.password`) | none |
//! | `auth.token` | the token, of `bearer` | |
//! | `auth.user`, `auth.password` | who we are, of `basic` | |
//! | `headers` | a table of further headers | none |
//! | `tls.ca_file` | who signs the server's certificate, in PEM, instead of those that the system trusts | the system's |
//! | `tls.crt_file`, `tls.key_file` | our own certificate and its key, in PEM, for servers that ask | none |
//! | `tls.verify_certificate` | `false`: any certificate will do; for trying things out only | `true` |
//! | `tls.verify_hostname` | `false`: the certificate may be that of another host | `true` |
//! | `batch.max_bytes` | bytes of a request, before compression; a single longer event goes alone | `1000000` |
//! | `batch.max_events` | events of a request | `1000` |
//! | `batch.timeout_secs` | how long the first event of a request waits for others | `1` |
//! | `request.timeout_secs` | how long an answer may take, connecting included | `60` |
//! | `request.concurrency` | requests at a time, to `256`; those of one file or connection always follow each other | `4` |
//! | `request.retry_attempts` | how often a request is repeated until its events are rejected | without end |
//! | `request.retry_initial_backoff_secs` | the first wait is a random time up to this; each ceiling is twice the one before | `1` |
//! | `request.retry_max_duration_secs` | no wait is longer, unless the server asks for it | `30` |
//!
//! **What an answer means.** 2xx: delivered. 408, 425, 429, 5xx, no answer: tried again, after `Retry-After` where there
//! is one (an hour at most). 400, 413, 422: the server does not take one of the events; the batch is halved until that
//! one stands alone, and only that one is rejected. 401, 403, 404, 405, 407 and every other one, redirections and a
//! certificate that does not fit included: something is wrong with the set-up; that is tried again too, and logged as
//! an error. Nothing is dropped: rejected events leave by the port `<id>.rejected` (with `%reject_reason`,
//! `%reject_status` and `%reject_answer`), or, where nobody consumes that, are kept in
//! `<data_dir>/dead_letters/<id>.jsonl`, to be sent again by `evaltrail replay`.
//!
//! **Repeats.** A request of which no answer came may have been taken: it is sent again, with the same
//! `Idempotency-Key`, a digest of its events and of where they were read.
//!
//! Proxies are taken from the variables `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, as curl does. HTTP/2 is
//! spoken where the server offers it under TLS.
//!
//! ```toml
//! [sinks.siem]
//! type = "http"
//! inputs = ["project"]
//! uri = "https://siem.example.com/ingest"
//! auth = { strategy = "bearer", token = "${SIEM_TOKEN:?name the token that the server wants}" }
//! compression = "gzip"
//! framing.method = "newline_delimited"
//! ```

mod answer;
mod body;
mod client;
mod headers;
mod proxies;
mod tls;

pub use body::Framing;
pub use tls::Tls;

use super::SinkConfig;
use crate::codec::{Compression, Encoder, Encoding};
use crate::delivery::{Policy, REJECTED, Work};
use crate::event::Invalid;
use crate::net::{Auth, Secret};
use body::Form;
use client::{Endpoint, Requests};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

const CONCURRENCY_MAX: u32 = 256;
/// No option needs a longer time.
const SECS_MAX: f64 = 86_400.0;

/// How a request is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// `POST`.
    #[default]
    Post,
    /// `PUT`.
    Put,
    /// `PATCH`.
    Patch,
}

/// A time in seconds, more than nothing and a day at most.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "f64")]
#[schemars(extend("exclusiveMinimum" = 0, "maximum" = SECS_MAX))]
pub struct Secs(f64);

impl TryFrom<f64> for Secs {
    type Error = String;

    fn try_from(secs: f64) -> Result<Secs, String> {
        match secs > 0.0 && secs <= SECS_MAX {
            true => Ok(Secs(secs)),
            false => Err(format!("a time has to be more than 0 and at most {SECS_MAX} seconds")),
        }
    }
}

impl Secs {
    fn duration(self) -> Duration {
        Duration::from_secs_f64(self.0)
    }
}

/// The options `batch.*`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Batching {
    /// Bytes of a request, before compression.
    pub max_bytes: NonZeroUsize,
    /// Events of a request.
    pub max_events: NonZeroUsize,
    /// How long the first event waits for others.
    pub timeout_secs: Secs,
}

impl Default for Batching {
    fn default() -> Batching {
        let [max_bytes, max_events] =
            [1_000_000, 1_000].map(|count: usize| NonZeroUsize::MIN.saturating_add(count - 1));
        Batching { max_bytes, max_events, timeout_secs: Secs(1.0) }
    }
}

/// The options `request.*`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Requesting {
    /// How long an answer may take.
    pub timeout_secs: Secs,
    /// Requests at a time.
    #[schemars(range(max = CONCURRENCY_MAX))]
    pub concurrency: NonZeroU32,
    /// How often a request is repeated.
    pub retry_attempts: Option<NonZeroU32>,
    /// The first wait is at most this long.
    pub retry_initial_backoff_secs: Secs,
    /// No wait is longer.
    pub retry_max_duration_secs: Secs,
}

impl Default for Requesting {
    fn default() -> Requesting {
        Requesting {
            timeout_secs: Secs(60.0),
            concurrency: NonZeroU32::MIN.saturating_add(3),
            retry_attempts: None,
            retry_initial_backoff_secs: Secs(1.0),
            retry_max_duration_secs: Secs(30.0),
        }
    }
}

/// The options; see the [module](self).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Where to.
    #[schemars(regex(pattern = r"^\s*[Hh][Tt][Tt][Pp][Ss]?:[^#]*$"))]
    pub uri: String,
    /// How a request is made.
    #[serde(default)]
    pub method: Method,
    /// What stands between events.
    #[serde(default)]
    pub framing: Option<Framing>,
    /// How events are written.
    #[serde(default)]
    pub encoding: Encoding,
    /// How bodies are packed.
    #[serde(default)]
    pub compression: Compression,
    /// Who we are.
    #[serde(default)]
    pub auth: Option<Auth>,
    /// Further headers; their values may be secrets.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// Certificates.
    #[serde(default)]
    pub tls: Tls,
    /// What goes into one request.
    #[serde(default)]
    pub batch: Batching,
    /// How requests are sent and repeated.
    #[serde(default)]
    pub request: Requesting,
}

impl SinkConfig for Http {
    fn files(&self) -> Vec<PathBuf> {
        self.tls.files()
    }

    fn lacks(&self) -> Option<Invalid> {
        let is_named = !self.tls.files().is_empty();
        let why = is_named.then(|| self.tls.client(true).err()).flatten()?;
        Some(Invalid::new("tls", why).help(crate::net::LACKS_HELP))
    }

    fn build(&self) -> Result<Work, Invalid> {
        let encoder = Encoder::new(&self.encoding, false)?;
        let form = Form::new(self.framing, &self.encoding, self.compression);
        let credentials = self.auth.as_ref().map(Auth::credentials).transpose()?;
        let endpoint = Endpoint::parse(&self.uri)?;
        if endpoint.has_user() && credentials.is_some() {
            let help = "leave out one of the two";
            return Err(Invalid::new("auth", "`uri` has a user already").help(help));
        }
        let headers = headers::read(&self.headers, credentials.as_ref(), &form)?;
        self.tls.check(endpoint.is_tls())?;
        let Requesting { concurrency, retry_attempts, .. } = self.request;
        if concurrency.get() > CONCURRENCY_MAX {
            let message = format!("{concurrency} requests at a time are too many: up to {CONCURRENCY_MAX}");
            return Err(Invalid::new("request.concurrency", message));
        }
        let (initial, max) = (self.request.retry_initial_backoff_secs, self.request.retry_max_duration_secs);
        let policy = Policy {
            bytes_max: form.room(self.batch.max_bytes.get()),
            events_max: self.batch.max_events.get(),
            timeout: self.batch.timeout_secs.duration(),
            concurrency: concurrency.get() as usize,
            attempts_max: retry_attempts,
            backoff_initial: initial.duration().min(max.duration()),
            backoff_max: max.duration(),
        };
        Ok(Work::requests(Requests::new(self, endpoint, headers, form, encoder), policy))
    }

    fn ports(&self) -> Vec<String> {
        vec![REJECTED.to_owned()]
    }
}
