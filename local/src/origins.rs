//! The exact origins whose pages may call the gateway and the token function.

use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tower_http::cors::{AllowOrigin, CorsLayer};

use anyhow::Result;
use rusqlite::{Connection, OptionalExtension as _};

use crate::activity::Activity;
use crate::counters::Counters;

/// A list of `scheme://host[:port]`; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Origins {
    list: Arc<RwLock<Vec<String>>>,
    counters: Counters,
    activity: Activity,
}

impl Origins {
    pub(crate) fn new(list: Vec<String>, counters: Counters, activity: Activity) -> Self {
        Self { list: Arc::new(RwLock::new(list)), counters, activity }
    }

    pub(crate) fn list(&self) -> Vec<String> {
        self.list.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the list.
    pub(crate) fn set(&self, list: Vec<String>) {
        *self.list.write().unwrap_or_else(PoisonError::into_inner) = list;
    }

    pub(crate) fn allows(&self, origin: &HeaderValue) -> bool {
        let list = self.list.read().unwrap_or_else(PoisonError::into_inner);
        list.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes())
    }

    /// Counts and logs a request from an origin that is not on the list, and says whether it is one.
    pub(crate) fn refuses(&self, request: &Request, server: &str) -> bool {
        let Some(origin) = request.headers().get(header::ORIGIN).filter(|origin| !self.allows(origin)) else {
            return false;
        };
        self.counters.add("cors.refused");
        self.activity.refused(&String::from_utf8_lossy(origin.as_bytes()), server);
        tracing::warn!(
            origin = ?origin,
            "{server} refused a page's origin: add it with --allow-origin if the page is yours"
        );
        true
    }

    /// The list as tower-http takes it.
    pub(crate) fn allow(&self) -> AllowOrigin {
        let origins = self.clone();
        AllowOrigin::predicate(move |origin: &HeaderValue, _: &Parts| origins.allows(origin))
    }
}

/// The name of the setting that holds the list as the dashboard left it.
const KEPT: &str = "origins";

/// Keeps a list in the data file, for the next start.
pub(crate) fn keep(db: &Connection, list: &[String]) -> Result<()> {
    db.execute("INSERT OR REPLACE INTO settings VALUES (?1, ?2)", [KEPT, &list.join("\n")])?;
    Ok(())
}

/// The list that was kept.
pub(crate) fn kept(db: &Connection) -> Result<Vec<String>> {
    let query = "SELECT value FROM settings WHERE name = ?1";
    let text: Option<String> = db.query_row(query, [KEPT], |row| row.get(0)).optional()?;
    Ok(text.unwrap_or_default().lines().map(str::to_owned).collect())
}

/// A comma-separated header list from the wire contract, as tower-http takes it.
pub(crate) fn names<T: std::str::FromStr>(list: &str) -> Vec<T> {
    list.split(',').filter_map(|name| name.trim().parse().ok()).collect()
}

/// Middleware of the gateway: refuses requests from origins that are not on the list, as documented gateways do.
///
/// A preflight goes on to the CORS layer, which answers it without `Access-Control-Allow-Origin`.
pub(crate) async fn guard(State(origins): State<Origins>, request: Request, next: Next) -> Response {
    if !origins.refuses(&request, "the gateway") || is_preflight(&request) {
        return next.run(request).await;
    }
    let message = "This origin is not one of the project's allowed origins";
    let vary = [(header::VARY, "origin")];
    (vary, crate::gateway::GatewayError::new(StatusCode::FORBIDDEN, "forbidden", message)).into_response()
}

fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// What OpenAI's own library adds to calls from a page, as the quickstarts use it; and the header that asks for a fault.
const OTHERS_HEADERS: &str = "user-agent, x-stainless-arch, x-stainless-helper-method, x-stainless-lang, x-stainless-os, \
     x-stainless-package-version, x-stainless-retry-count, x-stainless-runtime, x-stainless-runtime-version, \
     x-stainless-timeout, openai-organization, openai-project, idempotency-key, x-behest-local-fault";

/// The CORS answers of the gateway.
pub(crate) fn gateway_cors(origins: &Origins, exposed: Option<&str>) -> CorsLayer {
    use behest_client::wire::{EXPOSED_HEADERS, GATEWAY_REQUEST_HEADERS};
    CorsLayer::new()
        .allow_origin(origins.allow())
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers(names::<axum::http::HeaderName>(&format!("{GATEWAY_REQUEST_HEADERS}, {OTHERS_HEADERS}")))
        .expose_headers(names::<axum::http::HeaderName>(exposed.unwrap_or(EXPOSED_HEADERS)))
        .max_age(std::time::Duration::from_secs(600))
}

/// Is this an origin as a browser sends it: scheme, host, port, nothing after it?
pub(crate) fn is_origin(text: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(text) else { return false };
    matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_exactly_what_a_browser_sends() {
        for good in ["http://localhost:5173", "https://app.example.com", "http://[::1]:8080"] {
            assert!(is_origin(good), "{good}");
        }
        for bad in ["*", "null", "localhost:5173", "http://localhost:5173/", "https://App.example.com", "https://a:443"]
        {
            assert!(!is_origin(bad), "{bad}");
        }
    }

    #[test]
    fn the_wire_contract_is_taken_whole() {
        let headers: Vec<axum::http::HeaderName> = names(behest_client::wire::GATEWAY_REQUEST_HEADERS);
        assert_eq!(headers.len(), behest_client::wire::GATEWAY_REQUEST_HEADERS.split(',').count());
    }
}
