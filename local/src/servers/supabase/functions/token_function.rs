//! The token function: this project's own server module, unchanged.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use behest_client::server::axum::route;
use behest_client::server::{Clock, Settings, TokenEndpoint};

use crate::servers::shared::Shared;

/// The name under which the token function is deployed.
pub(crate) const NAME: &str = "behest-token";

/// What its environment holds.
pub(crate) struct TokenFunction {
    pub(crate) shared: Arc<Shared>,
    /// The interface's address, should it not be loopback: the function may speak plain HTTP to it.
    pub(crate) host: String,
    pub(crate) allow_anonymous: bool,
    /// The life of its tokens.
    pub(crate) ttl: Duration,
}

impl TokenFunction {
    /// The function, set up through the variables it would have on the platform, so that it speaks to the two
    /// origins over HTTP as it would there.
    pub(super) fn endpoint(&self) -> Result<Router> {
        let settings = Settings::from_lookup(|name| {
            Some(match name {
                "SUPABASE_URL" => self.shared.supabase_url.clone(),
                "SUPABASE_PUBLISHABLE_KEY" => self.shared.identity.publishable_key.clone(),
                "BEHEST_BASE_URL" => self.shared.gateway_url.clone(),
                "BEHEST_KEY" => self.shared.identity.behest_key.expose().clone(),
                "CORS_ORIGIN" => self.shared.origins.list().join(","),
                "BEHEST_TTL" => self.ttl.as_secs().to_string(),
                "ALLOW_HTTP_HOSTS" => self.host.clone(),
                _ => return None,
            })
        });
        let clock = self.shared.clock.clone();
        let now = move || Duration::from_millis(clock.now_ms().try_into().unwrap_or_default());
        let endpoint = TokenEndpoint::new(settings.allow_anonymous(self.allow_anonymous).clock(Clock::from_fn(now)))?;
        Ok(Router::new().fallback_service(route(endpoint)))
    }
}
