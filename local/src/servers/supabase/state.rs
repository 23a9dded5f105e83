//! What the handlers of the Supabase origin share.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;

use super::auth::password::Hasher;
use super::auth::rate_limit::RateLimits;
use crate::servers::shared::Shared;

#[derive(Clone)]
pub(crate) struct Supabase {
    pub(crate) shared: Arc<Shared>,
    pub(crate) hasher: Hasher,
    /// `{supabase_url}/auth/v1`: the `iss` of sessions.
    pub(crate) issuer: String,
    pub(crate) session_ttl: Duration,
    pub(crate) reuse_interval: Duration,
    pub(crate) rate_limits: RateLimits,
    /// The project's own page, where a sign-in through a provider comes back to if it names no other.
    pub(crate) site_url: Option<String>,
}

impl Supabase {
    /// Is this the publishable or the secret key?
    pub(super) fn is_api_key(&self, key: &str) -> bool {
        fits(key, &self.shared.identity.publishable_key) || self.is_secret_key(key)
    }

    pub(super) fn is_secret_key(&self, key: &str) -> bool {
        fits(key, self.shared.identity.secret_key.expose())
    }
}

fn fits(key: &str, ours: &str) -> bool {
    verify_slices_are_equal(key.as_bytes(), ours.as_bytes()).is_ok()
}
