//! The module's log, through the crate `tracing`.

use std::future::Future;

use tracing::Instrument as _;

/// `log!(warn, "what happened", name = value, …)`. What went well is `info`: one line for each token.
macro_rules! log {
    (success, $($rest:tt)*) => { $crate::server::native::log::log!(info, $($rest)*) };
    ($level:ident, $message:literal $(, $name:ident = $value:expr)* $(,)?) => {
        tracing::$level!($($name = $value,)* $message)
    };
}
pub(in crate::server) use log;

/// Gives all lines that `future` writes this request id.
pub(crate) async fn of_request<F: Future>(id: &str, future: F) -> F::Output {
    future.instrument(tracing::info_span!("behest_token", request_id = %id)).await
}
