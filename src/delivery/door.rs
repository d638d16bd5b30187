//! The door of a source that listens: when it is exchanged for one with other options, the listener stays open, and
//! whoever comes meanwhile waits in front of it instead of being turned away.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// Belongs to all sources of one id that follow each other.
#[derive(Clone, Debug, Default)]
pub struct Door(Arc<Inside>);

#[derive(Debug, Default)]
struct Inside {
    state: Mutex<State>,
    left: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Where somebody listens, as the config says it.
    address: Option<SocketAddr>,
    /// What nobody is listening to now.
    idle: Option<(SocketAddr, TcpListener)>,
    /// Whether whoever listens leaves the listener to another.
    stays: bool,
}

impl Door {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Whoever listens leaves the listener to another from now on.
    pub fn keep(&self) {
        self.state().stays = true;
    }

    /// Listens: with what was left behind, or will be, where that is the same address.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub async fn open(&self, address: SocketAddr) -> io::Result<TcpListener> {
        loop {
            let left = self.0.left.notified();
            {
                let mut state = self.state();
                if let Some((_, listener)) = state.idle.take_if(|(kept, _)| *kept == address) {
                    (state.address, state.stays) = (Some(address), false);
                    return Ok(listener);
                }
                if state.address != Some(address) || !state.stays {
                    break;
                }
            }
            left.await;
        }
        let listener = TcpListener::bind(address).await?;
        let mut state = self.state();
        (state.address, state.stays, state.idle) = (Some(address), false, None);
        Ok(listener)
    }

    /// Ends the listening at `address`; the listener stays where another source goes on with it.
    pub fn leave(&self, address: SocketAddr, listener: TcpListener) {
        let mut state = self.state();
        state.address.take_if(|own| *own == address);
        if state.stays && state.idle.is_none() {
            state.idle = Some((address, listener));
        }
        drop(state);
        // One who is about to wait hears of it too.
        self.0.left.notify_one();
    }
}
