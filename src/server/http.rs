//! The one door through which the server module reaches other servers: key set, plan, mint.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Request, Response};
use url::{Host, Url};

use crate::wire;

/// Sends one request and reads the whole answer, within [`Limits`].
///
/// An implementation follows no redirects: an answer with status 3xx is handed back as it is.
pub trait HttpClient: Send + Sync {
    /// Sends `request`. Every status is an `Ok`; an `Err` means that no complete answer came.
    fn send(&self, request: Request<Bytes>, limits: Limits) -> BoxFuture<'static, Result<Response<Bytes>, HttpError>>;
}

/// How long an exchange may take and how much it may bring back.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// From the start of the request to the last byte of the answer.
    pub deadline: Duration,
    /// Bytes of the answer's body.
    pub body: usize,
}

impl Limits {
    /// Limits of this time and this many bytes.
    pub const fn new(deadline: Duration, body: usize) -> Self {
        Self { deadline, body }
    }
}

/// Why no complete answer came.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HttpError {
    /// [`Limits::deadline`] passed.
    Timeout,
    /// The body is larger than [`Limits::body`].
    TooLarge,
    /// Anything else: no connection, a broken one, or a bad certificate. The text is for the log.
    Failed(String),
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("no complete answer in time"),
            Self::TooLarge => f.write_str("the answer is larger than expected"),
            Self::Failed(cause) => f.write_str(cause),
        }
    }
}

impl std::error::Error for HttpError {}

/// Reads the address of a server that will be sent credentials or trusted for keys.
///
/// Only https, except for this machine itself and the hosts in `plain`.
pub(super) fn base_url(text: &str, plain: &[String]) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("is not a URL ({error})"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user name or password".into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must not have a query or fragment".into());
    }
    match (url.scheme(), url.host()) {
        ("https", Some(_)) => Ok(url),
        ("http", Some(host))
            if is_loopback(&host) || plain.iter().any(|name| name.eq_ignore_ascii_case(&host.to_string())) =>
        {
            Ok(url)
        }
        ("http", Some(host)) => {
            Err(format!("must begin with https:// (for a host on a private network, list {host} in ALLOW_HTTP_HOSTS)"))
        }
        _ => Err("must begin with https://".into()),
    }
}

/// Is this the address under which the Supabase CLI's local stack is known to the functions that it serves?
pub(super) fn is_local_stack(url: &Url) -> bool {
    url.as_str() == "http://kong:8000/"
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

/// `Retry-After`, counted from `now` (since the Unix epoch).
pub(super) fn retry_after(headers: &HeaderMap, now: Duration) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    let millis = |time: Duration| time.as_secs_f64() * 1000.0;
    let date = httpdate::parse_http_date(text.trim()).ok().and_then(|date| date.duration_since(UNIX_EPOCH).ok());
    wire::retry_after(text, date.map(millis), millis(now))
}

/// `base` with `path` appended to its own path, whether or not `base` ends in a slash.
pub(super) fn join(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    url
}
