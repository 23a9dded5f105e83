//! The only door to the outside: send a request, sleep, read the clock, draw random bytes, go on in the background.
//!
//! The rest of the client's Rust face stands on [`Transport`], so the same tests run natively and in browsers, and a test
//! can stand in for the whole world. Sign-in without a client needs no more of it than how futures are sent.
#![cfg_attr(not(feature = "client"), allow(dead_code, unused_imports, unreachable_pub))]

#[cfg(feature = "client")]
mod each;
#[cfg(all(feature = "client", not(target_arch = "wasm32")))]
mod native;
#[cfg(all(feature = "auth", not(target_arch = "wasm32")))]
pub(crate) mod no_page;
#[cfg(all(feature = "auth", target_arch = "wasm32"))]
pub(crate) mod page;
mod thread;
#[cfg(feature = "client")]
mod transport;
#[cfg(all(feature = "client", target_arch = "wasm32"))]
mod web;

#[cfg(all(feature = "client", not(target_arch = "wasm32")))]
pub(crate) use crate::wire::http_date;
#[cfg(feature = "client")]
pub(crate) use each::{each, tell_in_drop};
#[cfg(all(feature = "client", not(target_arch = "wasm32")))]
pub use native::NativeTransport;
#[cfg(all(feature = "client", not(target_arch = "wasm32")))]
pub use native::NativeTransport as DefaultTransport;
#[cfg(all(feature = "auth", not(target_arch = "wasm32")))]
pub(crate) use native::nothing_runs_here;
#[cfg(all(feature = "client", not(target_arch = "wasm32")))]
pub(crate) use native::{is_url, number_of, number_text, random, why_dropped};
#[cfg(all(feature = "auth", not(target_arch = "wasm32")))]
pub(crate) use no_page as page;
#[cfg(feature = "client")]
pub(crate) use thread::OnThread;
pub use thread::{BoxFuture, MaybeSend, MaybeSync};
#[cfg(feature = "client")]
pub use transport::{Body, Failure, Now, READ_HEADERS, Request, Response, Transport};
#[cfg(all(feature = "client", target_arch = "wasm32"))]
pub use web::BrowserTransport;
#[cfg(all(feature = "client", target_arch = "wasm32"))]
pub use web::BrowserTransport as DefaultTransport;
#[cfg(all(feature = "auth", target_arch = "wasm32"))]
pub(crate) use web::nothing_runs_here;
#[cfg(all(feature = "client", target_arch = "wasm32"))]
pub(crate) use web::{http_date, is_url, number_of, number_text, random, why_dropped};
