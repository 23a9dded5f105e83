//! The documented policy: the user's plan in the project's own table.

use std::time::Duration;

use futures_util::future::BoxFuture;
use http::Method;

use super::http::Limits;
use super::platform::log::log;
use super::policy::{Grant, Policy};
use super::supabase::Project;
use super::user::User;
use crate::json::Json;
use crate::text::digits;
use crate::wire::ErrorBody;
use crate::{Error, Reason};

const LIMITS: Limits = Limits::new(Duration::from_secs(5), 64 * 1024);
const FREE: u32 = 1;
/// Supabase lets no request in that has none of the project's keys.
const NO_KEY: &str = "rest/v1 answered 401: SUPABASE_PUBLISHABLE_KEY is not set";

/// The column `plan` of the user's row in `profiles`. `pro` is tier 2, `max` tier 3; everything else, no row and no table
/// included, tier 1.
pub(super) struct ProfilePlan {
    pub(super) project: Project,
    /// Reads past row level security: the filter by the user's id alone decides. Otherwise the user's own token does.
    pub(super) with_secret_key: bool,
}

impl Policy for ProfilePlan {
    fn decide(&self, user: User) -> BoxFuture<'_, Result<Grant, Error>> {
        Box::pin(async move { self.tier(&user).await.map(Grant::tier) })
    }
}

impl ProfilePlan {
    async fn tier(&self, user: &User) -> Result<u32, Error> {
        let rest = match self.with_secret_key {
            true => self.project.as_server(None)?,
            false => self.project.as_application(None, Some(user)),
        };
        let row =
            rest.request(Method::GET, "profiles").query("select", "plan").query("id", &["eq.", user.id()].concat());
        let response = row.single().limits(LIMITS).send().await.map_err(|error| unavailable(error.message()))?;
        let status = response.status().as_u16();
        if status == 200 {
            let row = Json::of_bytes(response.body()).filter(|row| row.is_object()).ok_or_else(|| {
                unavailable("the answer is no JSON object, so it does not come from Supabase's rest/v1")
            })?;
            return Ok(tier_of(row.field("plan").and_then(Json::text).as_deref()));
        }
        let body = ErrorBody::parse(response.body());
        match (status, body.code.as_deref()) {
            // No row: the usual case of a user who has not paid.
            (406, Some("PGRST116")) => Ok(FREE),
            // No such table or column, under its PostgREST and Postgres names.
            (_, Some("PGRST205" | "42P01" | "42703")) => {
                log!(warn, "there is no readable profiles.plan, so every user has tier 1");
                Ok(FREE)
            }
            (403, Some("42501")) => Err(unavailable("the role that asks lacks `grant select on profiles`")),
            (401, None) if !self.with_secret_key && self.project.publishable.preferred(None).is_none() => {
                log!(error, "the user's plan could not be read", why = NO_KEY);
                Err(Error::new(Reason::Misconfigured, NO_KEY))
            }
            (_, code) => {
                let (status, code) = (digits(status.into()), code.unwrap_or_default());
                Err(unavailable(&["rest/v1 answered ", &status, " ", code].concat()))
            }
        }
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
    log!(error, "the user's plan could not be read", why = why);
    Error::new(Reason::PlanUnavailable, "the user's plan could not be read")
}
