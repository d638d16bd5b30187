//! One connection: its handshake, its requests, its age.

use super::service::answer;
use super::site::Site;
use super::tasks::Spawner;
use crate::delivery::clock;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
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

/// What a connection may take.
#[derive(Clone)]
pub struct Limits {
    /// How long a handshake and the head of a request may take.
    pub head: Duration,
    /// How long it lives.
    pub age: Duration,
    /// How it speaks HTTP.
    pub http: Builder<Spawner>,
}

impl Limits {
    /// Limits of a server.
    pub fn new(head: Duration, age: Duration, spawner: Spawner) -> Limits {
        let mut http = Builder::new(spawner);
        // The heads of requests are timed here: the timeout of `hyper` would also end connections that wait.
        http.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(HEAD_BYTES_MAX);
        http.http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(HEAD_BYTES_MAX as u32)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .keep_alive_interval(PING_EVERY);
        Limits { head, age, http }
    }
}

/// What is known of a connection while it lasts.
pub struct Watch {
    peer: String,
    began: Instant,
    under_way: AtomicU32,
    /// Whether requests have come, and by HTTP/2.
    is_h2: AtomicBool,
    is_old: AtomicBool,
    /// Since when the head of a request is being read, in milliseconds after `began`, and one more; 0: none is.
    head_since: AtomicU64,
}

/// A request that is under way.
pub struct UnderWay<'a>(&'a Watch);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Watch {
    fn new(peer: SocketAddr) -> Watch {
        Watch {
            peer: peer.ip().to_canonical().to_string(),
            began: clock::monotonic(),
            under_way: AtomicU32::new(0),
            is_h2: AtomicBool::new(false),
            is_old: AtomicBool::new(false),
            head_since: AtomicU64::new(1),
        }
    }

    /// IP address of the other end.
    pub fn peer(&self) -> &str {
        &self.peer
    }

    /// Takes note of a request, as long as what comes back is kept.
    pub fn begin(&self, is_h2: bool) -> UnderWay<'_> {
        self.is_h2.store(is_h2, Ordering::Release);
        self.under_way.fetch_add(1, Ordering::AcqRel);
        self.head_since.store(0, Ordering::Release);
        UnderWay(self)
    }

    /// Whether the connection has reached its age.
    pub fn is_old(&self) -> bool {
        self.is_old.load(Ordering::Acquire)
    }

    fn is_waiting(&self) -> bool {
        self.under_way.load(Ordering::Acquire) == 0
    }

    /// Takes note that bytes came in.
    fn heard(&self) {
        // HTTP/2 has frames that belong to no request.
        if self.is_waiting() && !self.is_h2.load(Ordering::Acquire) {
            let now = self.age().as_millis() as u64 + 1;
            self.head_since.compare_exchange(0, now, Ordering::AcqRel, Ordering::Acquire).unwrap_or_default();
        }
    }

    /// How long the head of a request has been on its way.
    fn head_age(&self) -> Option<Duration> {
        let since = self.head_since.load(Ordering::Acquire).checked_sub(1)?;
        Some(self.age().saturating_sub(Duration::from_millis(since)))
    }

    fn age(&self) -> Duration {
        clock::monotonic().saturating_duration_since(self.began)
    }
}

/// Serves a connection to its end.
pub async fn run(
    site: Arc<Site>,
    limits: Limits,
    tls: Option<TlsAcceptor>,
    tcp: TcpStream,
    peer: SocketAddr,
) {
    // Answers are small and waited for.
    tcp.set_nodelay(true).unwrap_or_default();
    let watch = Arc::new(Watch::new(peer));
    match tls {
        // Boxed, for a connection to take no more memory than it needs: with TLS, that is four times as much.
        None => Box::pin(serve(site, limits, watch, tcp)).await,
        Some(tls) => {
            let mut shutdown = site.shutdown.clone();
            let handshake = Box::pin(timeout(limits.head, tls.accept(tcp)));
            tokio::select! {
                shaken = handshake => match shaken {
                    Ok(Ok(stream)) => Box::pin(serve(site, limits, watch, stream)).await,
                    Ok(Err(e)) => tracing::debug!(source = site.id, peer = watch.peer(), "no TLS: {e}"),
                    Err(_) => tracing::debug!(source = site.id, peer = watch.peer(), "no TLS in time"),
                },
                () = shutdown.wait() => {}
            }
        }
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    site: Arc<Site>,
    limits: Limits,
    watch: Arc<Watch>,
    stream: S,
) {
    let watched = TokioIo::new(Watched { stream, watch: Arc::clone(&watch) });
    let (for_requests, watch_requests) = (Arc::clone(&site), Arc::clone(&watch));
    let service =
        service_fn(move |request| answer(Arc::clone(&for_requests), Arc::clone(&watch_requests), request));
    let connection = limits.http.serve_connection(watched, service);
    tokio::pin!(connection);
    let mut shutdown = site.shutdown.clone();
    // Since when it is being closed, by its age.
    let mut ending: Option<Duration> = None;
    loop {
        let is_ending = ending.is_some();
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(e) = ended {
                    tracing::debug!(source = site.id, peer = watch.peer(), "a connection has failed: {e}");
                }
                return;
            }
            () = shutdown.wait(), if !is_ending => {
                ending = Some(watch.age());
                connection.as_mut().graceful_shutdown();
            }
            () = sleep(next_look(&watch, &limits)) => {}
        }
        if watch.head_age().is_some_and(|age| age >= limits.head) {
            tracing::debug!(
                source = site.id,
                peer = watch.peer(),
                "the head of a request did not come in time"
            );
            return;
        }
        let age = watch.age();
        if age >= limits.age && ending.is_none() {
            watch.is_old.store(true, Ordering::Release);
            // Closed between two requests, HTTP/1 may lose the next one; better to say so in an answer.
            let is_quiet = watch.is_waiting() && age >= limits.age + LAST_REQUEST_WAIT;
            if watch.is_h2.load(Ordering::Acquire) || is_quiet {
                ending = Some(age);
                connection.as_mut().graceful_shutdown();
            }
        }
        // A peer that does not take its answer must not keep the connection.
        let is_stuck = ending.is_some_and(|ending| age >= ending + site.request_timeout + limits.head);
        if is_stuck && watch.is_waiting() {
            return;
        }
    }
}

/// When the connection has to be looked at again.
fn next_look(watch: &Watch, limits: &Limits) -> Duration {
    let head = match watch.head_age() {
        Some(age) => limits.head.saturating_sub(age),
        // A head may begin any time.
        None => limits.head / 2,
    };
    let old = limits.age.saturating_sub(watch.age());
    let next = if old.is_zero() { head.min(LAST_REQUEST_WAIT) } else { head.min(old) };
    next.max(Duration::from_millis(5))
}

/// A stream that says when something was read.
struct Watched<S> {
    stream: S,
    watch: Arc<Watch>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, out);
        if out.filled().len() > before {
            self.watch.heard();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
