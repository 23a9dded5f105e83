//! The module on JavaScript hosts: Deno, Cloudflare Workers, Node, Bun. It calls a few functions of `pkg/server-host.js` and is
//! called by `pkg/server-core.js`; texts, bytes and numbers go across, and nothing else. What takes time is an operation: the
//! host is told to begin it, and says when it is done ([`operation`]). No promise, no closure, no object of the host's is held
//! here, and a trap can only leave through the function that was called.

mod client;
pub(super) mod crypto;
mod exports;
mod flight;
mod headers;
mod host;
pub(super) mod log;
mod operation;
mod options;
mod policy;
mod told;
pub(super) mod url;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::task::Poll;
use std::time::Duration;

use self::client::FetchClient;
pub(super) use self::flight::SingleFlight;
use self::operation::Operation;
use super::http::HttpClient;
use crate::Error;

/// The way to other servers unless the settings name another.
pub(super) fn http_client() -> Result<Arc<dyn HttpClient>, Error> {
    static SHARED: LazyLock<Arc<FetchClient>> = LazyLock::new(|| Arc::new(FetchClient));
    Ok(LazyLock::force(&SHARED).clone())
}

/// The time since the Unix epoch.
pub(super) fn now() -> Duration {
    crate::wire::millis(host::now())
}

/// `None` if `future` takes longer than `limit`; it is dropped then. Without waiting there is no timer.
pub(super) async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut timer = None;
    poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        let timer = timer.get_or_insert_with(|| Operation::begin(|id| host::sleep(id, millis(limit))));
        pin!(timer).poll(context).map(|_| None)
    })
    .await
}

/// The host's timers take a signed 32-bit number of milliseconds; more fires at once.
fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX).min(i32::MAX as u32)
}
