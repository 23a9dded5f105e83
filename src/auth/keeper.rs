//! Keeps the session: in its storage, which other tabs and supabase-js share, and in what everybody was told of it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::rules::{Came, Rules, Step, Then};
use super::session::{AuthSession, User};
use super::storage::Kept;
use super::words::AuthEvent;
use crate::engine::Moment;
use crate::platform::{MaybeSend, MaybeSync};

/// The one place that reads and writes the session.
pub(crate) struct Keeper {
    storage: Kept,
    /// Where supabase-js keeps it, too.
    key: String,
    rules: Mutex<Rules>,
    audience: Box<dyn Audience>,
}

/// Who is told of the session.
pub(crate) trait Audience: MaybeSend + MaybeSync {
    /// It has changed, here or elsewhere.
    fn told(&self, event: AuthEvent, session: Option<&AuthSession>);

    /// It was changed here: for those who read and write the same storage.
    fn broadcast(&self, event: AuthEvent, session: Option<&AuthSession>);
}

impl Keeper {
    pub(crate) fn new(storage: Kept, key: String, audience: Box<dyn Audience>) -> Self {
        Self { storage, key, rules: Mutex::default(), audience }
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Do others see what is stored?
    #[cfg(feature = "auth")]
    pub(super) fn is_seen(&self) -> bool {
        self.storage.works()
    }

    /// The session that is stored now. What others changed is told.
    pub(crate) fn read(&self) -> Option<AuthSession> {
        let stored = self.storage.get(&self.key).and_then(|json| AuthSession::parse(&json, 0.0));
        self.see(stored.as_ref(), None);
        stored
    }

    /// This is the session from now on.
    pub(super) fn store(&self, session: &AuthSession, event: AuthEvent) {
        self.storage.set(&self.key, Some(session.json()));
        if self.see(Some(session), Some(event)) {
            self.broadcast(event, Some(session));
        }
    }

    /// Nobody is signed in from now on.
    pub(super) fn remove(&self) {
        self.storage.set(&self.key, None);
        self.storage.set(&[&self.key, "-user"].concat(), None);
        if self.see(None, None) {
            self.broadcast(AuthEvent::SignedOut, None);
        }
    }

    /// This is the user now, if it is still this one that is signed in.
    pub(super) fn changed(&self, session: &AuthSession, user: &User) {
        if let Some(stored) = self.read().filter(|stored| stored.continues(session))
            && let Some(changed) = stored.with_user(user)
        {
            self.store(&changed, AuthEvent::UserUpdated);
        }
    }

    /// The session has ended, if it is still this one.
    pub(super) fn end(&self, session: &AuthSession) {
        if self.read().is_some_and(|stored| stored.continues(session)) {
            self.remove();
        }
    }

    /// What a redirect must bring back, as supabase-js stores it.
    pub(crate) fn keep_verifier(&self, verifier: Option<&str>) {
        let quoted = verifier.map(|verifier| ["\"", verifier, "\""].concat());
        self.storage.set(&[&self.key, "-code-verifier"].concat(), quoted.as_deref());
    }

    pub(crate) fn verifier(&self) -> Option<String> {
        let stored = self.storage.get(&[&self.key, "-code-verifier"].concat())?;
        crate::json::Json::parse(&stored)?.text()
    }

    pub(super) fn step(&self, session: &AuthSession, now: Moment) -> Step {
        self.rules().step(session, now)
    }

    pub(super) fn after(&self, sent: &AuthSession, came: Came, looks: u32, now: Moment) -> Then {
        let stored = self.read();
        self.rules().after(sent, stored.as_ref(), came, looks, now)
    }

    /// The server has just issued this session.
    pub(super) fn issued(&self, session: &AuthSession, now: Moment) {
        self.rules().issued(session, now);
    }

    /// Whether something changed. `event` is a better word for the change.
    fn see(&self, session: Option<&AuthSession>, event: Option<AuthEvent>) -> bool {
        let seen = self.rules().see(session);
        if let Some(seen) = seen {
            self.audience.told(event.unwrap_or(seen), session);
        }
        seen.is_some()
    }

    fn broadcast(&self, event: AuthEvent, session: Option<&AuthSession>) {
        if self.storage.works() {
            self.audience.broadcast(event, session);
        }
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
