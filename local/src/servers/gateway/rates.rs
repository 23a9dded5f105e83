//! Requests per minute and user.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

const MINUTE_MS: i64 = 60_000;

/// When each user's requests of the last minute came in. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rates(Arc<Mutex<HashMap<String, VecDeque<i64>>>>);

impl Rates {
    /// Counts a request, or says in how many milliseconds there is room for it.
    pub(super) fn take(&self, user: &str, per_minute: usize, now: i64) -> Result<(), i64> {
        let mut users = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Times of the future are from before the clock was put right.
        users.retain(|_, times| times.back().is_some_and(|last| (0..MINUTE_MS).contains(&(now - last))));
        let times = users.entry(user.to_owned()).or_default();
        while times.front().is_some_and(|first| now - first >= MINUTE_MS) {
            times.pop_front();
        }
        match times.front() {
            Some(first) if times.len() >= per_minute => Err(MINUTE_MS - (now - first)),
            _ => {
                times.push_back(now);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_says_when_there_is_room_again() {
        let rates = Rates::default();
        assert_eq!(rates.take("ada", 2, 0), Ok(()));
        assert_eq!(rates.take("ada", 2, 1_000), Ok(()));
        assert_eq!(rates.take("ada", 2, 10_000), Err(50_000));
        assert_eq!(rates.take("bob", 2, 10_000), Ok(()), "each user alone");
        assert_eq!(rates.take("ada", 2, 60_000), Ok(()), "the first has left the minute");
        assert_eq!(rates.take("ada", 2, 60_999), Err(1));
        assert_eq!(rates.take("ada", 2, 200_000), Ok(()));
        assert_eq!((rates.take("bob", 1, 900_000), rates.take("bob", 1, 900_001)), (Ok(()), Err(59_999)));
        assert_eq!(rates.take("bob", 1, 300_000), Ok(()), "a clock that was put back locks nobody out");
        assert_eq!(rates.0.lock().unwrap().len(), 1, "nothing is kept of users who are gone");
    }
}
