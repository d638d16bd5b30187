//! What is known of a connection while it lasts, and the stream that tells it.

use crate::delivery::clock;
use bytes::{Buf, Bytes};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// What HTTP/2 begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What is known of a connection while it lasts.
pub struct Watch {
    peer: String,
    number: u64,
    began: Instant,
    /// How old it may become.
    age_max: Duration,
    /// Requests that are not answered, and bodies that are still on their way.
    under_way: AtomicU32,
    /// Requests so far.
    requests: AtomicU32,
    /// Whether requests have come, and by HTTP/2.
    is_h2: AtomicBool,
    /// Whether everything that was to be written is.
    is_flushed: AtomicBool,
    /// Whether the stream is not to be closed with what speaks HTTP over it.
    keeps_open: AtomicBool,
    /// Since when the head of a request is being read, in milliseconds after `began`, and one more; 0: none is.
    head_since: AtomicU64,
}

/// A request, or its body, that is under way.
pub struct UnderWay(Arc<Watch>);

impl Clone for UnderWay {
    fn clone(&self) -> UnderWay {
        self.0.under_way.fetch_add(1, Ordering::AcqRel);
        UnderWay(Arc::clone(&self.0))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Watch {
    /// A connection that begins now.
    pub fn new(peer: SocketAddr, number: u64, age_max: Duration) -> Watch {
        Watch {
            peer: peer.ip().to_canonical().to_string(),
            number,
            began: clock::monotonic(),
            age_max,
            under_way: AtomicU32::new(0),
            requests: AtomicU32::new(0),
            is_h2: AtomicBool::new(false),
            is_flushed: AtomicBool::new(true),
            keeps_open: AtomicBool::new(false),
            head_since: AtomicU64::new(1),
        }
    }

    /// IP address of the other end.
    pub fn peer(&self) -> &str {
        &self.peer
    }

    /// Tells the connection from others.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Takes note of a request, as long as what comes back is kept.
    pub fn begin(self: &Arc<Watch>, is_h2: bool) -> UnderWay {
        self.is_h2.store(is_h2, Ordering::Release);
        self.requests.fetch_add(1, Ordering::AcqRel);
        self.under_way.fetch_add(1, Ordering::AcqRel);
        self.head_since.store(0, Ordering::Release);
        UnderWay(Arc::clone(self))
    }

    /// Whether requests come by HTTP/2.
    pub fn is_h2(&self) -> bool {
        self.is_h2.load(Ordering::Acquire)
    }

    /// Whether the connection has reached its age.
    pub fn is_old(&self) -> bool {
        self.age() >= self.age_max
    }

    /// Whether no request is under way.
    pub fn is_waiting(&self) -> bool {
        self.under_way.load(Ordering::Acquire) == 0
    }

    /// Whether nothing at all is: requests have come and are answered, their bodies are read, the answers written, and
    /// of another request nothing is known.
    pub fn is_quiet(&self) -> bool {
        self.is_waiting()
            && self.head_since.load(Ordering::Acquire) == 0
            && self.is_flushed.load(Ordering::Acquire)
    }

    /// Says whether the stream is not to be closed with what speaks HTTP over it.
    pub fn keep_open(&self, keeps: bool) {
        self.keeps_open.store(keeps, Ordering::Release);
    }

    /// How many requests have come.
    pub fn requests(&self) -> u32 {
        self.requests.load(Ordering::Acquire)
    }

    /// Takes note that bytes came in.
    fn heard(&self) {
        // HTTP/2 has frames that belong to no request.
        if self.is_waiting() && !self.is_h2() {
            let now = self.age().as_millis() as u64 + 1;
            self.head_since.compare_exchange(0, now, Ordering::AcqRel, Ordering::Acquire).unwrap_or_default();
        }
    }

    /// How long the head of a request has been on its way.
    pub fn head_age(&self) -> Option<Duration> {
        let since = self.head_since.load(Ordering::Acquire).checked_sub(1)?;
        Some(self.age().saturating_sub(Duration::from_millis(since)))
    }

    /// How long it has lasted.
    pub fn age(&self) -> Duration {
        clock::monotonic().saturating_duration_since(self.began)
    }

    /// How long it may still last.
    pub fn age_left(&self) -> Duration {
        self.age_max.saturating_sub(self.age())
    }
}

/// How a connection begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begins {
    /// As HTTP/2 does.
    Http2,
    /// Otherwise.
    Http1,
    /// It does not.
    Gone,
}

/// A stream that says when something was read and written.
pub struct Watched<S> {
    stream: S,
    /// What was read already, and has to be read again.
    front: Bytes,
    watch: Arc<Watch>,
}

impl<S> Watched<S> {
    /// A stream of a connection.
    pub fn new(stream: S, watch: Arc<Watch>) -> Watched<S> {
        Watched { stream, front: Bytes::new(), watch }
    }

    /// Puts back what was read.
    pub fn put_back(&mut self, bytes: &[u8]) {
        // Copied: what they stand in may be large.
        self.front = [bytes, &self.front].concat().into();
    }
}

impl<S: AsyncRead + Unpin> Watched<S> {
    /// Waits for the first bytes, in next to no memory. They are told apart by them where `may_be_h2`. May be called
    /// off, and again.
    pub async fn first(&mut self, may_be_h2: bool) -> Begins {
        let mut room = [0; PREFACE.len()];
        loop {
            let came = self.front.as_ref();
            if !came.is_empty() && (!may_be_h2 || !PREFACE.starts_with(came)) {
                return Begins::Http1;
            }
            if came.len() == PREFACE.len() {
                return Begins::Http2;
            }
            let left = room.get_mut(came.len()..).unwrap_or_default();
            match self.stream.read(left).await {
                Ok(len @ 1..) => {
                    let bytes = [came, left.get(..len).unwrap_or_default()].concat();
                    self.watch.heard();
                    self.front = bytes.into();
                }
                _ => return Begins::Gone,
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        if !self.front.is_empty() {
            let len = self.front.len().min(out.remaining());
            out.put_slice(self.front.get(..len).unwrap_or_default());
            self.front.advance(len);
        }
        let read = match out.remaining() {
            0 => Poll::Ready(Ok(())),
            // In one go with what stands in front of it: for a second read, the buffer would be made larger.
            _ => Pin::new(&mut self.stream).poll_read(cx, out),
        };
        if out.filled().len() > before {
            self.watch.heard();
            // An end or an error comes again.
            return Poll::Ready(Ok(()));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.watch.is_flushed.store(false, Ordering::Release);
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        // Nobody flushes before all is written.
        self.watch.is_flushed.store(matches!(flushed, Poll::Ready(Ok(()))), Ordering::Release);
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.watch.keeps_open.load(Ordering::Acquire) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.watch.is_flushed.store(false, Ordering::Release);
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncWriteExt, duplex};

    fn watch() -> Arc<Watch> {
        Arc::new(Watch::new("127.0.0.1:1".parse().unwrap(), 1, Duration::from_secs(60)))
    }

    #[tokio::test]
    async fn versions_are_told_apart_and_nothing_is_lost() {
        for (sent, wanted) in [
            (PREFACE, Begins::Http2),
            (b"PRI * HTTP/1.1\r\n\r\n", Begins::Http1),
            (b"POST / HTTP/1.1\r\n", Begins::Http1),
            (b"P", Begins::Gone),
            (b"", Begins::Gone),
        ] {
            for step in [1, 3, 100] {
                let (mut client, server) = duplex(1);
                let mut stream = Watched::new(server, watch());
                let writing = async {
                    for part in sent.chunks(step) {
                        client.write_all(part).await.unwrap();
                    }
                    drop(client);
                };
                let reading = async {
                    let begins = stream.first(true).await;
                    let mut all = Vec::new();
                    stream.read_to_end(&mut all).await.unwrap();
                    (begins, all)
                };
                let ((), (begins, all)) = tokio::join!(writing, reading);
                assert_eq!((begins, all.as_slice()), (wanted, sent));
            }
        }
    }

    #[tokio::test]
    async fn what_is_put_back_is_read_first() {
        let (mut client, server) = duplex(64);
        client.write_all(b"three").await.unwrap();
        drop(client);
        let mut stream = Watched::new(server, watch());
        stream.put_back(b"two ");
        stream.put_back(b"one ");
        assert_eq!(stream.first(false).await, Begins::Http1);
        let mut all = String::new();
        stream.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "one two three");
    }

    #[tokio::test]
    async fn a_connection_is_quiet_when_nothing_is_under_way() {
        let watch = watch();
        assert!(!watch.is_quiet(), "a head is awaited");
        let request = watch.begin(false);
        let body = request.clone();
        drop(request);
        assert!(!watch.is_quiet());
        drop(body);
        assert!(watch.is_quiet());
        let (_client, server) = duplex(1);
        let mut stream = Watched::new(server, Arc::clone(&watch));
        stream.write_all(b"a").await.unwrap();
        assert!(!watch.is_quiet(), "not flushed");
        stream.flush().await.unwrap();
        assert!(watch.is_quiet());
        watch.heard();
        assert!(!watch.is_quiet());
    }
}
