//! The bytes of a request: as they come, and unpacked; never more than is allowed, never longer than is allowed.

use super::tasks::Spawner;
use super::watch::UnderWay;
use async_compression::tokio::bufread::{DeflateDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_ENCODING, HeaderMap};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader, ReadBuf};
use tokio::time::{Instant, timeout, timeout_at};

/// A body may be packed so often; more is an attack.
const CODINGS_MAX: usize = 3;
/// What is kept of unpacked bytes between two codings.
const STAGE_BYTES: usize = 32 * 1024;
/// The largest window of Zstandard, as a power of two: 8 MiB, which is what RFC 9659 allows in HTTP.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// What is left of a body that was refused is read and thrown away, so that its sender gets to read the answer: at
/// most so many bytes, for at most so long.
const DRAINED_BYTES_MAX: u64 = 64 * 1024 * 1024;
const DRAINED_FOR_MAX: Duration = Duration::from_secs(5);

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// gzip, of one or more members.
    Gzip,
    /// zlib, or what some senders take for it: the same without its frame.
    Deflate,
    /// Zstandard.
    Zstd,
}

/// Reads `Content-Encoding`, in the order in which the codings were applied; gives the one that is not known.
pub fn codings(headers: &HeaderMap) -> Result<Vec<Coding>, String> {
    let mut codings = Vec::new();
    for value in headers.get_all(CONTENT_ENCODING) {
        let value = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        for name in value.split(',').map(str::trim) {
            match name {
                "" | "identity" => {}
                "gzip" | "x-gzip" => codings.push(Coding::Gzip),
                "deflate" => codings.push(Coding::Deflate),
                "zstd" => codings.push(Coding::Zstd),
                other => return Err(format!("Content-Encoding `{}` is not known", other.escape_default())),
            }
        }
    }
    if codings.len() > CODINGS_MAX {
        return Err(format!("packed more than {CODINGS_MAX} times"));
    }
    Ok(codings)
}

/// Why no more of a body can be read.
#[derive(Debug)]
pub enum Stop {
    /// There is more than is allowed.
    TooLarge,
    /// It took too long.
    TimedOut,
    /// Its sender is gone, or does not speak HTTP.
    Gone(String),
    /// It can't be unpacked.
    Packed(String),
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stop::TooLarge => f.write_str("the body is too large"),
            Stop::TimedOut => f.write_str("the body did not come in time"),
            Stop::Gone(why) => write!(f, "the body is not whole: {why}"),
            Stop::Packed(why) => write!(f, "the body can't be unpacked: {why}"),
        }
    }
}

impl std::error::Error for Stop {}

/// A body, unpacked.
pub struct Body {
    reader: Box<dyn AsyncRead + Send + Unpin>,
    /// How many unpacked bytes may still come.
    left: u64,
    deadline: Instant,
}

impl Body {
    /// Unpacks what comes by `wire`: at most `max_bytes`, until `deadline`.
    pub async fn open(
        mut wire: Wire,
        codings: &[Coding],
        max_bytes: u64,
        deadline: Instant,
    ) -> Result<Body, Stop> {
        if !codings.is_empty() {
            // Packed bytes that unpack to nothing count too; those that can't be packed grow by less than this.
            wire.left = max_bytes.saturating_add(max_bytes / 64 + 4096);
        }
        let mut reader: Box<dyn AsyncRead + Send + Unpin> = Box::new(wire);
        for coding in codings.iter().rev() {
            let mut packed = BufReader::with_capacity(STAGE_BYTES, reader);
            reader = match coding {
                Coding::Gzip => {
                    let mut decoder = GzipDecoder::new(packed);
                    decoder.multiple_members(true);
                    Box::new(decoder)
                }
                Coding::Zstd => {
                    let limits = [DParameter::window_log_max(ZSTD_WINDOW_LOG_MAX)];
                    let mut decoder = ZstdDecoder::with_params(packed, &limits);
                    decoder.multiple_members(true);
                    Box::new(decoder)
                }
                Coding::Deflate => match timeout_at(deadline, packed.fill_buf()).await {
                    Err(_) => return Err(Stop::TimedOut),
                    Ok(Err(e)) => return Err(stop(e)),
                    Ok(Ok(start)) if is_zlib(start) => Box::new(ZlibDecoder::new(packed)),
                    Ok(Ok(_)) => Box::new(DeflateDecoder::new(packed)),
                },
            };
        }
        Ok(Body { reader, left: max_bytes, deadline })
    }

    /// Reads some bytes into `room`, which may not be empty; none at the end. May be called off.
    pub async fn read(&mut self, room: &mut [u8]) -> Result<usize, Stop> {
        // One byte more than is allowed shows that there is more.
        let len = room.len().min(usize::try_from(self.left.saturating_add(1)).unwrap_or(usize::MAX));
        let room = room.get_mut(..len).unwrap_or_default();
        match timeout_at(self.deadline, self.reader.read(room)).await {
            Err(_) => Err(Stop::TimedOut),
            Ok(Err(e)) => Err(stop(e)),
            Ok(Ok(read)) => {
                self.left = self.left.checked_sub(read as u64).ok_or(Stop::TooLarge)?;
                Ok(read)
            }
        }
    }
}

/// Whether a stream that is called `deflate` begins as zlib does, as it should.
fn is_zlib(start: &[u8]) -> bool {
    match start {
        [method, flags, ..] => method & 0x0f == 8 && u16::from_be_bytes([*method, *flags]) % 31 == 0,
        _ => true,
    }
}

/// What an error means that has come through the unpacking.
fn stop(error: io::Error) -> Stop {
    match error.downcast::<Stop>() {
        Ok(stop) => stop,
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Stop::Packed("it ends too early".to_owned()),
        Err(e) => Stop::Packed(e.to_string()),
    }
}

/// The body as it comes. Dropped, it drains what was not read.
pub struct Wire {
    incoming: Option<(Incoming, UnderWay)>,
    chunk: Bytes,
    left: u64,
    spawner: Spawner,
}

impl Wire {
    /// A body whose request stays under way until it is read.
    pub fn new(incoming: Incoming, under_way: UnderWay, spawner: Spawner) -> Wire {
        Wire { incoming: Some((incoming, under_way)), chunk: Bytes::new(), left: u64::MAX, spawner }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let start = ready!(self.as_mut().poll_fill_buf(cx))?;
        let len = start.len().min(out.remaining());
        out.put_slice(start.get(..len).unwrap_or_default());
        self.consume(len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncBufRead for Wire {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let wire = self.get_mut();
        while wire.chunk.is_empty() {
            let Some((incoming, _)) = &mut wire.incoming else { break };
            match ready!(Pin::new(incoming).poll_frame(cx)) {
                None => wire.incoming = None,
                Some(Err(e)) => {
                    wire.incoming = None;
                    return Poll::Ready(Err(io::Error::other(Stop::Gone(e.to_string()))));
                }
                // Trailers say nothing that is of use here.
                Some(Ok(frame)) => wire.chunk = frame.into_data().unwrap_or_default(),
            }
            match wire.left.checked_sub(wire.chunk.len() as u64) {
                Some(left) => wire.left = left,
                None => return Poll::Ready(Err(io::Error::other(Stop::TooLarge))),
            }
        }
        Poll::Ready(Ok(&wire.chunk))
    }

    fn consume(mut self: Pin<&mut Self>, len: usize) {
        let len = len.min(self.chunk.len());
        self.chunk.advance(len);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let Some((incoming, under_way)) = self.incoming.take() {
            drain(incoming, under_way, &self.spawner);
        }
    }
}

/// Reads what is left of a body, within limits.
pub fn drain(mut incoming: Incoming, under_way: UnderWay, spawner: &Spawner) {
    if incoming.is_end_stream() {
        return;
    }
    spawner.spawn(async move {
        let read = async {
            let mut left = DRAINED_BYTES_MAX;
            while let Some(Ok(frame)) = incoming.frame().await {
                let len = frame.data_ref().map_or(0, |data| data.len() as u64);
                match left.checked_sub(len) {
                    Some(rest) => left = rest,
                    None => return,
                }
            }
        };
        timeout(DRAINED_FOR_MAX, read).await.unwrap_or_default();
        drop((incoming, under_way));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn read(values: &[&str]) -> Result<Vec<Coding>, String> {
        let header = |value: &&str| (CONTENT_ENCODING, HeaderValue::from_str(value).unwrap());
        codings(&values.iter().map(header).collect())
    }

    #[test]
    fn codings_are_read_in_their_order() {
        assert_eq!(read(&[]), Ok(vec![]));
        assert_eq!(read(&["identity"]), Ok(vec![]));
        assert_eq!(read(&["GZip, identity ,zstd"]), Ok(vec![Coding::Gzip, Coding::Zstd]));
        assert_eq!(read(&["deflate", "x-gzip"]), Ok(vec![Coding::Deflate, Coding::Gzip]));
        assert_eq!(read(&["gzip, br"]), Err("Content-Encoding `br` is not known".to_owned()));
        assert!(read(&["gzip,gzip,gzip,gzip"]).is_err());
    }

    #[test]
    fn zlib_is_told_from_what_lacks_its_frame() {
        assert!([&b"\x78\x01"[..], b"\x78\x9c", b"\x78\xda", b""].iter().all(|start| is_zlib(start)));
        assert!([&b"\xab\x56"[..], b"\x78\x02", b"\x4b\x4c"].iter().all(|start| !is_zlib(start)));
    }
}
