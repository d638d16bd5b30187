//! The head of a request: what can be refused before its body is read.

use super::body::{codings, drain};
use super::reply::Reply;
use super::request::{Job, serve, stopping};
use super::shape::{Declared, declared};
use super::site::{Sender, Site};
use super::watch::Watch;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_ENCODING, EXPECT, HeaderMap};
use hyper::{Method, Request, Response, StatusCode, Version};
use std::sync::Arc;

/// See the draft `draft-ietf-httpapi-idempotency-key-header`.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// A longer one is no key.
const KEY_BYTES_MAX: usize = 1024;

/// Answers a request.
pub async fn answer(
    site: Arc<Site>,
    watch: Arc<Watch>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, std::convert::Infallible> {
    let is_h2 = request.version() == Version::HTTP_2;
    let under_way = watch.begin(is_h2);
    let expects = request.headers().contains_key(EXPECT);
    let reply = match check(&site, &request) {
        Err(reply) => {
            // Who waits to be asked for the body gets the answer before it; others may write it first and listen
            // then.
            if !expects {
                drain(request.into_body(), under_way.clone(), &site.spawner);
            }
            *reply
        }
        Ok((codings, declared)) => {
            let (peer, connection) = (watch.peer().to_owned(), watch.number());
            let sender = Sender { peer, connection, key: key(request.headers()) };
            let under_way = under_way.clone();
            let incoming = request.into_body();
            serve(&site, Job { incoming, under_way, codings, declared, sender, expects }).await
        }
    };
    if let Some(why) = reply.error() {
        site.tell(reply.status, why, reply.accepted(), watch.peer());
    }
    let closes = watch.is_old() || site.shutdown.is_triggered();
    drop(under_way);
    Ok(reply.into_response(closes, is_h2))
}

/// What tells a request that is sent again, where the client says so.
fn key(headers: &HeaderMap) -> Option<String> {
    let key = headers.get(IDEMPOTENCY_KEY)?.to_str().ok()?;
    (1..=KEY_BYTES_MAX).contains(&key.len()).then(|| key.to_owned())
}

/// How a body is packed, and what it is said to be.
type Body = (Vec<super::body::Coding>, Declared);

fn check(site: &Site, request: &Request<Incoming>) -> Result<Body, Box<Reply>> {
    if !site.serves(request.uri().path()) {
        let why = format!("nothing is served here; records are taken at {}", site.path);
        return refuse(Reply::refusal(StatusCode::NOT_FOUND, why));
    }
    if request.method() != Method::POST {
        let why = "records are sent by POST";
        return refuse(Reply::refusal(StatusCode::METHOD_NOT_ALLOWED, why).allow());
    }
    let headers = request.headers();
    if let Some(guard) = site.guard.as_ref().filter(|guard| !guard.admits(headers)) {
        let why = "the Authorization header is missing or wrong";
        return refuse(Reply::refusal(StatusCode::UNAUTHORIZED, why).challenge(guard.challenge()));
    }
    if site.shutdown.is_triggered() && !site.shutdown.is_exchange() {
        return refuse(stopping());
    }
    let unknown = |why: String| {
        let known = "known are gzip, deflate, zstd and identity";
        Box::new(Reply::refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("{why}; {known}")))
    };
    let codings = codings(headers).map_err(unknown)?;
    let declared =
        declared(headers).map_err(|why| Box::new(Reply::refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, why)))?;
    let is_packed = headers.contains_key(CONTENT_ENCODING) && !codings.is_empty();
    if !is_packed && request.body().size_hint().lower() > site.max_body_bytes {
        let why = format!("the body is over the limit of {} bytes", site.max_body_bytes);
        return refuse(Reply::refusal(StatusCode::PAYLOAD_TOO_LARGE, why).closing());
    }
    Ok((codings, if site.takes_lines_only() { Declared::Lines } else { declared }))
}

fn refuse(reply: Reply) -> Result<Body, Box<Reply>> {
    Err(Box::new(reply))
}
