//! Supabase Auth, the token function and a Behest gateway on one machine, with no account.
//!
//! Three origins on loopback, as in production, so that CORS is real: the Supabase project, the gateway, the page.
//! They share one embedded SQLite database, in a file or in memory. Signatures, rotation, rows and streams are real;
//! only the answers are made up, unless an OpenAI-compatible [`Upstream`] gives them.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> anyhow::Result<()> {
//! let running = behest_local::start(behest_local::Config::default()).await?;
//! println!("Supabase at {}, the gateway at {}", running.supabase_url, running.gateway_url);
//! running.stop().await;
//! # Ok(()) }
//! ```

pub mod cli;

mod admin;
mod config;
mod connect;
mod dashboard;
mod domain;
mod running;
mod servers;
mod start;
mod store;
mod style;

pub use admin::Admin;
pub use config::{Config, Upstream};
pub use domain::clock::Clock;
pub use domain::controls::{ErrorShape, MintReply};
pub use domain::counters::Counters;
pub use domain::faults::Fault;
pub use domain::identity::TenantKey;
pub use domain::limits::{Allowance, BudgetRule, Scope};
pub use domain::mail::Letter;
pub use running::{DemoUser, Running};
pub use start::start;
pub use store::keys::KeyRow;
pub use store::usage::UsageRow;
pub use store::users::UserRow;
