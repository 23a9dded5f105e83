//! Supabase Auth.

mod admin;
pub(super) mod error;
mod input;
mod missing;
mod otp;
pub(super) mod password;
mod provider;
pub(super) mod rate_limit;
pub(super) mod session;
pub(super) mod sign_in;
mod user;
mod way_back;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use serde_json::{Value, json};

use self::error::AuthError;
use super::gate::require_api_key;
use super::state::Supabase;
use crate::servers::inject_faults::{self, Injector};

/// The routes below `auth/v1`.
pub(super) fn routes(supabase: &Supabase, faults: Injector) -> Router<Supabase> {
    let open = Router::new()
        .route("/.well-known/jwks.json", get(jwks))
        .route("/health", get(health))
        // Whoever only looks where a link leads (HEAD) must not use it up.
        .route("/verify", get(otp::open).head(|| async { AuthError::method_not_allowed() }))
        .route("/authorize", get(provider::page).post(provider::come_back));
    let limits = (supabase.rate_limits.clone(), supabase.shared.clock.clone());
    let admin = Router::new()
        .route("/users", get(admin::list).post(admin::create))
        .route("/users/{id}", get(admin::show).put(admin::update).delete(admin::delete))
        .route("/users/{id}/factors", get(admin::factors))
        .route("/generate_link", post(admin::generate_link))
        .layer(middleware::from_fn_with_state(supabase.clone(), admin::secret_key));
    let invite = post(admin::invite).layer(middleware::from_fn_with_state(supabase.clone(), admin::secret_key));
    Router::new()
        .nest("/admin", admin)
        .route("/invite", invite)
        .route("/signup", post(sign_in::sign_up))
        .route("/token", post(sign_in::token))
        .route("/otp", post(otp::send))
        .route("/recover", post(otp::recover))
        .route("/resend", post(otp::recover))
        .route("/verify", post(otp::verify))
        .route("/settings", get(settings))
        .route("/user", get(user::show).put(user::update))
        .route("/logout", post(user::sign_out))
        .merge(missing::routes())
        .layer(middleware::from_fn_with_state(supabase.clone(), require_api_key))
        .merge(open)
        .fallback(|| async { AuthError::not_found() })
        .method_not_allowed_fallback(|| async { AuthError::method_not_allowed() })
        .layer(middleware::from_fn_with_state(limits, rate_limit::limit))
        .layer(middleware::from_fn_with_state(faults, inject_faults::inject))
        .layer(middleware::from_fn(error::write))
}

async fn jwks(State(supabase): State<Supabase>) -> Response {
    supabase.shared.counters.add("auth.jwks");
    let cache = (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=600"));
    ([cache], Json(json!({ "keys": supabase.shared.identity.session_signer.jwks() }))).into_response()
}

async fn health() -> Json<Value> {
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "name": "behest-local",
        "description": "A local stand-in for Supabase Auth",
    }))
}

/// What clients ask before they show a sign-in form.
async fn settings() -> Json<Value> {
    Json(json!({
        "external": { "anonymous_users": true, "email": true, "phone": false, "google": true, "github": true },
        "disable_signup": false,
        "mailer_autoconfirm": true,
        "phone_autoconfirm": false,
        "sms_provider": "",
        "saml_enabled": false,
    }))
}
