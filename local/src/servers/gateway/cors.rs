//! Which pages the gateway answers.

use std::str::FromStr;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use behest_client::wire::{EXPOSED_HEADERS, GATEWAY_REQUEST_HEADERS};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::error::GatewayError;
use crate::domain::origins::Origins;

/// What OpenAI's own library adds to calls from a page, as the quickstarts use it; and the header that asks for a fault.
const OTHERS_HEADERS: &str = "user-agent, x-stainless-arch, x-stainless-helper-method, x-stainless-lang, x-stainless-os, \
     x-stainless-package-version, x-stainless-retry-count, x-stainless-runtime, x-stainless-runtime-version, \
     x-stainless-timeout, openai-organization, openai-project, idempotency-key, x-behest-local-fault";

/// Refuses requests from origins that are not on the list, as documented gateways do.
///
/// A preflight goes on to the CORS layer, which answers it without `Access-Control-Allow-Origin`.
pub(super) async fn guard(State(origins): State<Origins>, request: Request, next: Next) -> Response {
    if !origins.refuses(request.headers(), "the gateway") || is_preflight(&request) {
        return next.run(request).await;
    }
    let message = "This origin is not one of the project's allowed origins";
    let vary = [(header::VARY, "origin")];
    (vary, GatewayError::new(StatusCode::FORBIDDEN, "forbidden", message)).into_response()
}

fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The CORS answers of the gateway.
pub(super) fn layer(origins: &Origins, exposed: Option<&str>) -> CorsLayer {
    let origins = origins.clone();
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin: &HeaderValue, _: &Parts| origins.allows(origin)))
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers(names::<HeaderName>(&format!("{GATEWAY_REQUEST_HEADERS}, {OTHERS_HEADERS}")))
        .expose_headers(names::<HeaderName>(exposed.unwrap_or(EXPOSED_HEADERS)))
        .max_age(Duration::from_secs(600))
}

/// A comma-separated header list from the wire contract, as tower-http takes it.
fn names<T: FromStr>(list: &str) -> Vec<T> {
    list.split(',').filter_map(|name| name.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_contract_is_taken_whole() {
        let headers: Vec<HeaderName> = names(GATEWAY_REQUEST_HEADERS);
        assert_eq!(headers.len(), GATEWAY_REQUEST_HEADERS.split(',').count());
    }
}
