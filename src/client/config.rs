//! What a client is told when it is built, and what it refuses.

use std::time::Duration;

use super::Client;
use super::drive::Driver;
use super::session::SessionSource;
use crate::credential::CredentialKind;
use crate::engine::{Config, Limits, NEVER};
use crate::platform::{DefaultTransport, Transport};
use crate::wire::is_header_safe;
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

/// Builds a [`Client`].
pub struct ClientBuilder {
    gateway_url: String,
    function: Option<Function>,
    api_key: Option<String>,
    margin: Duration,
    timeouts: Timeouts,
    max_retries: u32,
    largest_event: usize,
    session: Option<Box<dyn SessionSource>>,
    transport: Option<Box<dyn Transport>>,
}

enum Function {
    Url(String),
    Supabase { url: String, name: String },
}

impl ClientBuilder {
    pub(super) fn new(gateway_url: String) -> Self {
        Self {
            gateway_url,
            function: None,
            api_key: None,
            margin: Duration::from_secs(60),
            timeouts: Timeouts::default(),
            max_retries: 2,
            largest_event: 1 << 20,
            session: None,
            transport: None,
        }
    }

    /// The Supabase Edge Function that mints tokens: `{supabase_url}/functions/v1/{name}`.
    #[must_use]
    pub fn function(mut self, supabase_url: impl Into<String>, name: impl Into<String>) -> Self {
        self.function = Some(Function::Supabase { url: supabase_url.into(), name: name.into() });
        self
    }

    /// A token endpoint that runs elsewhere (axum, Workers, Node): its whole URL.
    #[must_use]
    pub fn token_url(mut self, url: impl Into<String>) -> Self {
        self.function = Some(Function::Url(url.into()));
        self
    }

    /// Who is signed in.
    #[must_use]
    pub fn session(mut self, source: impl SessionSource) -> Self {
        self.session = Some(Box::new(source));
        self
    }

    /// Supabase's publishable key, sent to the function as `apikey`. Not sent by default: the documented
    /// function's CORS answer allows no header beyond `authorization` and `content-type`.
    #[must_use]
    pub fn api_key(mut self, publishable_key: impl Into<String>) -> Self {
        self.api_key = Some(publishable_key.into());
        self
    }

    /// A token is renewed when no more than this is left of its life. Default 60 s; a token that lives
    /// no longer than twice the margin is renewed at half its life.
    #[must_use]
    pub fn margin(mut self, margin: Duration) -> Self {
        self.margin = margin;
        self
    }

    /// Limits for each kind of wait.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// How often a call is repeated after a passing failure, always before its first byte was handed out. Default 2.
    #[must_use]
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.max_retries = retries;
        self
    }

    /// The largest event of a stream in bytes. Default 1 MiB.
    #[must_use]
    pub fn largest_event(mut self, bytes: usize) -> Self {
        self.largest_event = bytes;
        self
    }

    /// Another door to the outside, for tests or an HTTP client of your own.
    #[must_use]
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.transport = Some(Box::new(transport));
        self
    }

    /// The client.
    ///
    /// # Errors
    /// [`Reason::InvalidConfig`] names the option that is missing or malformed.
    pub fn build(self) -> Result<Client, Error> {
        let gateway_url = base_url("the gateway URL (behestUrl)", &self.gateway_url)?;
        let gateway_url = gateway_url.strip_suffix("/v1").unwrap_or(&gateway_url).trim_end_matches('/').to_owned();
        let function_url = match self.function {
            None => return Err(invalid("the token function is missing (supabaseUrl and functionName, or tokenUrl)")),
            Some(Function::Url(url)) => base_url("the option tokenUrl", &url)?,
            Some(Function::Supabase { url, name }) => {
                if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
                    return Err(invalid("the option functionName may hold only letters, digits, - and _"));
                }
                format!("{}/functions/v1/{name}", base_url("the option supabaseUrl", &url)?)
            }
        };
        if let Some(key) = &self.api_key {
            if matches!(CredentialKind::of(key), CredentialKind::SecretKey | CredentialKind::ServiceRole) {
                return Err(invalid("the API key is a secret one: only the publishable key may be in a client"));
            }
            if !is_header_safe(key) {
                return Err(invalid("the API key has characters that no header can carry"));
            }
        }
        let millis = |time: Duration| time.as_secs_f64() * 1000.0;
        let Timeouts { session, token, first_byte, idle, content, total } = self.timeouts;
        let config = Config {
            gateway_url,
            function_url,
            api_key: self.api_key,
            margin: millis(self.margin),
            limits: Limits {
                session: millis(session),
                token: millis(token),
                first_byte: millis(first_byte),
                idle: millis(idle),
                content: millis(content),
                total: total.map_or(NEVER, millis),
            },
            max_retries: self.max_retries,
            largest_event: self.largest_event,
            source_reports: false,
        };
        let source = self.session.ok_or_else(|| invalid("the session source is missing"))?;
        let transport = self.transport.unwrap_or_else(|| Box::new(DefaultTransport::default()));
        Ok(Client::new(Driver::new(config, source, transport)))
    }
}

/// An absolute http(s) URL without user, query or fragment, and without its trailing slashes.
fn base_url(what: &str, url: &str) -> Result<String, Error> {
    let checked = || {
        let (scheme, rest) = url.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.strip_prefix('[') {
            Some(bracketed) => bracketed.split_once(']')?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let is_port = |port: &str| port.strip_prefix(':').is_some_and(|digits| digits.parse::<u16>().is_ok());
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
        let is_escape =
            |after: &str| after.get(..2).is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let is_path = path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#@\\".contains(&byte))
            && path.split('%').skip(1).all(is_escape);
        let is_url = matches!(&*scheme, "http" | "https")
            && !host.is_empty()
            && host.bytes().all(is_host)
            && (port.is_empty() || is_port(port))
            && is_path;
        is_url.then(|| format!("{scheme}://{}", rest.trim_end_matches('/')))
    };
    checked().ok_or_else(|| {
        let message = format!("{what} must be an absolute http(s) URL without user, query or fragment");
        Error::new(Reason::InvalidConfig, message)
    })
}

fn invalid(message: &'static str) -> Error {
    Error::new(Reason::InvalidConfig, message)
}
