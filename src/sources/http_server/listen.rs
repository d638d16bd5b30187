//! Listening: one task for each connection, at most as many as are allowed.

use super::HttpServer;
use super::auth::Guard;
use super::connection::{self, Limits};
use super::site::Site;
use super::tasks::Tasks;
use crate::codec::Settings;
use crate::delivery::{SourceContext, Trouble, clock};
use crate::net::Auth;
use crate::sources::number_of_this_run;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

/// How long to wait where no connection can be accepted.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// Trouble with connections is told of at most so often.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Runs a server until it is stopped, and every request that it has begun is answered.
pub async fn run(cx: SourceContext, options: HttpServer, settings: Settings) -> Result<(), String> {
    let tls = options.tls.as_ref().map(|tls| tls.acceptor()).transpose()?;
    let credentials = options.auth.as_ref().map(Auth::credentials).transpose().map_err(|e| e.message)?;
    let guard = credentials.as_ref().map(Guard::new);
    let address = options.address.0;
    let listener = cx.door.open(address).await.map_err(|e| cannot_listen(address, &e))?;
    let bound = listener.local_addr().unwrap_or(address);
    let SourceContext { id, out, wanted, mut shutdown, meter, door: entrance, .. } = cx;
    tracing::info!(source = id, address = %bound, tls = tls.is_some(), "listening");
    let tasks = Tasks::default();
    let site = Arc::new(Site {
        id,
        out,
        meter,
        settings,
        wanted,
        path: options.path,
        strict_path: options.strict_path,
        guard,
        max_body_bytes: options.max_body_bytes.get(),
        request_timeout: options.request_timeout_secs.duration(),
        acknowledges: options.acknowledgements.enabled,
        shutdown: shutdown.clone(),
        spawner: tasks.spawner(),
        buffers: Default::default(),
        told: Arc::default(),
        refused: Default::default(),
        requests: AtomicU64::new(number_of_this_run()),
    });
    let head = options.header_read_timeout_secs.duration();
    let age = options.keepalive.max_connection_age_secs.duration();
    let limits = Arc::new(Limits::new(head, age, tasks.spawner()));
    let mut door = Door::new(Arc::clone(&site), options.max_connections.get() as usize);
    loop {
        tokio::select! {
            biased;
            () = shutdown.wait() => break,
            (permit, accepted) = door.next(&listener) => match accepted {
                Ok((tcp, peer)) => {
                    let (site, limits, tls) = (Arc::clone(&site), Arc::clone(&limits), tls.clone());
                    tasks.spawner().spawn(async move {
                        connection::run(site, limits, tls, tcp, peer).await;
                        drop(permit);
                    });
                }
                Err(e) => {
                    drop(permit);
                    door.trouble(&e).await;
                }
            },
        }
    }
    drop((door, site));
    // Who comes now waits for the server that follows; where there is none, the system turns them away.
    entrance.leave(address, listener);
    tasks.finish().await;
    Ok(())
}

/// Lets connections in.
struct Door {
    site: Arc<Site>,
    places: Arc<Semaphore>,
    told: Option<Instant>,
    /// Held for as long as no connection can be accepted.
    failing: Option<Trouble>,
}

impl Door {
    fn new(site: Arc<Site>, places: usize) -> Door {
        let places = Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS)));
        Door { site, places, told: None, failing: None }
    }

    /// The next connection. Where there is no place, it waits with the system, unanswered.
    async fn next(
        &mut self,
        listener: &TcpListener,
    ) -> (Option<OwnedSemaphorePermit>, io::Result<(tokio::net::TcpStream, SocketAddr)>) {
        if self.places.available_permits() == 0 && self.is_due() {
            let source = self.site.id.as_str();
            tracing::warn!(source, "`max_connections` are open: others wait until one of them is closed");
        }
        let permit = Arc::clone(&self.places).acquire_owned().await.ok();
        let accepting = listener.accept();
        tokio::pin!(accepting);
        if self.failing.is_some() {
            // What fails does so at once: where it waits for somebody, it works again.
            match timeout(ACCEPT_RETRY, &mut accepting).await {
                Ok(Err(e)) => return (permit, Err(e)),
                Ok(accepted) => {
                    self.failing = None;
                    return (permit, accepted);
                }
                Err(_) => self.failing = None,
            }
        }
        (permit, accepting.await)
    }

    /// Tells of a connection that could not be accepted, and waits a moment.
    async fn trouble(&mut self, error: &io::Error) {
        let source = self.site.id.as_str();
        if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset) {
            return tracing::debug!(source, "a connection was gone before it was accepted");
        }
        let why = format!("can't accept a connection: {error}");
        match &self.failing {
            Some(failing) => failing.go_on(&why),
            None => self.failing = Some(self.site.meter.trouble(&why)),
        }
        if self.is_due() {
            tracing::warn!(source = self.site.id.as_str(), "{why}");
        }
        sleep(ACCEPT_RETRY).await;
    }

    fn is_due(&mut self) -> bool {
        let now = clock::monotonic();
        if self.told.is_some_and(|told| now.duration_since(told) < TELL_EVERY) {
            return false;
        }
        self.told = Some(now);
        true
    }
}

/// Says why nobody can listen there, and what to do about it.
pub fn cannot_listen(address: SocketAddr, error: &io::Error) -> String {
    let help = match error.kind() {
        ErrorKind::AddrInUse => "; another program listens there: stop it, or choose another port",
        ErrorKind::PermissionDenied => {
            "; ports below 1024 take a privilege (CAP_NET_BIND_SERVICE): choose a higher one, or grant it"
        }
        ErrorKind::AddrNotAvailable => {
            "; no network interface has that address: `0.0.0.0` and `[::]` stand for all there are"
        }
        _ => "",
    };
    format!("can't listen on {address}: {error}{help}")
}
