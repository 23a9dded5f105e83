//! The token function: this project's own server module, unchanged.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use behest_client::server::axum::route;
use behest_client::server::{Clock, Config, TokenEndpoint};

use crate::domain::clock::Clock as LocalClock;
use crate::domain::identity::Identity;
use crate::domain::origins::Origins;

/// The name under which the token function is deployed.
pub(crate) const NAME: &str = "behest-token";

/// What its environment holds.
pub(crate) struct TokenFunction {
    pub(crate) supabase_url: String,
    pub(crate) gateway_url: String,
    /// The interface's address, should it not be loopback: the function may speak plain HTTP to it.
    pub(crate) host: String,
    pub(crate) identity: Arc<Identity>,
    pub(crate) origins: Origins,
    pub(crate) allow_anonymous: bool,
    pub(crate) clock: LocalClock,
}

impl TokenFunction {
    /// The function, set up through the variables it would have on the platform, so that it speaks to the two
    /// origins over HTTP as it would there.
    pub(super) fn endpoint(&self) -> Result<Router> {
        let config = Config::from_lookup(|name| {
            Some(match name {
                "SUPABASE_URL" => self.supabase_url.clone(),
                "SUPABASE_PUBLISHABLE_KEY" => self.identity.publishable_key.clone(),
                "BEHEST_BASE_URL" => self.gateway_url.clone(),
                "BEHEST_KEY" => self.identity.behest_key.expose().clone(),
                "CORS_ORIGIN" => self.origins.list().join(","),
                "ALLOW_HTTP_HOSTS" => self.host.clone(),
                _ => return None,
            })
        })?;
        let clock = self.clock.clone();
        let now = move || Duration::from_millis(clock.now_ms().try_into().unwrap_or_default());
        let endpoint = TokenEndpoint::new(config.allow_anonymous(self.allow_anonymous).clock(Clock::from_fn(now)))?;
        Ok(Router::new().fallback_service(route(endpoint)))
    }
}
