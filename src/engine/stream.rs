//! A streamed answer: from bytes to what is handed out, and the truth about how it ended.

use super::chunk::{self, Choice, Chunk, Data, Shape};
use super::exchange::GATEWAY;
use super::receive::{Receive, Want};
use super::sse::{Decoder, Event, TooLarge};
use super::tools::ToolCalls;
use crate::json::{Json, Scan, Text};
use crate::text::digits;
use crate::wire::ErrorBody;
use crate::{Error, Reason};

/// How a stream ended. Whatever it is, the text so far is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The answer is whole.
    Complete,
    /// The answer reached its token limit.
    Length,
    /// A content filter cut the answer.
    ContentFilter,
    /// The answer is a request to call tools.
    ToolCalls,
    /// The caller cancelled.
    Aborted,
    /// The connection broke.
    Disconnected,
    /// Nothing came for longer than the idle limit, or nothing but keep-alives for longer than theirs.
    Stalled,
    /// The stream closed cleanly, but without a `finish_reason` and without `[DONE]`.
    Truncated,
    /// The gateway reported an error, or sent what is no stream of chunks.
    Failed,
}

impl Outcome {
    /// The stable name used in TypeScript.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Length => "length",
            Self::ContentFilter => "content_filter",
            Self::ToolCalls => "tool_calls",
            Self::Aborted => "aborted",
            Self::Disconnected => "disconnected",
            Self::Stalled => "stalled",
            Self::Truncated => "truncated",
            Self::Failed => "failed",
        }
    }

    fn of_finish_reason(reason: &str) -> Self {
        match reason {
            "length" => Self::Length,
            "content_filter" => Self::ContentFilter,
            "tool_calls" | "function_call" => Self::ToolCalls,
            "error" => Self::Failed,
            // "stop", and the words of servers that have their own for it.
            _ => Self::Complete,
        }
    }
}

/// The end of a stream: how, and the error that says why, unless it ended as it should.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) outcome: Outcome,
    pub(crate) error: Option<Error>,
}

impl End {
    pub(crate) fn failed(outcome: Outcome, reason: Reason, message: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Self { outcome, error: Some(Error::new(reason, message)) }
    }
}

pub(crate) struct Stream {
    decoder: Decoder,
    largest_event: usize,
    content: Content,
}

/// What has been understood so far.
#[derive(Default)]
struct Content {
    tool_calls: ToolCalls,
    finish_reason: String,
    /// First half of a surrogate pair at the end of the text so far.
    half: Option<u16>,
    shape: Shape,
    progress: Progress,
    end: Option<End>,
}

/// What bytes brought, for limits and budgets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// An event, and not just a keep-alive.
    pub(crate) event: bool,
    /// Bytes of text.
    pub(crate) text: usize,
    /// `usage` as JSON.
    pub(crate) usage: Option<String>,
}

impl Stream {
    pub(crate) fn new(largest_event: usize) -> Self {
        Self { decoder: Decoder::new(largest_event), largest_event, content: Content::default() }
    }

    /// Takes the next bytes.
    pub(crate) fn push(&mut self, mut bytes: &[u8], want: Want, out: &mut dyn Receive) -> Progress {
        let content = &mut self.content;
        while content.end.is_none() {
            if self.decoder.is_between_events() {
                bytes = content.take_alike(bytes, want, out);
            }
            match self.decoder.next(&mut bytes) {
                Ok(Some(event)) => content.take(&event, want, out, false),
                Ok(None) => break,
                Err(TooLarge) => {
                    let message =
                        ["an event of the stream is larger than ", &digits(self.largest_event as u64), " bytes"]
                            .concat();
                    content.end = Some(End::failed(Outcome::Failed, Reason::EventTooLarge, message));
                }
            }
        }
        std::mem::take(&mut self.content.progress)
    }

    /// The bytes are over.
    pub(crate) fn close(&mut self, want: Want, out: &mut dyn Receive) -> Progress {
        let content = &mut self.content;
        if let Some(event) = self.decoder.finish() {
            content.take(&event, want, out, true);
        }
        if content.end.is_none() {
            content.end = Some(content.finished().unwrap_or_else(truncated));
        }
        std::mem::take(&mut self.content.progress)
    }

    /// How it ended, if it did.
    pub(crate) fn end(&self) -> Option<&End> {
        self.content.end.as_ref()
    }

    /// The end of an answer of which only the end marker is missing.
    pub(crate) fn finished(&self) -> Option<End> {
        self.content.finished()
    }
}

impl Content {
    /// Hands out the events at the start of `bytes` that differ from the one before only in their text.
    fn take_alike<'a>(&mut self, mut bytes: &'a [u8], want: Want, out: &mut dyn Receive) -> &'a [u8] {
        while let Some((data, rest)) = self.shape.event(bytes) {
            self.take_text(data, want, out);
            bytes = rest;
        }
        bytes
    }

    /// Hands out a chunk that differs from one before only in its text; `false` if it is none.
    fn take_text(&mut self, data: &str, want: Want, out: &mut dyn Receive) -> bool {
        let Some(text) = self.shape.text(data) else { return false };
        self.progress.event = true;
        self.say(text, want, out);
        if want == Want::Chunks {
            if self.shape.was_shown() {
                out.alike(data, text);
            } else {
                out.chunk(data);
                out.pattern();
            }
        }
        true
    }

    /// One event: a chunk, the end marker, an error, or something to skip.
    fn take(&mut self, event: &Event<'_>, want: Want, out: &mut dyn Receive, last: bool) {
        if !event.is_error && self.take_text(&event.data, want, out) {
            return;
        }
        let data = event.data.strip_prefix('\u{feff}').unwrap_or(&event.data).trim_ascii();
        if !event.is_error && matches!(data, "" | "null") {
            // A keep-alive.
            return;
        }
        self.progress.event = true;
        if data == "[DONE]" {
            self.end = Some(self.finished().unwrap_or(End { outcome: Outcome::Complete, error: None }));
            return;
        }
        self.end = match chunk::read(data, chunk::DELTA) {
            Data::Chunk(Chunk { error: Some(_), .. }) => Some(reported(ErrorBody::parse(data.as_bytes()))),
            _ if event.is_error => Some(reported(ErrorBody::parse(data.as_bytes()))),
            Data::Chunk(Chunk { first: Choice { error: Some(error), .. }, .. }) => Some(reported(ErrorBody::of(error))),
            Data::Chunk(chunk) => {
                self.note(&chunk, data, want, out);
                None
            }
            Data::Other => None,
            // Half an event, flushed at the end of the bytes.
            Data::Broken if last => Some(self.finished().unwrap_or_else(truncated)),
            Data::Broken => {
                let message = "the gateway's stream has a chunk that is not JSON";
                Some(End::failed(Outcome::Failed, Reason::InvalidResponse, message))
            }
        };
    }

    fn note(&mut self, chunk: &Chunk<'_>, data: &str, want: Want, out: &mut dyn Receive) {
        let Chunk { first, usage, .. } = chunk;
        if want == Want::Chunks {
            out.chunk(data);
        }
        let text = first.said.and_then(|said| Scan::new(said.raw()).string());
        if let Some(text) = text {
            self.say(text, want, out);
        } else if let Some(parts) = first.said {
            self.say(Text::plain(&chunk::words(parts)), want, out);
        }
        if let Some(pieces) = first.tool_calls {
            self.tool_calls.add(pieces, out);
        }
        if !first.finish_reason.is_empty() {
            self.finish_reason.clear();
            first.finish_reason.write_to(&mut self.finish_reason);
            out.finish_reason(&self.finish_reason);
        }
        if let Some(usage) = usage {
            self.progress.usage = Some(usage.raw().to_owned());
            out.usage(usage.raw());
        }
        let is_more =
            first.is_refusal || first.tool_calls.is_some() || usage.is_some() || !first.finish_reason.is_empty();
        if let Some(text) = text.filter(|text| !is_more && !text.is_empty()) {
            self.shape.learn(data, text);
        }
    }

    /// More of the answer's text. Who wants chunks reads it there.
    fn say(&mut self, text: Text<'_>, want: Want, out: &mut dyn Receive) {
        self.progress.text += text.len();
        if want == Want::Text && !text.is_empty() {
            self.half = out.text(text, self.half);
        }
    }

    fn finished(&self) -> Option<End> {
        let reason = &*self.finish_reason;
        (!reason.is_empty()).then(|| match Outcome::of_finish_reason(reason) {
            Outcome::Failed => {
                let message = "the gateway ended the answer with the finish_reason \"error\"";
                End::failed(Outcome::Failed, Reason::ServerError, message)
            }
            outcome => End { outcome, error: None },
        })
    }
}

fn truncated() -> End {
    let message = "the gateway's stream closed without finish_reason and without [DONE]";
    End::failed(Outcome::Truncated, Reason::Truncated, message)
}

fn reported(body: ErrorBody) -> End {
    End { outcome: Outcome::Failed, error: Some(body.into_reported(GATEWAY)) }
}

/// A success that is no stream: what stands in it instead.
pub(crate) fn not_a_stream(kind: &str, body: &[u8]) -> Error {
    let error = Json::of_bytes(body).filter(|json| json.field("error").is_some_and(chunk::reports));
    match error {
        Some(json) => ErrorBody::of(json).into_reported(GATEWAY),
        None => Error::new(Reason::InvalidResponse, ["the gateway answered ", kind, " instead of a stream"].concat()),
    }
}
