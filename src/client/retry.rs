//! When to try again, and how long to wait before.

use std::time::Duration;

use crate::{Action, Error, Reason};

/// Waiting longer than this is the caller's decision, not ours.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
const FIRST_BACK_OFF: Duration = Duration::from_millis(500);
const LARGEST_BACK_OFF: Duration = Duration::from_secs(8);

/// The wait before attempt number `attempt + 1`, or `None` if this error is final.
///
/// What the server asks for is obeyed, never shortened; without a word from it the wait is random
/// between zero and a bound that doubles ("full jitter"), so that callers who failed together come back apart.
pub(crate) fn wait_before_retry(error: &Error, attempt: u32, random: [u8; 16]) -> Option<Duration> {
    if !is_transient(error) {
        return None;
    }
    match error.retry_after() {
        Some(wait) => (wait <= LONGEST_WAIT).then_some(wait),
        None => Some(back_off(FIRST_BACK_OFF, LARGEST_BACK_OFF, attempt).mul_f64(fraction(random))),
    }
}

/// `first`, doubled for each attempt after the first, up to `largest`.
pub(crate) fn back_off(first: Duration, largest: Duration, attempt: u32) -> Duration {
    first.saturating_mul(2u32.saturating_pow(attempt)).min(largest)
}

/// A number between 0 and 1 from random bytes.
pub(crate) fn fraction(random: [u8; 16]) -> f64 {
    f64::from(u16::from_be_bytes([random[0], random[1]])) / f64::from(u16::MAX)
}

fn is_transient(error: &Error) -> bool {
    if error.action() == Action::FixConfig {
        return false;
    }
    match error.status() {
        None => error.reason() == Reason::Network,
        Some(408 | 409 | 500..=599) => true,
        Some(429) => error.reason() == Reason::RateLimited,
        Some(_) => false,
    }
}
