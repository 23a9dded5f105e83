//! Time, by the host's clock and timers.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use super::host;
use super::operation::Operation;
use crate::wire;

/// The time since the Unix epoch.
pub(in crate::server) fn now() -> Duration {
    wire::millis(host::now())
}

/// `None` if `future` takes longer than `limit`; it is dropped then. Without waiting there is no timer.
pub(in crate::server) async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut timer = None;
    poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        let timer = timer.get_or_insert_with(|| Operation::begin(|id| host::sleep(id, wire::timer_millis(limit))));
        pin!(timer).poll(context).map(|_| None)
    })
    .await
}
