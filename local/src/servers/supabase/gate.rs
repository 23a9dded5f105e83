//! What stands before `auth/v1` and `rest/v1`.

use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderName, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use tower_http::cors::{AllowHeaders, AllowMethods, Any, CorsLayer};

use super::state::Supabase;
use crate::servers::inject_faults::HEADER;

/// Any origin may ask, but only with the headers that Supabase's own clients send.
pub(super) fn cors() -> CorsLayer {
    let name = HeaderName::from_static;
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::ACCEPT,
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::RANGE,
            name("accept-profile"),
            name("apikey"),
            name("content-profile"),
            name("prefer"),
            name(HEADER),
            name("x-client-info"),
            name("x-retry-count"),
            name("x-supabase-api-version"),
            // Of a call that takes part in a trace.
            name("traceparent"),
            name("tracestate"),
            name("baggage"),
        ])
        .expose_headers([
            header::CONTENT_RANGE,
            header::LINK,
            name("x-supabase-api-version"),
            name("x-sb-error-code"),
            name("x-total-count"),
        ])
        .max_age(Duration::from_secs(600))
}

/// As a page may ask whatever is not here.
pub(super) fn any_cors() -> CorsLayer {
    cors().allow_headers(AllowHeaders::mirror_request()).allow_methods(AllowMethods::mirror_request())
}

/// Any other part of Supabase, such as `storage/v1`: pages can read that it is not here.
pub(super) async fn not_here(uri: Uri) -> Response {
    let message = format!("behest-local has auth/v1, rest/v1 and functions/v1, and nothing at {}", uri.path());
    (StatusCode::NOT_FOUND, Json(json!({ "code": "not_found", "message": message }))).into_response()
}

/// The platform's gate in front of `auth/v1` and `rest/v1`: a key in the `apikey` header or query parameter.
pub(super) async fn require_api_key(State(supabase): State<Supabase>, request: Request, next: Next) -> Response {
    let in_query = || {
        let query = request.uri().query().unwrap_or_default();
        query.split('&').find_map(|pair| pair.strip_prefix("apikey="))
    };
    let in_header = request.headers().get("apikey").and_then(|value| value.to_str().ok());
    let refusal = match in_header.or_else(in_query) {
        Some(key) if supabase.is_api_key(key) => return next.run(request).await,
        Some(_) => json!({
            "message": "Invalid API key",
            "hint": "Double check your Supabase `anon` or `service_role` API key.",
        }),
        None => json!({
            "message": "No API key found in request",
            "hint": "No `apikey` request header or url param was found.",
        }),
    };
    (StatusCode::UNAUTHORIZED, Json(refusal)).into_response()
}
