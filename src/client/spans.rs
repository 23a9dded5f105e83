//! What the feature `tracing` shows of a client's work: spans named `session`, `mint`, `call` and `stream`, with times, reasons
//! and ids, and never a token or a text. Without the feature all of this is nothing.

use crate::Error;
use crate::engine::{Kind, Outcome, Reply, Trace};

/// A span, or what stands in for it.
#[cfg(feature = "tracing")]
pub(super) struct Span(tracing::Span);
#[cfg(not(feature = "tracing"))]
pub(super) struct Span;

#[cfg(feature = "tracing")]
impl Span {
    pub(super) fn none() -> Self {
        Self(tracing::Span::none())
    }

    /// The session source is asked.
    pub(super) fn session() -> Self {
        Self(tracing::debug_span!(target: "behest_client", "session", signed_in = Empty, reason = Empty))
    }

    /// The token function is asked; each attempt has its own.
    pub(super) fn mint() -> Self {
        Self(tracing::debug_span!(target: "behest_client", "mint", status = Empty))
    }

    /// From the question to the answer, or to the beginning of a stream.
    pub(super) fn call(kind: &Kind) -> Self {
        let kind = match kind {
            Kind::Ask => "ask",
            Kind::Chat => "chat",
            Kind::Stream => "stream",
            Kind::Warm => "warm",
            Kind::Resource(_) | Kind::Raw(_) => "resource",
        };
        Self(tracing::info_span!(
            target: "behest_client",
            "call",
            kind,
            status = Empty,
            reason = Empty,
            cached = Empty,
            retries = Empty,
            session_id = Empty,
            trace_id = Empty,
        ))
    }

    /// From the beginning of a stream to its end.
    pub(super) fn stream(trace: &Trace) -> Self {
        Self(tracing::info_span!(
            target: "behest_client",
            "stream",
            outcome = Empty,
            reason = Empty,
            session_id = trace.session_id,
            trace_id = trace.trace_id.as_deref(),
        ))
    }

    pub(super) fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        self.0.in_scope(work)
    }

    pub(super) fn signed_in(&self, session: Result<bool, &Error>) {
        match session {
            Ok(signed_in) => self.0.record("signed_in", signed_in),
            Err(error) => self.0.record("reason", error.reason().as_str()),
        };
    }

    pub(super) fn status(&self, status: u16) {
        self.0.record("status", status);
    }

    /// A stream begins.
    pub(super) fn opened(&self, trace: &Trace) {
        self.0.record("cached", trace.cached).record("retries", trace.retries.len());
        self.0.record("session_id", &*trace.session_id);
        self.trace_id(trace.trace_id.as_deref());
    }

    pub(super) fn settled(&self, result: Result<&Reply, &Error>) {
        match result {
            // A call for a token alone has no answer.
            Ok(reply) if reply.status == 0 => {
                self.0.record("session_id", &*reply.trace.session_id);
            }
            Ok(reply) => {
                self.status(reply.status);
                self.opened(&reply.trace);
            }
            Err(error) => self.failed(error),
        }
    }

    /// Whoever asked does not wait for it any more.
    pub(super) fn cancelled(&self) {
        self.0.record("reason", crate::Reason::Aborted.as_str());
    }

    pub(super) fn failed(&self, error: &Error) {
        self.0.record("reason", error.reason().as_str());
        error.status().into_iter().for_each(|status| self.status(status));
        self.trace_id(error.trace_id());
    }

    /// It is over.
    pub(super) fn ended(&mut self, outcome: Outcome) {
        self.0.record("outcome", outcome.as_str());
        self.0 = tracing::Span::none();
    }

    fn trace_id(&self, id: Option<&str>) {
        if let Some(id) = id {
            self.0.record("trace_id", id);
        }
    }
}

#[cfg(feature = "tracing")]
use tracing::field::Empty;

#[cfg(not(feature = "tracing"))]
impl Span {
    pub(super) fn none() -> Self {
        Self
    }

    pub(super) fn session() -> Self {
        Self
    }

    pub(super) fn mint() -> Self {
        Self
    }

    pub(super) fn call(_: &Kind) -> Self {
        Self
    }

    pub(super) fn stream(_: &Trace) -> Self {
        Self
    }

    pub(super) fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        work()
    }

    pub(super) fn signed_in(&self, _: Result<bool, &Error>) {}

    pub(super) fn status(&self, _: u16) {}

    pub(super) fn opened(&self, _: &Trace) {}

    pub(super) fn settled(&self, _: Result<&Reply, &Error>) {}

    pub(super) fn cancelled(&self) {}

    pub(super) fn failed(&self, _: &Error) {}

    pub(super) fn ended(&mut self, _: Outcome) {}
}
