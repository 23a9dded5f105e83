//! What happened lately, for whoever watches. Kept in memory and never more than a page of it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::clock::Clock;

const KEPT: usize = 60;

/// One request that was answered, or whose stream has begun.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    pub(crate) at: i64,
    pub(crate) server: &'static str,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) status: u16,
    /// Until the answer's first byte.
    pub(crate) ms: u128,
    pub(crate) origin: Option<String>,
}

/// A token that was minted over HTTP.
#[derive(Clone, Debug)]
pub(crate) struct Minted {
    pub(crate) at: i64,
    pub(crate) user_id: String,
    pub(crate) session_id: String,
    pub(crate) tier: Option<u64>,
    pub(crate) ttl: u64,
}

/// A page's origin that was not on the list.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    pub(crate) origin: String,
    pub(crate) server: String,
    pub(crate) times: u64,
    pub(crate) last: i64,
}

/// Newest first.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) served: VecDeque<Served>,
    pub(crate) minted: VecDeque<Minted>,
    pub(crate) refused: VecDeque<Refused>,
}

/// The log. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Activity {
    log: Arc<Mutex<Log>>,
    clock: Clock,
}

impl Activity {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { log: Arc::default(), clock }
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time by which entries are dated.
    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    pub(crate) fn served(&self, served: Served) {
        let mut log = self.log();
        log.served.push_front(served);
        log.served.truncate(KEPT);
    }

    pub(crate) fn minted(&self, user_id: &str, session_id: &str, tier: Option<u64>, ttl: u64) {
        let (user_id, session_id) = (user_id.to_owned(), session_id.to_owned());
        let minted = Minted { at: self.clock.now_ms(), user_id, session_id, tier, ttl };
        let mut log = self.log();
        log.minted.push_front(minted);
        log.minted.truncate(KEPT);
    }

    pub(crate) fn refused(&self, origin: &str, server: &str) {
        let last = self.clock.now_ms();
        let mut log = self.log();
        let known = log.refused.iter().position(|row| row.origin == origin && row.server == server);
        let before = known.and_then(|at| log.refused.remove(at)).map_or(0, |row| row.times);
        let (origin, server) = (origin.to_owned(), server.to_owned());
        log.refused.push_front(Refused { origin, server, times: before + 1, last });
        log.refused.truncate(KEPT);
    }

    /// The origin is allowed now.
    pub(crate) fn forget_refusals(&self, origin: &str) {
        self.log().refused.retain(|row| row.origin != origin);
    }
}
