//! `functions/v1`: the token function, which is this project's own server module, unchanged.

use std::time::Duration;

use anyhow::Result;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use behest_client::server::axum::route;
use behest_client::server::{Clock, Config, TokenEndpoint};
use serde_json::json;

use crate::counters::Counters;
use crate::identity::Identity;
use crate::origins::Origins;

/// The name under which the function is deployed.
pub(crate) const NAME: &str = "behest-token";

/// What the function's environment holds.
pub(crate) struct Environment<'a> {
    pub(crate) supabase_url: &'a str,
    pub(crate) gateway_url: &'a str,
    /// The interface's address, should it not be loopback: the function may speak plain HTTP to it.
    pub(crate) host: &'a str,
    pub(crate) identity: &'a Identity,
    pub(crate) origins: &'a Origins,
    pub(crate) allow_anonymous: bool,
    pub(crate) clock: crate::Clock,
}

/// The function, set up through the variables it would have on the platform, so that it speaks to the two
/// origins over HTTP as it would there.
pub(crate) fn endpoint(environment: Environment<'_>) -> Result<Router> {
    let Environment { supabase_url, gateway_url, host, identity, origins, allow_anonymous, clock } = environment;
    let config = Config::from_lookup(|name| {
        Some(match name {
            "SUPABASE_URL" => supabase_url.to_owned(),
            "SUPABASE_PUBLISHABLE_KEY" => identity.publishable_key.clone(),
            "BEHEST_BASE_URL" => gateway_url.to_owned(),
            "BEHEST_KEY" => identity.behest_key.expose().clone(),
            "CORS_ORIGIN" => origins.list().join(","),
            "ALLOW_HTTP_HOSTS" => host.to_owned(),
            _ => return None,
        })
    })?;
    let now = move || Duration::from_millis(clock.now_ms().try_into().unwrap_or_default());
    let endpoint = TokenEndpoint::new(config.allow_anonymous(allow_anonymous).clock(Clock::from_fn(now)))?;
    Ok(Router::new().route(&format!("/{NAME}"), route(endpoint)))
}

/// The routes below `functions/v1`, counted. A function answers its own preflights.
pub(crate) fn routes(functions: Router, counters: Counters, origins: Origins) -> Router {
    functions.layer(middleware::from_fn_with_state((counters, origins), count)).fallback(|| async { not_found() })
}

async fn count(State((counters, origins)): State<(Counters, Origins)>, request: Request, next: Next) -> Response {
    origins.refuses(&request, "the token function");
    if request.method() != Method::OPTIONS {
        counters.add(&format!("functions.{NAME}"));
    }
    next.run(request).await
}

fn not_found() -> impl IntoResponse {
    let body = json!({ "code": "NOT_FOUND", "message": "Requested function was not found" });
    (StatusCode::NOT_FOUND, [("sb-error-code", "NOT_FOUND")], Json(body))
}
