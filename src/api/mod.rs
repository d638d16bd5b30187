//! What a running pipeline tells by HTTP: that it lives, whether it can deliver, and its counters.
//!
//! | request | answer |
//! |---|---|
//! | `GET /health` | `200` as long as the process works |
//! | `GET /ready` | `200` where every sink can deliver and nobody has asked for a stop; else `503` with the reasons |
//! | `GET /metrics` | counters, for Prometheus |
//!
//! It has no secrets to tell and takes nothing in, so it asks nobody who they are; it listens on the loopback unless it
//! is told to do otherwise.

mod metrics;

use crate::topology::Status;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics::Metrics;
use serde_json::json;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

/// Connections at most; others wait until one of them is closed.
const CONNECTIONS_MAX: usize = 256;
/// A client has so long to send the head of a request.
const HEAD_WAIT: Duration = Duration::from_secs(5);
/// A connection lives so long, whatever it does; it is there for one request, so that idle ones keep nobody out.
const CONNECTION_AGE: Duration = Duration::from_secs(10);
/// How long to wait where no connection can be accepted.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
const JSON: &str = "application/json";

/// A server that is bound to its address.
pub struct Api {
    listener: TcpListener,
    site: Site,
}

struct Site {
    status: Arc<Status>,
    metrics: Metrics,
}

impl Api {
    /// Tells of the pipeline that `status` shows those who come to `listener`.
    pub fn new(listener: TcpListener, status: Arc<Status>) -> Api {
        let metrics = Metrics::new(Arc::clone(&status));
        Api { listener, site: Site { status, metrics } }
    }

    /// Answers for as long as it is polled.
    pub async fn serve(self) -> Infallible {
        let Api { listener, site } = self;
        let mut connections = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some(()) = connections.next(), if !connections.is_empty() => {}
                accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                    Ok((stream, _)) => connections.push(attend(stream, &site)),
                    // Out of descriptors, as a rule.
                    Err(_) => sleep(ACCEPT_RETRY).await,
                },
            }
        }
    }
}

async fn attend(stream: TcpStream, site: &Site) {
    let service = service_fn(async |request: Request<Incoming>| Ok::<_, Infallible>(site.answer(&request)));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_WAIT).keep_alive(false);
    let connection = http.serve_connection(TokioIo::new(stream), service);
    // A client that went away has nobody to be told of it.
    drop(timeout(CONNECTION_AGE, connection).await);
}

impl Site {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        match request.uri().path() {
            "/health" | "/ready" | "/metrics" if !is_read => {
                let mut response =
                    response(StatusCode::METHOD_NOT_ALLOWED, JSON, "{\"error\":\"only GET\"}\n");
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
                response
            }
            "/health" => response(StatusCode::OK, JSON, "{\"healthy\":true}\n"),
            "/ready" => self.ready(),
            "/metrics" => match self.metrics.text() {
                Ok(text) => response(StatusCode::OK, metrics::CONTENT_TYPE, text),
                Err(_) => response(StatusCode::INTERNAL_SERVER_ERROR, JSON, "{\"error\":\"no metrics\"}\n"),
            },
            _ => {
                let pages = "{\"error\":\"there are /health, /ready and /metrics\"}\n";
                response(StatusCode::NOT_FOUND, JSON, pages)
            }
        }
    }

    fn ready(&self) -> Response<Full<Bytes>> {
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

fn response(code: StatusCode, content_type: &'static str, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
