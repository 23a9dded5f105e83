//! What a signed-in user gets: a tier and a lifetime, or a refusal.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderValue, Request};
use serde_json::Value;
use url::Url;

use super::claims::User;
use super::http::{HttpClient, Limits, join};
use crate::wire::ErrorBody;
use crate::{Error, Reason, Secret};

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
/// An `Err` refuses. Its reason decides the status: [`Reason::Forbidden`] (403) and [`Reason::QuotaExceeded`] (402)
/// are meant for this, and the message is shown to the caller. Decide by the user's id and your own data, never by
/// anything the user can write, such as `user_metadata`.
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

/// The documented policy: the column `plan` of the user's row in `profiles`, read under the user's own token so that
/// row level security applies, or with a secret key, if the settings want that. `pro` is tier 2, `max` tier 3; everything else, no row and no table included, tier 1.
pub(super) struct ProfilePlan {
    pub(super) supabase_url: Url,
    pub(super) identity: Identity,
    pub(super) http: Arc<dyn HttpClient>,
}

/// Under whose eyes the plan is read.
pub(super) enum Identity {
    /// The user's own, with the publishable key that says which application asks.
    User(Option<Secret>),
    /// This server's: row level security does not apply, and the filter by the user's id alone decides.
    Server(Secret),
}

const LIMITS: Limits = Limits::new(Duration::from_secs(5), 64 * 1024);
const FREE: u32 = 1;

impl Policy for ProfilePlan {
    fn decide(&self, user: User) -> BoxFuture<'_, Result<Grant, Error>> {
        Box::pin(async move { self.tier(&user).await.map(Grant::tier) })
    }
}

impl ProfilePlan {
    async fn tier(&self, user: &User) -> Result<u32, Error> {
        let request = self.request(user).ok_or_else(|| unavailable("the request cannot be built"))?;
        let response = self.http.send(request, LIMITS).await.map_err(|error| unavailable(&error.to_string()))?;
        let status = response.status().as_u16();
        if status == 200 {
            let row: Value = serde_json::from_slice(response.body())
                .map_err(|_| unavailable("the answer is not JSON, so it does not come from Supabase's rest/v1"))?;
            return Ok(tier_of(row.get("plan").and_then(Value::as_str)));
        }
        let body = ErrorBody::parse(response.body());
        match (status, body.code.as_deref()) {
            // No row: the usual case of a user who has not paid.
            (406, Some("PGRST116")) => Ok(FREE),
            // No such table or column, under its PostgREST and Postgres names.
            (_, Some("PGRST205" | "42P01" | "42703")) => {
                tracing::warn!("there is no readable profiles.plan, so every user has tier {FREE}");
                Ok(FREE)
            }
            (403, Some("42501")) => Err(unavailable("the role that asks lacks `grant select on profiles`")),
            (_, code) => Err(unavailable(&format!("rest/v1 answered {status} {}", code.unwrap_or_default()))),
        }
    }

    fn request(&self, user: &User) -> Option<Request<Bytes>> {
        let mut url = join(&self.supabase_url, "/rest/v1/profiles");
        url.query_pairs_mut().append_pair("select", "plan").append_pair("id", &format!("eq.{}", user.id()));
        let mut request = Request::get(url.as_str()).header(ACCEPT, "application/vnd.pgrst.object+json");
        let key = match &self.identity {
            Identity::Server(key) => Some(key),
            Identity::User(key) => {
                request = request.header(AUTHORIZATION, user.access_token().bearer()?);
                key.as_ref()
            }
        };
        if let Some(key) = key {
            let mut value = HeaderValue::from_str(key.expose()).ok()?;
            value.set_sensitive(true);
            request = request.header("apikey", value);
        }
        request.body(Bytes::new()).ok()
    }
}

fn tier_of(plan: Option<&str>) -> u32 {
    match plan.map(|plan| plan.trim().to_ascii_lowercase()).as_deref() {
        Some("pro") => 2,
        Some("max") => 3,
        _ => FREE,
    }
}

fn unavailable(why: &str) -> Error {
    tracing::error!(why, "the user's plan could not be read");
    Error::new(Reason::PlanUnavailable, "the user's plan could not be read")
}
