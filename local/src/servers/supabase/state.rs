//! What the handlers of the Supabase origin share.

use std::sync::Arc;
use std::time::Duration;

use super::auth::password::Hasher;
use super::auth::rate_limit::RateLimits;
use crate::domain::activity::Activity;
use crate::domain::clock::Clock;
use crate::domain::counters::Counters;
use crate::domain::faults::Faults;
use crate::domain::identity::Identity;
use crate::domain::mail::Mailbox;
use crate::domain::origins::Origins;
use crate::store::Store;

#[derive(Clone)]
pub(crate) struct Supabase {
    pub(crate) store: Store,
    pub(crate) identity: Arc<Identity>,
    pub(crate) clock: Clock,
    pub(crate) counters: Counters,
    pub(crate) hasher: Hasher,
    /// `{supabase_url}/auth/v1`: the `iss` of sessions.
    pub(crate) issuer: String,
    pub(crate) session_ttl: Duration,
    pub(crate) reuse_interval: Duration,
    pub(crate) rate_limits: RateLimits,
    pub(crate) mailbox: Mailbox,
    pub(crate) activity: Activity,
    pub(crate) faults: Faults,
    /// Where a sign-in through a provider may come back to.
    pub(crate) origins: Origins,
    /// The project's own page, where it comes back to otherwise.
    pub(crate) site_url: Option<String>,
}

impl Supabase {
    /// Is this the publishable or the secret key?
    pub(super) fn is_api_key(&self, key: &str) -> bool {
        let fits =
            |ours: &str| aws_lc_rs::constant_time::verify_slices_are_equal(key.as_bytes(), ours.as_bytes()).is_ok();
        fits(&self.identity.publishable_key) || fits(self.identity.secret_key.expose())
    }
}
