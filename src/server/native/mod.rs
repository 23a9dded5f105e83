//! What the module needs of an ordinary operating system.

mod client;
pub(super) mod crypto;
mod flight;
pub(super) mod log;
pub(super) mod url;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

pub use self::client::NativeClient;
pub(super) use self::flight::SingleFlight;
use super::http::HttpClient;
use crate::Error;

/// The way to other servers unless the settings name another.
pub(super) fn http_client() -> Result<Arc<dyn HttpClient>, Error> {
    Ok(Arc::new(NativeClient::new()?))
}

/// `None` if `future` takes longer than `limit`; it is dropped then. Without tokio's timers there is no limit.
pub(super) async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    match tokio::runtime::Handle::try_current() {
        Ok(_) => tokio::time::timeout(limit, future).await.ok(),
        Err(_) => Some(future.await),
    }
}

/// The time since the Unix epoch.
pub(super) fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
