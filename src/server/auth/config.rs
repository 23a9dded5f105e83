//! The settings of a guard.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::keys::Keys;
use super::mode::Mode;
use super::{Guard, Surroundings};
use crate::server::clock::Clock;
use crate::server::cors::Cors;
use crate::server::env::{Project, Reader};
use crate::server::http::HttpClient;
use crate::server::jwks::Jwks;
use crate::server::platform;
use crate::server::standing::Standing;
use crate::server::verify::Verifier;
use crate::{Error, Reason};

/// The settings of a [`Guard`].
///
/// | variable | meaning |
/// |---|---|
/// | `SUPABASE_URL` | **required**; the project. Sessions must be issued by `{SUPABASE_URL}/auth/v1` |
/// | `SUPABASE_PUBLISHABLE_KEYS` | JSON object from name to key; else `SUPABASE_PUBLISHABLE_KEY` or `SUPABASE_ANON_KEY`, named `default` |
/// | `SUPABASE_SECRET_KEYS` | likewise; else `SUPABASE_SECRET_KEY` |
/// | `SUPABASE_JWKS`, `SUPABASE_JWKS_URL`, `SUPABASE_JWT_SECRET`, `SUPABASE_PUBLIC_URL`, `ALLOW_HTTP_HOSTS` | as for the [token endpoint](crate::server::Config) |
/// | `CORS_ORIGIN` | the pages that may call, exact origins, comma-separated. Without it no page may |
#[must_use]
pub struct AuthConfig {
    project: Project,
    publishable: Keys,
    secret: Keys,
    cors: Cors,
    wrong_keys_are_nobody: bool,
    check_session: bool,
    http: Option<Arc<dyn HttpClient>>,
    clock: Clock,
}

impl AuthConfig {
    /// Reads the variables of this process.
    ///
    /// # Errors
    /// [`Reason::Misconfigured`]; the message names every variable that is missing or malformed.
    pub fn from_env() -> Result<Self, Error> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// Reads the variables through `lookup`.
    ///
    /// # Errors
    /// As [`AuthConfig::from_env`].
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        Reader::read(&lookup, |reader| {
            let project = reader.project();
            let publishable =
                Keys::read(reader, "SUPABASE_PUBLISHABLE_KEYS", &["SUPABASE_PUBLISHABLE_KEY", "SUPABASE_ANON_KEY"]);
            let secret = Keys::read(reader, "SUPABASE_SECRET_KEYS", &["SUPABASE_SECRET_KEY"]);
            let cors = Cors::parse(&reader.get("CORS_ORIGIN").unwrap_or_default());
            let cors = reader.checked("CORS_ORIGIN", cors);
            let mut project = project?;
            project.rules.allow_anonymous = true;
            let (http, clock) = (None, Clock::system());
            Some(Self {
                project,
                publishable,
                secret,
                cors: cors?,
                wrong_keys_are_nobody: false,
                check_session: false,
                http,
                clock,
            })
        })
    }

    /// Accepts users who signed in anonymously. Default true; see [`User::is_anonymous`](crate::server::User::is_anonymous).
    pub fn allow_anonymous(mut self, allow: bool) -> Self {
        self.project.rules.allow_anonymous = allow;
        self
    }

    /// Issuers whose sessions are accepted, exactly as in the claim `iss`. Default `{SUPABASE_URL}/auth/v1`.
    pub fn issuers<S: Into<String>>(mut self, issuers: impl IntoIterator<Item = S>) -> Self {
        self.project.rules.issuers = issuers.into_iter().map(Into::into).collect();
        self
    }

    /// Audiences of which a session must name one. Default `authenticated`.
    pub fn audiences<S: Into<String>>(mut self, audiences: impl IntoIterator<Item = S>) -> Self {
        self.project.rules.audiences = audiences.into_iter().map(Into::into).collect();
        self
    }

    /// Database roles that stand for a signed-in user. Default `authenticated`.
    pub fn roles<S: Into<String>>(mut self, roles: impl IntoIterator<Item = S>) -> Self {
        self.project.rules.roles = roles.into_iter().map(Into::into).collect();
        self
    }

    /// How far the clocks of Supabase and this server may differ. Default 30 s.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.project.rules.leeway = leeway;
        self
    }

    /// In a list such as `secret, none`, lets a request with a wrong `apikey` in as nobody, as `@supabase/server` does.
    /// Default false: a key that is sent must be right.
    pub fn wrong_keys_are_nobody(mut self, allow: bool) -> Self {
        self.wrong_keys_are_nobody = allow;
        self
    }

    /// Asks Supabase Auth about each session: one more exchange, and a session that was ended elsewhere is refused at once
    /// instead of when its access token expires. Default false.
    pub fn check_session(mut self, check: bool) -> Self {
        self.check_session = check;
        self
    }

    /// The way to other servers.
    pub fn http(mut self, http: Arc<dyn HttpClient>) -> Self {
        self.http = Some(http);
        self
    }

    /// What time it is. Default: the machine's clock.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// A guard that lets in whom one of `modes` lets in, tried in order.
    ///
    /// # Errors
    /// [`Reason::Misconfigured`] for a list that is empty or has `none` before its end, and for a mode whose key is not in
    /// the settings: nobody could ever come in by it.
    pub fn guard(self, modes: impl IntoIterator<Item = Mode>) -> Result<Guard, Error> {
        let modes: Vec<Mode> = modes.into_iter().collect();
        let wrong = |message: String| Err(Error::new(Reason::Misconfigured, message));
        if modes.is_empty() {
            return wrong("the list of ways to authenticate is empty: nobody could call".into());
        }
        if modes.iter().rev().skip(1).any(|mode| *mode == Mode::None) {
            return wrong("`none` must be the last way to authenticate: what follows it is never tried".into());
        }
        for mode in &modes {
            let (keys, name, kind) = match mode {
                Mode::Publishable(name) => (&self.publishable, name, "PUBLISHABLE"),
                Mode::Secret(name) => (&self.secret, name, "SECRET"),
                Mode::User | Mode::None => continue,
            };
            if !keys.has(name) {
                return wrong(format!(
                    "nobody can call as `{mode}`: SUPABASE_{kind}_KEYS has no such key (SUPABASE_{kind}_KEY counts as `default`)"
                ));
            }
        }
        let http = self.http.map_or_else(platform::http_client, Ok)?;
        let Project { url, own_keys, jwks_url, rules } = self.project;
        let key = self.publishable.preferred(None).cloned();
        let standing = self.check_session.then(|| Standing::new(&url, key, Arc::clone(&http)));
        let published = jwks_url.map(|url| Jwks::new(url, Arc::clone(&http), self.clock.clone()));
        Ok(Guard(Arc::new(Surroundings {
            modes,
            verifier: Verifier { own: own_keys, published, rules, clock: self.clock, standing },
            publishable: self.publishable,
            secret: self.secret,
            cors: self.cors,
            wrong_keys_are_nobody: self.wrong_keys_are_nobody,
            url,
            http,
        })))
    }
}

impl fmt::Debug for AuthConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthConfig").field("url", &self.project.url.as_str()).finish_non_exhaustive()
    }
}
