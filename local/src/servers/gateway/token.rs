//! Whose token a request carries.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::http::{HeaderMap, StatusCode};
use jsonwebtoken::Algorithm;

use super::error::GatewayError;
use super::state::Gateway;
use crate::domain::gateway_token::{AUDIENCE, GatewayClaims, ISSUER};
use crate::domain::identity::sha256;
use crate::domain::jwt::{self, Invalid};
use crate::servers::bearer;
use crate::store::keys;

/// The request's bearer token.
pub(super) fn bearer(headers: &HeaderMap) -> Result<&str, GatewayError> {
    bearer::token(headers).ok_or_else(|| GatewayError::missing_token("Send `Authorization: Bearer <token>`"))
}

impl Gateway {
    /// The claims of the request's token, whose signature, issuer and life are checked.
    pub(crate) async fn caller(&self, headers: &HeaderMap) -> Result<GatewayClaims, GatewayError> {
        let claims = self.claims(headers).await?;
        self.check_alive()?;
        Ok(claims)
    }

    async fn claims(&self, headers: &HeaderMap) -> Result<GatewayClaims, GatewayError> {
        let token = bearer(headers)?;
        if token.starts_with("behest_") {
            return Err(GatewayError::token("An API key mints tokens, and only a minted token is accepted here"));
        }
        let now = self.shared.clock.now_secs();
        match self.shared.identity.gateway_signer.verify(token, ISSUER, AUDIENCE, now) {
            Err(Invalid::UnknownKey) => self.signed_by_tenant(token, now).await,
            decided => decided.map_err(refuse),
        }
    }

    /// The claims of a token that a server signed itself with a key that is registered here.
    async fn signed_by_tenant(&self, token: &str, now: i64) -> Result<GatewayClaims, GatewayError> {
        let unknown = || refuse(Invalid::UnknownKey);
        let kid = jwt::kid(token).ok_or_else(unknown)?;
        let jwk = self.shared.store.run(move |db| keys::signing_key(db, &kid)).await?.ok_or_else(unknown)?;
        let claims: GatewayClaims =
            jwt::verify(&jwk, Algorithm::RS256, token, &TENANT_ISSUERS, AUDIENCE, now).map_err(refuse)?;
        if claims.tid != self.shared.identity.tenant_id || claims.pid != self.shared.identity.project_id {
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
        let first = self.shared.identity.behest_key.expose();
        if verify_slices_are_equal(key.as_bytes(), first.as_bytes()).is_ok() {
            return Ok(());
        }
        // Looked up by its hash, so that the time of the comparison tells nothing about the key.
        let hash = sha256(key);
        if self.shared.store.run(move |db| keys::is_api_key(db, &hash)).await? {
            return Ok(());
        }
        Err(GatewayError::token("This API key is not the project's, or it has been revoked"))
    }
}

/// Issuers that Behest's own libraries write when they sign.
const TENANT_ISSUERS: [&str; 4] = [ISSUER, "https://api.behest.ai", "https://api.behest.app", "behest"];

fn refuse(invalid: Invalid) -> GatewayError {
    match invalid {
        Invalid::Expired => GatewayError::expired_token(invalid.message()),
        invalid => GatewayError::token(invalid.message()),
    }
}
