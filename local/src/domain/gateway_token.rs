//! The gateway's tokens: their claims, and what may be minted.

use anyhow::Result;
use behest_client::wire::is_id;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::identity::Identity;

/// The `iss` of gateway tokens: nobody can take them for Behest's own.
pub(crate) const ISSUER: &str = "behest-local";
/// Their `aud`.
pub(crate) const AUDIENCE: &str = "behest";

pub(crate) const TTL_SECS: std::ops::RangeInclusive<u64> = 60..=86_400;
const LONGEST_USER_ID: usize = 255;
const RESERVED: [&str; 3] = ["admin", "dashboard-service", "system"];

/// The claims of a gateway token, in the order of Behest's own signers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct GatewayClaims {
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

/// Whom a token is for.
#[derive(Debug)]
pub(crate) struct TokenRequest {
    pub(crate) user_id: String,
    /// In seconds.
    pub(crate) ttl: u64,
    pub(crate) session_id: String,
    pub(crate) tier: Option<u64>,
}

impl TokenRequest {
    /// In a new session, if none is named.
    pub(crate) fn new(user_id: String, ttl: u64, session_id: Option<String>, tier: Option<u64>) -> Self {
        let session_id = session_id.unwrap_or_else(|| Uuid::new_v4().to_string());
        Self { user_id, ttl, session_id, tier }
    }

    /// What is wrong with it, if anything is.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if !(1..=LONGEST_USER_ID).contains(&self.user_id.chars().count()) {
            return Err("user_id must be 1 to 255 characters");
        }
        if RESERVED.contains(&self.user_id.as_str()) {
            return Err("this user_id is reserved");
        }
        if !TTL_SECS.contains(&self.ttl) {
            return Err("ttl must be 60 to 86400 seconds");
        }
        if self.tier == Some(0) {
            return Err("tier must be a positive whole number");
        }
        if !is_id(&self.session_id) {
            return Err("session_id must be 1 to 255 visible ASCII characters");
        }
        Ok(())
    }

    /// The token.
    pub(crate) fn sign(&self, identity: &Identity, now: i64) -> Result<String> {
        identity.gateway_signer.sign(&GatewayClaims {
            tid: identity.tenant_id.clone(),
            pid: identity.project_id.clone(),
            uid: self.user_id.clone(),
            // An API key cannot raise a role, whatever was asked for.
            role: "user".to_owned(),
            scp: Vec::new(),
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            iat: now,
            nbf: now,
            exp: now.saturating_add_unsigned(self.ttl),
            jti: Uuid::new_v4().to_string(),
            sid: self.session_id.clone(),
            tier: self.tier,
        })
    }
}
