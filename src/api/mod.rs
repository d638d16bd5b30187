//! What a running pipeline tells by HTTP: that it lives, whether it can deliver, and its counters.
//!
//! | request | answer |
//! |---|---|
//! | `GET /health` | `200` as long as the process works |
//! | `GET /ready` | `200` where every source and sink can do its work and nobody has asked for a stop; else `503` with the reasons |
//! | `GET /metrics` | counters, for Prometheus |
//! | `GET /tap/<id>` | a live sample of the events that pass a component, see `tap` |
//!
//! It takes nothing in, and all but the last have no secrets to tell, so it asks nobody who they are; it listens on the
//! loopback unless it is told to do otherwise. Who may have a tap is another question, which `tap` answers.

mod metrics;
mod tap;

use crate::topology::Status;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http_body_util::{Either, Full, StreamBody};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics::Metrics;
use serde_json::json;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tap::{Lines, Refused};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// Connections at most; others wait until one of them is closed.
const CONNECTIONS_MAX: usize = 256;
/// A client has so long to send the head of a request.
const HEAD_WAIT: Duration = Duration::from_secs(5);
/// A connection lives so long, whatever it does, unless it has a tap; it is there for one request, so that idle ones keep
/// nobody out.
const CONNECTION_AGE: Duration = Duration::from_secs(10);
/// How long to wait where no connection can be accepted.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";

/// What is answered: at once, or line by line.
type Answer = Response<Either<Full<Bytes>, StreamBody<Lines>>>;

/// A server that is bound to its address.
pub struct Api {
    listener: TcpListener,
    site: Site,
}

struct Site {
    status: Arc<Status>,
    metrics: Metrics,
    /// How many taps are open.
    taps: Arc<AtomicUsize>,
}

impl Api {
    /// Tells of the pipeline that `status` shows those who come to `listener`.
    pub fn new(listener: TcpListener, status: Arc<Status>) -> Api {
        let metrics = Metrics::new(Arc::clone(&status));
        Api { listener, site: Site { status, metrics, taps: Arc::default() } }
    }

    /// Answers for as long as it is polled.
    pub async fn serve(self) -> Infallible {
        let Api { listener, site } = self;
        let mut connections = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some(()) = connections.next(), if !connections.is_empty() => {}
                accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                    Ok((stream, peer)) => connections.push(attend(stream, peer, &site)),
                    // Out of descriptors, as a rule.
                    Err(_) => sleep(ACCEPT_RETRY).await,
                },
            }
        }
    }
}

async fn attend(stream: TcpStream, peer: SocketAddr, site: &Site) {
    let has_tap = AtomicBool::new(false);
    let service = service_fn(async |request: Request<Incoming>| {
        let answer = site.answer(&request, peer);
        has_tap.store(matches!(answer.body(), Either::Right(_)), Ordering::Relaxed);
        Ok::<_, Infallible>(answer)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_WAIT).keep_alive(false);
    let connection = http.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    // A client that went away has nobody to be told of it.
    tokio::select! {
        ended = &mut connection => return drop(ended),
        () = sleep(CONNECTION_AGE) => {}
    }
    if has_tap.load(Ordering::Relaxed) {
        drop(connection.await);
    }
}

impl Site {
    fn answer(&self, request: &Request<Incoming>, peer: SocketAddr) -> Answer {
        let is_get = *request.method() == Method::GET;
        match request.uri().path() {
            path if path.starts_with("/tap/") && !is_get => only("GET"),
            path if path.starts_with("/tap/") => self.tap(request, peer),
            "/health" | "/ready" | "/metrics" if !is_get && *request.method() != Method::HEAD => {
                only("GET, HEAD")
            }
            "/health" => response(StatusCode::OK, JSON, "{\"healthy\":true}\n"),
            "/ready" => self.ready(),
            "/metrics" => match self.metrics.text() {
                Ok(text) => response(StatusCode::OK, metrics::CONTENT_TYPE, text),
                Err(_) => response(StatusCode::INTERNAL_SERVER_ERROR, JSON, "{\"error\":\"no metrics\"}\n"),
            },
            _ => {
                let pages = "{\"error\":\"there are /health, /ready, /metrics and /tap/<id>\"}\n";
                response(StatusCode::NOT_FOUND, JSON, pages)
            }
        }
    }

    fn tap(&self, request: &Request<Incoming>, peer: SocketAddr) -> Answer {
        let mut answer = match tap::open(request, peer, &self.status, &self.taps) {
            Ok(lines) => with_type(StatusCode::OK, LINES, Either::Right(StreamBody::new(lines))),
            Err(Refused(code, why)) => response(code, JSON, format!("{why}\n")),
        };
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        answer.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        answer
    }

    fn ready(&self) -> Answer {
        let reason = |component: Option<&str>, why: &str| json!({"component": component, "reason": why});
        let components = self.status.components();
        let troubles = components.iter().filter_map(|one| Some((&one.id, one.trouble()?)));
        let mut reasons: Vec<_> = troubles.map(|(id, why)| reason(Some(id), &why)).collect();
        if self.status.is_stopping() {
            reasons.push(reason(None, "it is stopping"));
        }
        let code = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        response(code, JSON, format!("{}\n", json!({"ready": reasons.is_empty(), "reasons": reasons})))
    }
}

/// The request has another method than those `allowed`.
fn only(allowed: &'static str) -> Answer {
    let mut response = response(StatusCode::METHOD_NOT_ALLOWED, JSON, "{\"error\":\"only GET\"}\n");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

fn response(code: StatusCode, content_type: &'static str, text: impl Into<Bytes>) -> Answer {
    with_type(code, content_type, Either::Left(Full::new(text.into())))
}

fn with_type(
    code: StatusCode,
    content_type: &'static str,
    body: Either<Full<Bytes>, StreamBody<Lines>>,
) -> Answer {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
