//! The project's tables over `rest/v1`, under one identity.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use ::http::{HeaderMap, HeaderValue, Method, Request, Response};
use bytes::Bytes;
use url::Url;

use crate::server::http::{HttpClient, HttpError, Limits, join};
use crate::{Error, Reason, Secret};

const LIMITS: Limits = Limits::new(Duration::from_secs(10), 4 * 1024 * 1024);

/// A way to the project's data. Answers are PostgREST's own.
#[derive(Clone)]
pub struct Rest {
    base: Url,
    key: Option<Secret>,
    token: Option<Secret>,
    http: Arc<dyn HttpClient>,
}

impl Rest {
    pub(super) fn new(project: &Url, key: Option<Secret>, token: Option<Secret>, http: Arc<dyn HttpClient>) -> Self {
        Self { base: join(project, "/rest/v1"), key, token, http }
    }

    /// The address of a table or function: `table("profiles", &[("select", "plan"), ("id", "eq.7")])`.
    pub fn address(&self, table: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.extend(table.split('/'));
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// The headers of this identity.
    ///
    /// # Errors
    /// [`Reason::Misconfigured`] if a key holds what no header can carry.
    pub fn headers(&self) -> Result<HeaderMap, Error> {
        let mut headers = HeaderMap::new();
        let unusable = || Error::new(Reason::Misconfigured, "an API key has characters that no header can carry");
        if let Some(key) = &self.key {
            let mut value = HeaderValue::from_str(key.expose()).map_err(|_| unusable())?;
            value.set_sensitive(true);
            headers.insert("apikey", value);
        }
        if let Some(token) = &self.token {
            headers.insert(AUTHORIZATION, token.bearer().ok_or_else(unusable)?);
        }
        Ok(headers)
    }

    /// Sends one request; `body` is JSON.
    ///
    /// # Errors
    /// [`Reason::Timeout`] after 10 s, [`Reason::Network`] if no complete answer of at most 4 MiB came. Every status is an
    /// `Ok`.
    pub async fn send(&self, method: Method, address: Url, body: Option<Bytes>) -> Result<Response<Bytes>, Error> {
        let mut request = Request::new(body.clone().unwrap_or_default());
        *request.method_mut() = method;
        *request.uri_mut() = ::http::Uri::try_from(address.as_str())
            .map_err(|error| Error::new(Reason::InvalidRequest, format!("not an address: {error}")))?;
        *request.headers_mut() = self.headers()?;
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        if body.is_some() {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        self.http.send(request, LIMITS).await.map_err(|error| {
            let reason = if error == HttpError::Timeout { Reason::Timeout } else { Reason::Network };
            Error::new(reason, format!("rest/v1: {error}"))
        })
    }
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rest").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}
