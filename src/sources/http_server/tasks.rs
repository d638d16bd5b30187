//! The tasks of the source: connections, and what is done for them. It owns them, and ends only when they have.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::task::JoinSet;

/// All tasks. Dropped, it ends them.
#[derive(Default)]
pub struct Tasks(Arc<Mutex<JoinSet<()>>>);

/// Starts tasks; those started after [`Tasks`] is gone never run.
#[derive(Clone)]
pub struct Spawner(Weak<Mutex<JoinSet<()>>>);

impl Tasks {
    /// What starts them.
    pub fn spawner(&self) -> Spawner {
        Spawner(Arc::downgrade(&self.0))
    }

    /// Waits until none is left.
    pub async fn finish(self) {
        let take = || std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        loop {
            // Tasks start others.
            let mut tasks = take();
            if tasks.is_empty() {
                return;
            }
            while tasks.join_next().await.is_some() {}
        }
    }
}

impl Spawner {
    /// Starts a task.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(tasks) = self.0.upgrade() {
            let mut tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
            // Those that have ended are let go of here, so that they do not pile up.
            while tasks.try_join_next().is_some() {}
            tasks.spawn(task);
        }
    }
}

/// For the streams of HTTP/2.
impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Spawner {
    fn execute(&self, task: F) {
        self.spawn(task);
    }
}
