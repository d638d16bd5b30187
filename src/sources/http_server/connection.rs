//! One connection: its handshake, its requests, its age.
//!
//! A connection of HTTP/1 on which nothing is going on is *parked*: what HTTP needs (its buffers, above all) is given
//! back, and only the stream is kept, until bytes come.

use super::service::answer;
use super::site::Site;
use super::tasks::Spawner;
use super::watch::{Begins, Watch, Watched};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

/// Bytes that the head of a request may have; also what is read of a connection at once.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Requests of one connection of HTTP/2 that may be under way.
const STREAMS_MAX: u32 = 64;
/// Bytes of one connection of HTTP/2 that may be on their way unread.
const WINDOW_BYTES: u32 = 512 * 1024;
/// How often a quiet peer of HTTP/2 is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(20);
/// How long an old connection of HTTP/1 waits for a request to say so in the answer of.
const LAST_REQUEST_WAIT: Duration = Duration::from_secs(5);
/// A connection of HTTP/1 that has been quiet for so long is parked, for twice as long at most.
const PARK_AFTER: Duration = Duration::from_secs(1);
/// With more connections than this that are not parked, each is as soon as it is quiet: 12 MB of buffers.
const WARM_MAX: usize = 512;

/// How long connections go on where another server takes over: what is being sent is still taken.
const EXCHANGE_WAIT: Duration = Duration::from_secs(1);

/// What a connection may take.
pub struct Limits {
    /// How long a handshake and the head of a request may take.
    head: Duration,
    /// How long it lives.
    age: Duration,
    /// How it speaks HTTP.
    http1: http1::Builder,
    http2: http2::Builder<Spawner>,
    /// Connections of HTTP/1 that are not parked.
    warm: AtomicUsize,
}

impl Limits {
    /// Limits of a server.
    pub fn new(head: Duration, age: Duration, spawner: Spawner) -> Limits {
        let mut http1 = http1::Builder::new();
        // The heads of requests are timed here: the timeout of `hyper` would also end connections that wait.
        http1.timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(HEAD_BYTES_MAX);
        let mut http2 = http2::Builder::new(spawner);
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(HEAD_BYTES_MAX as u32)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .keep_alive_interval(PING_EVERY);
        Limits { head, age, http1, http2, warm: AtomicUsize::new(0) }
    }

    fn is_crowded(&self) -> bool {
        self.warm.load(Ordering::Relaxed) > WARM_MAX
    }
}

/// A connection that is not parked.
struct Warm<'a>(&'a AtomicUsize);

impl<'a> Warm<'a> {
    fn new(limits: &'a Limits) -> Warm<'a> {
        limits.warm.fetch_add(1, Ordering::Relaxed);
        Warm(&limits.warm)
    }
}

impl Drop for Warm<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves a connection to its end.
pub async fn run(
    site: Arc<Site>,
    limits: Arc<Limits>,
    tls: Option<TlsAcceptor>,
    tcp: TcpStream,
    peer: SocketAddr,
) {
    // Answers are small and waited for.
    tcp.set_nodelay(true).unwrap_or_default();
    let watch = Arc::new(Watch::new(peer, site.number(), limits.age));
    match tls {
        // Boxed, for a connection to take no more memory than it needs: with TLS, that is four times as much.
        None => Box::pin(serve(site, limits, watch, tcp)).await,
        Some(tls) => {
            let closing = closing(&site);
            let handshake = Box::pin(timeout(limits.head, tls.accept(tcp)));
            tokio::select! {
                shaken = handshake => match shaken {
                    Ok(Ok(stream)) => Box::pin(serve(site, limits, watch, stream)).await,
                    Ok(Err(e)) => tracing::debug!(source = site.id, peer = watch.peer(), "no TLS: {e}"),
                    Err(_) => tracing::debug!(source = site.id, peer = watch.peer(), "no TLS in time"),
                },
                () = closing => {}
            }
        }
    }
}

/// Waits until connections on which nothing is going on are to be closed. Where another server takes over, they have a
/// while to bring what may be on its way.
fn closing(site: &Site) -> impl Future<Output = ()> + use<> {
    let mut shutdown = site.shutdown.clone();
    async move {
        shutdown.wait().await;
        if shutdown.is_exchange() {
            sleep(EXCHANGE_WAIT).await;
        }
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    site: Arc<Site>,
    limits: Arc<Limits>,
    watch: Arc<Watch>,
    stream: S,
) {
    let mut stream = Watched::new(stream, Arc::clone(&watch));
    let closing = closing(&site);
    tokio::pin!(closing);
    let mut is_new = true;
    loop {
        let begins = tokio::select! {
            begins = stream.first(is_new) => begins,
            () = &mut closing => Begins::Gone,
            () = sleep(patience(&watch, &limits)) => {
                if is_new {
                    too_slow(&site, &watch);
                }
                Begins::Gone
            }
        };
        is_new = false;
        match begins {
            // Boxed, so that it takes memory only while it is there.
            Begins::Http1 => match Box::pin(serve_http1(&site, &limits, &watch, stream)).await {
                Some(parked) => stream = parked,
                None => return,
            },
            Begins::Http2 => {
                let service = service(&site, &watch);
                let connection = limits.http2.serve_connection(TokioIo::new(stream), service);
                Box::pin(attend(&mut Box::pin(connection), &site, &limits, &watch, false)).await;
                return;
            }
            Begins::Gone => {
                timeout(limits.head, stream.shutdown()).await.map(drop).unwrap_or_default();
                return;
            }
        }
    }
}

/// How long a connection may wait for the first bytes of a request.
fn patience(watch: &Watch, limits: &Limits) -> Duration {
    let old = watch.age_left() + LAST_REQUEST_WAIT.saturating_sub(watch.age().saturating_sub(limits.age));
    match watch.head_age() {
        Some(age) => limits.head.saturating_sub(age).min(old),
        None => old,
    }
}

fn too_slow(site: &Site, watch: &Watch) {
    tracing::debug!(source = site.id, peer = watch.peer(), "the head of a request did not come in time");
}

/// Answers the requests of a connection.
fn service(
    site: &Arc<Site>,
    watch: &Arc<Watch>,
) -> impl HttpService<Incoming, ResBody = Full<Bytes>, Error = Infallible, Future: Send + 'static> + use<> {
    let (site, watch) = (Arc::clone(site), Arc::clone(watch));
    service_fn(move |request| answer(Arc::clone(&site), Arc::clone(&watch), request))
}

/// Serves requests by HTTP/1. Gives the stream back as soon as it may be parked.
async fn serve_http1<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    site: &Arc<Site>,
    limits: &Limits,
    watch: &Arc<Watch>,
    stream: Watched<S>,
) -> Option<Watched<S>> {
    let _warm = Warm::new(limits);
    let mut connection = limits.http1.serve_connection(TokioIo::new(stream), service(site, watch));
    if attend(&mut Pin::new(&mut connection), site, limits, watch, true).await == End::Over {
        return None;
    }
    // Being between two requests, it is done at once; its stream is not closed with it.
    watch.keep_open(true);
    Pin::new(&mut connection).graceful_shutdown();
    let done = poll_fn(|cx| Poll::Ready(Pin::new(&mut connection).poll(cx))).await;
    watch.keep_open(false);
    match done {
        Poll::Ready(Ok(())) => {
            let parts = connection.into_parts();
            let mut stream = parts.io.into_inner();
            // The start of a request may have come with the one before.
            stream.put_back(&parts.read_buf);
            Some(stream)
        }
        Poll::Ready(Err(_)) => None,
        Poll::Pending => {
            attend(&mut Pin::new(&mut connection), site, limits, watch, false).await;
            None
        }
    }
}

/// How the attendance of a connection ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The connection has ended, or has to.
    Over,
    /// Nothing is going on.
    Quiet,
}

/// A connection of some version.
trait Speaks {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>>;
    fn end(&mut self);
}

impl<I, S> Speaks for Pin<&mut http1::Connection<I, S>>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
    S: HttpService<Incoming, ResBody = Full<Bytes>, Error = Infallible>,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.as_mut().poll(cx)
    }

    fn end(&mut self) {
        self.as_mut().graceful_shutdown();
    }
}

impl<I, S> Speaks for Pin<Box<http2::Connection<I, S, Spawner>>>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
    S: HttpService<Incoming, ResBody = Full<Bytes>, Error = Infallible, Future: Send + 'static>,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.as_mut().poll(cx)
    }

    fn end(&mut self) {
        self.as_mut().graceful_shutdown();
    }
}

/// Lets a connection work, within its times; where it may be parked, until it is quiet.
async fn attend(
    connection: &mut impl Speaks,
    site: &Site,
    limits: &Limits,
    watch: &Watch,
    parks: bool,
) -> End {
    let closing = closing(site);
    tokio::pin!(closing);
    // Since when it is being closed.
    let mut ending: Option<Duration> = None;
    // How many requests had come when it was last seen, and was quiet.
    let mut quiet_at = None;
    loop {
        let may_park = parks && ending.is_none();
        let working = poll_fn(|cx| match connection.poll(cx) {
            Poll::Ready(ended) => Poll::Ready(Some(ended)),
            Poll::Pending if may_park && limits.is_crowded() && watch.is_quiet() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        let stopped = tokio::select! {
            ended = working => match ended {
                None => return End::Quiet,
                Some(ended) => {
                    if let Err(e) = ended {
                        tracing::debug!(source = site.id, peer = watch.peer(), "a connection has failed: {e}");
                    }
                    return End::Over;
                }
            },
            () = &mut closing, if ending.is_none() => true,
            () = sleep(next_look(watch, limits, may_park)) => false,
        };
        if watch.head_age().is_some_and(|age| age >= limits.head) {
            too_slow(site, watch);
            return End::Over;
        }
        if may_park && !stopped && watch.is_quiet() {
            let requests = Some(watch.requests());
            if quiet_at == requests {
                return End::Quiet;
            }
            quiet_at = requests;
        }
        let age = watch.age();
        // Closed between two requests, HTTP/1 may lose the next one; better to say so in an answer.
        let is_old = watch.is_old()
            && (watch.is_h2() || (watch.is_waiting() && age >= limits.age + LAST_REQUEST_WAIT));
        if ending.is_none() && (stopped || is_old) {
            ending = Some(age);
            connection.end();
        }
        // A peer that does not take its answer must not keep the connection.
        let is_stuck = ending.is_some_and(|ending| age >= ending + site.request_timeout + limits.head);
        if is_stuck && watch.is_waiting() {
            return End::Over;
        }
    }
}

/// When the connection has to be looked at again.
fn next_look(watch: &Watch, limits: &Limits, may_park: bool) -> Duration {
    let head = match watch.head_age() {
        Some(age) => limits.head.saturating_sub(age),
        // A head may begin any time.
        None => limits.head / 2,
    };
    let old = watch.age_left();
    let next = if old.is_zero() { head.min(LAST_REQUEST_WAIT) } else { head.min(old) };
    let next = if may_park { next.min(PARK_AFTER) } else { next };
    next.max(Duration::from_millis(5))
}
