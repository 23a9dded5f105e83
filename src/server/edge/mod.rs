//! What the module needs of a JavaScript host: Deno, Cloudflare Workers, Node, Bun. Only web standards are used, so that
//! neither `process` nor `Buffer` nor `node:crypto` has to be there.
//!
//! The host's objects belong to its one thread, and so does this module. `SendWrapper` says so where a trait that serves
//! native programs too asks for `Send`.

mod client;
mod convert;
pub(super) mod crypto;
mod endpoint;
mod errors;
mod flight;
mod guard;
mod log;
mod options;
mod policy;
mod webhook;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

pub use self::client::FetchClient;
pub(super) use self::convert::within;
pub(super) use self::flight::SingleFlight;
use super::http::HttpClient;
use crate::Error;

/// The way to other servers unless the settings name another.
pub(super) fn http_client() -> Result<Arc<dyn HttpClient>, Error> {
    static SHARED: LazyLock<Arc<FetchClient>> = LazyLock::new(Arc::default);
    Ok(LazyLock::force(&SHARED).clone())
}

/// The time since the Unix epoch.
pub(super) fn now() -> Duration {
    Duration::try_from_secs_f64(js_sys::Date::now() / 1000.0).unwrap_or_default()
}
