//! The gateway's own tokens: their claims, and whose token a request carries.

use axum::http::{HeaderMap, header};
use serde::{Deserialize, Serialize};

use super::{Gateway, GatewayError, ISSUER};

/// The claims of a gateway token, in the order of Behest's own signers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) tid: String,
    pub(crate) pid: String,
    pub(crate) uid: String,
    pub(crate) role: String,
    pub(crate) scp: Vec<String>,
    pub(crate) iss: String,
    pub(crate) aud: String,
    pub(crate) iat: i64,
    pub(crate) nbf: i64,
    pub(crate) exp: i64,
    pub(crate) jti: String,
    pub(crate) sid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tier: Option<u64>,
}

/// What stands after `Bearer`, the scheme in any case.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<&str, GatewayError> {
    let missing = || GatewayError::token("Send `Authorization: Bearer <token>`");
    let value = headers.get(header::AUTHORIZATION).ok_or_else(missing)?;
    let (scheme, token) = value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or_else(missing)?;
    let token = token.trim();
    if token.is_empty() || !scheme.eq_ignore_ascii_case("bearer") { Err(missing()) } else { Ok(token) }
}

impl Gateway {
    /// The claims of the request's token, whose signature, issuer and life are checked.
    pub(crate) fn caller(&self, headers: &HeaderMap) -> Result<Claims, GatewayError> {
        let token = bearer(headers)?;
        if token.starts_with("behest_") {
            return Err(GatewayError::token("An API key mints tokens, and only a minted token is accepted here"));
        }
        self.identity
            .gateway_signer
            .verify(token, ISSUER, self.clock.now_secs())
            .map_err(|fault| GatewayError::token(fault.message()))
    }
}

/// Can this text name a session: 1 to 255 visible ASCII characters, spaces within?
pub(crate) fn is_session_id(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && text.trim() == text
        && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}
