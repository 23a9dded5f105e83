//! Who is calling: a signed-in user, another server with a secret key, an application with a publishable one, or anybody.
//!
//! ```no_run
//! # async fn example(headers: http::HeaderMap) -> Result<(), behest_client::Error> {
//! use behest_client::server::auth::{AuthConfig, Mode};
//!
//! let guard = AuthConfig::from_env()?.guard(["user".parse()?, "secret:jobs".parse()?])?;
//! let caller = guard.authenticate(&headers).await?; // an Err says which 401 or 500 it is
//! # Ok(()) }
//! ```
//!
//! The modes and their order are those of `@supabase/server`, strict where it is not: a token that is present is verified or
//! refused, never passed over, and so is a key.

mod config;
pub(super) mod keys;
mod mode;
mod rest;

use std::fmt;
use std::sync::Arc;

use ::http::{HeaderMap, Response};
use bytes::Bytes;
use url::Url;

pub use self::config::AuthConfig;
pub use self::mode::{KeyName, Mode};
pub use self::rest::Rest;

use self::keys::Keys;
use super::claims::User;
use super::cors::{Caller as Page, Cors};
use super::credentials::bearer;
use super::http::HttpClient;
use super::respond;
use super::verify::Verifier;
use crate::{Error, Reason, Secret};

/// Lets requests in, or says why not. Cheap to clone.
#[derive(Clone)]
pub struct Guard(Arc<Surroundings>);

struct Surroundings {
    modes: Vec<Mode>,
    verifier: Verifier,
    publishable: Keys,
    secret: Keys,
    cors: Cors,
    wrong_keys_are_nobody: bool,
    url: Url,
    http: Arc<dyn HttpClient>,
}

/// A caller who was let in. Cheap to clone.
#[derive(Clone)]
pub struct Caller {
    mode: Mode,
    user: Option<User>,
    surroundings: Arc<Surroundings>,
}

/// The one `apikey` header of a request.
enum SentKey<'a> {
    Absent,
    One(&'a [u8]),
    /// Hosts disagree about which of several is the real one, so none is.
    Several,
}

impl SentKey<'_> {
    fn of(headers: &HeaderMap) -> SentKey<'_> {
        let mut values = headers.get_all("apikey").iter().map(|value| value.as_bytes().trim_ascii());
        match (values.next(), values.next()) {
            (None, _) => SentKey::Absent,
            (Some(b""), None) => SentKey::Absent,
            (Some(key), None) => SentKey::One(key),
            (Some(_), Some(_)) => SentKey::Several,
        }
    }
}

impl Guard {
    /// The caller, or the reason why this request is not let in. Its answer is [`Guard::refuse`].
    ///
    /// # Errors
    /// One of the reasons that are answered 401; [`Reason::JwksUnavailable`] while a session cannot be verified.
    pub async fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, Error> {
        let inner = &*self.0;
        let sent = SentKey::of(headers);
        let let_in = |mode, user| Ok(Caller { mode, user, surroundings: Arc::clone(&self.0) });
        let mut session = None;
        let mut key_refused = false;
        for mode in &inner.modes {
            match mode {
                Mode::User => match bearer(headers) {
                    Ok(token) => return let_in(Mode::User, Some(inner.verifier.verify(token).await?)),
                    // Too long a token is an attempt. No token, or the key that supabase-js sends for those who are not
                    // signed in, is none. Another scheme may be for somebody else, but does not make a nobody.
                    Err(error) if error.reason() == Reason::MalformedToken => return Err(error),
                    Err(error) => session = Some(error),
                },
                Mode::Publishable(name) | Mode::Secret(name) => {
                    let keys = if matches!(mode, Mode::Secret(_)) { &inner.secret } else { &inner.publishable };
                    let found = match sent {
                        SentKey::One(key) => keys.matching(name, key),
                        SentKey::Absent | SentKey::Several => None,
                    };
                    if let Some(found) = found {
                        let found = KeyName::Named(found.to_owned());
                        let mode = match mode {
                            Mode::Secret(_) => Mode::Secret(found),
                            _ => Mode::Publishable(found),
                        };
                        return let_in(mode, None);
                    }
                    key_refused = !matches!(sent, SentKey::Absent);
                }
                Mode::None if key_refused && !inner.wrong_keys_are_nobody => break,
                Mode::None if session.as_ref().is_some_and(|error| error.reason() == Reason::InvalidAuthorization) => {
                    break;
                }
                Mode::None => return let_in(Mode::None, None),
            }
        }
        Err(diagnosis(session, key_refused))
    }

    /// The answer to a request that was not let in: JSON with the reason, and the CORS headers with which the page may read it.
    pub fn refuse(&self, headers: &HeaderMap, error: &Error) -> Response<Bytes> {
        let mut response = respond::refusal(error);
        self.permit(headers, response.headers_mut());
        response
    }

    /// The answer to a preflight.
    pub fn preflight(&self, headers: &HeaderMap) -> Response<Bytes> {
        let mut response = respond::empty(::http::StatusCode::NO_CONTENT);
        let page = self.0.cors.judge(headers);
        page.permit(response.headers_mut());
        page.permit_any_request(response.headers_mut());
        response
    }

    /// Adds to an answer of yours what lets the page on the list read it.
    pub fn permit(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        self.0.cors.judge(request).permit(answer);
    }

    /// Refuses a page that is not on the list.
    ///
    /// # Errors
    /// [`Reason::OriginRefused`].
    pub fn check_origin(&self, headers: &HeaderMap) -> Result<(), Error> {
        match self.0.cors.judge(headers) {
            Page::Refused => Err(Error::new(Reason::OriginRefused, "the page's origin is not on the list")),
            Page::NoPage | Page::Listed(_) => Ok(()),
        }
    }
}

/// Why nobody was let in: what was sent and refused comes before what was not sent.
fn diagnosis(session: Option<Error>, key_refused: bool) -> Error {
    match session {
        Some(error) if error.reason() != Reason::MissingToken => error,
        _ if key_refused => Error::new(Reason::InvalidApiKey, "the apikey is not one that may call here"),
        Some(error) => error,
        None => Error::new(Reason::MissingApiKey, "the request has no apikey header"),
    }
}

impl Caller {
    /// The mode by which the caller came in, with the name of the key.
    pub fn mode(&self) -> &Mode {
        &self.mode
    }

    /// The name of the key the caller sent, in the modes with a key.
    pub fn key_name(&self) -> Option<&str> {
        match &self.mode {
            Mode::Publishable(KeyName::Named(name)) | Mode::Secret(KeyName::Named(name)) => Some(name),
            _ => None,
        }
    }

    /// The signed-in user, in mode `user`.
    pub fn user(&self) -> Option<&User> {
        self.user.as_ref()
    }

    /// The project's data as this caller sees it: under the user's own token, or else as an application without a user.
    /// Row level security decides.
    pub fn rest(&self) -> Rest {
        let name = self.key_name().filter(|_| matches!(self.mode, Mode::Publishable(_)));
        let token = self.user.as_ref().map(|user| user.access_token().clone());
        self.door(self.surroundings.publishable.preferred(name).cloned(), token)
    }

    /// The project's data with the secret key, past row level security: filter by the user's id yourself.
    ///
    /// # Errors
    /// [`Reason::Misconfigured`] if the settings have no secret key.
    pub fn admin(&self) -> Result<Rest, Error> {
        let name = self.key_name().filter(|_| matches!(self.mode, Mode::Secret(_)));
        let key = self.surroundings.secret.preferred(name).cloned();
        let missing = || Error::new(Reason::Misconfigured, "there is no secret key: set SUPABASE_SECRET_KEYS");
        Ok(self.door(Some(key.ok_or_else(missing)?), None))
    }

    fn door(&self, key: Option<Secret>, token: Option<Secret>) -> Rest {
        Rest::new(&self.surroundings.url, key, token, Arc::clone(&self.surroundings.http))
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("modes", &self.0.modes).finish_non_exhaustive()
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("mode", &self.mode).field("user", &self.user).finish_non_exhaustive()
    }
}
