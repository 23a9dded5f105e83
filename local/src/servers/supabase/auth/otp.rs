//! Sign-in by a code that is sent to an address: `POST /otp`, `/recover`, `/resend` and `/verify`.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use reqwest::Url;
use rusqlite::Connection;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::error::AuthError;
use super::input::{Reply, address, parse};
use super::way_back;
use crate::domain::mail::Letter;
use crate::domain::random;
use crate::servers::supabase::state::Supabase;
use crate::store::flows::{self, Code, Flow};
use crate::store::{sessions, users};

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
    #[serde(flatten)]
    challenge: Challenge,
}

impl OtpRequest {
    /// Where the letter goes. There are no messages to telephones.
    fn address(&self) -> Result<String, AuthError> {
        if self.phone.is_empty() {
            address(&self.email)
        } else {
            Err(AuthError::unprocessable("phone_provider_disabled", "Unsupported phone provider"))
        }
    }
}

/// PKCE's, of a page that wants a code in place of tokens in its address.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Challenge {
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
}

/// Where the link leads, in the query as supabase-js sends it.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Redirect {
    pub(super) redirect_to: String,
}

/// `POST /otp`
pub(super) async fn send(
    State(supabase): State<Supabase>,
    query: Result<Query<Redirect>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Reply {
    supabase.shared.counters.add("auth.otp");
    let Query(Redirect { redirect_to }) = query?;
    let asked: OtpRequest = parse(body)?;
    let email = asked.address()?;
    if asked.create_user == Some(false) && supabase.user(&email).await?.is_none() {
        return Err(AuthError::unprocessable("otp_disabled", "Signups not allowed for otp"));
    }
    let metadata = Value::Object(asked.data.unwrap_or_default());
    write(&supabase, email, "sign-in", metadata, &asked.challenge, &redirect_to).await?;
    Ok(Json(json!({})))
}

/// `POST /recover`, and `POST /resend` alike: a letter only if there is such a user, and an answer that does not tell.
pub(super) async fn recover(
    State(supabase): State<Supabase>,
    query: Result<Query<Redirect>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Reply {
    supabase.shared.counters.add("auth.recover");
    let Query(Redirect { redirect_to }) = query?;
    let asked: OtpRequest = parse(body)?;
    let email = asked.address()?;
    if supabase.user(&email).await?.is_none() {
        return Ok(Json(json!({})));
    }
    write(&supabase, email, "recovery", json!({}), &asked.challenge, &redirect_to).await?;
    Ok(Json(json!({})))
}

/// Keeps a code for this address and puts the letter with it into the mailbox.
pub(super) async fn write(
    supabase: &Supabase,
    email: String,
    purpose: &'static str,
    metadata: Value,
    challenge: &Challenge,
    redirect_to: &str,
) -> Result<Letter, AuthError> {
    let (to, code, now) = (email.clone(), random::digits::<6>()?, supabase.shared.clock.now_ms());
    let kept = Code {
        email,
        code: code.clone(),
        token_hash: random::hex_key()?,
        metadata,
        challenge: challenge.code_challenge.clone().unwrap_or_default(),
        challenge_method: challenge.code_challenge_method.clone().unwrap_or_default().to_ascii_lowercase(),
    };
    let token_hash = kept.token_hash.clone();
    let limited = supabase.rate_limits.are_on();
    let soon = supabase.shared.store.run(move |db| {
        let since = flows::last_code(db, &kept.email)?.map(|last| now - last);
        // A letter of the future is one from before the clock was put right.
        if let Some(since) = since.filter(|since| limited && (0..BETWEEN_LETTERS_MS).contains(since)) {
            return Ok(Some((BETWEEN_LETTERS_MS - since).div_euclid(1000).max(1)));
        }
        flows::put_code(db, &kept, now)?;
        Ok(None)
    });
    if let Some(seconds) = soon.await? {
        let message = format!("For security purposes, you can only request this after {seconds} seconds.");
        return Err(AuthError::new(StatusCode::TOO_MANY_REQUESTS, "over_email_send_rate_limit", message));
    }
    let kind = match purpose {
        "recovery" => "recovery",
        "invitation" => "invite",
        "sign-up" => "signup",
        _ => "magiclink",
    };
    let query = [("token", token_hash.as_str()), ("type", kind), ("redirect_to", redirect_to)];
    let query = query.iter().filter(|(_, value)| !value.is_empty());
    let link = Url::parse_with_params(&format!("{}/verify", supabase.issuer), query)
        .map_err(|why| AuthError::from(anyhow::Error::new(why)))?;
    let letter = Letter { to, code, link: link.into(), token_hash, purpose, sent_at: now };
    supabase.shared.mailbox.send(letter.clone());
    Ok(letter)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Verify {
    r#type: String,
    email: String,
    token: String,
    token_hash: String,
}

fn is_known(kind: &str) -> Result<(), AuthError> {
    match kind {
        "email" | "magiclink" | "signup" | "recovery" | "invite" => Ok(()),
        // No letter or message of these kinds was ever sent.
        "email_change" | "sms" | "phone_change" => Err(expired()),
        _ => Err(AuthError::bad_request("validation_failed", format!("Invalid email verification type {kind:?}"))),
    }
}

fn expired() -> AuthError {
    AuthError::forbidden("otp_expired", "Token has expired or is invalid")
}

/// `POST /verify`: the code, or the hash of its link, becomes a session, and a user if there was none.
pub(crate) async fn verify(State(supabase): State<Supabase>, body: Result<Bytes, BytesRejection>) -> Reply {
    supabase.shared.counters.add("auth.verify");
    let Verify { r#type, email, token, token_hash } = parse(body)?;
    is_known(&r#type)?;
    let also_by_code = !email.is_empty() || !token.is_empty();
    if !token_hash.is_empty() && also_by_code {
        let message = "Only the token_hash and type should be provided";
        return Err(AuthError::bad_request("validation_failed", message));
    }
    let email = if token_hash.is_empty() { address(&email)? } else { email };
    let now = supabase.shared.clock.now_ms();
    let grant = supabase.shared.store.run(move |db| {
        let known = if token_hash.is_empty() {
            flows::take_code(db, &email, token.trim(), now)?.map(|metadata| (email, metadata))
        } else {
            flows::take_hash(db, &token_hash, now)?.map(|code| (code.email, code.metadata))
        };
        let Some((email, metadata)) = known else { return Ok(None) };
        let user = vouched(db, &email, &metadata, now)?;
        user.map(|user| sessions::start(db, user, "otp", now)).transpose()
    });
    Ok(Json(supabase.session(&grant.await?.ok_or_else(expired)?)?))
}

/// The user of an address that was proved, added if there is none.
fn vouched(db: &Connection, email: &str, metadata: &Value, now: i64) -> anyhow::Result<Option<users::User>> {
    match users::by_email(db, email)? {
        Some(user) => Ok(Some(user)),
        None => users::add(db, Some(email), None, metadata, now),
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Opened {
    #[serde(rename = "type")]
    kind: String,
    token: String,
    redirect_to: String,
}

/// `GET /verify`: the link of a letter was opened. Back to the page, with a session or with what went wrong.
pub(super) async fn open(
    State(supabase): State<Supabase>,
    query: Result<Query<Opened>, QueryRejection>,
) -> Result<Response, AuthError> {
    supabase.shared.counters.add("auth.verify");
    let Query(Opened { kind, token, redirect_to }) = query?;
    is_known(&kind)?;
    let mut back = supabase.way_back(&redirect_to)?;
    let now = supabase.shared.clock.now_ms();
    let taken = supabase.shared.store.run(move |db| {
        let Some(code) = flows::take_hash(db, &token, now)? else { return Ok(None) };
        let Some(user) = vouched(db, &code.email, &code.metadata, now)? else { return Ok(None) };
        if code.challenge.is_empty() {
            return Ok(Some(Ok(sessions::start(db, user, "otp", now)?)));
        }
        let flow = Flow { user_id: user.id, challenge: code.challenge, method: code.challenge_method };
        Ok(Some(Err(flows::begin(db, &flow, now)?)))
    });
    let fragment = match taken.await? {
        Some(Err(code)) => {
            back.query_pairs_mut().append_pair("code", &code);
            return Ok(axum::response::Redirect::to(back.as_str()).into_response());
        }
        Some(Ok(grant)) => {
            supabase.session(&grant).map(|session| format!("{}&type={kind}", way_back::session(&session)))
        }
        None => Err(expired()),
    };
    back.set_fragment(Some(&fragment.unwrap_or_else(|error| way_back::problem(&error))));
    Ok(axum::response::Redirect::to(back.as_str()).into_response())
}

impl Supabase {
    pub(super) async fn user(&self, email: &str) -> Result<Option<users::User>, AuthError> {
        let email = email.to_owned();
        Ok(self.shared.store.run(move |db| users::by_email(db, &email)).await?)
    }
}
