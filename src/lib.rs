//! From a signed-in Supabase user to a streamed answer of a Behest gateway.
//!
//! | feature | what it adds |
//! |---|---|
//! | `client` (default) | the client: session, token cache, chat; browsers (wasm32) and native |
//! | `auth` | Supabase sign-in without supabase-js: the `auth` module |
//! | `tracing` | spans for session, mint, call and stream, without tokens and texts |
//! | `js` | the wasm-bindgen exports behind the npm package |
//! | `server` | the companion module: verifies the session, decides, mints |
//! | `testing` | a scripted gateway, function, session and clock, for the tests of applications |
//! | `axum` | the token endpoint as an axum router |
//! | `edge` | the server module on wasm32: Deno, Cloudflare Workers, Node, Bun |

// One type serves both targets; in browsers, where futures stay on one thread, `Arc` costs what `Rc` does.
#![cfg_attr(target_arch = "wasm32", allow(clippy::arc_with_non_send_sync))]

mod base64;
mod credential;
#[cfg(feature = "engine")]
mod engine;
mod error;
mod json;
#[cfg(any(feature = "sign-in", feature = "server"))]
mod object;
#[cfg(any(feature = "client", feature = "sign-in"))]
mod platform;
#[cfg(all(any(feature = "client", feature = "server"), not(target_arch = "wasm32")))]
mod reach;
mod secret;
mod text;
pub mod wire;

#[cfg(all(feature = "sign-in", not(feature = "auth")))]
mod auth;
#[cfg(feature = "auth")]
pub mod auth;
#[cfg(feature = "client")]
pub mod client;
#[cfg(all(feature = "js", target_arch = "wasm32"))]
mod js;
#[cfg(all(feature = "server", any(not(target_arch = "wasm32"), all(feature = "edge", not(feature = "axum")))))]
pub mod server;

// What cannot be on wasm32 is said once here, in place of the hundred errors it would end in.
#[cfg(all(feature = "axum", target_arch = "wasm32"))]
compile_error!("the feature `axum` is for native servers; on wasm32 use the feature `edge`");
#[cfg(all(feature = "server", not(feature = "axum"), not(feature = "edge"), target_arch = "wasm32"))]
compile_error!("on wasm32 the feature `server` needs the feature `edge`");

#[cfg(feature = "testing")]
pub mod testing;

#[cfg(feature = "client")]
pub use client::Client;
pub use error::{Action, Error, Reason};
pub use secret::Secret;

#[cfg(all(doctest, feature = "auth", feature = "axum"))]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(all(doctest, feature = "auth"))]
#[doc = include_str!("../docs/rust.md")]
struct Guide;
