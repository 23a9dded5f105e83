//! What a client is told when it is built, and what it refuses.

use std::time::Duration;

use super::session::{CurrentUser, SessionSource};
use super::transport::{DefaultTransport, Transport};
use super::{Client, Shared};
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
    /// For everything together. Default none, since a long answer that flows is no failure.
    pub total: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { session: seconds(10), token: seconds(15), first_byte: seconds(120), idle: seconds(60), total: None }
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
        let gateway_url = gateway_url.strip_suffix("/v1").unwrap_or(gateway_url).trim_end_matches('/').to_owned();
        let function_url = match self.function {
            None => return Err(invalid("the token function is missing (supabaseUrl and functionName, or tokenUrl)")),
            Some(Function::Url(url)) => base_url("the option tokenUrl", &url)?.to_owned(),
            Some(Function::Supabase { url, name }) => {
                if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
                    return Err(invalid("the option functionName may hold only letters, digits, - and _"));
                }
                format!("{}/functions/v1/{name}", base_url("the option supabaseUrl", &url)?)
            }
        };
        if let Some(key) = &self.api_key {
            if key.starts_with("sb_secret_") || key.starts_with("behest_") {
                return Err(invalid("the API key is a secret one: only the publishable key may be in a client"));
            }
            if !is_header_safe(key) {
                return Err(invalid("the API key has characters that no header can carry"));
            }
        }
        Ok(Client::new(Shared {
            gateway_url,
            function_url,
            api_key: self.api_key,
            margin: self.margin,
            timeouts: self.timeouts,
            max_retries: self.max_retries,
            largest_event: self.largest_event,
            session: self.session.ok_or_else(|| invalid("the session source is missing"))?,
            transport: self.transport.unwrap_or_else(|| Box::new(DefaultTransport::default())),
            user: CurrentUser::default(),
        }))
    }
}

/// An absolute http(s) URL without query or fragment, and without its trailing slashes.
fn base_url<'a>(what: &str, url: &'a str) -> Result<&'a str, Error> {
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let is_plain = |rest: &str| {
        !rest.is_empty()
            && !rest.starts_with('/')
            && rest.bytes().all(|b| b.is_ascii_graphic() && !b"?#@\\".contains(&b))
    };
    if !host.is_some_and(is_plain) {
        let message = format!("{what} must be an absolute http(s) URL without user, query or fragment");
        return Err(Error::new(Reason::InvalidConfig, message));
    }
    Ok(url.trim_end_matches('/'))
}

fn invalid(message: &'static str) -> Error {
    Error::new(Reason::InvalidConfig, message)
}
