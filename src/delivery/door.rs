//! The door of a source that listens: when it is exchanged for one with other options, the listener stays open, and
//! whoever comes meanwhile waits in front of it instead of being turned away.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;

/// Belongs to all sources of one id that follow each other.
#[derive(Clone, Debug, Default)]
pub struct Door(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Where somebody listens, as the config says it.
    address: Option<SocketAddr>,
    /// What nobody is listening to now.
    idle: Option<(SocketAddr, TcpListener)>,
    /// Whether somebody else will listen.
    stays: bool,
}

impl Door {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes sure that [`Door::open`] will work, while the one before may still be listening.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub async fn prepare(&self, address: SocketAddr) -> io::Result<()> {
        if self.state().address != Some(address) {
            let listener = TcpListener::bind(address).await?;
            self.state().idle = Some((address, listener));
        }
        Ok(())
    }

    /// Takes back [`Door::prepare`]: whoever listens goes on.
    pub fn forget(&self) {
        let mut state = self.state();
        (state.idle, state.stays) = (None, false);
    }

    /// Whoever listens leaves the listener behind from now on.
    pub fn keep(&self) {
        self.state().stays = true;
    }

    /// Listens: with what was left behind, where that is the same address.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub async fn open(&self, address: SocketAddr) -> io::Result<TcpListener> {
        let idle = self.state().idle.take();
        let listener = match idle {
            Some((kept, listener)) if kept == address => listener,
            _ => TcpListener::bind(address).await?,
        };
        let mut state = self.state();
        (state.address, state.stays) = (Some(address), false);
        Ok(listener)
    }

    /// Ends the listening; the listener stays where another source goes on with it.
    pub fn leave(&self, listener: TcpListener) {
        let mut state = self.state();
        let address = state.address.take();
        if state.stays && state.idle.is_none() {
            state.idle = address.map(|address| (address, listener));
        }
    }
}
