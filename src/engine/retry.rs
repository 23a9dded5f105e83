//! When to try again, and how long to wait before.

use crate::wire::as_millis;
use crate::{Action, Error, Reason};

/// Waiting longer than this is the caller's decision, not ours.
const LONGEST_WAIT: f64 = 30_000.0;
const FIRST_BACK_OFF: f64 = 500.0;
const LARGEST_BACK_OFF: f64 = 8_000.0;

/// The wait before attempt number `attempt + 1`, or `None` if this error is final.
///
/// What the server asks for is obeyed, never shortened; without a word from it the wait is random
/// between zero and a bound that doubles ("full jitter"), so that callers who failed together come back apart.
pub(crate) fn wait_before_retry(error: &Error, repeatable: bool, attempt: u32, fraction: f64) -> Option<f64> {
    if !is_transient(error, repeatable) {
        return None;
    }
    match error.retry_after() {
        Some(wait) => Some(as_millis(wait)).filter(|wait| *wait <= LONGEST_WAIT),
        None => Some(back_off(FIRST_BACK_OFF, LARGEST_BACK_OFF, attempt) * fraction),
    }
}

/// `first`, doubled for each attempt after the first, up to `largest`.
pub(crate) fn back_off(first: f64, largest: f64, attempt: u32) -> f64 {
    (first * f64::from(1u32 << attempt.min(16))).min(largest)
}

/// `repeatable`: doing it twice does no harm, or it surely was not done at all.
fn is_transient(error: &Error, repeatable: bool) -> bool {
    if error.action() == Action::FixConfig {
        return false;
    }
    match error.status() {
        None => error.reason() == Reason::Network && repeatable,
        Some(408 | 409 | 500..=599) => true,
        Some(429) => error.reason() == Reason::RateLimited,
        Some(_) => false,
    }
}
