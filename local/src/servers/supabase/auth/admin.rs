//! What a server with the secret key may do to users: `/admin/users`, `/admin/generate_link` and `/invite`.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::error::AuthError;
use super::input::{Reply, address, check_password, merged, parse};
use super::otp::{self, Challenge, Redirect};
use super::password::is_hash;
use super::session::{AUTHENTICATED, user_json};
use crate::servers::bearer;
use crate::servers::supabase::state::Supabase;
use crate::store::sessions::{self, SignOut};
use crate::store::users::{self, Changes, User};

/// Middleware: the secret key must come in either header, as supabase-js sends it in both.
pub(super) async fn secret_key(State(supabase): State<Supabase>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let key = headers.get("apikey").and_then(|value| value.to_str().ok());
    if [key, bearer::token(headers)].into_iter().flatten().any(|key| supabase.is_secret_key(key)) {
        return next.run(request).await;
    }
    AuthError::forbidden("not_admin", "User not allowed: this needs the project's secret key").into_response()
}

fn unknown() -> AuthError {
    AuthError::new(StatusCode::NOT_FOUND, "user_not_found", "User not found")
}

fn taken() -> AuthError {
    AuthError::unprocessable("email_exists", "A user with this email address has already been registered")
}

/// As texts: supabase for Python sends both empty.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Paging {
    page: String,
    per_page: String,
}

/// `GET /admin/users?page=1&per_page=50`
pub(super) async fn list(
    State(supabase): State<Supabase>,
    query: Result<Query<Paging>, QueryRejection>,
) -> Result<Response, AuthError> {
    let Query(Paging { page, per_page }) = query?;
    let number = |name: &str, text: &str, otherwise: i64| match text {
        "" => Ok(otherwise),
        text => {
            text.parse().map_err(|_| AuthError::bad_request("validation_failed", format!("{name} must be a number")))
        }
    };
    let page = number("page", &page, 1)?.max(1);
    let per_page = number("per_page", &per_page, 50)?.clamp(1, 1000);
    let offset = (page - 1).saturating_mul(per_page);
    let (users, total) = supabase.shared.store.run(move |db| users::page(db, offset, per_page)).await?;
    let users: Vec<Value> = users.iter().map(user_json).collect();
    let last = (total + per_page - 1).div_euclid(per_page).max(1);
    let to = |page: i64, rel: &str| format!("</admin/users?page={page}&per_page={per_page}>; rel=\"{rel}\"");
    let links = if page < last { vec![to(page + 1, "next"), to(last, "last")] } else { vec![to(last, "last")] };
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_static("x-total-count"), HeaderValue::from(total));
    if let Ok(links) = HeaderValue::try_from(links.join(", ")) {
        headers.insert(header::LINK, links);
    }
    Ok((headers, Json(json!({ "users": users, "aud": AUTHENTICATED }))).into_response())
}

/// A user's id, as it stands in the path.
type Id = Result<Path<String>, PathRejection>;

/// `GET /admin/users/{id}`
pub(super) async fn show(State(supabase): State<Supabase>, id: Id) -> Reply {
    let Path(id) = id?;
    let user = supabase.shared.store.run(move |db| users::by_id(db, &id)).await?;
    Ok(Json(user_json(&user.ok_or_else(unknown)?)))
}

/// `GET /admin/users/{id}/factors`: nobody has one.
pub(super) async fn factors(State(supabase): State<Supabase>, id: Id) -> Reply {
    show(State(supabase), id).await.map(|_| Json(json!([])))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Attributes {
    /// Of somebody new.
    id: String,
    role: String,
    email: String,
    phone: String,
    password: String,
    /// Of somebody new.
    password_hash: String,
    user_metadata: Option<Map<String, Value>>,
    app_metadata: Option<Map<String, Value>>,
    ban_duration: Option<String>,
}

impl Attributes {
    /// What changes about `user`, or about somebody new.
    async fn changes(self, supabase: &Supabase, user: Option<&User>) -> Result<Changes, AuthError> {
        if !self.phone.is_empty() {
            return Err(AuthError::unprocessable("phone_provider_disabled", "Unsupported phone provider"));
        }
        let mut changes = Changes::default();
        if !self.email.is_empty() {
            changes.email = Some(address(&self.email)?);
        }
        changes.role = Some(self.role).filter(|role| !role.is_empty());
        if !self.password.is_empty() {
            check_password(&self.password)?;
            changes.password_hash = Some(supabase.hasher.hash(self.password).await?);
        }
        let before = |of: fn(&User) -> &Value| user.map_or_else(|| json!({}), |user| of(user).clone());
        changes.metadata = self.user_metadata.map(|new| merged(before(|user| &user.metadata), new));
        changes.app_metadata = self.app_metadata.map(|new| merged(before(|user| &user.app_metadata), new));
        changes.banned_until = match self.ban_duration.as_deref() {
            None => None,
            Some("none") => Some(None),
            Some(text) => {
                let ban = duration(text).ok_or_else(|| {
                    let message = "invalid format for ban duration: write 24h, 1h30m or none";
                    AuthError::bad_request("validation_failed", message)
                })?;
                let now = supabase.shared.clock.now_ms();
                Some(Some(now.saturating_add(i64::try_from(ban.as_millis()).unwrap_or(i64::MAX))))
            }
        };
        Ok(changes)
    }
}

/// `POST /admin/users`
pub(super) async fn create(State(supabase): State<Supabase>, body: Result<Bytes, BytesRejection>) -> Reply {
    let invalid = |message: &'static str| AuthError::bad_request("validation_failed", message);
    let mut asked: Attributes = parse(body)?;
    let id = match std::mem::take(&mut asked.id).as_str() {
        "" => Uuid::new_v4(),
        id => Uuid::parse_str(id).map_err(|_| invalid("ID must conform to the uuid v4 format"))?,
    };
    if id.is_nil() {
        return Err(invalid("ID cannot be a nil uuid"));
    }
    let hash = std::mem::take(&mut asked.password_hash);
    if !hash.is_empty() && !asked.password.is_empty() {
        return Err(invalid("Only a password or a password hash should be provided"));
    }
    if !hash.is_empty() && !is_hash(&hash) {
        return Err(invalid("password_hash must be one of Argon2 ($argon2id$…): behest-local checks no others"));
    }
    let mut changes = asked.changes(&supabase, None).await?;
    changes.password_hash = changes.password_hash.or(Some(hash).filter(|hash| !hash.is_empty()));
    let email = changes.email.clone().ok_or_else(|| invalid("Cannot create a user without an email"))?;
    let now = supabase.shared.clock.now_ms();
    let user = supabase.shared.store.run(move |db| {
        let id = id.to_string();
        if users::by_id(db, &id)?.is_some() {
            let message = "A user with this id has already been registered";
            return Ok(Err(AuthError::new(StatusCode::CONFLICT, "conflict", message)));
        }
        let added = users::add_as(db, &id, Some(&email), None, &json!({}), now)?;
        let user = added.map(|user| users::change(db, &user.id, &changes, now)).transpose()?;
        Ok(user.flatten().ok_or_else(taken))
    });
    Ok(Json(user_json(&user.await??)))
}

/// `PUT /admin/users/{id}`
pub(super) async fn update(State(supabase): State<Supabase>, id: Id, body: Result<Bytes, BytesRejection>) -> Reply {
    let Path(id) = id?;
    let asked: Attributes = parse(body)?;
    let user = supabase.shared.store.run(move |db| users::by_id(db, &id)).await?.ok_or_else(unknown)?;
    let changes = asked.changes(&supabase, Some(&user)).await?;
    let now = supabase.shared.clock.now_ms();
    let changed = supabase.shared.store.run(move |db| {
        let Some(changed) = users::change(db, &user.id, &changes, now)? else { return Ok(None) };
        if changes.banned_until.flatten().is_some() {
            sessions::end(db, SignOut::Global, &user.id, "")?;
        }
        if changes.password_hash.is_some() {
            sessions::end_for_new_password(db, &user, "")?;
        }
        Ok(Some(changed))
    });
    Ok(Json(user_json(&changed.await?.ok_or_else(taken)?)))
}

/// `DELETE /admin/users/{id}`
pub(super) async fn delete(State(supabase): State<Supabase>, id: Id) -> Reply {
    let Path(id) = id?;
    if supabase.shared.store.run(move |db| users::delete(db, &id)).await? {
        Ok(Json(json!({})))
    } else {
        Err(unknown())
    }
}

#[derive(Deserialize)]
struct Link {
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
    data: Option<Map<String, Value>>,
    redirect_to: Option<String>,
}

/// `POST /admin/generate_link`: what a letter would hold, for servers that send it themselves.
pub(super) async fn generate_link(State(supabase): State<Supabase>, body: Result<Bytes, BytesRejection>) -> Reply {
    let Link { r#type: mut kind, email, password, data, redirect_to } = parse(body)?;
    let email = address(&email)?;
    let known = supabase.user(&email).await?;
    let purpose = match (kind.as_str(), &known) {
        ("signup" | "invite", Some(_)) => return Err(taken()),
        ("recovery", None) => return Err(unknown()),
        ("signup", None) => "sign-up",
        ("invite", None) => "invitation",
        ("recovery", Some(_)) => "recovery",
        ("magiclink", Some(_)) => "sign-in",
        // Whoever is not known yet signs up by it.
        ("magiclink", None) => {
            "signup".clone_into(&mut kind);
            "sign-up"
        }
        _ => return Err(AuthError::bad_request("validation_failed", "Invalid email action link type requested")),
    };
    let user = match known {
        Some(user) => user,
        None => {
            let hash = match password.as_str() {
                "" => None,
                _ => {
                    check_password(&password)?;
                    Some(supabase.hasher.hash(password).await?)
                }
            };
            let (to, metadata, now) = (email.clone(), json!(data.unwrap_or_default()), supabase.shared.clock.now_ms());
            let added = supabase.shared.store.run(move |db| users::add(db, Some(&to), hash.as_deref(), &metadata, now));
            added.await?.ok_or_else(taken)?
        }
    };
    let redirect = redirect_to.unwrap_or_default();
    let letter = otp::write(&supabase, email, purpose, json!({}), &Challenge::default(), &redirect).await?;
    let mut reply = user_json(&user);
    reply["action_link"] = json!(letter.link);
    reply["email_otp"] = json!(letter.code);
    reply["hashed_token"] = json!(letter.token_hash);
    reply["redirect_to"] = json!(redirect);
    reply["verification_type"] = json!(kind);
    Ok(Json(reply))
}

#[derive(Deserialize)]
struct Invitation {
    #[serde(default)]
    email: String,
    data: Option<Map<String, Value>>,
}

/// `POST /invite`: somebody new, and a letter with the way in.
pub(super) async fn invite(
    State(supabase): State<Supabase>,
    query: Result<Query<Redirect>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Reply {
    let Query(Redirect { redirect_to }) = query?;
    let Invitation { email, data } = parse(body)?;
    let (email, data, now) = (address(&email)?, json!(data.unwrap_or_default()), supabase.shared.clock.now_ms());
    let (to, metadata) = (email.clone(), data.clone());
    let user = supabase.shared.store.run(move |db| users::add(db, Some(&to), None, &metadata, now));
    let user = user.await?.ok_or_else(taken)?;
    otp::write(&supabase, email, "invitation", data, &Challenge::default(), &redirect_to).await?;
    Ok(Json(user_json(&user)))
}

/// As Go writes durations, in the units that make sense here: `1h30m`, `45s`.
fn duration(text: &str) -> Option<Duration> {
    let (mut seconds, mut digits) = (0_u64, String::new());
    for c in text.chars() {
        let unit = match c {
            '0'..='9' => {
                digits.push(c);
                continue;
            }
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        seconds = seconds.checked_add(digits.parse::<u64>().ok()?.checked_mul(unit)?)?;
        digits.clear();
    }
    // No duration of Go's is longer than so many nanoseconds.
    (digits.is_empty() && (1..=i64::MAX as u64 / 1_000_000_000).contains(&seconds))
        .then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_in_go() {
        let seconds = |text| duration(text).map(|duration| duration.as_secs());
        assert_eq!((seconds("24h"), seconds("1h30m"), seconds("45s")), (Some(86_400), Some(5400), Some(45)));
        for bad in ["", "0s", "h", "24", "1d", "-1h", "9999999999h", "99999999999999999999h"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }
}
