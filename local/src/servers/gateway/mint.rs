//! `POST /v1/auth/mint`: an API key becomes a token for one user.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::GatewayError;
use super::state::Gateway;
use super::token::bearer;
use crate::domain::controls::MintReply;
use crate::domain::gateway_token::TokenRequest;

const DEFAULT_TTL_SECS: u64 = 3600;
const ROLES: [&str; 3] = ["user", "dashboard-service", "admin"];

#[derive(Deserialize)]
struct MintRequest {
    user_id: Option<String>,
    role: Option<String>,
    ttl: Option<u64>,
    session_id: Option<String>,
    tier: Option<Value>,
}

pub(super) async fn mint(
    State(gateway): State<Gateway>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, GatewayError> {
    gateway.shared.counters.add("mint");
    let key = bearer(&headers)?;
    gateway.check_api_key(key).await?;
    gateway.check_alive()?;
    let asked: MintRequest = serde_json::from_slice(&body?)
        .map_err(|why| GatewayError::invalid(format!("The body is not the documented JSON: {why}")))?;
    let user_id = asked.user_id.ok_or_else(|| GatewayError::invalid("user_id is missing"))?;
    if asked.role.is_some_and(|role| !ROLES.contains(&role.as_str())) {
        return Err(GatewayError::invalid(format!("role must be one of {}", ROLES.join(", "))));
    }
    let ttl = asked.ttl.unwrap_or(DEFAULT_TTL_SECS);
    let tier = asked.tier.as_ref().map(tier).transpose()?;
    let request = TokenRequest::new(user_id, ttl, asked.session_id, tier);
    request.check().map_err(GatewayError::invalid)?;
    let jwt = request.sign(&gateway.shared.identity, gateway.shared.clock.now_secs())?;
    let TokenRequest { user_id, session_id, .. } = request;
    gateway.shared.activity.minted(&user_id, &session_id, tier, ttl);
    let project_id = &gateway.shared.identity.project_id;
    Ok(Json(match gateway.shared.controls.read().mint_reply {
        MintReply::Jwt => json!({ "jwt": jwt, "project_id": project_id, "ttl": ttl, "session_id": session_id }),
        MintReply::AccessToken => {
            json!({ "access_token": jwt, "token_type": "Bearer", "project_id": project_id, "expires_in": ttl })
        }
    }))
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
