//! Sign-up, password and anonymous sign-in, refresh.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{RawQuery, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::AuthError;
use super::input::{Reply, address, check_password, parse};
use super::{missing, provider};
use crate::servers::supabase::state::Supabase;
use crate::store::sessions::{self, Refreshed};
use crate::store::users;

#[derive(Deserialize)]
struct SignUp {
    #[serde(default)]
    email: String,
    #[serde(default)]
    phone: String,
    #[serde(default)]
    password: String,
    data: Option<serde_json::Map<String, Value>>,
}

/// `POST /signup`: with an address and a password, or with neither for an anonymous user.
pub(crate) async fn sign_up(State(supabase): State<Supabase>, body: Result<Bytes, BytesRejection>) -> Reply {
    supabase.shared.counters.add("auth.signup");
    let SignUp { email, phone, password, data } = parse(body)?;
    let metadata = Value::Object(data.unwrap_or_default());
    if !phone.is_empty() {
        return Err(AuthError::unprocessable("phone_provider_disabled", "Phone signups are disabled"));
    }
    let (email, hash) = if email.is_empty() {
        if !password.is_empty() {
            return Err(AuthError::bad_request("validation_failed", "To signup, please provide your email"));
        }
        (None, None)
    } else {
        let email = address(&email)?;
        check_password(&password)?;
        (Some(email), Some(supabase.hasher.hash(password).await?))
    };
    let method = if email.is_some() { "password" } else { "anonymous" };
    let now = supabase.shared.clock.now_ms();
    let grant = supabase.shared.store.run(move |db| {
        let user = users::add(db, email.as_deref(), hash.as_deref(), &metadata, now)?;
        user.map(|user| sessions::start(db, user, method, now)).transpose()
    });
    let taken = || AuthError::unprocessable("user_already_exists", "User already registered");
    Ok(Json(supabase.session(&grant.await?.ok_or_else(taken)?)?))
}

/// `POST /token?grant_type=…`
pub(crate) async fn token(
    State(supabase): State<Supabase>,
    RawQuery(query): RawQuery,
    body: Result<Bytes, BytesRejection>,
) -> Reply {
    let query = query.unwrap_or_default();
    match query.split('&').find_map(|pair| pair.strip_prefix("grant_type=")) {
        Some("password") => {
            supabase.shared.counters.add("auth.token.password");
            password_grant(&supabase, parse(body)?).await
        }
        Some("refresh_token") => {
            supabase.shared.counters.add("auth.token.refresh_token");
            refresh_grant(&supabase, parse(body)?).await
        }
        Some("pkce") => {
            supabase.shared.counters.add("auth.token.pkce");
            provider::exchange(&supabase, body).await
        }
        other => Err(missing::grant(other.unwrap_or_default())),
    }
}

#[derive(Deserialize)]
struct PasswordGrant {
    #[serde(default)]
    email: String,
    #[serde(default)]
    phone: String,
    #[serde(default)]
    password: String,
}

async fn password_grant(supabase: &Supabase, asked: PasswordGrant) -> Reply {
    let PasswordGrant { email, phone, password } = asked;
    match (email.is_empty(), phone.is_empty()) {
        (false, false) => {
            let message = "Only an email address or phone number should be provided on login.";
            return Err(AuthError::bad_request("validation_failed", message));
        }
        (true, false) => return Err(AuthError::unprocessable("phone_provider_disabled", "Phone logins are disabled")),
        (true, true) => return Err(AuthError::bad_request("validation_failed", "missing email or phone")),
        (false, true) => {}
    }
    let email = email.trim().to_lowercase();
    let user = supabase.shared.store.run(move |db| users::by_email(db, &email)).await?;
    let stored = user.as_ref().and_then(|user| user.password_hash.clone());
    let fits = supabase.hasher.verify(password, stored).await?;
    let Some(user) = user.filter(|_| fits) else {
        return Err(AuthError::bad_request("invalid_credentials", "Invalid login credentials"));
    };
    let now = supabase.shared.clock.now_ms();
    let grant = supabase.shared.store.run(move |db| sessions::start(db, user, "password", now)).await?;
    Ok(Json(supabase.session(&grant)?))
}

#[derive(Deserialize)]
struct RefreshGrant {
    #[serde(default)]
    refresh_token: String,
}

async fn refresh_grant(supabase: &Supabase, asked: RefreshGrant) -> Reply {
    if asked.refresh_token.is_empty() {
        return Err(AuthError::bad_request("validation_failed", "refresh_token required"));
    }
    let (now, reuse_interval) = (supabase.shared.clock.now_ms(), supabase.reuse_interval);
    let refreshed =
        supabase.shared.store.run(move |db| sessions::refresh(db, &asked.refresh_token, reuse_interval, now));
    match refreshed.await? {
        Refreshed::Granted(grant) => Ok(Json(supabase.session(&grant)?)),
        Refreshed::NotFound => {
            let message = "Invalid Refresh Token: Refresh Token Not Found";
            Err(AuthError::bad_request("refresh_token_not_found", message))
        }
        Refreshed::AlreadyUsed => {
            Err(AuthError::bad_request("refresh_token_already_used", "Invalid Refresh Token: Already Used"))
        }
    }
}

/// A session of the demo user, without a password.
pub(crate) async fn demo_user(supabase: &Supabase, email: &str) -> Result<Value, AuthError> {
    let (email, now) = (email.to_owned(), supabase.shared.clock.now_ms());
    let grant = supabase.shared.store.run(move |db| {
        let user = users::by_email(db, &email)?;
        user.map(|user| sessions::start(db, user, "password", now)).transpose()
    });
    let gone = || AuthError::bad_request("invalid_credentials", "The demo user is gone");
    supabase.session(&grant.await?.ok_or_else(gone)?)
}

/// The user of this address with a new password, added if there is none: for the demo.
pub(crate) async fn ensure_user(supabase: &Supabase, email: &str, password: String) -> anyhow::Result<()> {
    let (email, now) = (email.to_owned(), supabase.shared.clock.now_ms());
    let hash = supabase.hasher.hash(password).await?;
    let ensured = supabase.shared.store.run(move |db| match users::by_email(db, &email)? {
        Some(user) => users::set_password(db, &user.id, &hash, now),
        None => users::add(db, Some(&email), Some(&hash), &json!({}), now).map(drop),
    });
    ensured.await
}
