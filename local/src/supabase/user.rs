//! Who am I, and sign-out.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::Supabase;
use super::error::AuthError;
use super::session::user_json;
use crate::store::sessions::{self, Scope};

/// `GET /user`
pub(crate) async fn show(State(supabase): State<Supabase>, headers: HeaderMap) -> Result<Json<Value>, AuthError> {
    supabase.counters.add("auth.user");
    let (user, _) = supabase.signed_in(&headers).await?;
    Ok(Json(user_json(&user)))
}

/// `POST /logout?scope=global|local|others`, global if it does not say.
pub(crate) async fn sign_out(
    State(supabase): State<Supabase>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<StatusCode, AuthError> {
    supabase.counters.add("auth.logout");
    let (user, session) = supabase.signed_in(&headers).await?;
    let query = query.unwrap_or_default();
    let scope = match query.split('&').find_map(|pair| pair.strip_prefix("scope=")) {
        None | Some("" | "global") => Scope::Global,
        Some("local") => Scope::Local,
        Some("others") => Scope::Others,
        Some(other) => {
            return Err(AuthError::bad_request("validation_failed", format!("Unsupported logout scope {other:?}")));
        }
    };
    supabase.store.run(move |db| sessions::end(db, scope, &user.id, &session.session_id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
