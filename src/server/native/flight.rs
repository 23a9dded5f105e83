//! One at a time.

use async_lock::{Mutex, MutexGuard};

/// A piece of work that requests do one after another, each looking first whether another did it already.
#[derive(Debug, Default)]
pub(crate) struct SingleFlight(Mutex<()>);

impl SingleFlight {
    /// Waits for its turn, which lasts as long as the guard.
    pub(crate) async fn enter(&self) -> MutexGuard<'_, ()> {
        self.0.lock().await
    }

    /// Is somebody at it?
    pub(crate) fn is_busy(&self) -> bool {
        self.0.try_lock().is_none()
    }
}
