//! What a signed-in user gets: a tier and a lifetime, or a refusal.

use std::future::Future;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::user::User;
use crate::Error;

/// What a token is minted with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Grant {
    /// The tier: 1 is free, 2 pro, 3 max, unless the project defines others. `None` leaves it to Behest.
    pub tier: Option<u32>,
    /// The token's life, 60 s to 86,400 s. `None` takes the endpoint's default.
    pub ttl: Option<Duration>,
}

impl Grant {
    /// A grant of this tier, with the endpoint's default lifetime.
    pub const fn tier(tier: u32) -> Self {
        Self { tier: Some(tier), ttl: None }
    }

    /// With a lifetime of its own, 60 s to 86,400 s.
    #[must_use]
    pub const fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }
}

/// Decides what a user gets. Any `async` function or closure from [`User`] to a [`Grant`] is one.
///
/// An `Err` refuses. [`Forbidden`](crate::Reason::Forbidden) (403), [`QuotaExceeded`](crate::Reason::QuotaExceeded) (402)
/// and [`RateLimited`](crate::Reason::RateLimited) (429) are meant for this, and their message is shown to the caller. Other
/// reasons are failures of the app's own: they are logged and answered 500, or 503 for
/// [`PlanUnavailable`](crate::Reason::PlanUnavailable) and after 10 s without a decision. Decide by the user's id and your own
/// data, never by anything the user can write, such as `user_metadata`.
pub trait Policy: Send + Sync {
    /// The grant for `user`.
    fn decide(&self, user: User) -> BoxFuture<'_, Result<Grant, Error>>;
}

impl<F, Answer> Policy for F
where
    F: Fn(User) -> Answer + Send + Sync,
    Answer: Future<Output = Result<Grant, Error>> + Send + 'static,
{
    fn decide(&self, user: User) -> BoxFuture<'_, Result<Grant, Error>> {
        Box::pin(self(user))
    }
}
