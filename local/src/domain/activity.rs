//! What happened lately, for whoever watches. Kept in memory and never more than a page of it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::clock::Clock;

const KEPT: usize = 60;
const KEPT_REQUESTS: usize = 400;

/// One request that was answered, or whose stream has begun.
#[derive(Clone, Debug, Default)]
pub(crate) struct Served {
    /// Given by the log.
    pub(crate) id: u64,
    pub(crate) at: i64,
    pub(crate) server: &'static str,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) status: u16,
    /// Until the answer's first byte.
    pub(crate) ms: u128,
    /// Until its last one; `None` as long as it streams.
    pub(crate) whole_ms: Option<u128>,
    pub(crate) origin: Option<String>,
    /// As the token or key of the request says, which may be wrong.
    pub(crate) user_id: Option<String>,
    pub(crate) session_id: Option<String>,
    /// Without secrets.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) answer_headers: Vec<(String, String)>,
    /// What the server said of a refusal.
    pub(crate) refusal: Option<Refusal>,
    /// Prompt and answer as they were sent, where that is switched on.
    pub(crate) texts: Option<Texts>,
}

/// An error, as its body says it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refusal {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// The beginnings of both bodies.
#[derive(Clone, Debug, Default)]
pub(crate) struct Texts {
    pub(crate) asked: String,
    pub(crate) answered: String,
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
    /// Of all requests so far.
    count: u64,
    pub(crate) served: VecDeque<Served>,
    pub(crate) minted: VecDeque<Minted>,
    pub(crate) refused: VecDeque<Refused>,
}

/// The log. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Activity {
    log: Arc<Mutex<Log>>,
    keeps_texts: Arc<AtomicBool>,
    clock: Clock,
}

impl Activity {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { log: Arc::default(), keeps_texts: Arc::default(), clock }
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time by which entries are dated.
    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Whether prompts and answers are kept, in memory.
    pub(crate) fn keeps_texts(&self) -> bool {
        self.keeps_texts.load(Ordering::Relaxed)
    }

    /// Keeps prompts and answers from now on, or forgets those that are there.
    pub(crate) fn keep_texts(&self, keep: bool) {
        self.keeps_texts.store(keep, Ordering::Relaxed);
        if !keep {
            self.log().served.iter_mut().for_each(|served| served.texts = None);
        }
    }

    /// Notes a request and gives the id by which it is found.
    pub(crate) fn served(&self, served: Served) -> u64 {
        let mut log = self.log();
        log.count += 1;
        let id = log.count;
        // Whoever has them forgotten means those of requests that were on their way, too.
        let texts = served.texts.filter(|_| self.keeps_texts());
        log.served.push_front(Served { id, texts, ..served });
        log.served.truncate(KEPT_REQUESTS);
        id
    }

    /// The answer of a request has ended.
    pub(crate) fn ended(&self, id: u64, whole_ms: u128, answered: &str) {
        let mut log = self.log();
        if let Some(served) = log.served.iter_mut().find(|served| served.id == id) {
            served.whole_ms = Some(whole_ms);
            if let Some(texts) = &mut served.texts {
                answered.clone_into(&mut texts.answered);
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_that_were_on_their_way_are_forgotten_too() {
        let activity = Activity::default();
        let served =
            || Served { texts: Some(Texts { asked: "a secret".to_owned(), ..Texts::default() }), ..Served::default() };
        activity.keep_texts(true);
        let id = activity.served(served());
        activity.keep_texts(false);
        activity.ended(id, 0, "an answer");
        activity.served(served());
        assert!(activity.log().served.iter().all(|served| served.texts.is_none()));
    }
}
