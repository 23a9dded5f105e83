//! `POST /v1/auth/mint`: an API key becomes a token for one user.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::token::{Claims, bearer, is_session_id};
use super::{Gateway, GatewayError, ISSUER};
use crate::config::MintReply;
use crate::identity::Identity;

const TTL_SECS: std::ops::RangeInclusive<u64> = 60..=86_400;
const DEFAULT_TTL_SECS: u64 = 3600;
const LONGEST_USER_ID: usize = 255;
const RESERVED: [&str; 3] = ["admin", "dashboard-service", "system"];
const ROLES: [&str; 3] = ["user", "dashboard-service", "admin"];
const AUDIENCE: &str = "behest";

#[derive(Deserialize)]
struct Asked {
    user_id: Option<String>,
    role: Option<String>,
    ttl: Option<u64>,
    session_id: Option<String>,
    tier: Option<Value>,
}

pub(crate) async fn mint(
    State(gateway): State<Gateway>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, GatewayError> {
    gateway.counters.add("mint");
    let key = bearer(&headers)?;
    gateway.check_api_key(key).await?;
    gateway.check_alive()?;
    let asked: Asked = serde_json::from_slice(&body?)
        .map_err(|why| GatewayError::invalid(format!("The body is not the documented JSON: {why}")))?;
    let user_id = asked.user_id.ok_or_else(|| GatewayError::invalid("user_id is missing"))?;
    if asked.role.is_some_and(|role| !ROLES.contains(&role.as_str())) {
        return Err(GatewayError::invalid(format!("role must be one of {}", ROLES.join(", "))));
    }
    let wish = Wish {
        user_id,
        ttl: asked.ttl.unwrap_or(DEFAULT_TTL_SECS),
        session_id: asked.session_id,
        tier: asked.tier.as_ref().map(tier).transpose()?,
    };
    let (user_id, ttl, tier) = (wish.user_id.clone(), wish.ttl, wish.tier);
    let (jwt, session_id) = mint_token(&gateway.identity, gateway.clock.now_secs(), wish)?;
    gateway.activity.minted(&user_id, &session_id, tier, ttl);
    let project_id = &gateway.identity.project_id;
    Ok(Json(match gateway.controls.read().mint_reply {
        MintReply::Jwt => json!({ "jwt": jwt, "project_id": project_id, "ttl": ttl, "session_id": session_id }),
        MintReply::AccessToken => {
            json!({ "access_token": jwt, "token_type": "Bearer", "project_id": project_id, "expires_in": ttl })
        }
    }))
}

/// Whom a token is for.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) user_id: String,
    /// In seconds.
    pub(crate) ttl: u64,
    /// A new UUID if absent.
    pub(crate) session_id: Option<String>,
    pub(crate) tier: Option<u64>,
}

/// A signed token and the session it is for.
pub(crate) fn mint_token(identity: &Identity, now: i64, wish: Wish) -> Result<(String, String), GatewayError> {
    let Wish { user_id, ttl, session_id, tier } = wish;
    check_user_id(&user_id)?;
    if !TTL_SECS.contains(&ttl) {
        return Err(GatewayError::invalid("ttl must be 60 to 86400 seconds"));
    }
    let session_id = session_id.unwrap_or_else(|| Uuid::new_v4().to_string());
    if !is_session_id(&session_id) {
        return Err(GatewayError::invalid("session_id must be 1 to 255 visible ASCII characters"));
    }
    let jwt = identity.gateway_signer.sign(&Claims {
        tid: identity.tenant_id.clone(),
        pid: identity.project_id.clone(),
        uid: user_id,
        // An API key cannot raise a role, whatever was asked for.
        role: "user".to_owned(),
        scp: Vec::new(),
        iss: ISSUER.to_owned(),
        aud: AUDIENCE.to_owned(),
        iat: now,
        nbf: now,
        exp: now.saturating_add_unsigned(ttl),
        jti: Uuid::new_v4().to_string(),
        sid: session_id.clone(),
        tier,
    })?;
    Ok((jwt, session_id))
}

fn check_user_id(user_id: &str) -> Result<(), GatewayError> {
    if !(1..=LONGEST_USER_ID).contains(&user_id.chars().count()) {
        return Err(GatewayError::invalid("user_id must be 1 to 255 characters"));
    }
    if RESERVED.contains(&user_id) {
        return Err(GatewayError::invalid("this user_id is reserved"));
    }
    Ok(())
}

/// Both documented forms: the number, or the plan's name.
fn tier(value: &Value) -> Result<u64, GatewayError> {
    let named = |name: &str| match name {
        "free" => Some(1),
        "pro" => Some(2),
        "max" => Some(3),
        _ => None,
    };
    let tier = value.as_u64().filter(|tier| *tier > 0).or_else(|| value.as_str().and_then(named));
    tier.ok_or_else(|| GatewayError::invalid("tier must be a positive whole number, or free, pro or max"))
}
