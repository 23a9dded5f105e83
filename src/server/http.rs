//! The one door through which the server module reaches other servers: key set, plan, mint.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Method, Request, Response, Uri};

use crate::{Error, Reason, wire};

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

impl HttpError {
    pub(super) fn words(&self) -> &str {
        match self {
            Self::Timeout => "no complete answer in time",
            Self::TooLarge => "the answer is larger than expected",
            Self::Failed(cause) => cause,
        }
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

impl std::error::Error for HttpError {}

/// A request of these parts.
pub(super) fn request(method: Method, url: &str, headers: HeaderMap, body: Bytes) -> Result<Request<Bytes>, Error> {
    let uri = Uri::try_from(url).map_err(|_| Error::new(Reason::InvalidRequest, "the address is not one"))?;
    let mut request = Request::new(body);
    (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (method, uri, headers);
    Ok(request)
}

/// `Retry-After`, counted from `now` (since the Unix epoch).
pub(super) fn retry_after(headers: &HeaderMap, now: Duration) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    wire::retry_after(text, wire::http_date(text), wire::as_millis(now))
}
