//! Time, by the operating system's clock and tokio's timers.

use std::time::{Duration, SystemTime};

/// `None` if `future` takes longer than `limit`; it is dropped then. Without tokio's timers there is no limit.
pub(in crate::server) async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    match tokio::runtime::Handle::try_current() {
        Ok(_) => tokio::time::timeout(limit, future).await.ok(),
        Err(_) => Some(future.await),
    }
}

/// The time since the Unix epoch.
pub(in crate::server) fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
