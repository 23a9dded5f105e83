//! Every rule of the client in one synchronous state machine, without I/O, clocks or threads of its own.
//!
//! Events go in, each with the moment it happened; [actions](Action) come out. Two faces carry them out and decide nothing:
//! `client/drive.rs` for Rust, `pkg/lib/drive.js` for the npm package.

// What one face has no use for, the other one needs; a build rarely has both.
#![cfg_attr(
    not(all(feature = "client", feature = "js", target_arch = "wasm32")),
    allow(dead_code, unused_imports, unreachable_pub)
)]

#[cfg(all(test, not(target_arch = "wasm32")))]
mod arrivals;
mod budget;
mod call;
mod calls;
mod chat_state;
mod chunk;
mod clock;
mod conversation;
mod exchange;
mod machine;
mod mints;
mod receive;
mod resources;
mod retry;
#[cfg(all(test, not(target_arch = "wasm32")))]
mod schedules;
mod session;
mod sse;
mod stream;
mod table;
mod token;
mod tool_rounds;
mod tools;
mod trace;

pub use budget::{Budget, Cost};
pub use call::Reply;
pub(crate) use call::{Begin, Kind, Resource};
pub use chat_state::{ChatMessage, ChatState, ChatStatus};
pub(crate) use clock::{Limits, Moment, NEVER};
pub use conversation::ConversationOptions;
#[cfg(feature = "sign-in")]
pub(crate) use exchange::bearer;
pub(crate) use exchange::{Broken, Head};
pub(crate) use machine::{Action, Body, Config, Engine, MAIN, Read};
pub(crate) use receive::{Receive, Want};
pub use resources::UsageQuery;
#[cfg(feature = "sign-in")]
pub(crate) use retry::back_off;
pub(crate) use stream::End;
pub use stream::Outcome;
pub(crate) use table::{Id, Table};
pub(crate) use tool_rounds::{MOST_ROUNDS, Next, Sent, next, told_error};
pub use tools::ToolCall;
pub use trace::{Retry, Trace};
