//! A fault lab: scripted servers, sessions and clocks, for testing an application against every way a call can go wrong.
//!
//! ```
//! use behest_client::Reason;
//! use behest_client::client::{ChatRequest, Outcome};
//! use behest_client::testing::{Chunk, FUNCTION, Reply, World, default_reply, delta, text};
//! use futures_util::StreamExt;
//!
//! let world = World::new();
//! world.serve(|request, log| match request.url == FUNCTION {
//!     true => default_reply(request, log),
//!     false => Reply::stream([text(delta("Half an ans")), Chunk::Cut]),
//! });
//! let client = world.client();
//! let mut stream = world.run(client.chat_stream(&ChatRequest::user("Hi!"))).unwrap();
//! assert_eq!(world.run(stream.next()).unwrap().unwrap().text(), "Half an ans");
//! assert_eq!(world.run(stream.next()).unwrap().unwrap_err().reason(), Reason::Disconnected);
//! assert_eq!(stream.outcome(), Some(Outcome::Disconnected));
//! ```
//!
//! Under `#[tokio::test]`, and with code that spawns, [`World::drive`] takes the place of [`World::run`]:
//!
//! ```
//! use std::time::Duration;
//!
//! use behest_client::Reason;
//! use behest_client::testing::{Reply, World};
//!
//! # #[cfg(not(target_arch = "wasm32"))]
//! # #[tokio::main(flavor = "current_thread")]
//! // #[tokio::test]
//! async fn a_server_that_never_answers() {
//!     let world = World::new();
//!     world.serve(|_, _| Reply::hang());
//!     let client = world.client().with_timeout(Duration::from_secs(3600));
//!     let asking = tokio::spawn(async move { client.ask("Hi!").await });
//!     // An hour passes at once.
//!     assert_eq!(world.drive(asking).await.unwrap().unwrap_err().reason(), Reason::Timeout);
//! }
//! # #[cfg(not(target_arch = "wasm32"))]
//! # a_server_that_never_answers();
//! ```
//!
//! Nothing here is for production: it panics where a test is wrong.
#![allow(clippy::expect_used, clippy::panic)]

mod reply;
mod world;

pub use reply::{Chunk, Reply, access_token, bundle, delta, event, finish, jwt, text};
pub use world::{FUNCTION, GATEWAY, Log, SUPABASE, World, default_reply, header};
