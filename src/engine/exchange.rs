//! One request and its answer, as far as it has come.

use super::clock::Moment;
use super::table::Id;
use crate::text::digits;
use crate::wire::{self, ErrorBody};
use crate::{Error, Reason, Secret};

/// Who a request to the gateway is addressed to, in errors.
pub(crate) const GATEWAY: &str = "the gateway";
/// The same for the mint.
pub(crate) const FUNCTION: &str = "the token function";

/// Larger than any JSON reply worth having in memory.
const LARGEST_REPLY: usize = 16 << 20;

/// How long the words of a refusal are waited for.
pub(crate) const REFUSAL_LIMIT: f64 = 5_000.0;

/// The head of an answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    /// HTTP status; zero where the platform hides that of a redirect.
    pub(crate) status: u16,
    /// `content-type`, lower case.
    pub(crate) kind: String,
    /// `retry-after` as it was sent.
    pub(crate) retry_after: Option<String>,
    /// `retry-after` as a date since the Unix epoch in milliseconds, where the platform's parser takes it for one.
    pub(crate) retry_date: Option<f64>,
    /// `x-trace-id` or `x-request-id`.
    pub(crate) trace_id: Option<String>,
}

/// Why no (further) bytes came, in the platform's words.
#[derive(Clone, Debug)]
pub(crate) struct Broken {
    pub(crate) message: String,
    /// The request surely has not reached the server.
    pub(crate) unsent: bool,
    /// What came was no answer at all: a defect of whoever carries out requests, and nothing to repeat.
    pub(crate) is_defect: bool,
}

/// A request under way.
pub(crate) struct Exchange {
    pub(crate) request: Id,
    pub(crate) sent: Moment,
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    /// What it carried, which no error may show.
    pub(crate) bearer: Secret,
    pub(crate) url: String,
}

/// The reply is larger than any should be.
pub(crate) struct Overlong;

impl Exchange {
    pub(crate) fn new(request: Id, sent: Moment, bearer: &Secret, url: &str) -> Self {
        let (head, body) = (Head::default(), Vec::new());
        Self { request, sent, head, body, bearer: bearer.clone(), url: url.to_owned() }
    }

    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<(), Overlong> {
        if self.body.len() + bytes.len() > LARGEST_REPLY {
            return Err(Overlong);
        }
        self.body.extend_from_slice(bytes);
        Ok(())
    }

    pub(crate) fn overlong(&self, server: &str) -> Error {
        self.tell(Error::new(Reason::InvalidResponse, [server, "'s reply is too large"].concat()))
    }

    /// With what every error of this exchange tells, and without what none may.
    pub(crate) fn tell(&self, error: Error) -> Error {
        let trace_id = self.head.trace_id.clone();
        error.with_trace_id(trace_id).redact(self.bearer.expose())
    }

    /// The error of an answer that is no success.
    pub(crate) fn refusal(&self, server: &str, now: Moment) -> Error {
        let status = self.head.status;
        let error = if status == 0 || matches!(status, 301 | 302 | 303 | 307 | 308) {
            let message = [server, " at ", &self.url, " answered with a redirect, which is not followed"].concat();
            let hint = "Set the URL to where the redirect leads, if that is the right server.".to_owned();
            let error = Error::new(Reason::InvalidResponse, message).with_hint(Some(hint));
            if status == 0 { error } else { error.with_status(status) }
        } else {
            ErrorBody::parse(&self.body).into_error(server, status)
        };
        let wait =
            self.head.retry_after.as_deref().and_then(|value| wire::retry_after(value, self.head.retry_date, now.wall));
        let wait = wait.or(error.retry_after());
        self.tell(error.with_retry_after(wait))
    }

    /// The error of a request that got no answer.
    pub(crate) fn unanswered(&self, server: &str, broken: &Broken) -> Error {
        let reason = if broken.is_defect { Reason::InvalidResponse } else { Reason::Network };
        self.tell(Error::new(reason, [server, " at ", &self.url, " gave no answer: ", &broken.message].concat()))
    }

    /// The error of an answer that broke off.
    pub(crate) fn broken_off(&self, what: &str, broken: &Broken) -> Error {
        self.broken_off_as(Reason::Disconnected, what, broken)
    }

    /// The same for what nobody has seen a part of: to its callers it is no answer.
    pub(crate) fn half_answered(&self, what: &str, broken: &Broken) -> Error {
        self.broken_off_as(Reason::Network, what, broken)
    }

    fn broken_off_as(&self, reason: Reason, what: &str, broken: &Broken) -> Error {
        let reason = if broken.is_defect { Reason::InvalidResponse } else { reason };
        self.tell(Error::new(reason, [what, " broke off: ", &broken.message].concat()))
    }
}

/// What a request carries to be let in.
pub(crate) fn bearer(secret: &Secret) -> String {
    ["Bearer ", secret.expose()].concat()
}

/// The error of a limit that passed.
pub(crate) fn timed_out(reason: Reason, limit: f64, what: &str) -> Error {
    Error::new(reason, ["no answer within ", &digits(limit as u64), " ms: ", what].concat())
}

/// What names an option, in the spelling of whoever has this face of the engine.
pub(crate) const fn spelt(rust: &'static str, javascript: &'static str) -> &'static str {
    if cfg!(feature = "client") { rust } else { javascript }
}
