//! The signal to stop reading. Only sources see it: when they end, closed queues drain the rest.

use tokio::sync::watch;

/// Held by each source.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

/// Held by whoever may ask for a stop.
#[derive(Clone, Debug)]
pub struct ShutdownTrigger(watch::Sender<bool>);

impl Shutdown {
    /// A trigger and its signal.
    pub fn new() -> (ShutdownTrigger, Shutdown) {
        let (sender, receiver) = watch::channel(false);
        (ShutdownTrigger(sender), Shutdown(receiver))
    }

    /// Waits until a stop is asked for, or until nobody is left who could.
    pub async fn wait(&mut self) {
        // An error means that every trigger is gone: nobody runs the pipeline any more.
        self.0.wait_for(|stop| *stop).await.map(drop).unwrap_or_default();
    }

    /// Whether a stop was asked for.
    pub fn is_triggered(&self) -> bool {
        *self.0.borrow()
    }
}

impl ShutdownTrigger {
    /// Asks for a stop; asking again changes nothing.
    pub fn trigger(&self) {
        self.0.send_replace(true);
    }
}
