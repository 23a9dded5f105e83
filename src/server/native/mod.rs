//! What the module needs of an ordinary operating system.

mod client;
pub(super) mod crypto;
mod flight;

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

/// The time since the Unix epoch.
pub(super) fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
