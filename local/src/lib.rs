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

mod activity;
mod clock;
mod config;
mod controls;
mod counters;
mod dashboard;
mod doctor;
mod faults;
mod gateway;
mod html;
mod identity;
mod jwt;
mod limits;
mod mail;
mod origins;
mod page;
mod project;
mod random;
mod stack;
mod store;
mod supabase;
mod tools;

pub use clock::Clock;
pub use config::{Config, ErrorShape, MintReply, Upstream};
pub use counters::Counters;
pub use doctor::{Finding, diagnose};
pub use faults::Fault;
pub use identity::TenantKey;
pub use limits::{Allowance, BudgetRule, Scope};
pub use mail::Letter;
pub use project::{Project, UserRow, delete_data};
pub use stack::{DemoUser, Running, start};
pub use store::keys::KeyRow;
pub use store::usage::UsageRow;
