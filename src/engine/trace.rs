//! What one call did and how long each part took: safe to paste into an issue.

use std::time::Duration;

use crate::Reason;

/// The record of one call. It holds times, reasons and ids, and never a token, a text or a URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trace {
    /// The token was in memory already.
    pub cached: bool,
    /// How long the session source took, if this call waited for a mint.
    pub session: Option<Duration>,
    /// How long the token function took, if this call waited for a mint.
    pub mint: Option<Duration>,
    /// From sending the request (the last one, if it was repeated) to the head of the answer.
    pub headers: Option<Duration>,
    /// From sending the request to the first text of a streamed answer.
    pub first_content: Option<Duration>,
    /// Why the call was repeated, in order.
    pub retries: Vec<Retry>,
    /// The session it is attributed to.
    pub session_id: String,
    /// The gateway's id of this call, where CORS exposes it.
    pub trace_id: Option<String>,
}

/// One repetition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retry {
    /// What the attempt before it failed with.
    pub reason: Reason,
    /// The HTTP status of that attempt.
    pub status: Option<u16>,
    /// How long was waited before it.
    pub waited: Duration,
}
