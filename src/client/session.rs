//! Where the user's access token comes from.

use std::future::{Future, ready};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::platform::{BoxFuture, MaybeSend, MaybeSync};
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
    /// The current user's Supabase access token, refreshed if need be; `None` if nobody is signed in.
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

/// A session that the application sets: the access token of whoever is signed in. Clones are the same session.
#[derive(Clone, Default)]
pub struct Session(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    access_token: Option<Secret>,
    /// How often it was set.
    changes: u64,
    watchers: Vec<Arc<Watcher>>,
}

impl Session {
    /// Nobody is signed in yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// This user is signed in now, or nobody.
    pub fn set(&self, access_token: Option<Secret>) {
        {
            let mut state = self.state();
            state.access_token = access_token;
            state.changes += 1;
        }
        loop {
            let (access_token, changes, watchers) = {
                let state = self.state();
                (state.access_token.clone(), state.changes, state.watchers.clone())
            };
            watchers.iter().for_each(|watcher| watcher(access_token.as_ref()));
            // What another thread set meanwhile may have been told before this: it is what was set last.
            if self.state().changes == changes {
                return;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionSource for Session {
    fn access_token(&self) -> BoxFuture<'_, Result<Option<Secret>, Error>> {
        let access_token = self.state().access_token.clone();
        Box::pin(ready(Ok(access_token)))
    }

    fn watch(&self, changed: Watcher) -> bool {
        let mut state = self.state();
        // What the client is told first: who is signed in already.
        if let Some(access_token) = &state.access_token {
            changed(Some(access_token));
        }
        state.watchers.push(Arc::new(changed));
        true
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("signed_in", &self.state().access_token.is_some()).finish_non_exhaustive()
    }
}
