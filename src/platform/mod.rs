//! The only door to the outside: send a request, sleep, read the clock, draw random bytes, go on in the background.
//!
//! The rest of the client's Rust face stands on [`Transport`], so the same tests run natively and in browsers, and a test
//! can stand in for the whole world.

#[cfg(not(target_arch = "wasm32"))]
mod native;
#[cfg(all(feature = "auth", not(target_arch = "wasm32")))]
pub(crate) mod no_page;
#[cfg(all(feature = "auth", target_arch = "wasm32"))]
pub(crate) mod page;
mod thread;
mod transport;
#[cfg(target_arch = "wasm32")]
mod web;

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use crate::wire::http_date;
#[cfg(not(target_arch = "wasm32"))]
pub use native::NativeTransport;
#[cfg(not(target_arch = "wasm32"))]
pub use native::NativeTransport as DefaultTransport;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use native::{nothing_runs_here, number_of, number_text, random};
#[cfg(all(feature = "auth", not(target_arch = "wasm32")))]
pub(crate) use no_page as page;
pub(crate) use thread::OnThread;
pub use thread::{BoxFuture, MaybeSend, MaybeSync};
pub use transport::{Body, Failure, Now, READ_HEADERS, Request, Response, Transport};
#[cfg(target_arch = "wasm32")]
pub use web::BrowserTransport;
#[cfg(target_arch = "wasm32")]
pub use web::BrowserTransport as DefaultTransport;
#[cfg(target_arch = "wasm32")]
pub(crate) use web::{http_date, nothing_runs_here, number_of, number_text, random};
