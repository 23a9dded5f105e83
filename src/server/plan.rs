//! Does a session still stand? A signature only says that it once did.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderValue, Request};
use serde_json::Value;
use url::Url;

use super::claims::User;
use super::http::{HttpClient, Limits, join};
use crate::{Error, Reason, Secret};

const LIMITS: Limits = Limits::new(Duration::from_secs(5), 256 * 1024);

/// Asks Supabase Auth about each session. Costs one exchange for each request; without it, a session that was ended
/// elsewhere is accepted until its access token expires.
pub(super) struct Standing {
    url: Url,
    publishable_key: Option<Secret>,
    http: Arc<dyn HttpClient>,
}

impl Standing {
    pub(super) fn new(project: &Url, publishable_key: Option<Secret>, http: Arc<dyn HttpClient>) -> Self {
        Self { url: join(project, "/auth/v1/user"), publishable_key, http }
    }

    pub(super) async fn check(&self, user: &User) -> Result<(), Error> {
        let request = self.request(user).ok_or_else(|| unavailable("the request cannot be built"))?;
        let answer = self.http.send(request, LIMITS).await.map_err(|error| unavailable(&error.to_string()))?;
        match answer.status().as_u16() {
            200 => {
                let found: Option<Value> = serde_json::from_slice(answer.body()).ok();
                let same = found.as_ref().and_then(|found| found.get("id")?.as_str()) == Some(user.id());
                if same { Ok(()) } else { Err(unavailable("the answer is about somebody else, or about nobody")) }
            }
            // 404: the user was deleted.
            401 | 403 | 404 => {
                Err(Error::new(Reason::SessionRevoked, "Supabase Auth does not accept the session any more"))
            }
            status => Err(unavailable(&format!("auth/v1/user answered {status}"))),
        }
    }

    fn request(&self, user: &User) -> Option<Request<Bytes>> {
        let mut request = Request::get(self.url.as_str())
            .header(ACCEPT, "application/json")
            .header(AUTHORIZATION, user.access_token().bearer()?);
        if let Some(key) = &self.publishable_key {
            let mut value = HeaderValue::from_str(key.expose()).ok()?;
            value.set_sensitive(true);
            request = request.header("apikey", value);
        }
        request.body(Bytes::new()).ok()
    }
}

fn unavailable(why: &str) -> Error {
    tracing::error!(why, "Supabase Auth could not say whether a session still stands");
    Error::new(Reason::AuthUnavailable, "Supabase Auth could not say whether the session still stands")
}
