//! Signals to stop. Of that for the whole run only sources know: when they end, closed queues drain the rest. A component
//! that is exchanged while the rest runs has one of its own.

use tokio::sync::watch;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signal {
    Go,
    /// To leave the place to another.
    Exchange,
    Stop,
}

/// Held by whoever is to stop.
#[derive(Clone, Debug)]
pub struct Shutdown {
    own: watch::Receiver<Signal>,
    /// The signal for the whole run, where `own` is that of a part.
    run: Option<watch::Receiver<Signal>>,
}

/// Held by whoever may ask for a stop.
#[derive(Clone, Debug)]
pub struct ShutdownTrigger(watch::Sender<Signal>);

impl Shutdown {
    /// A trigger and its signal.
    pub fn new() -> (ShutdownTrigger, Shutdown) {
        let (sender, own) = watch::channel(Signal::Go);
        (ShutdownTrigger(sender), Shutdown { own, run: None })
    }

    /// A signal for a part of what stops by this one, and a trigger for that part alone.
    pub fn of_part(&self) -> (ShutdownTrigger, Shutdown) {
        let (sender, own) = watch::channel(Signal::Go);
        (ShutdownTrigger(sender), Shutdown { own, run: Some(self.run.clone().unwrap_or(self.own.clone())) })
    }

    /// Waits until a stop is asked for, or until nobody is left who could.
    pub async fn wait(&mut self) {
        // An error means that every trigger is gone: nobody runs the pipeline any more.
        let own = async |signal: &mut watch::Receiver<Signal>| {
            signal.wait_for(|signal| *signal != Signal::Go).await.map(drop).unwrap_or_default();
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
        let is_asked = |signal: &watch::Receiver<Signal>| *signal.borrow() != Signal::Go;
        is_asked(&self.own) || self.run.as_ref().is_some_and(is_asked)
    }

    /// Whether it is to stop since another takes its place, and not with the whole run.
    pub fn is_exchange(&self) -> bool {
        let is_over = self.run.as_ref().is_some_and(|run| *run.borrow() != Signal::Go);
        *self.own.borrow() == Signal::Exchange && !is_over
    }
}

impl ShutdownTrigger {
    /// Asks for a stop; asking again changes nothing.
    pub fn trigger(&self) {
        self.0.send_replace(Signal::Stop);
    }

    /// Asks for a stop, since another takes the place.
    pub fn exchange(&self) {
        self.0.send_replace(Signal::Exchange);
    }
}
