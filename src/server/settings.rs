//! Every setting of the endpoint and the guards, in one list. Each can be given by the environment, by a setter, or by an
//! option in JavaScript.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::{Arc, OnceLock};

use super::address::Address;
use super::clock::Clock;
use super::http::HttpClient;
use super::platform;
use super::policy::Policy;
use crate::{Error, Reason};

/// What a setting's value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Any text.
    Text,
    /// `true` or `false`.
    Flag,
    /// A whole number of seconds.
    Seconds,
    /// Texts; in the environment one, separated by commas.
    List,
    /// JSON.
    Json,
}

macro_rules! settings {
    ($($(#[$doc:meta])* $kind:ident $setter:ident $name:literal;)*) => {
        /// The name of each setting in the environment, and its kind.
        pub(super) const ALL: &[(&str, Kind)] = &[$(($name, Kind::$kind)),*];

        impl Settings {
            $(settings!(@$kind $(#[$doc])* $setter $name);)*
        }
    };
    (@Text $(#[$doc:meta])* $setter:ident $name:literal) => {
        $(#[$doc])*
        pub fn $setter(self, value: impl Into<String>) -> Self {
            self.with($name, &value.into())
        }
    };
    (@Json $(#[$doc:meta])* $setter:ident $name:literal) => {
        settings!(@Text $(#[$doc])* $setter $name);
    };
    (@Flag $(#[$doc:meta])* $setter:ident $name:literal) => {
        $(#[$doc])*
        pub fn $setter(self, value: bool) -> Self {
            self.with($name, if value { "true" } else { "false" })
        }
    };
    (@Seconds $(#[$doc:meta])* $setter:ident $name:literal) => {
        $(#[$doc])*
        pub fn $setter(self, value: u64) -> Self {
            self.with($name, &value.to_string())
        }
    };
    (@List $(#[$doc:meta])* $setter:ident $name:literal) => {
        $(#[$doc])*
        pub fn $setter<T: Into<String>>(self, values: impl IntoIterator<Item = T>) -> Self {
            self.with_list($name, values.into_iter().map(Into::into))
        }
    };
}

settings! {
    /// **Required.** The Supabase project. Sessions must be issued by `{SUPABASE_URL}/auth/v1`.
    Text supabase_url "SUPABASE_URL";
    /// The project's public address where `SUPABASE_URL` is an internal one: its issuer is accepted too.
    Text supabase_public_url "SUPABASE_PUBLIC_URL";
    /// JSON object from name to publishable key.
    Json supabase_publishable_keys "SUPABASE_PUBLISHABLE_KEYS";
    /// The publishable key, if there is no map of them; its name is `default`. Its former name is `SUPABASE_ANON_KEY`. Supabase
    /// lets nobody read the user's plan without it.
    Text supabase_publishable_key "SUPABASE_PUBLISHABLE_KEY";
    /// As [`supabase_publishable_key`](Self::supabase_publishable_key), for projects with keys of the former kind.
    Text supabase_anon_key "SUPABASE_ANON_KEY";
    /// JSON object from name to secret key.
    Json supabase_secret_keys "SUPABASE_SECRET_KEYS";
    /// The secret key, if there is no map of them; its name is `default`.
    Text supabase_secret_key "SUPABASE_SECRET_KEY";
    /// The project's public keys inline, `{"keys": […]}` or its array, instead of an address.
    Json supabase_jwks "SUPABASE_JWKS";
    /// Another address for them. Default `{SUPABASE_URL}/auth/v1/.well-known/jwks.json`.
    Text supabase_jwks_url "SUPABASE_JWKS_URL";
    /// Accepts HS256 sessions of projects that still sign so. At least 32 bytes.
    Text supabase_jwt_secret "SUPABASE_JWT_SECRET";
    /// Hosts that may be reached without TLS; loopback always may.
    List allow_http_hosts "ALLOW_HTTP_HOSTS";
    /// The pages that may call: exact origins, no `*`. **Required** by the endpoint. A guard without it lets no page in.
    List cors_origin "CORS_ORIGIN";
    /// `disabled` leaves CORS to the application: preflights are passed on, any page is let in, no header is added. For guards
    /// only.
    Text cors "CORS";
    /// Issuers whose sessions are accepted, exactly as in the claim `iss`. Default `{SUPABASE_URL}/auth/v1`.
    List session_issuers "SESSION_ISSUERS";
    /// Audiences of which a session must name one. Default `authenticated`.
    List session_audiences "SESSION_AUDIENCES";
    /// Database roles that stand for a signed-in user. Default `authenticated`; never add `service_role` or `anon`.
    List session_roles "SESSION_ROLES";
    /// How far the clocks of Supabase and this server may differ. Default 30 s.
    Seconds session_leeway_secs "SESSION_LEEWAY_SECS";
    /// Accepts users who signed in anonymously. Default: a guard does, the endpoint does not.
    Flag allow_anonymous "ALLOW_ANONYMOUS";
    /// Asks Supabase Auth about each session: one more exchange, and a session that was ended elsewhere is refused at once
    /// instead of when its access token expires. Default false.
    Flag check_session "CHECK_SESSION";
    /// In a list of modes such as `secret, none`, lets a request with a wrong `apikey` in as nobody, as `@supabase/server`
    /// does. Default false: a key that is sent must be right.
    Flag ignore_invalid_api_key "IGNORE_INVALID_API_KEY";
    /// Reads `profiles.plan` with the secret key, for tables that users must not read. Default false: as the user.
    Flag plan_with_secret_key "PLAN_WITH_SECRET_KEY";
    /// **Required** by the endpoint. `behest_sk_…` mints over HTTP, `behest_pk_…` or an RSA private key signs here.
    Text behest_key "BEHEST_KEY";
    /// The former name of [`behest_key`](Self::behest_key).
    Text behest_api_key "BEHEST_API_KEY";
    /// **Required** with `behest_sk_…`; with or without a trailing slash or `/v1`.
    Text behest_base_url "BEHEST_BASE_URL";
    /// Default `/v1/auth/mint`; some projects have `/auth/v1/auth/mint`.
    Text behest_mint_path "BEHEST_MINT_PATH";
    /// **Required** with a private key: its id.
    Text behest_kid "BEHEST_KID";
    /// **Required** with a private key.
    Text behest_tenant_id "BEHEST_TENANT_ID";
    /// **Required** with a private key.
    Text behest_project_id "BEHEST_PROJECT_ID";
    /// Claim `iss` of tokens signed here. Default `https://api.behest.ai`.
    Text behest_issuer "BEHEST_ISSUER";
    /// Claim `aud` of tokens signed here. Default `behest`.
    Text behest_audience "BEHEST_AUDIENCE";
    /// Life of a gateway token in seconds, 60 to 86400. Default 900.
    Seconds behest_ttl "BEHEST_TTL";
}

/// The settings of a [`TokenEndpoint`](super::TokenEndpoint) or a [`Guard`](super::Guard).
///
/// Each setter that takes a text, a flag, a number or a list is also a variable of the environment, its name in capitals
/// (`supabase_url`, `SUPABASE_URL`), and an option in JavaScript (`supabaseUrl`). What is set later wins; blank counts as
/// absent, and quotes around a value are not part of it. Nothing is checked before an endpoint or a guard is made: its one error
/// lists everything that is wrong. Read the environment once and give each of them a clone: then they share connections and the
/// project's key set.
///
/// Functions of Supabase cannot set variables whose names begin with `SUPABASE_`: put `BEHEST_` before them
/// (`BEHEST_SUPABASE_PUBLIC_URL`). That one wins over what the platform sets.
#[derive(Clone)]
#[must_use]
pub struct Settings {
    values: Vec<(&'static str, String)>,
    problems: Vec<String>,
    pub(super) policy: Option<Arc<dyn Policy>>,
    /// Clones share one, and with it connections and the project's key set.
    http: Arc<OnceLock<Arc<dyn HttpClient>>>,
    pub(super) clock: Clock,
}

impl Settings {
    /// The variables of this process.
    pub fn from_env() -> Self {
        Self::from_lookup(|name| Some(std::env::var_os(name)?.to_string_lossy().into_owned()))
    }

    /// The variables as `lookup` gives them, for hosts without a process environment and for tests.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let empty = Self {
            values: Vec::new(),
            problems: Vec::new(),
            policy: None,
            http: Arc::default(),
            clock: Clock::system(),
        };
        let given = |name: &str| lookup(name).filter(|value| !bare(value).is_empty());
        let value = |name: &str| match name.starts_with("SUPABASE_") {
            true => given(&format!("BEHEST_{name}")).or_else(|| given(name)),
            false => given(name),
        };
        ALL.iter().fold(empty, |settings, (name, _)| settings.with(name, &value(name).unwrap_or_default()))
    }

    /// Decides who gets what. Default: `profiles.plan` of the user, read under the user's own token.
    pub fn policy(mut self, policy: impl Policy + 'static) -> Self {
        self.policy = Some(Arc::new(policy));
        self
    }

    /// The way to other servers. Default: reqwest, or the host's `fetch`.
    pub fn http(mut self, http: Arc<dyn HttpClient>) -> Self {
        self.http = Arc::new(OnceLock::from(http));
        self
    }

    /// What time it is. Default: the machine's clock.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.values.retain(|(known, _)| *known != name);
        let value = bare(value);
        if !value.is_empty() {
            self.values.push((name, value.to_owned()));
        }
        self
    }

    pub(super) fn with_list(self, name: &'static str, entries: impl Iterator<Item = String>) -> Self {
        let entries: Vec<String> = entries.collect();
        match entries.iter().find(|entry| entry.contains(',')) {
            Some(entry) => self.with_problem(format!("{name} holds `{entry}`, but no entry may have a comma")),
            None => self.with(name, &entries.join(",")),
        }
    }

    /// Remembers what is wrong with a value that could not be taken.
    pub(super) fn with_problem(mut self, problem: String) -> Self {
        self.problems.push(problem);
        self
    }

    /// The way to other servers.
    pub(super) fn http_client(&self) -> Result<Arc<dyn HttpClient>, Error> {
        if let Some(http) = self.http.get() {
            return Ok(Arc::clone(http));
        }
        let http = platform::http_client()?;
        Ok(Arc::clone(self.http.get_or_init(|| http)))
    }

    /// Makes something of the settings with `read`, or one error of everything that is wrong with them.
    pub(super) fn read<T>(&self, read: impl FnOnce(&mut Reader<'_>) -> Option<T>) -> Result<T, Error> {
        let mut reader = Reader { values: &self.values, problems: self.problems.clone() };
        // What an environment holds that is no text. JavaScript has nothing but text.
        let replaced = |(_, value): &&(_, String)| cfg!(not(target_arch = "wasm32")) && value.contains('\u{FFFD}');
        for (name, _) in self.values.iter().filter(replaced) {
            reader.problem(format!("{name} holds bytes that are not UTF-8"));
        }
        match read(&mut reader) {
            Some(made) if reader.problems.is_empty() => Ok(made),
            _ => {
                let message = format!("the settings are wrong: {}", reader.problems.join("; "));
                let hint = "Correct them, and start again.".to_owned();
                Err(Error::new(Reason::Misconfigured, message).with_hint(Some(hint)))
            }
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.values.iter().map(|(name, _)| name).collect();
        f.debug_struct("Settings").field("given", &names).finish_non_exhaustive()
    }
}

/// Reads settings, each by its name in the environment, and remembers what is wrong with them. `None` is an absent value, or
/// one that is wrong.
pub(super) struct Reader<'a> {
    values: &'a [(&'static str, String)],
    problems: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        debug_assert!(ALL.iter().any(|(known, _)| *known == name), "{name} is on the list");
        self.values.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn required(&mut self, name: &str) -> Option<&'a str> {
        let value = self.text(name);
        if value.is_none() {
            self.problem(format!("{name} is not set"));
        }
        value
    }

    pub(super) fn url(&mut self, name: &str) -> Option<Address> {
        let url = Address::read(self.text(name)?, &self.list("ALLOW_HTTP_HOSTS").unwrap_or_default());
        self.checked(name, url)
    }

    pub(super) fn required_url(&mut self, name: &str) -> Option<Address> {
        self.required(name)?;
        self.url(name)
    }

    /// The project's address, which may be that of the Supabase CLI's local stack.
    pub(super) fn project_url(&mut self) -> Option<Address> {
        let name = "SUPABASE_URL";
        Address::of_local_stack(self.required(name)?).or_else(|| self.url(name))
    }

    pub(super) fn flag(&mut self, name: &str) -> Option<bool> {
        let flag = match self.text(name)? {
            "false" | "0" => Ok(false),
            "true" | "1" => Ok(true),
            _ => Err("must be true or false"),
        };
        self.checked(name, flag)
    }

    pub(super) fn seconds(&mut self, name: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let (least, most) = (*range.start(), *range.end());
        let seconds = self.text(name)?.parse().ok().filter(|seconds| range.contains(seconds));
        self.checked(name, seconds.ok_or_else(|| format!("must be {least} to {most} seconds")))
    }

    /// `None` also for commas around nothing.
    pub(super) fn list(&self, name: &str) -> Option<Vec<String>> {
        let entries = self.text(name)?.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        Some(entries.map(str::to_owned).collect()).filter(|entries: &Vec<_>| !entries.is_empty())
    }

    /// What `result` holds, or else a problem with the setting of this name.
    pub(super) fn checked<T>(&mut self, name: &str, result: Result<T, impl fmt::Display>) -> Option<T> {
        result.map_err(|problem| self.problem(format!("{name} {problem}"))).ok()
    }

    pub(super) fn problem(&mut self, problem: String) {
        self.problems.push(problem);
    }
}

/// Without white space around it, and without quotes: `docker run --env-file` and some dashboards keep those of a .env file. No
/// value is meant to begin and end with them.
fn bare(value: &str) -> &str {
    let value = value.trim();
    let inside = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
    inside('"').or_else(|| inside('\'')).map_or(value, str::trim)
}

/// A setting's name as JavaScript has it: `SUPABASE_URL` is `supabaseUrl`.
#[cfg(any(target_arch = "wasm32", test))]
pub(super) fn option_name(name: &str) -> String {
    let mut upper = false;
    let letter = |letter: char| match letter {
        '_' => {
            upper = true;
            None
        }
        letter if std::mem::take(&mut upper) => Some(letter),
        letter => Some(letter.to_ascii_lowercase()),
    };
    name.chars().filter_map(letter).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The interface is written by hand: it has exactly these options, each with the type of its kind.
    #[test]
    fn the_shipped_types_know_every_setting() {
        let types = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/pkg/server.d.ts")).unwrap();
        let body = types.split_once("export interface Settings {").unwrap().1.split_once("\n}").unwrap().0;
        let fields = body.lines().filter_map(|line| line.strip_prefix("  ")?.strip_suffix(';')?.split_once("?: "));
        let shipped: BTreeMap<String, String> = fields.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect();
        let kind = |kind| match kind {
            Kind::Text => "string",
            Kind::Flag => "boolean",
            Kind::Seconds => "number",
            Kind::List => "string | readonly string[]",
            Kind::Json => "string | object",
        };
        let ours = ALL.iter().map(|(name, own)| (option_name(name), kind(*own).to_owned())).collect();
        assert_eq!(shipped, ours);
    }

    #[test]
    fn a_setter_and_a_variable_are_one_setting() {
        let settings = Settings::from_lookup(|name| (name == "SESSION_ROLES").then(|| " a, b ,".into()));
        let roles = |settings: &Settings| settings.read(|reader| reader.list("SESSION_ROLES")).unwrap();
        assert_eq!(roles(&settings), ["a", "b"]);
        assert_eq!(roles(&settings.clone().session_roles(["c", "d"])), ["c", "d"]);
        let wrong = settings.session_roles(["c,d"]).read(|_| Some(())).unwrap_err();
        assert!(wrong.message().contains("SESSION_ROLES holds `c,d`"), "{wrong}");
    }
}
