//! The project's data (PostgREST, `rest/v1`) and Auth (`auth/v1`), under one identity.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Response};
use bytes::Bytes;
use serde::Serialize;

use super::address::{Address, push_segment};
use super::credentials::APIKEY;
use super::http::{HttpClient, HttpError, Limits, request};
use super::keys::Keys;
use super::platform::log::log;
use super::user::User;
use crate::json::Json;
use crate::text::{digits, push_parameter};
use crate::{Error, Reason, Secret};

const DATA_LIMITS: Limits = Limits::new(Duration::from_secs(10), 4 * 1024 * 1024);
const USER_LIMITS: Limits = Limits::new(Duration::from_secs(5), 256 * 1024);
const PREFER: HeaderName = HeaderName::from_static("prefer");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A project with its keys. Cheap to clone.
#[derive(Clone)]
pub(super) struct Project {
    pub(super) url: Address,
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
        Rest { base: self.url.join("/rest/v1"), identity: Identity { key, token }, http: Arc::clone(&self.http) }
    }

    /// Asks Auth whether a session still counts. A signature only says that it once did.
    pub(super) async fn check_session(&self, user: &User) -> Result<(), Error> {
        let identity = self.as_application(None, Some(user)).identity;
        let request = async {
            let address = self.url.join("/auth/v1/user");
            let request = request(Method::GET, address.as_str(), identity.headers()?, Bytes::new())?;
            self.http.send(request, USER_LIMITS).await.map_err(|error| failed("auth/v1", &error))
        };
        let answer = request.await.map_err(|error| unavailable(error.message()))?;
        match answer.status().as_u16() {
            200 => {
                let found = Json::of_bytes(answer.body()).and_then(|found| found.field("id")?.text());
                let same = found.as_deref() == Some(user.id());
                if same { Ok(()) } else { Err(unavailable("the answer is about somebody else, or about nobody")) }
            }
            // 404: the user was deleted.
            401 | 403 | 404 => {
                Err(Error::new(Reason::SessionRevoked, "Supabase Auth does not accept the session any more"))
            }
            status => Err(unavailable(&["auth/v1/user answered ", &digits(status.into())].concat())),
        }
    }
}

fn unavailable(why: &str) -> Error {
    log!(error, "Supabase Auth could not say whether a session has ended", why = why);
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
            headers.insert(APIKEY, value);
        }
        if let Some(token) = &self.token {
            headers.insert(AUTHORIZATION, token.bearer().ok_or_else(unusable)?);
        }
        headers.insert(ACCEPT, JSON);
        Ok(headers)
    }
}

fn failed(place: &str, error: &HttpError) -> Error {
    let reason = if *error == HttpError::Timeout { Reason::Timeout } else { Reason::Network };
    Error::new(reason, [place, ": ", error.words()].concat())
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
    base: Address,
    identity: Identity,
    http: Arc<dyn HttpClient>,
}

impl Rest {
    /// A request for the table, view or function at `path` (`notes`, `rpc/archive`), which stays below `rest/v1`.
    pub fn request(&self, method: Method, path: &str) -> RestRequest {
        let mut url = self.base.as_str().to_owned();
        path.split('/').filter(|segment| !segment.is_empty()).for_each(|segment| push_segment(segment, &mut url));
        let headers = self.identity.headers();
        RestRequest { method, url, headers, body: Ok(Bytes::new()), limits: DATA_LIMITS, http: Arc::clone(&self.http) }
    }

    /// The address of `rest/v1` and the headers of this identity.
    #[cfg(target_arch = "wasm32")]
    pub(super) fn address_and_headers(&self) -> Result<(&str, HeaderMap), Error> {
        let mut headers = self.identity.headers()?;
        headers.remove(ACCEPT);
        Ok((self.base.as_str(), headers))
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
    url: String,
    headers: Result<HeaderMap, Error>,
    body: Result<Bytes, Error>,
    limits: Limits,
    http: Arc<dyn HttpClient>,
}

impl RestRequest {
    /// Adds a parameter: `select`, `order`, `on_conflict`, or a filter such as `("id", "eq.7")`.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        push_parameter(name, value, &mut self.url);
        self
    }

    /// Sets a header. `apikey` and `authorization` say who asks and cannot be set.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        if let (Ok(headers), true) = (&mut self.headers, name != AUTHORIZATION && name != APIKEY) {
            headers.insert(name, value);
        }
        self
    }

    /// Adds a wish: `return=representation`, `resolution=merge-duplicates` (an upsert), `count=exact`.
    pub fn prefer(mut self, wish: &'static str) -> Self {
        if let Ok(headers) = &mut self.headers {
            headers.append(PREFER, HeaderValue::from_static(wish));
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
        let request = request(self.method, &self.url, self.headers?, self.body?)?;
        self.http.send(request, self.limits).await.map_err(|error| failed("rest/v1", &error))
    }
}

impl fmt::Debug for RestRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestRequest")
            .field("method", &self.method)
            .field("path", &self.url.split('?').next())
            .finish_non_exhaustive()
    }
}
