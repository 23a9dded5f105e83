//! The companion server module: verifies who is signed in and mints the gateway token.
//!
//! ```no_run
//! # async fn example(request: http::Request<bytes::Bytes>) -> Result<(), behest_client::Error> {
//! use behest_client::server::TokenEndpoint;
//!
//! let endpoint = TokenEndpoint::from_env()?; // or TokenEndpoint::new(Settings::from_env().…)
//! let response = endpoint.handle(request).await;
//! # Ok(()) }
//! ```
//!
//! User id, role and tier come from the verified session and the [`Policy`] alone. The one thing a request may choose is
//! its session id. Behest keeps sessions under user *and* session id, so somebody who sends another user's
//! session id gets a session of his own with the same name: he neither reads nor spends anything of the other's.
//!
//! [`Guard`] does the first half for endpoints of your own.

mod address;
mod algorithm;
#[cfg(feature = "axum")]
pub mod axum;
#[cfg_attr(not(feature = "axum"), allow(dead_code))]
mod body;
mod claims;
mod clock;
mod cors;
mod credentials;
mod curve;
#[cfg(target_arch = "wasm32")]
mod edge;
mod endpoint;
mod fields;
mod guard;
mod header;
mod http;
mod jwk;
mod jwks;
mod keys;
mod mint;
mod mode;
#[cfg(not(target_arch = "wasm32"))]
mod native;
#[cfg(any(target_arch = "wasm32", test))]
mod pkcs8;
mod plan;
mod policy;
mod respond;
mod rsa;
mod seen;
mod settings;
mod signer;
mod supabase;
mod url;
mod user;
#[cfg(all(test, not(target_arch = "wasm32")))]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
mod vectors;
mod verify;
pub mod webhook;

pub use self::clock::Clock;
pub use self::endpoint::{MAX_BODY, TokenEndpoint};
pub use self::guard::{Caller, Guard};
pub use self::http::{HttpClient, HttpError, Limits};
pub use self::mode::{KeyName, Mode};
pub use self::policy::{Grant, Policy};
pub use self::settings::Settings;
pub use self::supabase::{Rest, RestRequest};
pub use self::user::User;

#[cfg(target_arch = "wasm32")]
use self::edge as platform;
#[cfg(not(target_arch = "wasm32"))]
use self::native as platform;
#[cfg(not(target_arch = "wasm32"))]
pub use self::native::NativeClient;
