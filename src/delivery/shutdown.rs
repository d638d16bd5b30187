//! Signals to stop. Of that for the whole run only sources know: when they end, closed queues drain the rest. A component
//! that is exchanged while the rest runs has one of its own.

use tokio::sync::watch;

/// Held by whoever is to stop.
#[derive(Clone, Debug)]
pub struct Shutdown {
    own: watch::Receiver<bool>,
    /// The signal for the whole run, where `own` is that of a part.
    run: Option<watch::Receiver<bool>>,
}

/// Held by whoever may ask for a stop.
#[derive(Clone, Debug)]
pub struct ShutdownTrigger(watch::Sender<bool>);

impl Shutdown {
    /// A trigger and its signal.
    pub fn new() -> (ShutdownTrigger, Shutdown) {
        let (sender, own) = watch::channel(false);
        (ShutdownTrigger(sender), Shutdown { own, run: None })
    }

    /// A signal for a part of what stops by this one, and a trigger for that part alone.
    pub fn of_part(&self) -> (ShutdownTrigger, Shutdown) {
        let (sender, own) = watch::channel(false);
        (ShutdownTrigger(sender), Shutdown { own, run: Some(self.run.clone().unwrap_or(self.own.clone())) })
    }

    /// Waits until a stop is asked for, or until nobody is left who could.
    pub async fn wait(&mut self) {
        // An error means that every trigger is gone: nobody runs the pipeline any more.
        let own = async |signal: &mut watch::Receiver<bool>| {
            signal.wait_for(|stop| *stop).await.map(drop).unwrap_or_default();
        };
        match &mut self.run {
            None => own(&mut self.own).await,
            Some(run) => tokio::select! {
                () = own(&mut self.own) => {}
                () = own(run) => {}
            },
        }
    }

    /// Whether a stop was asked for.
    pub fn is_triggered(&self) -> bool {
        *self.own.borrow() || self.run.as_ref().is_some_and(|run| *run.borrow())
    }
}

impl ShutdownTrigger {
    /// Asks for a stop; asking again changes nothing.
    pub fn trigger(&self) {
        self.0.send_replace(true);
    }
}
