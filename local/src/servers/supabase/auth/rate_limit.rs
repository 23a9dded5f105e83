//! The rate limits of Supabase Auth: token buckets by the caller's address.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::error::AuthError;
use crate::domain::clock::Clock;

const BURST: f64 = 30.0;
const FIVE_MINUTES_MS: f64 = 300_000.0;

/// Which bucket a request takes from, and how many fit into five minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Bucket {
    Token,
    Send,
    Verify,
}

impl Bucket {
    fn of(method: &Method, path: &str) -> Option<Self> {
        let last = path.rsplit('/').next().unwrap_or_default();
        match (method, last) {
            (&Method::POST, "token") => Some(Self::Token),
            (&Method::POST, "signup" | "otp" | "recover" | "resend") | (&Method::PUT, "user") => Some(Self::Send),
            (&Method::POST, "verify") => Some(Self::Verify),
            _ => None,
        }
    }

    const fn per_five_minutes(self) -> f64 {
        match self {
            Self::Token => 150.0,
            Self::Send | Self::Verify => 30.0,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Level {
    tokens: f64,
    at: i64,
}

type Levels = HashMap<(IpAddr, Bucket), Level>;

/// The buckets, if limits are on. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct RateLimits(Option<Arc<Mutex<Levels>>>);

impl RateLimits {
    pub(crate) fn new(on: bool) -> Self {
        Self(on.then(Arc::default))
    }

    pub(crate) fn are_on(&self) -> bool {
        self.0.is_some()
    }

    fn take(&self, who: IpAddr, bucket: Bucket, now: i64) -> bool {
        let Some(levels) = &self.0 else { return true };
        let mut levels = levels.lock().unwrap_or_else(PoisonError::into_inner);
        let level = levels.entry((who, bucket)).or_insert(Level { tokens: BURST, at: now });
        // Less than no time is what a clock says that was put back.
        let refilled = (now - level.at).max(0) as f64 * bucket.per_five_minutes() / FIVE_MINUTES_MS;
        *level = Level { tokens: (level.tokens + refilled).min(BURST), at: now };
        let enough = level.tokens >= 1.0;
        if enough {
            level.tokens -= 1.0;
        }
        enough
    }
}

/// Middleware: refuses what is above the limit.
pub(crate) async fn limit(
    State((limits, clock)): State<(RateLimits, Clock)>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let bucket = Bucket::of(request.method(), request.uri().path());
    if bucket.is_some_and(|bucket| !limits.take(peer.ip(), bucket, clock.now_ms())) {
        let code = "over_request_rate_limit";
        return AuthError::new(StatusCode::TOO_MANY_REQUESTS, code, "Request rate limit reached").into_response();
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_fills_again() {
        let limits = RateLimits::new(true);
        let (ada, bob) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let taken = |who, now| (0..40).filter(|_| limits.take(who, Bucket::Token, now)).count();
        assert_eq!(taken(ada, 0), 30);
        assert_eq!(taken(ada, 2_000), 1, "150 in five minutes is one every two seconds");
        assert_eq!(taken(bob, 2_000), 30, "each address alone");
        assert_eq!(taken(ada, 10_000_000), 30, "and never more than the burst");
        assert!(limits.take(ada, Bucket::Verify, 10_000_000), "each kind alone");
        assert_eq!(taken(ada, 0), 0);
        assert_eq!(taken(ada, 2_000), 1, "a clock that was put back locks nobody out");
        assert_eq!(RateLimits::new(false).0.as_ref().map(|_| ()), None);
    }
}
