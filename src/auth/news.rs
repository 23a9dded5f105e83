//! Who hears of the session: listeners of this page, and its other tabs.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::keeper::{Audience, Keeper};
use super::session::AuthSession;
use super::storage::Kept;
use super::words::AuthEvent;
use crate::platform::{BoxFuture, MaybeSend, MaybeSync, each, page};

/// Who else reads and writes the session.
pub(super) enum Sharing {
    /// The tabs of this page.
    Tabs,
    Nobody,
    /// Somebody who does not tell.
    Untold,
}

/// Everybody who is told of the session.
#[derive(Default)]
pub(super) struct News {
    to_tell: Mutex<ToTell>,
    tabs: OnceLock<page::Channel>,
    /// The storage is nobody else's.
    is_private: bool,
}

/// Listeners, and what they were not told yet. Each has a number, which later ones are larger than.
#[derive(Default)]
struct ToTell {
    listeners: Vec<(u64, Arc<dyn Listener>)>,
    latest: u64,
    untold: VecDeque<(u64, AuthEvent, Option<AuthSession>)>,
    is_telling: bool,
}

impl ToTell {
    fn number(&mut self) -> u64 {
        self.latest += 1;
        self.latest
    }
}

/// An event, the session then, and who is to hear of it.
type Told = (AuthEvent, Option<AuthSession>, Vec<Arc<dyn Listener>>);

pub(super) trait Listener: MaybeSend + MaybeSync {
    fn told(&self, event: AuthEvent, session: Option<&AuthSession>);
}

impl<F: Fn(AuthEvent, Option<&AuthSession>) + MaybeSend + MaybeSync> Listener for F {
    fn told(&self, event: AuthEvent, session: Option<&AuthSession>) {
        self(event, session);
    }
}

impl News {
    /// A keeper whose changes are told here, and the way to its tabs.
    pub(super) fn open(storage: Kept, key: String, sharing: Sharing) -> (Arc<Keeper>, Arc<Self>) {
        let news = Arc::new(Self { is_private: matches!(sharing, Sharing::Nobody), ..Self::default() });
        let keeper = Arc::new(Keeper::new(storage, key, Box::new(news.clone())));
        if let Sharing::Tabs = sharing {
            let looking = Arc::downgrade(&keeper);
            // What they say is a reason to look.
            let look = move || drop(looking.upgrade().map(|keeper| keeper.read()));
            if let Some(tabs) = page::Channel::open(keeper.key(), look) {
                let _ = news.tabs.set(tabs);
            }
        }
        (keeper, news)
    }

    /// Is every change told here?
    pub(super) fn is_of_all(&self) -> bool {
        self.is_private || self.tabs.get().is_some()
    }

    /// Waits until no other tab renews the session of this keeper, but not beyond a limit.
    pub(super) async fn lock(
        &self,
        keeper: &Keeper,
        limit: impl FnOnce() -> BoxFuture<'static, ()>,
    ) -> Option<page::Lock> {
        self.tabs.get().filter(|_| keeper.is_seen())?;
        page::lock(&["lock:", keeper.key()].concat(), limit()).await
    }

    /// Tells `listener` who is signed in, and of every change from now on.
    pub(super) fn listen(&self, keeper: &Keeper, listener: Arc<dyn Listener>) -> u64 {
        let mut news = (AuthEvent::InitialSession, keeper.read());
        loop {
            let (event, session) = news;
            listener.told(event, session.as_ref());
            // What changed while it was told that, was told to the others.
            news = match keeper.since(session.as_ref(), || self.add(&listener)) {
                Ok(id) => return id,
                Err(news) => news,
            };
        }
    }

    fn add(&self, listener: &Arc<dyn Listener>) -> u64 {
        let mut to_tell = self.to_tell();
        let id = to_tell.number();
        to_tell.listeners.push((id, listener.clone()));
        id
    }

    #[cfg(all(test, not(target_arch = "wasm32")))]
    pub(super) fn listeners(&self) -> usize {
        self.to_tell().listeners.len()
    }

    pub(super) fn forget(&self, id: u64) {
        let mut to_tell = self.to_tell();
        let place = to_tell.listeners.iter().position(|(listener, _)| *listener == id);
        let gone = place.map(|place| to_tell.listeners.remove(place));
        drop(to_tell);
        drop(gone);
    }

    /// One event at a time, in their order, and never within another one's telling.
    fn tell_all(&self) {
        if std::mem::replace(&mut self.to_tell().is_telling, true) {
            return;
        }
        each(std::iter::from_fn(|| self.next()), |(event, session, listeners)| {
            each(&listeners, |listener| listener.told(event, session.as_ref()));
        });
    }

    /// What is told next, and to whom. `None`: the telling is over.
    fn next(&self) -> Option<Told> {
        let mut to_tell = self.to_tell();
        let Some((number, event, session)) = to_tell.untold.pop_front() else {
            to_tell.is_telling = false;
            return None;
        };
        // Who came after a change knows of it.
        let listeners = to_tell.listeners.iter().filter(|(id, _)| *id < number);
        Some((event, session, listeners.map(|(_, listener)| listener.clone()).collect()))
    }

    fn to_tell(&self) -> MutexGuard<'_, ToTell> {
        self.to_tell.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Audience for Arc<News> {
    fn told(&self, event: AuthEvent, session: Option<&AuthSession>) {
        let mut to_tell = self.to_tell();
        let number = to_tell.number();
        to_tell.untold.push_back((number, event, session.cloned()));
    }

    fn tell(&self) {
        self.tell_all();
    }

    fn broadcast(&self, event: AuthEvent, session: Option<&AuthSession>) {
        if let Some(tabs) = self.tabs.get() {
            tabs.tell(event.as_str(), session.map(AuthSession::json));
        }
    }
}
