//! The Supabase origin: `auth/v1`, `rest/v1` and `functions/v1`.

mod bearer;
mod error;
mod function;
mod limits;
mod otp;
mod password;
mod provider;
mod proxy;
mod rest;
mod session;
mod sign_in;
mod user;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tower_http::cors::{Any, CorsLayer};

use crate::activity::{self, Activity};
use crate::clock::Clock;
use crate::counters::Counters;
use crate::faults::{self, Faults};
use crate::identity::Identity;
use crate::mail::Mailbox;
use crate::origins::Origins;
use crate::store::Store;

pub(crate) use function::{Environment, Functions, NAME as FUNCTION_NAME};
pub(crate) use limits::Limits;
pub(crate) use password::Hasher;
pub(crate) use proxy::Proxy;

/// The largest body that Supabase Auth reads.
const BODY_LIMIT: usize = 1024 * 1024;

/// What the handlers of this origin share.
#[derive(Clone)]
pub(crate) struct Supabase {
    pub(crate) store: Store,
    pub(crate) identity: Arc<Identity>,
    pub(crate) clock: Clock,
    pub(crate) counters: Counters,
    pub(crate) hasher: Hasher,
    /// `{supabase_url}/auth/v1`: the `iss` of sessions.
    pub(crate) issuer: String,
    pub(crate) session_ttl: Duration,
    pub(crate) reuse_interval: Duration,
    pub(crate) limits: Limits,
    pub(crate) mailbox: Mailbox,
    pub(crate) activity: Activity,
    pub(crate) faults: Faults,
    /// Where a sign-in through a provider may come back to.
    pub(crate) origins: Origins,
    /// The project's own page, where it comes back to otherwise.
    pub(crate) site_url: Option<String>,
}

impl Supabase {
    /// All routes of this origin. A function owns its CORS answers.
    pub(crate) fn router(self, functions: Functions) -> Router {
        let open = Router::new()
            .route("/.well-known/jwks.json", get(jwks))
            .route("/health", get(health))
            .route("/authorize", get(provider::page).post(provider::come_back));
        let auth = Router::new()
            .route("/signup", post(sign_in::sign_up))
            .route("/token", post(sign_in::token))
            .route("/otp", post(otp::send))
            .route("/recover", post(otp::recover))
            .route("/resend", post(otp::recover))
            .route("/verify", post(otp::verify))
            .route("/user", get(user::show).put(user::update))
            .route("/logout", post(user::sign_out))
            .layer(middleware::from_fn_with_state(self.clone(), require_api_key))
            .merge(open)
            .fallback(|| async { error::AuthError::not_found() })
            .method_not_allowed_fallback(|| async { error::AuthError::method_not_allowed() })
            .layer(middleware::from_fn_with_state(self.clone(), limits::limit))
            .layer(middleware::from_fn(error::write))
            .layer(DefaultBodyLimit::max(BODY_LIMIT))
            .layer(cors());
        let rest = Router::new()
            .route("/{table}", get(rest::read).fallback(rest::write))
            .fallback(|| async { rest::RestError::no_such_path() })
            .layer(middleware::from_fn_with_state(self.clone(), require_api_key))
            .layer(DefaultBodyLimit::max(BODY_LIMIT))
            .layer(cors());
        Router::new()
            .nest("/auth/v1", auth)
            .nest("/rest/v1", rest)
            .with_state(self.clone())
            .nest("/functions/v1", functions.routes(self.clone()))
            .layer(middleware::from_fn_with_state(self.faults, faults::inject))
            .layer(middleware::from_fn_with_state((self.activity, "supabase"), activity::note))
    }
}

/// Any origin may ask, but only with the headers that Supabase's own clients send.
fn cors() -> CorsLayer {
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
            name("x-client-info"),
            name("x-retry-count"),
            name("x-supabase-api-version"),
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

/// The platform's gate in front of `auth/v1` and `rest/v1`: a key in the `apikey` header or query parameter.
async fn require_api_key(State(supabase): State<Supabase>, request: Request, next: Next) -> Response {
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

impl Supabase {
    fn is_api_key(&self, key: &str) -> bool {
        let fits =
            |ours: &str| aws_lc_rs::constant_time::verify_slices_are_equal(key.as_bytes(), ours.as_bytes()).is_ok();
        fits(&self.identity.publishable_key) || fits(self.identity.secret_key.expose())
    }
}

async fn jwks(State(supabase): State<Supabase>) -> Response {
    supabase.counters.add("auth.jwks");
    let cache = (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=600"));
    ([cache], Json(json!({ "keys": supabase.identity.session_signer.jwks() }))).into_response()
}

async fn health() -> Json<Value> {
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "name": "behest-local",
        "description": "A local stand-in for Supabase Auth",
    }))
}
