//! The client's Rust face. The rules are the engine's; what they ask for is done by `drive.rs`.

mod calls;
mod chat;
mod chat_store;
mod config;
mod drive;
mod handle;
mod items;
mod json;
mod records;
mod session;
mod sleep;
mod spans;
mod stream;
mod tools;

/// The door to the outside, for tests or an HTTP client of your own.
pub mod transport {
    #[cfg(target_arch = "wasm32")]
    pub use crate::platform::BrowserTransport;
    #[cfg(not(target_arch = "wasm32"))]
    pub use crate::platform::NativeTransport;
    pub use crate::platform::{
        Body, BoxFuture, DefaultTransport, Failure, MaybeSend, MaybeSync, Now, READ_HEADERS, Request, Response,
        Transport,
    };
}

pub use crate::engine::{
    Budget, ChatMessage, ChatState, ChatStatus, ConversationOptions, Cost, Outcome, Reply, Retry, ToolCall, Trace,
    UsageQuery,
};
pub use chat::{ChatChunk, ChatRequest, ChatResponse, Choice, ChunkChoice, Message, Usage};
pub use chat_store::Chat;
#[cfg(feature = "auth")]
pub(crate) use config::Problems;
pub use config::{ClientBuilder, Timeouts};
#[cfg(feature = "auth")]
pub(crate) use drive::{dropped, moment};
pub use handle::{Client, TokenInfo, generate_session_id};
pub use records::{Model, Models, SessionUsage, Thread, UsageReport, Used, UsedThen};
pub use session::{Session, SessionSource, Watcher};
pub use stream::{AbortHandle, ChatStream, RawStream, StreamOf};
pub use tools::Tools;
