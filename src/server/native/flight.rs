//! One at a time, and to the end.

use std::panic::resume_unwind;
use std::sync::Arc;

use async_lock::{Mutex, MutexGuardArc};
use tokio::runtime::Handle;
use tracing::Instrument as _;

/// A piece of work that requests do one after another, each looking first whether another did it already.
#[derive(Debug, Default)]
pub(crate) struct SingleFlight(Arc<Mutex<()>>);

impl SingleFlight {
    /// Waits for its turn, which lasts as long as the guard.
    pub(crate) async fn enter(&self) -> MutexGuardArc<()> {
        self.0.lock_arc().await
    }

    /// Is somebody at it?
    pub(crate) fn is_busy(&self) -> bool {
        self.0.try_lock().is_none()
    }
}

/// Does a piece of work even if the request that it began with is dropped. `None` if the runtime ends meanwhile. Outside of any, it
/// ends with the request.
pub(crate) async fn to_the_end<F: Future<Output: Send> + Send + 'static>(work: F) -> Option<F::Output> {
    let Ok(runtime) = Handle::try_current() else { return Some(work.await) };
    match runtime.spawn(work.in_current_span()).await {
        Ok(output) => Some(output),
        Err(error) => error.try_into_panic().map(|panic| resume_unwind(panic)).ok(),
    }
}
