//! The gateway token: kept in memory while it lives, renewed in time, minted once however many ask.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_lock::OnceCell;
use futures_util::FutureExt;

use super::Shared;
use super::function::{Minted, Took, mint};
use super::retry::{back_off, fraction};
use super::transport::Now;
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
        if self.ttl <= margin.saturating_mul(2) { self.ttl / 2 } else { margin }
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

pub(crate) struct TokenCache {
    shared: Arc<Shared>,
    /// Whose session id to ask for from the first mint on.
    own_session_id: Option<String>,
    state: Mutex<State>,
}

/// A mint under way. It is a task of its own, never part of a caller: one that is cancelled, or just not polled for a
/// while, takes nothing away from the others who wait for the same result.
type Flight = Arc<OnceCell<Result<(), Error>>>;

#[derive(Default)]
struct State {
    token: Option<Arc<Token>>,
    minted: u64,
    flight: Option<Flight>,
    /// The mint under way was asked to be forgotten before it ended.
    discard: bool,
    /// The session id kept across tokens, and the epoch it belongs to.
    session_id: Option<(u64, String)>,
    failure: Option<Failed>,
}

/// The last mint failed; until the cool-down is over every caller gets the same answer.
struct Failed {
    error: Error,
    in_a_row: u32,
    at: Now,
    cool_down: Duration,
    changes: u64,
}

impl TokenCache {
    pub(crate) fn new(shared: Arc<Shared>, own_session_id: Option<String>) -> Arc<Self> {
        Arc::new(Self { shared, own_session_id, state: Mutex::default() })
    }

    /// A token with more than the margin of its life left, and whether it was in memory already.
    pub(crate) async fn get(self: &Arc<Self>) -> Result<(Arc<Token>, bool), Error> {
        if let Some(token) = self.fresh() {
            self.renew_ahead(&token);
            return Ok((token, true));
        }
        self.renew().await.map(|token| (token, false))
    }

    /// Forgets the token of this generation; a newer one stays.
    pub(crate) fn invalidate(&self, generation: u64) {
        let mut state = self.state();
        state.token.take_if(|token| token.generation == generation);
    }

    /// Forgets the current token.
    pub(crate) fn clear(&self) {
        let mut state = self.state();
        state.token = None;
        // What is being minted now may be what the caller wants to be rid of.
        state.discard = state.flight.is_some();
    }

    pub(crate) fn peek(&self) -> Option<TokenInfo> {
        let now = self.shared.transport.now();
        let token = self.usable(now)?;
        Some(TokenInfo { session_id: token.session_id.clone(), ttl: token.ttl, remaining: token.remaining(now) })
    }

    /// The session id that the next call will carry, if it is known already.
    pub(crate) fn session_id(&self) -> Option<String> {
        self.session_id_of(self.shared.user.epoch())
    }

    fn session_id_of(&self, epoch: u64) -> Option<String> {
        let kept = self.state().session_id.clone();
        kept.filter(|(of, _)| *of == epoch).map(|(_, id)| id).or_else(|| self.own_session_id.clone())
    }

    fn fresh(&self) -> Option<Arc<Token>> {
        let now = self.shared.transport.now();
        self.usable(now).filter(|token| token.remaining(now) > token.margin(self.shared.margin))
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
        if self.is_due(token) && self.cooling_down().is_none() {
            // A failure is remembered, and told to those who need a token then.
            self.flight();
        }
    }

    async fn renew(self: &Arc<Self>) -> Result<Arc<Token>, Error> {
        for _ in 0..MOST_RESTARTS {
            if let Some(token) = self.fresh() {
                return Ok(token);
            }
            let changes = self.shared.user.changes();
            let failure = match self.cooling_down() {
                Some(error) => Some(error),
                None => self.flight().wait().await.clone().err(),
            };
            match failure {
                // What failed for one user says nothing about the next one.
                Some(error) if changes == self.shared.user.changes() => {
                    return self.usable(self.shared.transport.now()).ok_or(error);
                }
                _ => {}
            }
        }
        Err(Error::new(Reason::SessionFailed, "the session or the token changed again and again during one call"))
    }

    /// The mint under way, begun now if there is none.
    fn flight(self: &Arc<Self>) -> Flight {
        let mut state = self.state();
        if let Some(flight) = &state.flight {
            return flight.clone();
        }
        let flight = Flight::default();
        state.flight = Some(flight.clone());
        drop(state);
        let landing = Landing {
            cache: Arc::clone(self),
            flight: flight.clone(),
            result: Err(Error::new(Reason::Internal, "the mint was dropped by what should have run it")),
        };
        self.shared.transport.spawn(Box::pin(async move {
            let result = landing.cache.mint().await;
            landing.land(result);
        }));
        flight
    }

    async fn mint(&self) -> Result<(), Error> {
        match mint(&self.shared, |epoch| self.session_id_of(epoch)).await {
            Ok(Some(minted)) => self.store(minted),
            // The user changed meanwhile: those who wait begin again.
            Ok(None) => {}
            Err(error) => {
                self.remember(&error);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Keeps a new token. If its user has left meanwhile its epoch is over, and nobody is given it.
    fn store(&self, Minted { reply, started, epoch, took }: Minted) {
        let session_id = self
            .session_id_of(epoch)
            .or(reply.session_id)
            .unwrap_or_else(|| super::conversation::uuid_v4(self.shared.transport.random()));
        let mut state = self.state();
        if state.discard {
            return;
        }
        state.minted += 1;
        state.failure = None;
        state.session_id = Some((epoch, session_id.clone()));
        let generation = state.minted;
        state.token =
            Some(Arc::new(Token { secret: reply.token, session_id, generation, epoch, took, ttl: reply.ttl, started }));
    }

    fn remember(&self, error: &Error) {
        let mut state = self.state();
        let now = self.shared.transport.now();
        // A failure long after the last one is the first of its kind, and a sign-out is none.
        let recent = state.failure.as_ref().filter(|failed| now.since(failed.at) < LARGEST_COOL_DOWN * 2);
        let in_a_row = recent.map_or(0, |failed| failed.in_a_row);
        let jitter = 0.5 + fraction(self.shared.transport.random()) / 2.0;
        let back_off = back_off(FIRST_COOL_DOWN, LARGEST_COOL_DOWN, in_a_row).mul_f64(jitter);
        let cool_down = match error.reason() {
            // Costs no request, and the next call may come right after the sign-in.
            Reason::SignedOut => Duration::ZERO,
            _ => back_off.max(error.retry_after().unwrap_or_default().min(LARGEST_COOL_DOWN)),
        };
        state.failure = Some(Failed {
            error: error.clone(),
            in_a_row: in_a_row + u32::from(error.reason() != Reason::SignedOut),
            at: now,
            cool_down,
            changes: self.shared.user.changes(),
        });
    }

    fn cooling_down(&self) -> Option<Error> {
        let now = self.shared.transport.now();
        let changes = self.shared.user.changes();
        let state = self.state();
        let failed = state.failure.as_ref()?;
        let over = now.since(failed.at) >= failed.cool_down || failed.changes != changes;
        (!over).then(|| failed.error.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a flight, also when its task panics or is dropped: nobody waits for ever.
struct Landing {
    cache: Arc<TokenCache>,
    flight: Flight,
    result: Result<(), Error>,
}

impl Landing {
    fn land(mut self, result: Result<(), Error>) {
        self.result = result;
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        {
            let mut state = self.cache.state();
            state.flight = None;
            state.discard = false;
        }
        // Nobody else sets it, so it is set at once.
        let _ = self.flight.set(self.result.clone()).now_or_never();
    }
}
