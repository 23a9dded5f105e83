//! The gateway's own tokens: their claims, and whose token a request carries.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};

use super::{Gateway, GatewayError, ISSUER};
use crate::identity::sha256;
use crate::jwt::{self, Fault};
use crate::store::keys;

/// The claims of a gateway token, in the order of Behest's own signers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) tid: String,
    pub(crate) pid: String,
    pub(crate) uid: String,
    #[serde(default)]
    pub(crate) role: String,
    #[serde(default)]
    pub(crate) scp: Vec<String>,
    pub(crate) iss: String,
    #[serde(default)]
    pub(crate) aud: String,
    #[serde(default)]
    pub(crate) iat: i64,
    #[serde(default)]
    pub(crate) nbf: i64,
    pub(crate) exp: i64,
    #[serde(default)]
    pub(crate) jti: String,
    #[serde(default)]
    pub(crate) sid: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tier: Option<u64>,
}

/// What stands after `Bearer`, the scheme in any case.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<&str, GatewayError> {
    let missing = || GatewayError::missing_token("Send `Authorization: Bearer <token>`");
    let value = headers.get(header::AUTHORIZATION).ok_or_else(missing)?;
    let (scheme, token) = value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or_else(missing)?;
    let token = token.trim();
    if token.is_empty() || !scheme.eq_ignore_ascii_case("bearer") { Err(missing()) } else { Ok(token) }
}

impl Gateway {
    /// The claims of the request's token, whose signature, issuer and life are checked.
    pub(crate) async fn caller(&self, headers: &HeaderMap) -> Result<Claims, GatewayError> {
        let claims = self.claims(headers).await?;
        self.check_alive()?;
        Ok(claims)
    }

    async fn claims(&self, headers: &HeaderMap) -> Result<Claims, GatewayError> {
        let token = bearer(headers)?;
        if token.starts_with("behest_") {
            return Err(GatewayError::token("An API key mints tokens, and only a minted token is accepted here"));
        }
        let now = self.clock.now_secs();
        match self.identity.gateway_signer.verify(token, ISSUER, now) {
            Err(Fault::UnknownKey) => self.signed_by_tenant(token, now).await,
            decided => decided.map_err(refuse),
        }
    }

    /// The claims of a token that a server signed itself with a key that is registered here.
    async fn signed_by_tenant(&self, token: &str, now: i64) -> Result<Claims, GatewayError> {
        let unknown = || refuse(Fault::UnknownKey);
        let kid = jwt::kid(token).ok_or_else(unknown)?;
        let jwk = self.store.run(move |db| keys::signing_key(db, &kid)).await?.ok_or_else(unknown)?;
        let claims: Claims = jwt::verify_with_jwk(&jwk, token, &TENANT_ISSUERS, now).map_err(refuse)?;
        if claims.tid != self.identity.tenant_id || claims.pid != self.identity.project_id {
            let message = "The token is for another tenant or project";
            return Err(GatewayError::new(StatusCode::FORBIDDEN, "forbidden", message));
        }
        if claims.uid.is_empty() {
            return Err(GatewayError::token("the token names no user"));
        }
        Ok(claims)
    }

    /// Is this the project's API key, or another that has not been revoked?
    pub(crate) async fn check_api_key(&self, key: &str) -> Result<(), GatewayError> {
        let first = self.identity.behest_key.expose();
        if verify_slices_are_equal(key.as_bytes(), first.as_bytes()).is_ok() {
            return Ok(());
        }
        // Looked up by its hash, so that the time of the comparison tells nothing about the key.
        let hash = sha256(key);
        if self.store.run(move |db| keys::is_api_key(db, &hash)).await? {
            return Ok(());
        }
        Err(GatewayError::token("This API key is not the project's, or it has been revoked"))
    }
}

/// Issuers that Behest's own libraries write when they sign.
const TENANT_ISSUERS: [&str; 4] = [ISSUER, "https://api.behest.ai", "https://api.behest.app", "behest"];

fn refuse(fault: Fault) -> GatewayError {
    match fault {
        Fault::Expired => GatewayError::expired_token(fault.message()),
        fault => GatewayError::token(fault.message()),
    }
}

/// Can this text name a session: 1 to 255 visible ASCII characters, spaces within?
pub(crate) fn is_session_id(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && text.trim() == text
        && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}
