//! The client itself: a conversation of the engine's, and the settings of its calls.

use std::sync::Arc;
use std::time::Duration;

use super::drive::{Driver, News};
use crate::engine::{Begin, ConversationOptions, Id, Kind, MAIN};
use crate::platform::{self, OnThread};
use crate::{Error, Secret, wire};

/// The way from a signed-in user to an answer.
///
/// ```no_run
/// use behest_client::Client;
/// use behest_client::client::Session;
///
/// # async fn example(access_token: &str) -> Result<(), behest_client::Error> {
/// let session = Session::new();
/// let client = Client::builder("https://your-project.behest.app")
///     .function("https://your-project.supabase.co", "behest-token")
///     .session(session.clone())
///     .build()?;
/// session.set(Some(access_token.into())); // and None after a sign-out
/// println!("{}", client.ask("Hi!").await?);
/// # Ok(()) }
/// ```
///
/// Cheap to clone; clones share the token, and are equal. `Send + Sync` everywhere; on wasm32, where values of JavaScript
/// cannot cross threads, it must be used on the thread that made it, and panics on any other.
#[derive(Clone)]
pub struct Client {
    conversation: OnThread<Arc<Conversation>>,
    total: Option<Duration>,
    max_retries: Option<u32>,
}

/// What the engine knows a client by. Dropped, it is forgotten.
struct Conversation {
    driver: Arc<Driver>,
    id: Id,
}

impl Drop for Conversation {
    fn drop(&mut self) {
        if self.id != MAIN {
            self.driver.forget(self.id);
        }
    }
}

/// What is known of the current token. The token itself stays inside.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenInfo {
    /// The session it is attributed to.
    pub session_id: String,
    /// Its whole life.
    pub ttl: Duration,
    /// What is left of it.
    pub remaining: Duration,
}

impl Client {
    pub(super) fn new(driver: Arc<Driver>) -> Self {
        let conversation = OnThread::new(Arc::new(Conversation { driver, id: MAIN }));
        Self { conversation, total: None, max_retries: None }
    }

    /// This client with a limit on the whole of each call, from the session to the last byte, in place of
    /// [`Timeouts::total`](super::Timeouts::total).
    #[must_use]
    pub fn with_timeout(&self, total: Duration) -> Self {
        Self { total: Some(total), ..self.clone() }
    }

    /// This client with another number of retries for its calls to the gateway.
    #[must_use]
    pub fn with_max_retries(&self, max_retries: u32) -> Self {
        Self { max_retries: Some(max_retries), ..self.clone() }
    }

    /// A client with a session of its own, and optionally a thread: for one conversation of several.
    ///
    /// It has a token of its own too, minted for its session, so that cost is attributed right
    /// whether the gateway looks at the header or into the token. It belongs to whoever is signed in now (or at its first
    /// call): once that user has left, its calls are refused with [`Reason::UserChanged`](crate::Reason::UserChanged).
    ///
    /// # Errors
    /// [`Reason::InvalidConfig`](crate::Reason::InvalidConfig) for an id that no header can carry.
    pub fn conversation(&self, options: ConversationOptions) -> Result<Client, Error> {
        let driver = self.driver().clone();
        let id = driver.engine(|engine| engine.converse(options))?;
        Ok(Client { conversation: OnThread::new(Arc::new(Conversation { driver, id })), ..self.clone() })
    }

    /// The session id that calls carry. The plain client learns it with its first token.
    pub fn session_id(&self) -> Option<String> {
        self.driver().engine(|engine| engine.session_id(self.conversation.id).cloned())
    }

    /// Says who is signed in now: the new access token, or `None` after a sign-out. A source that
    /// [tells of changes](super::SessionSource::watch) by itself makes this unnecessary.
    ///
    /// Another user's token is dropped, and what that user asked ends with
    /// [`Reason::UserChanged`](crate::Reason::UserChanged); a rotated token of the same session changes nothing.
    pub fn session_changed(&self, access_token: Option<&Secret>) {
        self.driver().user(access_token);
    }

    /// What is known of the current gateway token.
    pub fn token_info(&self) -> Option<TokenInfo> {
        let driver = self.driver();
        let now = driver.now();
        let token = driver.engine(|engine| engine.token(now, self.conversation.id))?;
        let (ttl, remaining) = (wire::millis(token.ttl), wire::millis(token.remaining));
        Some(TokenInfo { session_id: token.session_id, ttl, remaining })
    }

    /// Forgets the current gateway token; the next call mints a new one.
    pub fn invalidate_token(&self) {
        self.driver().engine(|engine| engine.clear_token(self.conversation.id));
    }

    /// Has it the session that every client begins with?
    pub(super) fn is_main(&self) -> bool {
        self.conversation.id == MAIN
    }

    pub(super) fn driver(&self) -> &Arc<Driver> {
        &self.conversation.driver
    }

    /// A call, which begins as it is first polled: what comes of it.
    pub(super) fn start(&self, kind: Kind, body: Option<String>) -> impl Future<Output = (Id, News)> {
        let driver = self.driver();
        let (total, max_retries) = driver.engine(|engine| {
            let config = engine.config();
            let total = self.total.map_or(config.limits.total, wire::as_millis);
            (total, self.max_retries.unwrap_or(config.max_retries))
        });
        let conversation = self.conversation.id;
        let begin = Begin { conversation, kind, body: body.as_ref().map(String::len), total, max_retries };
        driver.call(begin, body)
    }
}

/// Clones of one client, set up alike.
impl PartialEq for Client {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.conversation, &other.conversation)
            && (self.total, self.max_retries) == (other.total, other.max_retries)
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (gateway, function) = self.driver().engine(|engine| {
            let config = engine.config();
            (config.gateway_url.clone(), config.function_url.clone())
        });
        f.debug_struct("Client").field("gateway_url", &gateway).field("function_url", &function).finish_non_exhaustive()
    }
}

/// A new session id: a random UUID.
pub fn generate_session_id() -> String {
    wire::uuid_v4(platform::random())
}
