//! Where the user's access token comes from.

use std::future::{Future, ready};
use std::iter::from_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::platform::{BoxFuture, MaybeSend, MaybeSync, OnThread, each};
use crate::{Error, Secret};

/// Told of every change of the session: the new access token, or `None` after a sign-out.
#[cfg(not(target_arch = "wasm32"))]
pub type Watcher = Box<dyn Fn(Option<&Secret>) + Send + Sync>;
/// Told of every change of the session: the new access token, or `None` after a sign-out.
#[cfg(target_arch = "wasm32")]
pub type Watcher = Box<dyn Fn(Option<&Secret>)>;

/// Answers "this access token" or "nobody is signed in".
///
/// Implemented for closures (`|| async { Ok(Some(token)) }`), for a [`Session`] that is set from outside, and for a fixed
/// [`Secret`].
pub trait SessionSource: MaybeSend + MaybeSync + 'static {
    /// The current user's Supabase access token, refreshed if need be; `None` if nobody is signed in. Dropped once it takes
    /// longer than [`Timeouts::session`](super::Timeouts::session).
    fn access_token(&self) -> BoxFuture<'_, Result<Option<Secret>, Error>>;

    /// Tells `changed` of every change from now on. A source that can do so answers `true`, and is then asked once for each
    /// token that is minted. Any other one is asked at every call, since only so can the client know whose call it is.
    fn watch(&self, changed: Watcher) -> bool {
        drop(changed);
        false
    }
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
        Box::pin(ready(Ok(Some(self.clone()))))
    }

    fn watch(&self, _changed: Watcher) -> bool {
        true
    }
}

/// A session that the application sets: the access token of whoever is signed in. Clones are the same session. `Send + Sync`
/// everywhere; on wasm32 it must be used on the thread that made it, and panics on any other.
///
/// What a clone [watches](SessionSource::watch), it watches until it is dropped: a client's clone goes with the client.
pub struct Session {
    state: Arc<Mutex<State>>,
    /// Which of the clones this is.
    clone: u64,
}

#[derive(Default)]
struct State {
    access_token: Option<Secret>,
    /// How often it was set.
    changes: u64,
    clones: u64,
    /// With the clone that watches.
    watchers: Vec<(u64, OnThread<Arc<Watcher>>)>,
}

impl Session {
    /// Nobody is signed in yet.
    pub fn new() -> Self {
        Self { state: Arc::default(), clone: 0 }
    }

    /// This user is signed in now, or nobody.
    pub fn set(&self, access_token: Option<Secret>) {
        {
            let mut state = self.state();
            state.access_token = access_token;
            state.changes += 1;
        }
        let mut told = None;
        // What another thread sets meanwhile may be told before this: what was set last is told last.
        let untold = || {
            let state = self.state();
            let is_new = told.replace(state.changes) != Some(state.changes);
            is_new.then(|| (state.access_token.clone(), state.watchers.clone()))
        };
        each(from_fn(untold), |(access_token, watchers)| {
            each(&watchers, |(_, watcher)| watcher(access_token.as_ref()));
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionSource for Session {
    fn access_token(&self) -> BoxFuture<'_, Result<Option<Secret>, Error>> {
        let access_token = self.state().access_token.clone();
        Box::pin(ready(Ok(access_token)))
    }

    fn watch(&self, changed: Watcher) -> bool {
        let mut told = false;
        loop {
            let (access_token, changes) = {
                let state = self.state();
                (state.access_token.clone(), state.changes)
            };
            // What the client is told first: who is signed in already.
            if told || access_token.is_some() {
                changed(access_token.as_ref());
                told = true;
            }
            let mut state = self.state();
            // What was set meanwhile, it was not told.
            if state.changes == changes {
                state.watchers.push((self.clone, OnThread::new(Arc::new(changed))));
                return true;
            }
        }
    }
}

impl Clone for Session {
    fn clone(&self) -> Self {
        let clone = {
            let mut state = self.state();
            state.clones += 1;
            state.clones
        };
        Self { state: self.state.clone(), clone }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let gone: Vec<_> = self.state().watchers.extract_if(.., |(clone, _)| *clone == self.clone).collect();
        // Without the lock: what it drops may be anybody's.
        drop(gone);
    }
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("signed_in", &self.state().access_token.is_some()).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::Client;

    #[test]
    fn a_client_that_is_dropped_takes_its_watcher_along() {
        let session = Session::new();
        let client = || Client::builder("https://g.example").token_url("https://f.example").session(session.clone());
        let clients: Vec<_> = (0..3).map(|_| client().build().unwrap()).collect();
        assert_eq!(session.state().watchers.len(), 3);
        drop(clients);
        assert_eq!(session.state().watchers.len(), 0);
    }

    #[test]
    fn what_is_set_while_a_watcher_is_told_of_the_beginning_it_is_told_too() {
        let session = Session::new();
        session.set(Some("first".into()));
        let (tell, told) = channel();
        let setting = session.clone();
        session.watch(Box::new(move |token| {
            tell.send(token.map(|token| token.expose().to_owned())).unwrap();
            if token.is_some_and(|token| token.expose() == "first") {
                setting.set(None);
            }
        }));
        session.set(Some("second".into()));
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [Some("first".to_owned()), None, Some("second".to_owned())]);
    }
}
