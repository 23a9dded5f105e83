//! Who is signed in: the source of the user's access token, and whom the client's state belongs to.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};

use event_listener::{Event, EventListener};

use super::transport::{BoxFuture, MaybeSend, MaybeSync};
use crate::wire::{Claims, is_header_safe};
use crate::{Error, Reason, Secret};

/// Answers "this access token" or "nobody is signed in".
///
/// Implemented for closures (`|| async { Ok(Some(token)) }`), and for a fixed [`Secret`].
/// It is asked once for each token that is minted, never for each call.
pub trait SessionSource: MaybeSend + MaybeSync + 'static {
    /// The current user's Supabase access token, refreshed if need be; `None` if nobody is signed in.
    fn access_token(&self) -> BoxFuture<'_, Result<Option<Secret>, Error>>;
}

impl<F, Fut> SessionSource for F
where
    F: Fn() -> Fut + MaybeSend + MaybeSync + 'static,
    Fut: Future<Output = Result<Option<Secret>, Error>> + MaybeSend + 'static,
{
    fn access_token(&self) -> BoxFuture<'_, Result<Option<Secret>, Error>> {
        Box::pin(self())
    }
}

impl SessionSource for Secret {
    fn access_token(&self) -> BoxFuture<'_, Result<Option<Secret>, Error>> {
        Box::pin(std::future::ready(Ok(Some(self.clone()))))
    }
}

/// Refuses what must never leave the browser as a bearer token, and what no header can carry.
pub(crate) fn check_access_token(token: &Secret) -> Result<(), Error> {
    let text = token.expose();
    if ["sb_", "sk-", "behest_", "bh_live_"].iter().any(|prefix| text.starts_with(prefix)) {
        return Err(Error::new(Reason::ApiKeyAsBearer, "the session source gave an API key"));
    }
    if !is_header_safe(text) || text.contains(' ') {
        return Err(Error::new(Reason::MalformedToken, "the session source gave something that is no token"));
    }
    // The older form of Supabase's keys: tokens of a role and of no user.
    match Claims::of(text).and_then(|claims| claims.role).as_deref() {
        Some("service_role") => {
            Err(Error::new(Reason::RoleRefused, "the session source gave the project's service_role key"))
        }
        Some("anon") => Err(Error::new(Reason::ApiKeyAsBearer, "the session source gave the project's anon key")),
        _ => Ok(()),
    }
}

/// One user's session: `sub` and `session_id` of the access token. A rotated token keeps both.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Identity(Secret);

impl Identity {
    /// A token that cannot be read stands for itself: then each rotation counts as another user, which is safe.
    pub(crate) fn of(token: &Secret) -> Self {
        let claims = Claims::of(token.expose()).unwrap_or_default();
        match claims.sub {
            Some(sub) => Self(format!("{sub} {}", claims.session_id.unwrap_or_default()).into()),
            None => Self(token.clone()),
        }
    }
}

/// Whom the client works for. Everything kept for a user is kept for an epoch, and a change of user begins a new one.
#[derive(Default)]
pub(crate) struct CurrentUser {
    state: Mutex<State>,
    changed: Event,
}

#[derive(Default)]
struct State {
    identity: Option<Identity>,
    epoch: u64,
    /// Counts what was told and found out, to know a session read that began before it.
    changes: u64,
}

/// The user changed while a session was being read: read it again.
pub(crate) struct Outdated;

impl CurrentUser {
    pub(crate) fn epoch(&self) -> u64 {
        self.state().epoch
    }

    pub(crate) fn changes(&self) -> u64 {
        self.state().changes
    }

    /// Resolves at the next change of epoch.
    pub(crate) fn listen(&self) -> EventListener {
        self.changed.listen()
    }

    /// The application says who is signed in now.
    pub(crate) fn notice(&self, identity: Option<Identity>) {
        let mut state = self.state();
        // The first word about an unknown user changes nothing; a sign-out always does.
        let first = state.identity.is_none() && identity.is_some();
        if first || (identity.is_some() && state.identity == identity) {
            state.changes += 1;
            state.identity = identity;
        } else {
            self.change(state, identity);
        }
    }

    /// A session read that began when `changes` had happened found this user. Gives the epoch it belongs to.
    pub(crate) fn found(&self, identity: Identity, changes: u64) -> Result<u64, Outdated> {
        let mut state = self.state();
        match &state.identity {
            Some(known) if *known == identity => Ok(state.epoch),
            _ if state.changes != changes => Err(Outdated),
            Some(_) => Ok(self.change(state, Some(identity))),
            None => {
                state.changes += 1;
                state.identity = Some(identity);
                Ok(state.epoch)
            }
        }
    }

    /// A session read that began when `changes` had happened found that nobody is signed in.
    pub(crate) fn found_nobody(&self, changes: u64) -> Result<(), Outdated> {
        let state = self.state();
        match &state.identity {
            None => Ok(()),
            Some(_) if state.changes != changes => Err(Outdated),
            Some(_) => {
                self.change(state, None);
                Ok(())
            }
        }
    }

    fn change(&self, mut state: MutexGuard<'_, State>, identity: Option<Identity>) -> u64 {
        state.identity = identity;
        state.changes += 1;
        state.epoch += 1;
        let epoch = state.epoch;
        drop(state);
        self.changed.notify(usize::MAX);
        epoch
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
