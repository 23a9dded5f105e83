//! Sign-in by a code that is sent to an address: `POST /otp`, `/recover`, `/resend` and `/verify`.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::error::AuthError;
use super::input::{Reply, address, parse};
use crate::domain::mail::Letter;
use crate::domain::random;
use crate::servers::supabase::state::Supabase;
use crate::store::{flows, sessions, users};

/// As hosted projects are set: one letter a minute to an address.
const BETWEEN_LETTERS_MS: i64 = 60_000;

#[derive(Deserialize)]
struct OtpRequest {
    #[serde(default)]
    email: String,
    #[serde(default)]
    phone: String,
    create_user: Option<bool>,
    data: Option<Map<String, Value>>,
}

/// `POST /otp`
pub(crate) async fn send(State(supabase): State<Supabase>, body: Result<Bytes, BytesRejection>) -> Reply {
    supabase.shared.counters.add("auth.otp");
    let asked: OtpRequest = parse(body)?;
    if !asked.phone.is_empty() {
        return Err(AuthError::unprocessable("phone_provider_disabled", "Unsupported phone provider"));
    }
    let email = address(&asked.email)?;
    if asked.create_user == Some(false) && supabase.user(&email).await?.is_none() {
        return Err(AuthError::unprocessable("otp_disabled", "Signups not allowed for otp"));
    }
    letter(&supabase, email, "sign-in", Value::Object(asked.data.unwrap_or_default())).await
}

/// `POST /recover`, and `POST /resend` alike: a letter only if there is such a user, and an answer that does not tell.
pub(crate) async fn recover(State(supabase): State<Supabase>, body: Result<Bytes, BytesRejection>) -> Reply {
    supabase.shared.counters.add("auth.recover");
    let asked: OtpRequest = parse(body)?;
    let email = address(&asked.email)?;
    if supabase.user(&email).await?.is_none() {
        return Ok(Json(json!({})));
    }
    letter(&supabase, email, "recovery", json!({})).await
}

async fn letter(supabase: &Supabase, email: String, purpose: &'static str, metadata: Value) -> Reply {
    let (to, code, now) = (email.clone(), random::digits::<6>()?, supabase.shared.clock.now_ms());
    let sent = code.clone();
    let limited = supabase.rate_limits.are_on();
    let soon = supabase.shared.store.run(move |db| {
        let next = flows::last_code(db, &email)?.unwrap_or(i64::MIN / 2) + BETWEEN_LETTERS_MS;
        if limited && now < next {
            return Ok(Some((next - now).div_euclid(1000).max(1)));
        }
        flows::put_code(db, &email, &sent, &metadata, now)?;
        Ok(None)
    });
    if let Some(seconds) = soon.await? {
        let message = format!("For security purposes, you can only request this after {seconds} seconds.");
        return Err(AuthError::new(StatusCode::TOO_MANY_REQUESTS, "over_email_send_rate_limit", message));
    }
    supabase.shared.mailbox.send(Letter { to, code, purpose, sent_at: now });
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
struct Verify {
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    token: String,
}

/// `POST /verify`: the code becomes a session, and a user if there was none.
pub(crate) async fn verify(State(supabase): State<Supabase>, body: Result<Bytes, BytesRejection>) -> Reply {
    supabase.shared.counters.add("auth.verify");
    let Verify { r#type, email, token } = parse(body)?;
    if !matches!(r#type.as_str(), "email" | "magiclink" | "signup" | "recovery") {
        return Err(AuthError::bad_request("validation_failed", format!("Invalid email verification type {type:?}")));
    }
    let email = address(&email)?;
    let now = supabase.shared.clock.now_ms();
    let grant = supabase.shared.store.run(move |db| {
        let Some(metadata) = flows::take_code(db, &email, token.trim(), now)? else { return Ok(None) };
        let user = match users::by_email(db, &email)? {
            Some(user) => Some(user),
            None => users::add(db, Some(&email), None, &metadata, now)?,
        };
        user.map(|user| sessions::start(db, user, "otp", now)).transpose()
    });
    let invalid = || AuthError::forbidden("otp_expired", "Token has expired or is invalid");
    Ok(Json(supabase.session(&grant.await?.ok_or_else(invalid)?)?))
}

impl Supabase {
    async fn user(&self, email: &str) -> Result<Option<users::User>, AuthError> {
        let email = email.to_owned();
        Ok(self.shared.store.run(move |db| users::by_email(db, &email)).await?)
    }
}
