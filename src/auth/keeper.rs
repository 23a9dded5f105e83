//! Keeps the session: in its storage, which other tabs and supabase-js share, and in what everybody was told of it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::rules::{self, Came, Rules, Step, Then};
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
    turns: Turns,
    audience: Box<dyn Audience>,
}

/// Who is told of the session.
pub(crate) trait Audience: MaybeSend + MaybeSync {
    /// It has changed, here or elsewhere. Told within a turn: listeners have to wait for [`tell`](Self::tell).
    fn told(&self, event: AuthEvent, session: Option<&AuthSession>);

    /// The turn is over.
    fn tell(&self) {}

    /// It was changed here: for those who read and write the same storage.
    fn broadcast(&self, event: AuthEvent, session: Option<&AuthSession>);
}

impl Keeper {
    pub(crate) fn new(storage: Kept, key: String, audience: Box<dyn Audience>) -> Self {
        Self { storage, key, rules: Mutex::default(), turns: Turns::default(), audience }
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
        let stored = {
            let _turn = self.turns.take();
            self.look()
        };
        self.audience.tell();
        stored
    }

    /// This is the session from now on.
    pub(super) fn store(&self, session: &AuthSession, event: AuthEvent) {
        self.carry_out(self.turns.take(), Some((Some(session), event)));
    }

    /// This is the user now, if it is still this one that is signed in.
    pub(super) fn changed(&self, session: &AuthSession, user: &User) {
        let turn = self.turns.take();
        let changed = self.look().filter(|stored| stored.continues(session)).and_then(|stored| stored.with_user(user));
        self.carry_out(turn, changed.as_ref().map(|changed| (Some(changed), AuthEvent::UserUpdated)));
    }

    /// The session has ended, if it is still this one.
    pub(super) fn end(&self, session: &AuthSession) {
        let turn = self.turns.take();
        let is_this = self.look().is_some_and(|stored| stored.continues(session));
        self.carry_out(turn, is_this.then_some(NOBODY));
    }

    /// Does what was decided in this turn.
    fn carry_out(&self, turn: Turn<'_>, change: Option<Change<'_>>) {
        let is_new = self.write(turn, change);
        self.audience.tell();
        if let Some((session, event)) = change
            && is_new
            && self.storage.works()
        {
            self.audience.broadcast(event, session);
        }
    }

    fn write(&self, _turn: Turn<'_>, change: Option<Change<'_>>) -> bool {
        let Some((session, event)) = change else { return false };
        self.storage.set(&self.key, session.map(AuthSession::json));
        if session.is_none() {
            self.storage.set(&[&self.key, "-user"].concat(), None);
        }
        self.see(session, Some(event))
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

    /// `sent` was sent, and this came at that moment: what becomes of the session is done.
    pub(super) fn after(&self, sent: &AuthSession, (came, came_at): (Came, Moment), looks: u32, now: Moment) -> Then {
        let turn = self.turns.take();
        let stored = self.look();
        let then = self.rules().after(sent, stored.as_ref(), came, looks, now);
        let change = match &then {
            Then::Store(new) => {
                self.issued(new, came_at);
                Some((Some(new), AuthEvent::TokenRefreshed))
            }
            Then::End(_) => Some(NOBODY),
            _ => None,
        };
        self.carry_out(turn, change);
        then
    }

    /// The server has just issued this session.
    pub(super) fn issued(&self, session: &AuthSession, now: Moment) {
        self.rules().issued(session, now);
    }

    /// What has happened since this was known; if nothing has, `otherwise` before anything can.
    #[cfg(feature = "auth")]
    pub(super) fn since<T>(
        &self,
        known: Option<&AuthSession>,
        otherwise: impl FnOnce() -> T,
    ) -> Result<T, (AuthEvent, Option<AuthSession>)> {
        let rules = self.rules();
        match rules::change(known, rules.known()) {
            Some(event) => Err((event, rules.known().cloned())),
            None => Ok(otherwise()),
        }
    }

    /// What is stored, which everybody is to be told of.
    fn look(&self) -> Option<AuthSession> {
        let stored = self.storage.get(&self.key).and_then(|json| AuthSession::parse(&json, 0.0));
        self.see(stored.as_ref(), None);
        stored
    }

    /// Whether something changed. `event` is a better word for the change.
    fn see(&self, session: Option<&AuthSession>, event: Option<AuthEvent>) -> bool {
        let mut rules = self.rules();
        let seen = rules.see(session);
        if let Some(seen) = seen {
            self.audience.told(event.unwrap_or(seen), session);
        }
        seen.is_some()
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is to be stored, or that nobody is signed in, and what everybody is told then.
type Change<'a> = (Option<&'a AuthSession>, AuthEvent);

const NOBODY: Change<'_> = (None, AuthEvent::SignedOut);

/// Threads look at what is stored, and change what they have seen, one after the other: what was read before another one's
/// change would be taken for a later one. Listeners are told outside of turns.
#[derive(Default)]
struct Turns {
    #[cfg(not(target_arch = "wasm32"))]
    turn: Mutex<()>,
}

/// Until it is dropped, no other thread's turn comes.
struct Turn<'a> {
    #[cfg(not(target_arch = "wasm32"))]
    _turn: MutexGuard<'a, ()>,
    #[cfg(target_arch = "wasm32")]
    _turn: std::marker::PhantomData<&'a ()>,
}

impl Turns {
    #[cfg(not(target_arch = "wasm32"))]
    fn take(&self) -> Turn<'_> {
        Turn { _turn: self.turn.lock().unwrap_or_else(PoisonError::into_inner) }
    }

    /// There is one thread.
    #[cfg(target_arch = "wasm32")]
    fn take(&self) -> Turn<'_> {
        Turn { _turn: std::marker::PhantomData }
    }
}
