//! The project's data (PostgREST, `rest/v1`) and Auth (`auth/v1`), under one identity.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use url::Url;

use super::http::{HttpClient, HttpError, Limits, join};
use super::keys::Keys;
use super::user::User;
use crate::{Error, Reason, Secret};

const DATA_LIMITS: Limits = Limits::new(Duration::from_secs(10), 4 * 1024 * 1024);
const USER_LIMITS: Limits = Limits::new(Duration::from_secs(5), 256 * 1024);
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A project with its keys. Cheap to clone.
#[derive(Clone)]
pub(super) struct Project {
    pub(super) url: Url,
    pub(super) publishable: Arc<Keys>,
    pub(super) secret: Arc<Keys>,
    pub(super) http: Arc<dyn HttpClient>,
}

impl Project {
    /// As an application with the publishable key of this name, and as `user`, if there is one.
    pub(super) fn as_application(&self, key: Option<&str>, user: Option<&User>) -> Rest {
        let token = user.map(|user| user.access_token().clone());
        self.rest(self.publishable.preferred(key).cloned(), token)
    }

    /// As a server with the secret key of this name.
    pub(super) fn as_server(&self, key: Option<&str>) -> Result<Rest, Error> {
        let missing = || Error::new(Reason::Misconfigured, "there is no secret key: set SUPABASE_SECRET_KEYS");
        Ok(self.rest(Some(self.secret.preferred(key).cloned().ok_or_else(missing)?), None))
    }

    fn rest(&self, key: Option<Secret>, token: Option<Secret>) -> Rest {
        Rest { base: join(&self.url, "/rest/v1"), identity: Identity { key, token }, http: Arc::clone(&self.http) }
    }

    /// Asks Auth whether a session still counts. A signature only says that it once did.
    pub(super) async fn check_session(&self, user: &User) -> Result<(), Error> {
        let identity = self.as_application(None, Some(user)).identity;
        let request = async {
            let request = request(Method::GET, &join(&self.url, "/auth/v1/user"), identity.headers()?)?;
            self.http.send(request, USER_LIMITS).await.map_err(|error| failed("auth/v1", &error))
        };
        let answer = request.await.map_err(|error| unavailable(error.message()))?;
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
}

fn unavailable(why: &str) -> Error {
    tracing::error!(why, "Supabase Auth could not say whether a session has ended");
    Error::new(Reason::AuthUnavailable, "Supabase Auth could not say whether the session has ended")
}

#[derive(Clone)]
struct Identity {
    key: Option<Secret>,
    token: Option<Secret>,
}

impl Identity {
    fn headers(&self) -> Result<HeaderMap, Error> {
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
        headers.insert(ACCEPT, JSON);
        Ok(headers)
    }
}

fn request(method: Method, url: &Url, headers: HeaderMap) -> Result<Request<Bytes>, Error> {
    let uri = Uri::try_from(url.as_str())
        .map_err(|error| Error::new(Reason::InvalidRequest, format!("not an address: {error}")))?;
    let mut request = Request::new(Bytes::new());
    (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (method, uri, headers);
    Ok(request)
}

fn failed(place: &str, error: &HttpError) -> Error {
    let reason = if *error == HttpError::Timeout { Reason::Timeout } else { Reason::Network };
    Error::new(reason, format!("{place}: {error}"))
}

/// A way to the project's tables and functions. Answers are PostgREST's own. Cheap to clone.
///
/// ```no_run
/// # async fn example(caller: behest_client::server::Caller) -> Result<(), behest_client::Error> {
/// use http::Method;
///
/// let mine = caller.rest().request(Method::GET, "notes").query("select", "*").send().await?;
/// let row = serde_json::json!({"id": 7, "text": "kept"});
/// caller.admin()?.request(Method::POST, "notes").prefer("resolution=merge-duplicates").json(&row).send().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Rest {
    base: Url,
    identity: Identity,
    http: Arc<dyn HttpClient>,
}

impl Rest {
    /// A request for the table, view or function at `path` (`notes`, `rpc/archive`), which stays below `rest/v1`.
    pub fn request(&self, method: Method, path: &str) -> RestRequest {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(path.split('/').filter(|segment| !segment.is_empty()));
        }
        let headers = self.identity.headers();
        RestRequest { method, url, headers, body: Ok(Bytes::new()), limits: DATA_LIMITS, http: Arc::clone(&self.http) }
    }

    /// The address of `rest/v1` and the headers of this identity.
    #[cfg(target_arch = "wasm32")]
    pub(super) fn address_and_headers(&self) -> Result<(&Url, HeaderMap), Error> {
        let mut headers = self.identity.headers()?;
        headers.remove(ACCEPT);
        Ok((&self.base, headers))
    }
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rest").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

/// A request to PostgREST, not sent yet.
#[must_use = "nothing is sent before `send`"]
pub struct RestRequest {
    method: Method,
    url: Url,
    headers: Result<HeaderMap, Error>,
    body: Result<Bytes, Error>,
    limits: Limits,
    http: Arc<dyn HttpClient>,
}

impl RestRequest {
    /// Adds a parameter: `select`, `order`, `on_conflict`, or a filter such as `("id", "eq.7")`.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    /// Sets a header. `apikey` and `authorization` say who asks and cannot be set.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        if let (Ok(headers), true) = (&mut self.headers, name != AUTHORIZATION && name != "apikey") {
            headers.insert(name, value);
        }
        self
    }

    /// Adds a wish: `return=representation`, `resolution=merge-duplicates` (an upsert), `count=exact`.
    pub fn prefer(mut self, wish: &'static str) -> Self {
        if let Ok(headers) = &mut self.headers {
            headers.append("prefer", HeaderValue::from_static(wish));
        }
        self
    }

    /// Asks for one row as an object instead of a list. Without exactly one, PostgREST answers 406.
    pub fn single(self) -> Self {
        self.header(ACCEPT, HeaderValue::from_static("application/vnd.pgrst.object+json"))
    }

    /// Sends this along as JSON.
    pub fn json(mut self, body: &impl Serialize) -> Self {
        let unusable = |error| Error::new(Reason::InvalidRequest, format!("the body is no JSON: {error}"));
        self.body = serde_json::to_vec(body).map(Bytes::from).map_err(unusable);
        self.header(CONTENT_TYPE, JSON)
    }

    /// With other limits than 10 s and 4 MiB.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sends it. Every status is an `Ok`.
    ///
    /// # Errors
    /// [`Reason::Timeout`] and [`Reason::Network`] if no complete answer came within the limits; [`Reason::Misconfigured`]
    /// if a key holds what no header can carry.
    pub async fn send(self) -> Result<Response<Bytes>, Error> {
        let mut request = request(self.method, &self.url, self.headers?)?;
        *request.body_mut() = self.body?;
        self.http.send(request, self.limits).await.map_err(|error| failed("rest/v1", &error))
    }
}

impl fmt::Debug for RestRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestRequest")
            .field("method", &self.method)
            .field("path", &self.url.path())
            .finish_non_exhaustive()
    }
}
