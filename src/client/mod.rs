//! The client: session, token, chat. [`Client`] joins the parts; each part is a file of its own.

mod chat;
mod config;
mod conversation;
mod exchange;
mod function;
mod gateway;
mod retry;
mod session;
pub mod sse;
mod stream;
mod token;
pub mod transport;

use std::sync::Arc;
use std::time::Duration;

pub use chat::{ChatChunk, ChatRequest, ChatResponse, Choice, ChunkChoice, Message, Usage};
pub use config::{ClientBuilder, Timeouts};
pub use conversation::ConversationOptions;
pub use gateway::Reply;
pub use session::SessionSource;
pub use stream::{ChatStream, Outcome, RawStream};
pub use token::TokenInfo;

use crate::{Error, Reason, Secret};
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
        Self { tokens: TokenCache::new(shared.clone(), None), shared, thread_id: None }
    }

    /// Gets a token now, so that the first question need not wait for it.
    pub async fn warm(&self) -> Result<(), Error> {
        self.tokens.get().await.map(|_| ())
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

    /// What the user has spent, as the gateway reports it.
    pub async fn usage(&self) -> Result<Reply, Error> {
        match self.get("/v1/usage").await {
            // Both paths are documented; gateways serve one of them.
            Err(error) if error.status() == Some(404) => self.get("/v1/billing/usage").await,
            result => result,
        }
    }

    /// The models the gateway offers.
    pub async fn models(&self) -> Result<Reply, Error> {
        self.get("/v1/models").await
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
