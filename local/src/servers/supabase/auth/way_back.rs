//! How a browser comes back to the page that sent it here.

use axum::http::HeaderValue;
use reqwest::Url;
use serde_json::Value;

use super::error::AuthError;
use crate::domain::origins::origin_of;
use crate::servers::supabase::state::Supabase;

impl Supabase {
    /// Where the browser goes: to the page that asked if its origin is allowed, else to the project's own page.
    pub(super) fn way_back(&self, redirect_to: &str) -> Result<Url, AuthError> {
        let asked = Url::parse(redirect_to).ok();
        let allowed = asked.filter(|url| {
            let origin = origin_of(url).and_then(|origin| HeaderValue::try_from(origin).ok());
            origin.is_some_and(|origin| self.shared.origins.allows(&origin))
        });
        match allowed {
            Some(mut url) => {
                url.set_fragment(None);
                Ok(url)
            }
            None => {
                let site = self.site_url.as_deref().and_then(|site| Url::parse(site).ok());
                site.ok_or_else(|| AuthError::bad_request("validation_failed", "redirect_to is not an allowed origin"))
            }
        }
    }
}

/// A session as the implicit flow carries it in the address's fragment.
pub(super) fn session(session: &Value) -> String {
    let text = |name: &str| session[name].as_str().map_or_else(|| session[name].to_string(), str::to_owned);
    let names = ["access_token", "expires_at", "expires_in", "refresh_token", "token_type"];
    pairs(&names.map(|name| (name, text(name))))
}

/// What went wrong, as the fragment carries it.
pub(super) fn problem(error: &AuthError) -> String {
    let (code, message) = error.words();
    pairs(&[("error", "access_denied".into()), ("error_code", code.into()), ("error_description", message.into())])
}

fn pairs(pairs: &[(&str, String)]) -> String {
    let url = Url::parse_with_params("http://localhost", pairs);
    url.ok().and_then(|url| url.query().map(str::to_owned)).unwrap_or_default()
}
