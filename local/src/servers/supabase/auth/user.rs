//! Who am I, and sign-out.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::AuthError;
use super::input::{address, check_password, merged, parse};
use super::session::user_json;
use crate::servers::supabase::state::Supabase;
use crate::store::sessions::{self, SignOut};
use crate::store::users::{self, Changes};

/// `GET /user`
pub(crate) async fn show(State(supabase): State<Supabase>, headers: HeaderMap) -> Result<Json<Value>, AuthError> {
    supabase.shared.counters.add("auth.user");
    let (user, _) = supabase.signed_in(&headers).await?;
    Ok(Json(user_json(&user)))
}

#[derive(Deserialize)]
struct Change {
    #[serde(default)]
    email: String,
    #[serde(default)]
    phone: String,
    #[serde(default)]
    password: String,
    data: Option<Map<String, Value>>,
    app_metadata: Option<Value>,
}

/// `PUT /user`: a new address, a new password, more metadata. An address makes an anonymous user a permanent one.
pub(crate) async fn update(
    State(supabase): State<Supabase>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, AuthError> {
    supabase.shared.counters.add("auth.user.update");
    let (user, session) = supabase.signed_in(&headers).await?;
    let change: Change = parse(body)?;
    if change.app_metadata.is_some() {
        return Err(AuthError::forbidden("not_admin", "Updating app_metadata requires admin privileges"));
    }
    if !change.phone.is_empty() {
        return Err(AuthError::unprocessable("phone_provider_disabled", "Unsupported phone provider"));
    }
    if user.is_anonymous() && change.email.is_empty() && !change.password.is_empty() {
        let message = "Updating password of an anonymous user without an email or phone is not allowed";
        return Err(AuthError::unprocessable("validation_failed", message));
    }
    let mut changes = Changes::default();
    if !change.email.is_empty() {
        changes.email = Some(address(&change.email)?);
    }
    if !change.password.is_empty() {
        check_password(&change.password)?;
        if supabase.hasher.verify(change.password.clone(), user.password_hash.clone()).await? {
            let message = "New password should be different from the old password.";
            return Err(AuthError::unprocessable("same_password", message));
        }
        changes.password_hash = Some(supabase.hasher.hash(change.password).await?);
    }
    if let Some(data) = change.data {
        changes.metadata = Some(merged(user.metadata.clone(), data));
    }
    let now = supabase.shared.clock.now_ms();
    let changed = supabase.shared.store.run(move |db| {
        let changed = users::change(db, &user.id, &changes, now)?;
        if changed.is_some() && changes.password_hash.is_some() {
            sessions::end_for_new_password(db, &user, &session.session_id)?;
        }
        Ok(changed)
    });
    let taken =
        || AuthError::unprocessable("email_exists", "A user with this email address has already been registered");
    Ok(Json(user_json(&changed.await?.ok_or_else(taken)?)))
}

/// `POST /logout?scope=global|local|others`, global if it does not say.
pub(crate) async fn sign_out(
    State(supabase): State<Supabase>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<StatusCode, AuthError> {
    supabase.shared.counters.add("auth.logout");
    let (user, session) = supabase.signed_in(&headers).await?;
    let query = query.unwrap_or_default();
    let scope = match query.split('&').find_map(|pair| pair.strip_prefix("scope=")) {
        None | Some("" | "global") => SignOut::Global,
        Some("local") => SignOut::Local,
        Some("others") => SignOut::Others,
        Some(other) => {
            return Err(AuthError::bad_request("validation_failed", format!("Unsupported logout scope {other:?}")));
        }
    };
    supabase.shared.store.run(move |db| sessions::end(db, scope, &user.id, &session.session_id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
