//! The client: session, token, chat. [`Client`] joins the parts; each part is a file of its own.

mod budget;
mod chat;
mod config;
mod conversation;
mod exchange;
mod function;
mod gateway;
mod resources;
mod retry;
mod session;
pub mod sse;
mod stream;
mod token;
mod tools;
mod trace;
pub mod transport;

use std::sync::Arc;
use std::time::Duration;

pub use budget::{Budget, Cost};
pub use chat::{ChatChunk, ChatRequest, ChatResponse, Choice, ChunkChoice, Message, Usage};
pub use config::{ClientBuilder, Timeouts};
pub use conversation::{ConversationOptions, generate_session_id};
pub use gateway::Reply;
pub use resources::UsageQuery;
pub use session::SessionSource;
pub use stream::{ChatStream, Outcome, RawStream};
pub use token::TokenInfo;
pub use tools::ToolCall;
pub use trace::{Retry, Trace};

use crate::{Error, Reason, Secret};
use budget::Meter;
use session::{CurrentUser, Identity};
use token::TokenCache;
use transport::Transport;

/// The way from a signed-in user to an answer.
///
/// Cheap to clone; clones share the token. `Send + Sync` on native targets.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    tokens: Arc<TokenCache>,
    thread_id: Option<Arc<str>>,
    meter: Option<Arc<Meter>>,
    total: Option<Duration>,
    max_retries: u32,
}

/// What a client and its conversations have in common.
pub(crate) struct Shared {
    gateway_url: String,
    function_url: String,
    api_key: Option<String>,
    margin: Duration,
    timeouts: Timeouts,
    max_retries: u32,
    largest_event: usize,
    session: Box<dyn SessionSource>,
    transport: Box<dyn Transport>,
    user: CurrentUser,
}

impl Client {
    /// Begins with the gateway's base URL, with or without a trailing slash or `/v1`.
    pub fn builder(gateway_url: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(gateway_url.into())
    }

    fn new(shared: Shared) -> Self {
        let shared = Arc::new(shared);
        Self {
            tokens: TokenCache::new(shared.clone(), None),
            thread_id: None,
            meter: None,
            total: shared.timeouts.total,
            max_retries: shared.max_retries,
            shared,
        }
    }

    /// This client with a limit on the whole of each call, from the session to the last byte, in place of
    /// [`Timeouts::total`].
    #[must_use]
    pub fn with_timeout(&self, total: Duration) -> Self {
        Self { total: Some(total), ..self.clone() }
    }

    /// This client with another number of retries for its calls to the gateway.
    #[must_use]
    pub fn with_max_retries(&self, max_retries: u32) -> Self {
        Self { max_retries, ..self.clone() }
    }

    /// Gets a token now, so that the first question need not wait for it.
    pub async fn warm(&self) -> Result<(), Error> {
        self.bounded(self.tokens.get()).await.map(drop)
    }

    /// Says who is signed in now: the new access token, or `None` after a sign-out.
    ///
    /// Another user's token is dropped and that user's streams end with [`Reason::SignedOut`];
    /// a rotated token of the same session changes nothing.
    pub fn session_changed(&self, access_token: Option<&Secret>) {
        self.shared.user.notice(access_token.map(Identity::of));
    }

    /// What is known of the current gateway token.
    pub fn token_info(&self) -> Option<TokenInfo> {
        self.tokens.peek()
    }

    /// Forgets the current gateway token; the next call mints a new one.
    pub fn invalidate_token(&self) {
        self.tokens.clear();
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("gateway_url", &self.shared.gateway_url)
            .field("function_url", &self.shared.function_url)
            .finish_non_exhaustive()
    }
}

fn no_one_signed_in() -> Error {
    Error::new(Reason::SignedOut, "there is no session")
}
