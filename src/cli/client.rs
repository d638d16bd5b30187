//! Asks a running evaltrail by its API.
//!
//! A plain request of HTTP/1.1 to an address, past any proxy: what is asked for stands on this machine, as a rule. The
//! host is named by its IP address, whatever name led there, since taps are shown to nobody who asks by a name.

use super::args::{ApiArgs, ConfigArgs};
use super::load::{show, variable};
use super::{EXIT_FAILED, EXIT_REFUSED, complain};
use crate::config::{self, API_ADDRESS, Environment};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

/// How long it may take to connect, and then until the head of an answer is there.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// Bytes of an answer that is read whole.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Where the API is that `args` mean: as given, or as in the config, or where it is by default.
pub fn address(args: &ApiArgs) -> Result<String, ExitCode> {
    if let Some(address) = &args.address {
        return Ok(address.clone());
    }
    if args.config.config.is_empty() {
        return Ok(API_ADDRESS.to_string());
    }
    let refused = ExitCode::from(EXIT_REFUSED);
    let files = config::read(&args.config.config).map_err(|diagnostics| {
        show(&diagnostics, &[]);
        refused
    })?;
    let found = config::api_address(&files, Environment::Of(&variable)).map_err(|diagnostics| {
        show(&diagnostics, &files);
        refused
    })?;
    let Some(address) = found else {
        let ConfigArgs { config } = &args.config;
        let names: Vec<String> = config.iter().map(|path| path.display().to_string()).collect();
        complain(&format!(
            "evaltrail: {} has no `[api]`, so nothing can be asked; add\n\n{}",
            names.join(", "),
            section(&API_ADDRESS.to_string())
        ));
        return Err(refused);
    };
    Ok(reachable(address).to_string())
}

/// Whoever listens on every address is found on this machine's own.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn section(address: &str) -> String {
    format!("    [api]\n    address = \"{address}\"\n")
}

/// What to do where nothing answers at `address`.
pub fn absent(address: &str, why: &str) -> String {
    let shown = if address.parse::<SocketAddr>().is_ok() { address } else { "127.0.0.1:8686" };
    format!(
        "evaltrail: can't ask {address}: {why}\nIs evaltrail running there, with an API? Its config needs\n\n{}\n\
         and `--address HOST:PORT` says where else to ask.\n",
        section(shown)
    )
}

/// A runtime that waits for one answer at a time.
pub fn runtime() -> Result<Runtime, ExitCode> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| {
        complain(&format!("evaltrail: can't start: {e}\n"));
        EXIT_FAILED.into()
    })
}

/// Waits until somebody wants it to end.
pub async fn interrupted() -> io::Result<()> {
    let (mut int, mut term) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = int.recv() => {}
        _ = term.recv() => {}
    }
    Ok(())
}

/// An answer whose body is still to come.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    body: Incoming,
    connection: Pin<Box<dyn Future<Output = hyper::Result<()>>>>,
    is_closed: bool,
}

/// Asks `address` for `path`. An error says why there is no answer.
pub async fn get(address: &str, path: &str) -> Result<Answer, String> {
    timeout(ANSWER_WAIT, ask(address, path)).await.unwrap_or_else(|_| {
        let secs = ANSWER_WAIT.as_secs();
        Err(format!("there is no answer within {secs} s"))
    })
}

async fn ask(address: &str, path: &str) -> Result<Answer, String> {
    let stream = TcpStream::connect(address).await.map_err(|e| e.to_string())?;
    let peer = stream.peer_addr().map_err(|e| e.to_string())?;
    let said = |e: hyper::Error| format!("what answers does not speak HTTP/1.1: {e}");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(said)?;
    let mut connection = Box::pin(connection);
    let agent = concat!("evaltrail/", env!("CARGO_PKG_VERSION"));
    let request = Request::get(path).header(HOST, peer.to_string()).header(USER_AGENT, agent);
    let request = request.body(Empty::<Bytes>::new()).map_err(|e| format!("it can't be asked for: {e}"))?;
    let sending = sender.send_request(request);
    tokio::pin!(sending);
    let mut is_closed = false;
    let response = loop {
        tokio::select! {
            biased;
            response = &mut sending => break response.map_err(said)?,
            ended = &mut connection, if !is_closed => {
                is_closed = true;
                ended.map_err(said)?;
            }
        }
    };
    let (head, body) = response.into_parts();
    Ok(Answer { status: head.status, body, connection, is_closed })
}

impl Answer {
    /// The next piece of the body; none at its end. An error says that it breaks off.
    pub async fn next(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            tokio::select! {
                biased;
                frame = self.body.frame() => match frame {
                    None => return Ok(None),
                    Some(Err(e)) => return Err(e.to_string()),
                    Some(Ok(frame)) => if let Ok(bytes) = frame.into_data() { return Ok(Some(bytes)) },
                },
                ended = &mut self.connection, if !self.is_closed => {
                    self.is_closed = true;
                    // What it has brought before is still in the body, which ends with the same error.
                    ended.unwrap_or_default();
                }
            }
        }
    }

    /// All of the body.
    pub async fn text(mut self) -> Result<String, String> {
        let mut all = Vec::new();
        let reading = async {
            while let Some(bytes) = self.next().await? {
                all.extend_from_slice(&bytes);
                if all.len() > ANSWER_BYTES_MAX {
                    return Err("the answer is too long".to_owned());
                }
            }
            Ok(())
        };
        timeout(ANSWER_WAIT, reading).await.unwrap_or_else(|_| Err("the answer does not end".to_owned()))?;
        String::from_utf8(all).map_err(|_| "the answer is no text".to_owned())
    }
}
