//! The project's published key set: fetched when needed, kept, and renewed when keys rotate.

use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::address::Address;
use super::algorithm::Algorithm;
use super::clock::Clock;
use super::http::{HttpClient, Limits, request};
use super::jwk::{KeySet, Miss, Source};
use super::platform::crypto::VerifyingKey;
use super::platform::log::log;
use super::platform::{SingleFlight, to_the_end};
use crate::{Error, Reason};

/// A set this old is fetched again.
const MAX_AGE: Duration = Duration::from_secs(10 * 60);
/// While fetching fails, a set is used up to this age: as long as an access token lives by default.
const MAX_STALE: Duration = Duration::from_secs(60 * 60);
/// An unknown `kid` causes at most one fetch in this time, so that made-up ones cannot cause a flood.
const COOL_DOWN: Duration = Duration::from_secs(30);
const LIMITS: Limits = Limits::new(Duration::from_secs(5), 256 * 1024);

/// What a lookup failed with.
pub(super) enum LookupError {
    /// The set is known and no key of it fits. With the wait before the set can be asked for again, if there is one.
    Miss(Miss, Option<Duration>),
    /// The set could not be fetched.
    Unavailable(Error),
}

/// A key set behind a URL.
pub(super) struct Jwks {
    url: Address,
    http: Arc<dyn HttpClient>,
    clock: Clock,
    state: RwLock<State>,
    fetching: SingleFlight,
}

#[derive(Clone, Default)]
struct State {
    keys: Option<(Arc<KeySet>, Duration)>,
    /// How many fetches have ended that count for those who wait, and how and when the last one did.
    attempts: u64,
    last: Option<(Duration, Result<(), Error>)>,
}

impl State {
    /// The set and its age. A clock that was set back makes the age unknown, hence large.
    fn keys(&self, now: Duration) -> Option<(&KeySet, Duration)> {
        let (keys, fetched) = self.keys.as_ref()?;
        Some((keys, now.checked_sub(*fetched).unwrap_or(MAX_AGE)))
    }

    /// How long the last fetch still forbids another.
    fn cool_down(&self, now: Duration) -> Option<Duration> {
        let (ended, _) = self.last.as_ref()?;
        COOL_DOWN.checked_sub(now.checked_sub(*ended)?).filter(|rest| !rest.is_zero())
    }
}

type Found = Result<Vec<Arc<VerifyingKey>>, LookupError>;

impl Jwks {
    /// The set behind `url`, which all share that reach it in the same way: endpoints, guards, and any number of the latter.
    pub(super) fn shared(url: Address, http: &Arc<dyn HttpClient>, clock: &Clock) -> Arc<Self> {
        static KNOWN: Mutex<Vec<Weak<Jwks>>> = Mutex::new(Vec::new());
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|set| set.strong_count() > 0);
        let same = |set: &Arc<Self>| set.url == url && Arc::ptr_eq(&set.http, http) && set.clock.is(clock);
        if let Some(set) = known.iter().filter_map(Weak::upgrade).find(same) {
            return set;
        }
        let (http, clock) = (Arc::clone(http), clock.clone());
        let set = Arc::new(Self { url, http, clock, state: RwLock::default(), fetching: SingleFlight::default() });
        known.push(Arc::downgrade(&set));
        set
    }

    /// The keys that may have signed a token with this algorithm and `kid`.
    pub(super) async fn find(self: &Arc<Self>, algorithm: Algorithm, kid: Option<&str>) -> Found {
        let now = self.clock.now();
        let seen = self.snapshot();
        let cool_down = seen.cool_down(now);
        if let Some((keys, age)) = seen.keys(now) {
            let picked = keys.pick(algorithm, kid);
            let waiting = cool_down.is_some();
            let serves = match picked {
                Err(Miss::UnknownKid) => waiting,
                _ => age < MAX_AGE || waiting || self.fetching.is_busy(),
            };
            if serves && age < MAX_STALE {
                return settle(picked, &seen, cool_down);
            }
        }
        let outcome = self.refresh(seen.attempts).await;
        let seen = self.snapshot();
        match (outcome, seen.keys(self.clock.now())) {
            (Ok(()), Some((keys, _))) => keys.pick(algorithm, kid).map_err(|miss| LookupError::Miss(miss, None)),
            (Err(_), Some((keys, age))) if age < MAX_STALE => settle(keys.pick(algorithm, kid), &seen, Some(COOL_DOWN)),
            (Err(error), _) => Err(LookupError::Unavailable(error)),
            (Ok(()), None) => Err(LookupError::Unavailable(unavailable())),
        }
    }

    /// Fetches, unless somebody else's fetch has ended since the caller looked: then its outcome serves for both. Callers who hang
    /// up while they wait take no fetch along, or each could begin another.
    async fn refresh(self: &Arc<Self>, seen: u64) -> Result<(), Error> {
        let turn = self.fetching.enter().await;
        let state = self.snapshot();
        if let (true, Some((_, outcome))) = (state.attempts != seen, state.last) {
            return outcome;
        }
        let (own, caller) = (Arc::clone(self), Arc::new(()));
        let waits = Arc::downgrade(&caller);
        let fetch = async move {
            let outcome = own.fetch_and_keep(&waits).await;
            drop(turn);
            outcome
        };
        let outcome = to_the_end(fetch).await;
        drop(caller);
        outcome.unwrap_or_else(|| Err(unavailable()))
    }

    /// Those who stand behind a caller who has hung up try for themselves what failed.
    async fn fetch_and_keep(&self, caller: &Weak<()>) -> Result<(), Error> {
        let fetched = self.fetch().await;
        let now = self.clock.now();
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.attempts += u64::from(fetched.is_ok() || caller.strong_count() > 0);
        let outcome = fetched.map(|keys| state.keys = Some((Arc::new(keys), now)));
        state.last = Some((now, outcome.clone()));
        outcome
    }

    async fn fetch(&self) -> Result<KeySet, Error> {
        let failed = |why: String| {
            log!(warn, "the key set could not be fetched", url = self.url.as_str(), why = why.as_str());
            unavailable()
        };
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        let request = request(Method::GET, self.url.as_str(), headers, Bytes::new())
            .map_err(|error| failed(error.message().to_owned()))?;
        let response = self.http.send(request, LIMITS).await.map_err(|error| failed(error.words().to_owned()))?;
        if response.status() != StatusCode::OK {
            return Err(failed(["the answer has status ", response.status().as_str()].concat()));
        }
        KeySet::parse(response.body(), Source::Published).ok_or_else(|| failed("the answer is not a key set".into()))
    }

    fn snapshot(&self) -> State {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A miss during an outage says nothing about the token: the key may be in the set that could not be fetched.
fn settle(picked: Result<Vec<Arc<VerifyingKey>>, Miss>, seen: &State, wait: Option<Duration>) -> Found {
    match (picked, &seen.last) {
        (Err(Miss::UnknownKid), Some((_, Err(error)))) => {
            Err(LookupError::Unavailable(error.clone().with_retry_after(wait)))
        }
        (picked, _) => picked.map_err(|miss| LookupError::Miss(miss, wait.filter(|_| miss == Miss::UnknownKid))),
    }
}

fn unavailable() -> Error {
    Error::new(Reason::JwksUnavailable, "the project's signing keys could not be fetched")
}
