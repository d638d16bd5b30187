//! Sends requests, and reads what is said to them.

use super::body::Form;
use super::headers::IDEMPOTENCY_KEY;
use super::proxies::{self, Proxies};
use super::{Http, Method, Tls, answer};
use crate::codec::Encoder;
use crate::delivery::{BoxFuture, Failure, Request, RequestSink, SendError, clock};
use crate::event::{Event, Invalid};
use crate::net::{Auth, Credentials};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{HeaderMap, HeaderValue};
use percent_encoding::percent_decode_str;
use reqwest::{Client, Response, Url, redirect, retry};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::timeout;

/// How long it may take to reach the server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// What is kept of an answer, in bytes.
const ANSWER_BYTES_MAX: usize = 2 * 1024;
/// An answer is read so far, for the connection to be of use again, and for so long.
const DRAIN_BYTES_MAX: usize = 256 * 1024;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// A quiet peer of HTTP/2 is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(20);
/// What stands for a secret in an answer that repeats it.
const HIDDEN: &str = "[secret]";
/// Shorter ones are no secrets, and would be found everywhere.
const SECRET_BYTES_MIN: usize = 4;

/// Where requests go.
#[derive(Clone)]
pub struct Endpoint(Url);

impl Endpoint {
    /// Reads the option `uri`.
    pub fn parse(uri: &str) -> Result<Endpoint, Invalid> {
        let help = "write it as in `https://siem.example.com/ingest`";
        // What is wrong is said without the text: it may hold a password.
        let invalid = |why: String| Invalid::new("uri", why).help(help);
        let url = Url::parse(uri).map_err(|e| invalid(format!("it is no address: {e}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid("it has to begin with `http://` or `https://`".to_owned()));
        }
        if url.fragment().is_some() {
            return Err(invalid("the part behind `#` is never sent to a server".to_owned()));
        }
        Ok(Endpoint(url))
    }

    /// Whether it is spoken to under TLS.
    pub fn is_tls(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Host and port, for a message.
    pub fn host(&self) -> String {
        let port = self.0.port_or_known_default().unwrap_or_default();
        format!("{}:{port}", self.0.host_str().unwrap_or_default())
    }

    /// Whether it names a user.
    pub fn has_user(&self) -> bool {
        !self.0.username().is_empty() || self.0.password().is_some()
    }
}

/// The sink.
pub struct Requests {
    endpoint: Endpoint,
    method: reqwest::Method,
    headers: HeaderMap,
    form: Form,
    encoder: Encoder,
    tls: Tls,
    timeout: Duration,
    concurrency: usize,
    /// Secrets that an answer might repeat.
    secrets: Vec<String>,
    /// Made when its certificates can be read.
    client: Mutex<Option<Client>>,
}

impl Requests {
    /// Of these options, which fit together.
    pub fn new(
        options: &Http,
        endpoint: Endpoint,
        headers: HeaderMap,
        form: Form,
        encoder: Encoder,
    ) -> Requests {
        let method = match options.method {
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Patch => reqwest::Method::PATCH,
        };
        Requests {
            method,
            headers,
            form,
            encoder,
            tls: options.tls.clone(),
            timeout: options.request.timeout_secs.duration(),
            concurrency: options.request.concurrency.get() as usize,
            secrets: secrets(options, &endpoint.0),
            client: Mutex::new(None),
            endpoint,
        }
    }

    /// The client; made anew until it works.
    fn client(&self) -> Result<Client, String> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let mut builder = Client::builder();
        if proxies::check()? == Proxies::Never {
            builder = builder.no_proxy();
        }
        let made = builder
            .tls_backend_preconfigured(self.tls.client(self.endpoint.is_tls())?)
            .user_agent(concat!("evaltrail/", env!("CARGO_PKG_VERSION")))
            // A redirected POST becomes a GET, or sends our secrets to somebody else.
            .redirect(redirect::Policy::none())
            // Repeating is the framework's, which counts and tells.
            .retry(retry::never())
            .connect_timeout(CONNECT_TIMEOUT.min(self.timeout))
            .timeout(self.timeout)
            .pool_max_idle_per_host(self.concurrency)
            .http2_keep_alive_interval(PING_EVERY)
            .build()
            .map_err(|e| format!("no client can be made: {e}"))?;
        *client = Some(made.clone());
        Ok(made)
    }

    async fn post(&self, request: Request<'_>) -> Result<(), SendError> {
        let setup = |why| SendError::Setup(Failure { why, ..Failure::default() });
        let client = self.client().map_err(setup)?;
        let body = self.form.body(&request).map_err(|e| setup(format!("a body can't be packed: {e}")))?;
        let mut headers = self.headers.clone();
        let key = HeaderValue::try_from(&request.key).map_err(|e| setup(e.to_string()))?;
        headers.insert(IDEMPOTENCY_KEY, key);
        let sending =
            client.request(self.method.clone(), self.endpoint.0.clone()).headers(headers).body(body);
        let response = sending
            .send()
            .await
            .map_err(|e| answer::no_answer(&e.without_url(), self.timeout, &self.endpoint.host()))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        // The status decides. Whatever goes wrong behind it, the server has taken the request, or has not.
        let said = self.read(response).await;
        if self.form.is_otlp() && (200..=299).contains(&status) {
            answer::tell_of_partial_success(&said);
        }
        answer::judge(status, &headers, said, clock::now_ms())
    }

    /// What the server says, as far as it can be had and kept.
    async fn read(&self, mut response: Response) -> String {
        let mut said = Vec::new();
        let mut length = 0;
        let reading = async {
            while let Ok(Some(chunk)) = response.chunk().await {
                let room = ANSWER_BYTES_MAX.saturating_sub(said.len());
                said.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
                length += chunk.len();
                if length > DRAIN_BYTES_MAX {
                    break;
                }
            }
        };
        // What is not read in time costs the connection, and nothing else.
        timeout(DRAIN_TIMEOUT, reading).await.unwrap_or_default();
        let said = String::from_utf8_lossy(&said).into_owned();
        self.secrets.iter().fold(said, |said, secret| said.replace(secret.as_str(), HIDDEN))
    }
}

/// Every form in which an answer may repeat what only we should know, the longest first.
fn secrets(options: &Http, url: &Url) -> Vec<String> {
    let mut secrets: Vec<String> = Vec::new();
    let auth = options.auth.iter().flat_map(|auth| [&auth.token, &auth.password]).flatten();
    secrets.extend(auth.chain(options.headers.values()).map(|secret| secret.reveal().to_owned()));
    let mut pairs: Vec<String> = Vec::new();
    if let Some(Ok(Credentials::Basic(pair))) = options.auth.as_ref().map(Auth::credentials) {
        pairs.push(pair);
    }
    if let Some(password) = url.password() {
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        secrets.extend([password.to_owned(), decoded(password)]);
        pairs.push(format!("{}:{}", decoded(url.username()), decoded(password)));
    }
    secrets.extend(pairs.iter().map(|pair| STANDARD.encode(pair)));
    secrets.extend(url.query().map(str::to_owned));
    secrets.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
    secrets.retain(|secret| secret.len() >= SECRET_BYTES_MIN);
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.dedup();
    secrets
}

impl RequestSink for Requests {
    fn open(&self) -> Result<(), String> {
        self.client().map(drop)
    }

    fn encode(&self, event: &Event, out: &mut Vec<u8>) {
        self.encoder.encode(event, out);
    }

    fn send<'a>(&'a self, request: Request<'a>) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(self.post(request))
    }
}
