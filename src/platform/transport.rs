//! The door itself: requests, what comes back, and why nothing did.

use std::fmt;
use std::task::{Context, Poll};
use std::time::Duration;

use super::thread::{BoxFuture, MaybeSend, MaybeSync};

/// What the client needs of its surroundings.
pub trait Transport: MaybeSend + MaybeSync + 'static {
    /// Sends a request and waits for the head of the response. Dropping the future cancels the request.
    fn send(&self, request: Request) -> BoxFuture<'static, Result<Response, Failure>>;

    /// Waits.
    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()>;

    /// Both clocks.
    fn now(&self) -> Now;

    /// Random bytes fit for ids.
    fn random(&self) -> [u8; 16];

    /// Lets a future go on by itself.
    fn spawn(&self, future: BoxFuture<'static, ()>);
}

/// A moment, on two clocks: the wall clock may be set, the monotonic one may stop while the machine sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Since the Unix epoch.
    pub wall: Duration,
    /// Since some fixed moment in the past.
    pub monotonic: Duration,
}

impl Now {
    /// The time from `earlier` to here: the larger of both clocks' answers, so that neither a
    /// clock set back nor a sleeping machine makes it too short.
    pub fn since(self, earlier: Now) -> Duration {
        self.wall.saturating_sub(earlier.wall).max(self.monotonic.saturating_sub(earlier.monotonic))
    }
}

/// A request. The header names are the client's own constants: a new one is a breaking change for CORS set-ups.
#[derive(Clone)]
pub struct Request {
    /// `GET`, `POST`, `PUT` or `DELETE`.
    pub method: &'static str,
    /// Absolute URL.
    pub url: String,
    /// Lower-case names.
    pub headers: Vec<(&'static str, String)>,
    /// JSON text.
    pub body: Option<String>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Header values hold tokens and the body holds what a user wrote: neither belongs into a log.
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("url", &self.url)
            .field("headers", &names)
            .finish()
    }
}

/// The response headers a transport passes on.
pub const READ_HEADERS: [&str; 4] = ["content-type", "retry-after", "x-trace-id", "x-request-id"];

/// The head of a response, and its body still to be read.
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Those of [`READ_HEADERS`] that are there (and that CORS exposes).
    pub headers: Vec<(&'static str, String)>,
    /// Dropping it cancels what has not arrived yet.
    pub body: Box<dyn Body>,
}

impl Response {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    }

    /// What the server's log knows it by.
    pub(crate) fn trace_id(&self) -> Option<String> {
        self.header("x-trace-id").or_else(|| self.header("x-request-id")).map(str::to_owned)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response").field("status", &self.status).field("headers", &self.headers).finish_non_exhaustive()
    }
}

/// The bytes of a response, read only when asked for.
pub trait Body: MaybeSend {
    /// The next bytes; `None` at a clean end.
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Vec<u8>, Failure>>>;
}

/// Why no (further) bytes came, in the platform's words. What it means depends on where it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    message: String,
    kind: FailureKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FailureKind {
    Broken,
    Unsent,
    Defect,
}

impl Failure {
    /// The connection failed. The request may have reached the server.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), kind: FailureKind::Broken }
    }

    /// The connection failed before the request was sent: sending it again does nothing twice.
    pub fn unsent(message: impl Into<String>) -> Self {
        Self { message: message.into(), kind: FailureKind::Unsent }
    }

    /// What came is no response. Sending the request again would not help.
    pub fn no_response(message: impl Into<String>) -> Self {
        Self { message: message.into(), kind: FailureKind::Defect }
    }

    /// The platform's words.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Has the request surely not reached the server?
    pub fn is_unsent(&self) -> bool {
        self.kind == FailureKind::Unsent
    }

    /// Is what came no response at all?
    pub fn is_no_response(&self) -> bool {
        self.kind == FailureKind::Defect
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
