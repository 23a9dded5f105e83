//! What a client is told when it is built, and what it refuses.

use std::time::Duration;

use super::drive::Driver;
use super::handle::Client;
use super::session::SessionSource;
use crate::credential::CredentialKind;
use crate::engine::{Config, Limits, NEVER};
use crate::platform::{self, DefaultTransport, Transport};
use crate::text::{small_number, split_once};
use crate::wire::{as_millis, is_header_safe};
use crate::{Error, Reason};

/// A limit for each kind of wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// For the session source. Default 10 s.
    pub session: Duration,
    /// For each attempt at the token function. Default 15 s.
    pub token: Duration,
    /// From the request to the head of the gateway's answer. Default 120 s: a whole answer is thought out before its first byte.
    pub first_byte: Duration,
    /// Between two pieces of an answer. Default 60 s.
    pub idle: Duration,
    /// Between two events of a stream that are no keep-alives. Slow models send comments while they think, and such a
    /// stream is alive, but not for ever. Default 10 minutes.
    pub content: Duration,
    /// For everything together. Default none, since a long answer that flows is no failure.
    pub total: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            session: seconds(10),
            token: seconds(15),
            first_byte: seconds(120),
            idle: seconds(60),
            content: seconds(600),
            total: None,
        }
    }
}

/// ```
/// use std::time::Duration;
/// let timeouts = behest_client::client::Timeouts::default().idle(Duration::from_secs(20)).total(None);
/// ```
impl Timeouts {
    /// With another limit for the session source.
    #[must_use]
    pub fn session(self, session: Duration) -> Self {
        Self { session, ..self }
    }

    /// With another limit for an attempt at the token function.
    #[must_use]
    pub fn token(self, token: Duration) -> Self {
        Self { token, ..self }
    }

    /// With another limit for the head of the gateway's answer.
    #[must_use]
    pub fn first_byte(self, first_byte: Duration) -> Self {
        Self { first_byte, ..self }
    }

    /// With another limit between two pieces of an answer.
    #[must_use]
    pub fn idle(self, idle: Duration) -> Self {
        Self { idle, ..self }
    }

    /// With another limit between two events that are no keep-alives.
    #[must_use]
    pub fn content(self, content: Duration) -> Self {
        Self { content, ..self }
    }

    /// With a limit for everything together, or without one.
    #[must_use]
    pub fn total(self, total: impl Into<Option<Duration>>) -> Self {
        Self { total: total.into(), ..self }
    }

    fn limits(self) -> Limits {
        Limits {
            session: as_millis(self.session),
            token: as_millis(self.token),
            first_byte: as_millis(self.first_byte),
            idle: as_millis(self.idle),
            content: as_millis(self.content),
            total: self.total.map_or(NEVER, as_millis),
        }
    }
}

impl Client {
    /// Begins with the gateway's base URL, with or without a trailing slash or `/v1`.
    pub fn builder(gateway_url: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(gateway_url.into())
    }
}

/// Builds a [`Client`].
#[must_use = "`build` makes the client"]
pub struct ClientBuilder(Box<Options>);

/// Nothing in here was checked yet.
struct Options {
    config: Config,
    function: Option<Function>,
    session: Option<Box<dyn SessionSource>>,
    transport: Option<Box<dyn Transport>>,
}

enum Function {
    Url(String),
    Supabase { url: String, name: String },
}

impl ClientBuilder {
    fn new(gateway_url: String) -> Self {
        let config = Config {
            gateway_url,
            function_url: String::new(),
            api_key: None,
            margin: 60_000.0,
            limits: Timeouts::default().limits(),
            max_retries: 2,
            largest_event: 1 << 20,
            source_reports: false,
        };
        Self(Box::new(Options { config, function: None, session: None, transport: None }))
    }

    /// The Supabase Edge Function that mints tokens: `{supabase_url}/functions/v1/{name}`.
    pub fn function(mut self, supabase_url: impl Into<String>, name: impl Into<String>) -> Self {
        self.0.function = Some(Function::Supabase { url: supabase_url.into(), name: name.into() });
        self
    }

    /// A token endpoint that runs elsewhere (axum, Workers, Node): its whole URL.
    pub fn token_url(mut self, url: impl Into<String>) -> Self {
        self.0.function = Some(Function::Url(url.into()));
        self
    }

    /// Who is signed in.
    pub fn session(mut self, source: impl SessionSource) -> Self {
        self.0.session = Some(Box::new(source));
        self
    }

    /// Supabase's publishable key, sent to the function as `apikey`. Not sent by default: the documented
    /// function's CORS answer allows no header beyond `authorization` and `content-type`.
    pub fn api_key(mut self, publishable_key: impl Into<String>) -> Self {
        self.0.config.api_key = Some(publishable_key.into());
        self
    }

    /// A token is used until no more than this is left of its life, and renewed in the background before. Default 60 s; of a
    /// token that lives no longer than twice the margin, half its life.
    pub fn margin(mut self, margin: Duration) -> Self {
        self.0.config.margin = as_millis(margin);
        self
    }

    /// Limits for each kind of wait.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.0.config.limits = timeouts.limits();
        self
    }

    /// How often a call is repeated after a passing failure, always before its first byte was handed out. Default 2.
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.0.config.max_retries = retries;
        self
    }

    /// The largest event of a stream in bytes. Default 1 MiB.
    pub fn largest_event(mut self, bytes: usize) -> Self {
        self.0.config.largest_event = bytes;
        self
    }

    /// Another door to the outside, for tests or an HTTP client of your own.
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.0.transport = Some(Box::new(transport));
        self
    }

    /// The client.
    ///
    /// # Errors
    /// [`Reason::InvalidConfig`] names everything that is missing or malformed.
    pub fn build(self) -> Result<Client, Error> {
        let Options { mut config, function, session, transport } = *self.0;
        let mut problems = Problems::default();
        let gateway_url = problems.base_url("the gateway URL (`Client::builder`)", &config.gateway_url);
        config.gateway_url = match gateway_url.strip_suffix("/v1") {
            Some(base) => trim_slashes(base).to_owned(),
            None => gateway_url,
        };
        config.function_url = match function {
            None => problems.tell("the token function is missing (`function` or `token_url`)"),
            Some(Function::Url(url)) => problems.base_url("the token function's URL (`token_url`)", &url),
            Some(Function::Supabase { url, name }) => {
                if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')) {
                    problems.tell("the function's name (`function`) may hold only letters, digits, - and _");
                }
                [&problems.base_url("the Supabase URL (`function`)", &url), "/functions/v1/", &name].concat()
            }
        };
        if let Some(key) = &config.api_key {
            problems.publishable_key("the key (`api_key`)", key);
        }
        if session.is_none() {
            problems.tell("the session source is missing (`session`)");
        }
        let Some(source) = session.filter(|_| problems.0.is_empty()) else {
            return Err(Error::new(Reason::InvalidConfig, problems.0));
        };
        let transport = transport.unwrap_or_else(|| Box::new(DefaultTransport::default()));
        Ok(Client::new(Driver::new(config, source, transport)))
    }
}

/// Without keys: nothing of them was checked yet.
impl std::fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientBuilder").field("gateway_url", &self.0.config.gateway_url).finish_non_exhaustive()
    }
}

/// All that is wrong, in one text.
#[derive(Default)]
pub(crate) struct Problems(String);

impl Problems {
    /// Nothing is wrong.
    #[cfg_attr(not(feature = "auth"), allow(dead_code))]
    pub(crate) fn none(self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::new(Reason::InvalidConfig, self.0)) }
    }

    /// Gives what stands in for the value that cannot be had.
    fn tell(&mut self, problem: &str) -> String {
        if !self.0.is_empty() {
            self.0.push_str("; ");
        }
        self.0.push_str(problem);
        String::new()
    }

    /// A key that a client may have, and a header carry.
    pub(crate) fn publishable_key(&mut self, what: &str, key: &str) {
        if matches!(CredentialKind::of(key), CredentialKind::SecretKey | CredentialKind::ServiceRole) {
            self.tell(&[what, " is a secret one: only the publishable key may be in a client"].concat());
        }
        if !is_header_safe(key) {
            self.tell(&[what, " has characters that no header can carry"].concat());
        }
    }

    /// An absolute http(s) URL without user, query or fragment, and without its trailing slashes.
    pub(crate) fn base_url(&mut self, what: &str, url: &str) -> String {
        checked_url(url).unwrap_or_else(|| {
            self.tell(what);
            self.0.push_str(" must be an absolute http(s) URL without user, query or fragment");
            String::new()
        })
    }
}

fn checked_url(url: &str) -> Option<String> {
    let (scheme, rest) = split_once(url, b':')?;
    let scheme = ["https", "http"].into_iter().find(|known| scheme.eq_ignore_ascii_case(known))?;
    let rest = trim_slashes(rest.strip_prefix("//")?);
    let (authority, path) = split_once(rest, b'/').unwrap_or((rest, ""));
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => split_once(bracketed, b']')?,
        None => {
            authority.split_at_checked(authority.bytes().position(|byte| byte == b':').unwrap_or(authority.len()))?
        }
    };
    let is_port = |port: &str| port.strip_prefix(':').and_then(small_number).is_some();
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
    let is_path = |(place, byte): (usize, u8)| match byte {
        b'%' => matches!(path.as_bytes().get(place + 1..place + 3), Some(hex) if hex.iter().all(u8::is_ascii_hexdigit)),
        b'?' | b'#' | b'@' | b'\\' => false,
        _ => byte.is_ascii_graphic(),
    };
    let is_url = !host.is_empty()
        && host.bytes().all(is_host)
        && (port.is_empty() || is_port(port))
        && path.bytes().enumerate().all(is_path);
    is_url.then(|| [scheme, "://", rest].concat()).filter(|url| platform::is_url(url))
}

/// Without the slashes at its end.
fn trim_slashes(mut text: &str) -> &str {
    while let Some(rest) = text.strip_suffix('/') {
        text = rest;
    }
    text
}
