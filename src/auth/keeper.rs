//! Keeps the session: in its storage, which other tabs and supabase-js share, and in what everybody was told of it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::AuthEvent;
use super::rules::{Came, Rules, Step, Then};
use super::session::{AuthSession, User};
use super::storage::Kept;
use super::tabs::{Held, Look, OpenTabs, Tabs};
use crate::engine::Moment;
use crate::platform::{BoxFuture, MaybeSend, MaybeSync};

/// The one place that reads and writes the session.
pub(crate) struct Keeper {
    storage: Kept,
    /// Where supabase-js keeps it, too.
    key: String,
    rules: Mutex<Rules>,
    news: Mutex<News>,
    tabs: Option<Box<dyn Tabs>>,
    /// The storage is nobody else's.
    is_private: bool,
}

/// Who else reads and writes the session.
pub(crate) enum Sharing {
    /// The tabs of this page, which this opens the way to.
    Tabs(OpenTabs),
    Nobody,
    /// Somebody who does not tell.
    Untold,
}

/// Listeners, and what they were not told yet.
#[derive(Default)]
struct News {
    listeners: Vec<(u64, Arc<dyn Listener>)>,
    next: u64,
    untold: VecDeque<(AuthEvent, Option<AuthSession>)>,
    is_telling: bool,
}

pub(crate) trait Listener: MaybeSend + MaybeSync {
    fn told(&self, event: AuthEvent, session: Option<&AuthSession>);
}

impl<F: Fn(AuthEvent, Option<&AuthSession>) + MaybeSend + MaybeSync> Listener for F {
    fn told(&self, event: AuthEvent, session: Option<&AuthSession>) {
        self(event, session);
    }
}

impl Keeper {
    /// The storage may be shared with other tabs, or nobody else's, or one that others write without telling.
    pub(crate) fn new(storage: Kept, key: String, sharing: Sharing) -> Arc<Self> {
        let is_private = matches!(sharing, Sharing::Nobody);
        Arc::new_cyclic(|keeper: &Weak<Self>| {
            let tabs = match sharing {
                Sharing::Tabs(open) => open(&key, Box::new(keeper.clone())),
                Sharing::Nobody | Sharing::Untold => None,
            };
            Self { storage, rules: Mutex::default(), news: Mutex::default(), tabs, key, is_private }
        })
    }

    #[cfg(all(feature = "js", target_arch = "wasm32"))]
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Waits until no other tab renews the session, but not beyond a limit.
    pub(super) async fn lock(&self, limit: impl FnOnce() -> BoxFuture<'static, ()>) -> Option<Box<dyn Held>> {
        self.shared()?.lock(["lock:", &self.key].concat(), limit()).await
    }

    /// Those who read and write the same session.
    fn shared(&self) -> Option<&dyn Tabs> {
        self.tabs.as_deref().filter(|_| self.storage.works())
    }

    /// Is every change told here?
    pub(super) fn hears_of_all(&self) -> bool {
        self.is_private || self.tabs.is_some()
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
    pub(super) fn keep_verifier(&self, verifier: Option<&str>) {
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

    /// Tells `listener` who is signed in, and of every change from now on.
    pub(crate) fn listen(&self, listener: Arc<dyn Listener>) -> u64 {
        self.read();
        let session = self.rules().known().cloned();
        listener.told(AuthEvent::InitialSession, session.as_ref());
        let mut news = self.news();
        news.next += 1;
        let id = news.next;
        news.listeners.push((id, listener));
        id
    }

    pub(super) fn forget(&self, id: u64) {
        let mut news = self.news();
        let place = news.listeners.iter().position(|(listener, _)| *listener == id);
        let gone = place.map(|place| news.listeners.remove(place));
        drop(news);
        drop(gone);
    }

    /// Whether something changed. `event` is a better word for the change.
    fn see(&self, session: Option<&AuthSession>, event: Option<AuthEvent>) -> bool {
        let seen = self.rules().see(session);
        let Some(seen) = seen else { return false };
        self.news().untold.push_back((event.unwrap_or(seen), session.cloned()));
        self.tell();
        true
    }

    /// One event at a time, in their order, and never within another one's telling.
    fn tell(&self) {
        if std::mem::replace(&mut self.news().is_telling, true) {
            return;
        }
        let telling = Telling(self);
        loop {
            let (event, session, listeners) = {
                let mut news = self.news();
                let Some((event, session)) = news.untold.pop_front() else {
                    news.is_telling = false;
                    std::mem::forget(telling);
                    return;
                };
                let listeners: Vec<_> = news.listeners.iter().map(|(_, listener)| listener.clone()).collect();
                (event, session, listeners)
            };
            listeners.iter().for_each(|listener| listener.told(event, session.as_ref()));
        }
    }

    fn broadcast(&self, event: AuthEvent, session: Option<&AuthSession>) {
        if let Some(tabs) = self.shared() {
            tabs.tell(event.as_str(), session.map(AuthSession::json));
        }
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn news(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Look for Weak<Keeper> {
    fn look(&self) {
        if let Some(keeper) = self.upgrade() {
            keeper.read();
        }
    }
}

/// A listener that panics does not end the telling for ever.
struct Telling<'a>(&'a Keeper);

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        self.0.news().is_telling = false;
    }
}
