//! The gateway token: kept in memory while it lives, renewed in time, minted once however many ask.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Shared;
use super::function::{Minted, Took, mint};
use super::retry::{back_off, fraction};
use super::transport::{BoxFuture, Now};
use crate::{Error, Reason, Secret};

const FIRST_COOL_DOWN: Duration = Duration::from_secs(1);
const LARGEST_COOL_DOWN: Duration = Duration::from_secs(30);
/// A session that changes this often during one mint never settles.
const MOST_RESTARTS: u32 = 4;

/// A token in use.
pub(crate) struct Token {
    pub(crate) secret: Secret,
    /// The session id to send with it.
    pub(crate) session_id: String,
    /// Names this token among all that this cache has held.
    pub(crate) generation: u64,
    /// The user it belongs to.
    pub(crate) epoch: u64,
    /// How long it took to get.
    pub(crate) took: Took,
    ttl: Duration,
    started: Now,
}

impl Token {
    /// Counted by our own clocks from the moment the mint request left, so the server's clock does not matter.
    fn remaining(&self, now: Now) -> Duration {
        self.ttl.saturating_sub(now.since(self.started))
    }

    /// Short lives shrink the margin, or such a token would never be used.
    fn margin(&self, margin: Duration) -> Duration {
        if self.ttl <= margin * 2 { self.ttl / 2 } else { margin }
    }
}

/// What may be known of the current token. The token itself stays inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenInfo {
    /// The session it is attributed to.
    pub session_id: String,
    /// Its whole life.
    pub ttl: Duration,
    /// What is left of it.
    pub remaining: Duration,
}

type Flight = BoxFuture<'static, Result<Option<Minted>, Error>>;

pub(crate) struct TokenCache {
    shared: Arc<Shared>,
    /// Whose session id to ask for from the first mint on.
    own_session_id: Option<String>,
    state: Mutex<State>,
    /// The mint under way lives in the lock, not in the caller who began it: whoever holds the lock
    /// drives it on, so a caller that is cancelled takes nothing away from the others.
    flight: async_lock::Mutex<Option<Flight>>,
}

#[derive(Default)]
struct State {
    token: Option<Arc<Token>>,
    minted: u64,
    /// The session id kept across tokens, and the epoch it belongs to.
    session_id: Option<(u64, String)>,
    failure: Option<Failed>,
    renewing: bool,
}

/// The last mint failed; until the cool-down is over every caller gets the same answer.
struct Failed {
    error: Error,
    count: u32,
    at: Now,
    cool_down: Duration,
    notices: u64,
}

impl TokenCache {
    pub(crate) fn new(shared: Arc<Shared>, own_session_id: Option<String>) -> Arc<Self> {
        Arc::new(Self { shared, own_session_id, state: Mutex::default(), flight: async_lock::Mutex::new(None) })
    }

    /// A token with more than the margin of its life left, and whether it was in memory already.
    pub(crate) async fn get(self: &Arc<Self>) -> Result<(Arc<Token>, bool), Error> {
        if let Some(token) = self.fresh() {
            self.renew_ahead(&token);
            return Ok((token, true));
        }
        self.renew(Self::fresh).await.map(|token| (token, false))
    }

    /// Forgets the token of this generation; a newer one stays.
    pub(crate) fn invalidate(&self, generation: u64) {
        let mut state = self.state();
        state.token.take_if(|token| token.generation == generation);
    }

    /// Forgets the current token.
    pub(crate) fn clear(&self) {
        self.state().token = None;
    }

    pub(crate) fn peek(&self) -> Option<TokenInfo> {
        let now = self.shared.transport.now();
        let token = self.usable(now)?;
        Some(TokenInfo { session_id: token.session_id.clone(), ttl: token.ttl, remaining: token.remaining(now) })
    }

    /// The session id that the next call will carry, if it is known already.
    pub(crate) fn session_id(&self) -> Option<String> {
        let epoch = self.shared.user.epoch();
        let kept = self.state().session_id.clone();
        kept.filter(|(of, _)| *of == epoch).map(|(_, id)| id).or_else(|| self.own_session_id.clone())
    }

    fn fresh(&self) -> Option<Arc<Token>> {
        let now = self.shared.transport.now();
        self.usable(now).filter(|token| token.remaining(now) > token.margin(self.shared.margin))
    }

    /// Fresh, and not yet in the time in which it is renewed ahead.
    fn fresh_for_long(&self) -> Option<Arc<Token>> {
        self.fresh().filter(|token| !self.is_due(token))
    }

    /// The current user's token, if any of its life is left.
    fn usable(&self, now: Now) -> Option<Arc<Token>> {
        let epoch = self.shared.user.epoch();
        self.state().token.clone().filter(|token| token.epoch == epoch && !token.remaining(now).is_zero())
    }

    /// Between twice the margin and the margin a token is used at once and renewed in the background.
    fn is_due(&self, token: &Token) -> bool {
        let ahead = token.margin(self.shared.margin) * 2;
        ahead < token.ttl && token.remaining(self.shared.transport.now()) <= ahead
    }

    fn renew_ahead(self: &Arc<Self>, token: &Token) {
        if !self.is_due(token) || std::mem::replace(&mut self.state().renewing, true) {
            return;
        }
        // Cleared when the task ends, also if the host could not run it at all.
        let renewing = Renewing(Arc::clone(self));
        self.shared.transport.spawn(Box::pin(async move {
            // A failure is remembered by the cache and told to those who need a token then.
            let _ = renewing.0.renew(Self::fresh_for_long).await;
        }));
    }

    async fn renew(&self, found: fn(&Self) -> Option<Arc<Token>>) -> Result<Arc<Token>, Error> {
        let mut flight = self.flight.lock().await;
        for _ in 0..MOST_RESTARTS {
            if let Some(token) = found(self) {
                return Ok(token);
            }
            if let Some(error) = self.cooling_down() {
                return self.usable(self.shared.transport.now()).ok_or(error);
            }
            let slot = ClearOnPanic(&mut flight);
            let begun_by_another = slot.0.is_some();
            let mint = slot.0.get_or_insert_with(|| self.take_off());
            let minted = mint.await;
            *slot.0 = None;
            match minted {
                Ok(Some(minted)) => self.store(minted),
                Ok(None) => {}
                // It may have been left alone for hours: what became of it says nothing about now.
                Err(_) if begun_by_another => {}
                Err(error) => {
                    self.remember(&error);
                    return self.usable(self.shared.transport.now()).ok_or(error);
                }
            }
        }
        Err(Error::new(Reason::SessionFailed, "the session or the token changed again and again during one call"))
    }

    fn take_off(&self) -> Flight {
        let shared = Arc::clone(&self.shared);
        let session_id = self.session_id();
        Box::pin(async move { mint(&shared, session_id).await })
    }

    /// Keeps a new token. If its user has left meanwhile its epoch is over, and nobody is given it.
    fn store(&self, Minted { reply, started, epoch, took }: Minted) {
        let session_id = self
            .session_id()
            .or(reply.session_id)
            .unwrap_or_else(|| super::conversation::uuid_v4(self.shared.transport.random()));
        let mut state = self.state();
        state.minted += 1;
        state.failure = None;
        state.session_id = Some((epoch, session_id.clone()));
        let generation = state.minted;
        state.token =
            Some(Arc::new(Token { secret: reply.token, session_id, generation, epoch, took, ttl: reply.ttl, started }));
    }

    fn remember(&self, error: &Error) {
        let mut state = self.state();
        if error.reason() == Reason::SignedOut {
            // Costs no request, and the next call may come right after the sign-in.
            state.failure = None;
            return;
        }
        let count = state.failure.as_ref().map_or(0, |failed| failed.count);
        let jitter = 0.5 + fraction(self.shared.transport.random()) / 2.0;
        let cool_down = back_off(FIRST_COOL_DOWN, LARGEST_COOL_DOWN, count).mul_f64(jitter);
        state.failure = Some(Failed {
            error: error.clone(),
            count: count + 1,
            at: self.shared.transport.now(),
            cool_down: cool_down.max(error.retry_after().unwrap_or_default().min(LARGEST_COOL_DOWN)),
            notices: self.shared.user.notices(),
        });
    }

    fn cooling_down(&self) -> Option<Error> {
        let now = self.shared.transport.now();
        let notices = self.shared.user.notices();
        let state = self.state();
        let failed = state.failure.as_ref()?;
        let over = now.since(failed.at) >= failed.cool_down || failed.notices != notices;
        (!over).then(|| failed.error.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Renewing(Arc<TokenCache>);

impl Drop for Renewing {
    fn drop(&mut self) {
        self.0.state().renewing = false;
    }
}

/// A future that panicked must not be polled again.
struct ClearOnPanic<'a>(&'a mut Option<Flight>);

impl Drop for ClearOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            *self.0 = None;
        }
    }
}
