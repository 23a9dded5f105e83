//! What this stand-in lacks: refused as by a project that has it switched off.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::any;

use super::error::AuthError;
use crate::servers::supabase::state::Supabase;

pub(super) fn routes() -> Router<Supabase> {
    let refused =
        |status, code, message: &'static str| any(move || async move { AuthError::new(status, code, message) });
    let linking = || refused(StatusCode::NOT_FOUND, "manual_linking_disabled", "Manual linking is disabled");
    let saml = || refused(StatusCode::NOT_FOUND, "saml_provider_disabled", "SAML 2.0 is disabled");
    let enroll =
        refused(StatusCode::UNPROCESSABLE_ENTITY, "mfa_totp_enroll_not_enabled", "Enrolling factors is disabled");
    let factor = || refused(StatusCode::NOT_FOUND, "mfa_factor_not_found", "Factor not found");
    Router::new()
        .route("/user/identities/{*rest}", linking())
        .route("/sso", saml())
        .route("/sso/{*rest}", saml())
        .route("/factors", enroll)
        .route("/factors/{*rest}", factor())
        .route("/admin/users/{id}/factors/{factor}", factor())
}

/// A way to sign in that no project has here.
pub(super) fn grant(kind: &str) -> AuthError {
    match kind {
        "id_token" => {
            AuthError::bad_request("provider_disabled", "Sign-in with the ID token of a provider is disabled")
        }
        "web3" => AuthError::unprocessable("web3_provider_disabled", "Web3 sign-in is disabled"),
        _ => AuthError::bad_request("invalid_credentials", "unsupported_grant_type"),
    }
}
