//! Who is calling: a signed-in user, another server with a secret key, an application with a publishable one, or anybody.

use std::fmt;
use std::sync::Arc;

use ::http::header::ACCESS_CONTROL_REQUEST_METHOD;
use ::http::{HeaderMap, Method, Response, StatusCode};
use bytes::Bytes;

use super::clock::Clock;
use super::cors::{Cors, Origin};
use super::credentials::{bearer, sent_key};
use super::http::HttpClient;
use super::keys::Keys;
use super::mode::{KeyName, Mode};
use super::platform::log::log;
use super::respond;
use super::settings::{Reader, Settings};
use super::supabase::{Project, Rest};
use super::user::User;
use super::verify::Verifier;
use crate::credential::is_api_key;
use crate::{Error, Reason, Secret};

/// Lets requests in, or says why not. Cheap to clone.
///
/// ```no_run
/// # async fn example(headers: http::HeaderMap) -> Result<(), behest_client::Error> {
/// use behest_client::server::{Guard, Settings};
///
/// let guard = Guard::new(Settings::from_env(), ["user".parse()?, "secret:jobs".parse()?])?;
/// let caller = guard.authenticate(&headers).await?; // an Err says which 401 or 500 it is
/// # Ok(()) }
/// ```
///
/// The modes and their order are those of `@supabase/server`, strict where it is not: a token that is present is verified or
/// refused, never passed over, and so is a key.
#[derive(Clone)]
pub struct Guard(Arc<Inner>);

struct Inner {
    modes: Vec<Mode>,
    verifier: Verifier,
    project: Project,
    cors: Cors,
    realm: &'static str,
    check_session: bool,
    ignore_invalid_api_key: bool,
}

/// What a guard is set up with besides its settings.
pub(super) struct Purpose {
    pub(super) modes: Vec<Mode>,
    pub(super) http: Arc<dyn HttpClient>,
    pub(super) clock: Clock,
    /// What pages may send.
    pub(super) methods: &'static str,
    /// What a caller is told to need credentials for.
    pub(super) realm: &'static str,
    /// For when no setting says it.
    pub(super) allow_anonymous: bool,
}

/// A caller who was let in. Cheap to clone.
#[derive(Clone)]
pub struct Caller {
    mode: Mode,
    user: Option<User>,
    project: Project,
}

impl Guard {
    /// A guard that lets in whom one of `modes` lets in, tried in order.
    ///
    /// # Errors
    /// [`Reason::Misconfigured`]; the message names every setting that is missing or malformed, and what is wrong with the
    /// modes: an empty list, `none` before its end, and a mode whose key is not in the settings, by which nobody could ever
    /// come in.
    pub fn new(settings: Settings, modes: impl IntoIterator<Item = Mode>) -> Result<Self, Error> {
        let purpose = Purpose {
            modes: modes.into_iter().collect(),
            http: settings.http_client()?,
            clock: settings.clock.clone(),
            methods: "GET, POST, PUT, PATCH, DELETE",
            realm: "supabase",
            allow_anonymous: true,
        };
        settings.read(|reader| Self::read(reader, purpose))
    }

    pub(super) fn read(reader: &mut Reader<'_>, purpose: Purpose) -> Option<Self> {
        let Purpose { modes, http, clock, methods, realm, allow_anonymous } = purpose;
        let url = reader.project_url();
        let verifier = Verifier::read(reader, url.as_ref(), allow_anonymous, &http, &clock);
        let (publishable, secret) = (Keys::publishable(reader), Keys::secret(reader));
        let cors = Cors::read(reader, methods);
        let check_session = reader.flag("CHECK_SESSION").unwrap_or(false);
        let ignore_invalid_api_key = reader.flag("IGNORE_INVALID_API_KEY").unwrap_or(false);
        check_modes(reader, &modes, &publishable, &secret);
        let project = Project { url: url?, publishable: publishable.into(), secret: secret.into(), http };
        Some(Self(Arc::new(Inner {
            modes,
            verifier,
            project,
            cors: cors?,
            realm,
            check_session,
            ignore_invalid_api_key,
        })))
    }

    /// The caller, or the reason why this request is not let in. Its answer is [`Guard::refuse`].
    ///
    /// # Errors
    /// [`Reason::OriginRefused`] for a page that is not on the list; one of the reasons that are answered 401;
    /// [`Reason::JwksUnavailable`] while a session cannot be verified.
    pub async fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, Error> {
        self.check_origin(headers)?;
        let inner = &*self.0;
        let sent = sent_key(headers);
        let let_in = |mode, user| Ok(Caller { mode, user, project: inner.project.clone() });
        let mut session = None;
        let mut key_refused = false;
        for mode in &inner.modes {
            match mode {
                Mode::User => match self.session_token(headers) {
                    Ok(token) => {
                        let user = inner.verifier.verify(token).await?;
                        if inner.check_session {
                            inner.project.check_session(&user).await?;
                        }
                        return let_in(Mode::User, Some(user));
                    }
                    // Too long a token is an attempt. No token, or the key that supabase-js sends for those who are not
                    // signed in, is none. Another scheme may be for somebody else, but does not make a nobody.
                    Err(error) if error.reason() == Reason::MalformedToken => return Err(error),
                    Err(error) => session = Some(error),
                },
                Mode::Publishable(name) | Mode::Secret(name) => {
                    let is_secret = matches!(mode, Mode::Secret(_));
                    let keys = if is_secret { &inner.project.secret } else { &inner.project.publishable };
                    if let Some(found) = sent.as_ref().and_then(|key| keys.matching(name, key)) {
                        let found = KeyName::Named(found.to_owned());
                        return let_in(if is_secret { Mode::Secret(found) } else { Mode::Publishable(found) }, None);
                    }
                    key_refused = sent.is_some();
                }
                Mode::None if key_refused && !inner.ignore_invalid_api_key => break,
                Mode::None if session.as_ref().is_some_and(|error| error.reason() == Reason::InvalidAuthorization) => {
                    break;
                }
                Mode::None => return let_in(Mode::None, None),
            }
        }
        Err(diagnosis(session, key_refused))
    }

    /// The token of the caller's session. A key of the project is none, also where keys are JWTs (`anon`, `service_role`).
    fn session_token(&self, headers: &HeaderMap) -> Result<Secret, Error> {
        let token = bearer(headers)?;
        let Project { publishable, secret, .. } = &self.0.project;
        let sent = token.expose().as_bytes();
        match publishable.matching(&KeyName::Any, sent).or(secret.matching(&KeyName::Any, sent)) {
            Some(_) => Err(Error::new(Reason::ApiKeyAsBearer, "the authorization header holds an API key")),
            None => Ok(token),
        }
    }

    /// The answer to a request that was not let in: JSON with the reason, and the CORS headers with which the page may read it.
    pub fn refuse(&self, headers: &HeaderMap, error: &Error) -> Response<Bytes> {
        log!(info, "refused", reason = error.reason().as_str(), why = error.message());
        let mut response = respond::refusal(error, self.0.realm);
        self.permit(headers, response.headers_mut());
        response
    }

    /// The answer to a preflight; `None` if the request is none.
    pub fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Response<Bytes>> {
        let answers = *method == Method::OPTIONS && !self.0.cors.is_disabled();
        let asks = answers && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        asks.then(|| self.answer_options(headers))
    }

    /// The answer to any request with the method OPTIONS.
    pub(super) fn answer_options(&self, headers: &HeaderMap) -> Response<Bytes> {
        let mut response = respond::empty(StatusCode::NO_CONTENT);
        self.0.cors.permit_preflight(headers, response.headers_mut());
        response
    }

    /// Adds to an answer of yours what lets the page on the list read it.
    pub fn permit(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        self.0.cors.permit(request, answer);
    }

    pub(super) fn check_origin(&self, headers: &HeaderMap) -> Result<(), Error> {
        match self.0.cors.judge(headers) {
            Origin::Unlisted => Err(Error::new(Reason::OriginRefused, "the page's origin is not on the list")),
            Origin::Absent | Origin::Listed(_) => Ok(()),
        }
    }

    pub(super) fn project(&self) -> &Project {
        &self.0.project
    }
}

fn check_modes(reader: &mut Reader<'_>, modes: &[Mode], publishable: &Keys, secret: &Keys) {
    if modes.is_empty() {
        reader.problem("the list of modes is empty: nobody could call".into());
    }
    if modes.iter().rev().skip(1).any(|mode| *mode == Mode::None) {
        reader.problem("`none` must be the last mode: what follows it is never tried".into());
    }
    for mode in modes {
        let (keys, name, kind) = match mode {
            Mode::Publishable(name) => (publishable, name, "PUBLISHABLE"),
            Mode::Secret(name) => (secret, name, "SECRET"),
            Mode::User | Mode::None => continue,
        };
        if keys.has(name) {
            continue;
        }
        reader.problem(match name {
            // It may be the key itself.
            KeyName::Named(name) if is_api_key(name) => {
                format!("SUPABASE_{kind}_KEYS has no key of the name in `{}:…`, which takes a name, not a key", mode.as_str())
            }
            _ => format!(
                "nobody can call as `{mode}`: SUPABASE_{kind}_KEYS has no such key (SUPABASE_{kind}_KEY counts as `default`)"
            ),
        });
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
        let key = self.key_name().filter(|_| matches!(self.mode, Mode::Publishable(_)));
        self.project.as_application(key, self.user.as_ref())
    }

    /// The project's data with the secret key, past row level security: filter by the user's id yourself.
    ///
    /// # Errors
    /// [`Reason::Misconfigured`] if the settings have no secret key.
    pub fn admin(&self) -> Result<Rest, Error> {
        self.project.as_server(self.key_name().filter(|_| matches!(self.mode, Mode::Secret(_))))
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("modes", &self.0.modes).field("cors", &self.0.cors).finish_non_exhaustive()
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("mode", &self.mode).field("user", &self.user).finish_non_exhaustive()
    }
}
