//! The endpoint's settings: read from the environment, with one error that lists everything wrong at once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::auth::keys::Keys;
use super::claims::Rules;
use super::clock::Clock;
use super::cors::Cors;
use super::http::{HttpClient, base_url, join};
use super::jwk::{KeySet, Origin, SHORTEST_SECRET};
use super::key::BehestKey;
use super::mint::{Mode, Signer, TTL_RANGE};
use super::policy::Policy;
use crate::{Error, Reason, Secret};

const DEFAULT_TTL: u64 = 900;
const DEFAULT_MINT_PATH: &str = "/v1/auth/mint";
const DEFAULT_ISSUER: &str = "https://api.behest.ai";
const DEFAULT_AUDIENCE: &str = "behest";

/// The settings of a [`TokenEndpoint`](super::TokenEndpoint).
///
/// | variable | meaning |
/// |---|---|
/// | `SUPABASE_URL` | **required**; the project. Sessions must be issued by `{SUPABASE_URL}/auth/v1` |
/// | `BEHEST_KEY` | **required**; `behest_sk_…` mints over HTTP, `behest_pk_…` or an RSA private key signs here. `BEHEST_API_KEY` is its deprecated name |
/// | `BEHEST_BASE_URL` | **required** with `behest_sk_…`; with or without a trailing slash or `/v1` |
/// | `BEHEST_KID`, `BEHEST_TENANT_ID`, `BEHEST_PROJECT_ID` | **required** with a private key |
/// | `CORS_ORIGIN` | **required**; the pages that may call, exact origins, comma-separated, no `*` |
/// | `SUPABASE_PUBLISHABLE_KEY` | sent as `apikey` when the plan is read; also read from `SUPABASE_PUBLISHABLE_KEYS` (its `default`) and `SUPABASE_ANON_KEY` |
/// | `SUPABASE_JWKS` | the project's public keys inline (object or array) instead of a URL |
/// | `SUPABASE_JWKS_URL` | another place for them; default `{SUPABASE_URL}/auth/v1/.well-known/jwks.json` |
/// | `SUPABASE_JWT_SECRET` | accepts HS256 sessions of projects that still sign so; at least 32 bytes |
/// | `SUPABASE_PUBLIC_URL` | the project's public address where `SUPABASE_URL` is an internal one: its issuer is accepted too |
/// | `ALLOW_HTTP_HOSTS` | hosts that may be reached without TLS, comma-separated; loopback always may |
/// | `ALLOW_ANONYMOUS` | `true` gives tokens to anonymous users; default `false` |
/// | `CHECK_SESSION` | `true` asks Supabase Auth about each session, so that one that was ended elsewhere is refused at once; default `false` |
/// | `PLAN_WITH_SECRET_KEY` | `true` reads `profiles.plan` with `SUPABASE_SECRET_KEYS` (its `default`, or `SUPABASE_SECRET_KEY`), for tables that users must not read; default `false` |
/// | `BEHEST_TTL` | life of a token in seconds, 60 to 86400; default 900 |
/// | `BEHEST_MINT_PATH` | default `/v1/auth/mint`; some projects have `/auth/v1/auth/mint` |
/// | `BEHEST_ISSUER`, `BEHEST_AUDIENCE` | claims of tokens signed here; default `https://api.behest.ai`, `behest` |
///
/// Blank counts as absent. The setters below take what is no text: a policy, a clock, an HTTP client.
#[must_use]
pub struct Config {
    pub(super) supabase_url: Url,
    pub(super) publishable_key: Option<Secret>,
    pub(super) own_keys: KeySet,
    pub(super) jwks_url: Option<Url>,
    pub(super) rules: Rules,
    pub(super) mode: Mode,
    pub(super) ttl: Duration,
    pub(super) cors: Cors,
    pub(super) policy: Option<Arc<dyn Policy>>,
    pub(super) http: Option<Arc<dyn HttpClient>>,
    pub(super) clock: Clock,
    pub(super) check_session: bool,
    /// Reads plans past row level security, if the settings want that.
    pub(super) plan_key: Option<Secret>,
}

impl Config {
    /// Reads the variables of this process.
    ///
    /// # Errors
    /// [`Reason::Misconfigured`]; the message names every variable that is missing or malformed.
    pub fn from_env() -> Result<Self, Error> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// Reads the variables through `lookup`, for hosts without a process environment and for tests.
    ///
    /// # Errors
    /// As [`Config::from_env`].
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        Reader::read(&lookup, Reader::config)
    }

    /// Decides who gets what. Default: `profiles.plan` of the user, read under the user's own token.
    pub fn policy(mut self, policy: impl Policy + 'static) -> Self {
        self.policy = Some(Arc::new(policy));
        self
    }

    /// Gives tokens to anonymous users too. Default false.
    pub fn allow_anonymous(mut self, allow: bool) -> Self {
        self.rules.allow_anonymous = allow;
        self
    }

    /// Asks Supabase Auth about each session: one more exchange, and a session that was ended elsewhere is refused at once
    /// instead of when its access token expires. Default false.
    pub fn check_session(mut self, check: bool) -> Self {
        self.check_session = check;
        self
    }

    /// Issuers whose sessions are accepted, exactly as in the claim `iss`. Default `{SUPABASE_URL}/auth/v1`.
    pub fn issuers<S: Into<String>>(mut self, issuers: impl IntoIterator<Item = S>) -> Self {
        self.rules.issuers = issuers.into_iter().map(Into::into).collect();
        self
    }

    /// Audiences of which a session must name one. Default `authenticated`.
    pub fn audiences<S: Into<String>>(mut self, audiences: impl IntoIterator<Item = S>) -> Self {
        self.rules.audiences = audiences.into_iter().map(Into::into).collect();
        self
    }

    /// Database roles that stand for a signed-in user. Default `authenticated`; never add `service_role` or `anon`.
    pub fn roles<S: Into<String>>(mut self, roles: impl IntoIterator<Item = S>) -> Self {
        self.rules.roles = roles.into_iter().map(Into::into).collect();
        self
    }

    /// How far the clocks of Supabase and this server may differ. Default 30 s.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.rules.leeway = leeway;
        self
    }

    /// The way to other servers. Default: [`NativeClient`](super::NativeClient).
    pub fn http(mut self, http: Arc<dyn HttpClient>) -> Self {
        self.http = Some(http);
        self
    }

    /// What time it is. Default: the machine's clock.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("supabase_url", &self.supabase_url.as_str())
            .field("jwks_url", &self.jwks_url.as_ref().map(Url::as_str))
            .field("rules", &self.rules)
            .field("mode", &self.mode)
            .field("ttl", &self.ttl)
            .field("cors", &self.cors)
            .finish_non_exhaustive()
    }
}

/// Reads variables and remembers what is wrong with them.
pub(super) struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    /// Hosts that may be reached without TLS.
    plain: Vec<String>,
    problems: Vec<String>,
}

/// What is known about the project whose sessions are accepted.
pub(super) struct Project {
    pub(super) url: Url,
    pub(super) own_keys: KeySet,
    pub(super) jwks_url: Option<Url>,
    pub(super) rules: Rules,
}

impl<'a> Reader<'a> {
    /// Reads settings with `read`, and makes one error of everything that is wrong with them.
    pub(super) fn read<T>(
        lookup: &'a dyn Fn(&str) -> Option<String>,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Result<T, Error> {
        let mut reader = Reader { lookup, plain: Vec::new(), problems: Vec::new() };
        reader.plain = list(reader.get("ALLOW_HTTP_HOSTS"));
        match read(&mut reader) {
            Some(settings) if reader.problems.is_empty() => Ok(settings),
            _ => Err(Error::new(
                Reason::Misconfigured,
                format!("the settings are wrong: {}", reader.problems.join("; ")),
            )),
        }
    }

    /// The project, with rules that refuse anonymous users.
    pub(super) fn project(&mut self) -> Option<Project> {
        let url = self.required("SUPABASE_URL").and_then(|text| self.url("SUPABASE_URL", &text));
        let public_url = self.get("SUPABASE_PUBLIC_URL").and_then(|text| self.url("SUPABASE_PUBLIC_URL", &text));
        let (own_keys, jwks_url) = self.session_keys(url.as_ref());
        let url = url?;
        let issuer = |base: &Url| join(base, "/auth/v1").to_string();
        let issuers = [Some(&url), public_url.as_ref()].into_iter().flatten().map(issuer).collect();
        let audiences = vec!["authenticated".to_owned()];
        let leeway = Duration::from_secs(30);
        let rules = Rules { issuers, roles: audiences.clone(), audiences, allow_anonymous: false, leeway };
        Some(Project { url, own_keys, jwks_url, rules })
    }

    fn config(&mut self) -> Option<Config> {
        let project = self.project();
        let allow_anonymous = self.flag("ALLOW_ANONYMOUS");
        let check_session = self.flag("CHECK_SESSION");
        let plan_key = self.flag("PLAN_WITH_SECRET_KEY").then(|| self.secret_key()).flatten();
        let publishable_key = self.publishable_key();
        let mode = self.mode();
        let ttl = self.ttl();
        let cors = self.required("CORS_ORIGIN").and_then(|text| self.checked("CORS_ORIGIN", Cors::parse(&text)));

        let Project { url: supabase_url, own_keys, jwks_url, mut rules } = project?;
        rules.allow_anonymous = allow_anonymous;
        Some(Config {
            publishable_key,
            own_keys,
            jwks_url,
            rules,
            mode: mode?,
            ttl,
            cors: cors?,
            policy: None,
            http: None,
            clock: Clock::system(),
            check_session,
            plan_key,
            supabase_url,
        })
    }

    pub(super) fn get(&self, name: &str) -> Option<String> {
        (self.lookup)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn required(&mut self, name: &str) -> Option<String> {
        let value = self.get(name);
        if value.is_none() {
            self.problems.push(format!("{name} is not set"));
        }
        value
    }

    pub(super) fn checked<T>(&mut self, name: &str, result: Result<T, impl fmt::Display>) -> Option<T> {
        result.map_err(|problem| self.problems.push(format!("{name} {problem}"))).ok()
    }

    fn url(&mut self, name: &str, text: &str) -> Option<Url> {
        let url = base_url(text, &self.plain);
        self.checked(name, url)
    }

    fn flag(&mut self, name: &str) -> bool {
        let value = self.get(name);
        let flag = match value.as_deref() {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(_) => Err("must be true or false"),
        };
        self.checked(name, flag).unwrap_or(false)
    }

    /// The keys given in the settings, and where to fetch others unless those replace them.
    fn session_keys(&mut self, supabase_url: Option<&Url>) -> (KeySet, Option<Url>) {
        let mut own = KeySet::default();
        let mut url = supabase_url.map(|base| join(base, "/auth/v1/.well-known/jwks.json"));
        if let Some(json) = self.get("SUPABASE_JWKS") {
            url = None;
            let keys = KeySet::parse(json.as_bytes(), Origin::Settings)
                .ok_or("must be a JSON Web Key Set: {\"keys\": […]} or its array");
            own = self.checked("SUPABASE_JWKS", keys).unwrap_or_default();
        } else if let Some(text) = self.get("SUPABASE_JWKS_URL") {
            url = self.url("SUPABASE_JWKS_URL", &text);
        }
        if let Some(secret) = self.get("SUPABASE_JWT_SECRET") {
            if secret.len() >= SHORTEST_SECRET {
                own.add_secret(secret.as_bytes());
            } else {
                self.problems.push(format!("SUPABASE_JWT_SECRET is shorter than {SHORTEST_SECRET} bytes"));
            }
        }
        if own.is_empty() && url.is_none() && supabase_url.is_some() && self.problems.is_empty() {
            self.problems.push("SUPABASE_JWKS holds no usable public key".into());
        }
        (own, url)
    }

    fn publishable_key(&mut self) -> Option<Secret> {
        if let Some(key) = self.get("SUPABASE_PUBLISHABLE_KEY") {
            return Some(key.into());
        }
        if let Some(json) = self.get("SUPABASE_PUBLISHABLE_KEYS") {
            let names: Result<std::collections::BTreeMap<String, String>, _> = serde_json::from_str(&json);
            let names = names.map_err(|_| "must be a JSON object of names and keys");
            let mut names = self.checked("SUPABASE_PUBLISHABLE_KEYS", names)?;
            return names.remove("default").or_else(|| names.into_values().next()).map(Secret::from);
        }
        self.get("SUPABASE_ANON_KEY").map(Secret::from)
    }

    fn secret_key(&mut self) -> Option<Secret> {
        let known = self.problems.len();
        let key = Keys::read(self, "SUPABASE_SECRET_KEYS", &["SUPABASE_SECRET_KEY"]).preferred(None).cloned();
        if key.is_none() && self.problems.len() == known {
            self.problems.push("SUPABASE_SECRET_KEYS is not set, and PLAN_WITH_SECRET_KEY needs it".into());
        }
        key
    }

    fn mode(&mut self) -> Option<Mode> {
        let mut name = "BEHEST_KEY";
        let text = match (self.get(name), self.get("BEHEST_API_KEY")) {
            (Some(key), _) => key,
            (None, Some(key)) => {
                tracing::warn!("BEHEST_API_KEY is deprecated: rename it to BEHEST_KEY");
                name = "BEHEST_API_KEY";
                key
            }
            (None, None) => self.required(name)?,
        };
        let key = BehestKey::parse(&text);
        match self.checked(name, key)? {
            BehestKey::Api(key) => {
                let base = self.required("BEHEST_BASE_URL")?;
                let base = self.url("BEHEST_BASE_URL", &base)?;
                let path = self.get("BEHEST_MINT_PATH").unwrap_or_else(|| DEFAULT_MINT_PATH.into());
                let path = if path.starts_with('/') && !path.contains(['?', '#']) {
                    Ok(path)
                } else {
                    Err("must begin with / and hold no ? or #")
                };
                let path = self.checked("BEHEST_MINT_PATH", path)?;
                Some(Mode::Http { url: join(&without_version(&base), &path), key })
            }
            BehestKey::Signing(key) => {
                let kid = self.required("BEHEST_KID");
                let tenant = self.required("BEHEST_TENANT_ID");
                let project = self.required("BEHEST_PROJECT_ID");
                let issuer = self.get("BEHEST_ISSUER").unwrap_or_else(|| DEFAULT_ISSUER.into());
                let audience = self.get("BEHEST_AUDIENCE").unwrap_or_else(|| DEFAULT_AUDIENCE.into());
                let signer = Signer { key, kid: kid?, tenant: tenant?, project: project?, issuer, audience };
                Some(Mode::Sign(Box::new(signer)))
            }
        }
    }

    fn ttl(&mut self) -> Duration {
        let ttl = match self.get("BEHEST_TTL") {
            None => Ok(DEFAULT_TTL),
            Some(text) => text.parse().ok().filter(|ttl| TTL_RANGE.contains(ttl)).ok_or("must be 60 to 86400 seconds"),
        };
        Duration::from_secs(self.checked("BEHEST_TTL", ttl).unwrap_or(DEFAULT_TTL))
    }
}

fn list(text: Option<String>) -> Vec<String> {
    let entries = text.iter().flat_map(|text| text.split(','));
    entries.map(|entry| entry.trim().to_ascii_lowercase()).filter(|entry| !entry.is_empty()).collect()
}

/// A base URL that ends in `/v1`, as OpenAI-compatible settings do, without it.
fn without_version(base: &Url) -> Url {
    let mut url = base.clone();
    let path = base.path().trim_end_matches('/');
    url.set_path(path.strip_suffix("/v1").unwrap_or(path));
    url
}
