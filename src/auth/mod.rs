//! Supabase sign-in for Rust apps, without supabase-js. (Feature `auth`.)
//!
//! ```
//! use behest_client::auth::Supabase;
//! use behest_client::{Client, Error};
//!
//! # async fn example() -> Result<(), Error> {
//! let supabase = Supabase::new("https://abc.supabase.co", "sb_publishable_…")?;
//! let client = Client::builder("https://your-project.behest.app").supabase(&supabase, "behest-token").build()?;
//!
//! let session = supabase.sign_in_with_password("ada@example.com", "correct horse").await?;
//! println!("{} is signed in", session.user().id);
//! println!("{}", client.ask("Hi!").await?);
//! supabase.sign_out(Default::default()).await
//! # }
//! ```
//!
//! # Where the session is
//!
//! In browsers it lies where supabase-js keeps it, `localStorage["sb-<project>-auth-token"]`, in supabase-js's own format, and
//! its changes are told on supabase-js's own channel: both libraries can share a page, and so can any number of tabs. Where
//! the page's storage is full or forbidden, the session stays in memory. Natively it is in memory from the start, so that
//! nobody is signed in on a server that renders pages; give [`SupabaseBuilder::storage`] a place of your own.
//!
//! # When it is renewed
//!
//! When somebody asks for it ([`Supabase::session`], or a [`Client`](crate::Client) that needs a token) and no more than 90
//! seconds of its life are left. All who ask meanwhile wait for the same renewal. It looks at the storage before and after:
//! what another tab stored meanwhile counts, and tabs of one page wait for each other. A rate limit, a failing server
//! and a dead network leave the session as it is. Only Supabase Auth's own word that the session is over ends it.
#![cfg_attr(not(feature = "auth"), allow(dead_code, unused_imports, unreachable_pub))]

mod back;
#[cfg(feature = "auth")]
mod bodies;
#[cfg(feature = "auth")]
mod connection;
#[cfg(feature = "auth")]
mod cookies;
#[cfg(feature = "auth")]
mod flight;
mod keeper;
#[cfg(feature = "auth")]
mod news;
mod op;
#[cfg(feature = "auth")]
mod options;
#[cfg(feature = "auth")]
mod pkce;
mod renewing;
mod reply;
mod requests;
mod rules;
mod session;
mod storage;
#[cfg(feature = "auth")]
mod supabase;
mod words;

#[cfg(feature = "auth")]
pub use cookies::CookieStorage;
#[cfg(feature = "auth")]
pub use options::{AuthOptions, UserChanges, VerifyType};
pub use session::{AuthSession, User};
#[cfg(feature = "auth")]
pub use storage::MemoryStorage;
pub use storage::{Storage, StorageError};
#[cfg(feature = "auth")]
pub use supabase::{SignUp, Subscription, Supabase, SupabaseBuilder};
pub use words::{AuthEvent, Scope};

/// What the npm package's face is built on, beside the above.
#[cfg(all(feature = "js", target_arch = "wasm32"))]
pub(crate) mod parts {
    pub(crate) use super::back::Back;
    pub(crate) use super::keeper::{Audience, Keeper};
    pub(crate) use super::op::{Done, Kind, Op};
    pub(crate) use super::renewing::{Found, LOCK_LIMIT, Next, Renewed, Renewing, Wanted};
    pub(crate) use super::reply::{Answer, late, no_answer};
    pub(crate) use super::requests::Ask;
    pub(crate) use super::storage::Kept;
}
