//! A streamed answer: its chunks as they come, and the truth about how it ended.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::budget::Tab;
use super::chat::{ChatChunk, Usage};
use super::exchange::{self, Limit};
use super::gateway::{Answer, Call, SERVER};
use super::sse::{Decoder, Event, TooLarge};
use super::tools::{ToolCall, ToolCalls};
use super::trace::Trace;
use super::transport::{BoxFuture, Now, Response};
use super::{Client, Shared, no_one_signed_in};
use crate::parse::Json;
use crate::wire::ErrorBody;
use crate::{Error, Reason};
use event_listener::EventListener;
use futures_util::Stream;
use futures_util::future::select;

/// How long the server has for what it sends after the end marker.
const DRAIN: Duration = Duration::from_secs(2);

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
    /// Nothing came for longer than the idle limit.
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
            // "stop", and the words of servers that have their own for it.
            _ => Self::Complete,
        }
    }
}

/// A streamed answer as JSON texts, one for each chunk.
pub struct RawStream {
    /// Dropped at the end: that is what cancels the request.
    response: Option<Response>,
    decoder: Decoder,
    too_large: bool,
    shared: Arc<Shared>,
    /// Runs only while bytes are waited for: a caller who takes their time is not a gateway that is silent.
    idle: Option<BoxFuture<'static, ()>>,
    total: Option<BoxFuture<'static, ()>>,
    user_changed: EventListener,
    epoch: u64,
    trace: Trace,
    sent: Now,
    tab: Option<Tab>,
    tool_calls: ToolCalls,
    finish_reason: Option<String>,
    outcome: Option<Outcome>,
}

impl RawStream {
    pub(crate) async fn open(client: &Client, call: Call) -> Result<Self, Error> {
        let shared = client.shared.clone();
        let total = client.total.map(|time| shared.transport.sleep(time));
        let Answer { response, epoch, trace, sent, tab } = client
            .bounded(async {
                let mut answer = client.call(&call).await?;
                let checked = check_is_stream(&shared, answer.response).await;
                answer.response = checked.map_err(|error| error.with_trace_id(answer.trace.trace_id.clone()))?;
                Ok(answer)
            })
            .await?;
        Ok(Self {
            response: Some(response),
            decoder: Decoder::new(shared.largest_event),
            idle: None,
            too_large: false,
            total,
            user_changed: shared.user.listen(),
            epoch,
            trace,
            sent,
            tab,
            tool_calls: ToolCalls::default(),
            finish_reason: None,
            outcome: None,
            shared,
        })
    }

    /// How it ended; `None` while it goes on.
    pub fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    /// The gateway's word for why the answer ended.
    pub fn finish_reason(&self) -> Option<&str> {
        self.finish_reason.as_deref()
    }

    /// The tool calls of the first answer so far.
    pub fn tool_calls(&self) -> impl Iterator<Item = &ToolCall> {
        self.tool_calls.calls()
    }

    /// What the call did and how long it took.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Cancels the request. What came so far stays.
    pub fn abort(&mut self) {
        if self.outcome.is_none() {
            self.end(Outcome::Aborted);
        }
    }

    /// The next chunk. After `None` or an error [`outcome`](Self::outcome) is set and only `None` follows.
    pub fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<String, Error>>> {
        loop {
            if self.outcome.is_some() {
                return Poll::Ready(None);
            }
            // First of all: what has arrived for a user who has left is nobody's any more.
            if let Some(error) = self.interrupted(context) {
                return Poll::Ready(Some(Err(error)));
            }
            if let Some(event) = self.decoder.next_event() {
                match self.take(event) {
                    Ok(None) => continue,
                    Ok(Some(chunk)) => return Poll::Ready(Some(Ok(chunk))),
                    Err(error) => return Poll::Ready(Some(Err(error))),
                }
            }
            if self.too_large {
                let message = format!("an event of the stream is larger than {} bytes", self.shared.largest_event);
                return Poll::Ready(Some(Err(self.fail(Outcome::Failed, Reason::EventTooLarge, message))));
            }
            let Some(response) = &mut self.response else { return Poll::Ready(self.at_end()) };
            match response.body.poll_chunk(context) {
                Poll::Ready(Some(Ok(bytes))) => {
                    self.idle = None;
                    self.too_large = self.decoder.push(&bytes) == Err(TooLarge);
                }
                Poll::Ready(None) => {
                    self.response = None;
                    self.decoder.finish();
                }
                Poll::Ready(Some(Err(failure))) => {
                    if self.finish_reason.is_some() {
                        // The answer was whole; only the end marker is lost.
                        return Poll::Ready(self.at_end());
                    }
                    let message = format!("{SERVER}'s stream broke off: {failure}");
                    return Poll::Ready(Some(Err(self.fail(Outcome::Disconnected, Reason::Disconnected, message))));
                }
                Poll::Pending => return self.wait(context),
            }
        }
    }

    /// Nothing has come: is it time to give up?
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<String, Error>>> {
        let Shared { transport, timeouts, .. } = &*self.shared;
        let idle = self.idle.get_or_insert_with(|| transport.sleep(timeouts.idle));
        if idle.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        let message = format!("nothing came for {} ms (timeouts.idle)", self.shared.timeouts.idle.as_millis() as u64);
        Poll::Ready(Some(Err(self.fail(Outcome::Stalled, Reason::Stalled, message))))
    }

    /// The user changed, or the whole call has taken too long.
    fn interrupted(&mut self, context: &mut Context<'_>) -> Option<Error> {
        while Pin::new(&mut self.user_changed).poll(context).is_ready() {
            self.user_changed = self.shared.user.listen();
        }
        if self.epoch != self.shared.user.epoch() {
            self.end(Outcome::Failed);
            return Some(no_one_signed_in().with_trace_id(self.trace.trace_id.clone()));
        }
        if self.total.as_mut().is_some_and(|total| total.as_mut().poll(context).is_ready()) {
            let message = "the whole call took longer than its limit (timeouts.total)".to_owned();
            return Some(self.fail(Outcome::Failed, Reason::Timeout, message));
        }
        None
    }

    /// One event: a chunk, the end marker, an error, or something to skip.
    fn take(&mut self, event: Event) -> Result<Option<String>, Error> {
        let data = event.data.trim();
        if data == "[DONE]" {
            self.drain();
            self.end(self.finished().unwrap_or(Outcome::Complete));
            return Ok(None);
        }
        if data.is_empty() || data == "null" {
            // Keep-alives.
            return Ok(None);
        }
        let json = Json::parse(data);
        if event.name == "error" || json.as_ref().is_some_and(reports_an_error) {
            self.end(Outcome::Failed);
            let said = json.map(|json| ErrorBody::of(&json)).unwrap_or_else(|| ErrorBody::of_text(data));
            return Err(said.into_reported(SERVER).with_trace_id(self.trace.trace_id.clone()));
        }
        let Some(json) = json else {
            if self.response.is_none() {
                // Half an event, flushed at the end of the bytes.
                return self.at_end().map_or(Ok(None), |result| result.map(Some));
            }
            let message = format!("{SERVER}'s stream has a chunk that is not JSON");
            return Err(self.fail(Outcome::Failed, Reason::InvalidResponse, message));
        };
        if !json.is_object() {
            return Ok(None);
        }
        if let Some(tab) = &mut self.tab {
            tab.usage = json.find(&["usage"]).or(tab.usage.take());
        }
        let first = json.find(&["choices"]).and_then(|choices| {
            choices.items().find(|choice| choice.find(&["index"]).is_none_or(|index| index.number() == Some(0.0)))
        });
        if let Some(choice) = first {
            self.note(&choice);
        }
        Ok(Some(event.data))
    }

    fn note(&mut self, choice: &Json) {
        let text = choice.find(&["delta", "content"]).and_then(|text| text.text()).filter(|text| !text.is_empty());
        if let Some(text) = text {
            self.trace.first_content.get_or_insert_with(|| self.shared.transport.now().since(self.sent));
            self.tab.iter_mut().for_each(|tab| tab.answer += text.len());
        }
        if let Some(pieces) = choice.find(&["delta", "tool_calls"]) {
            self.tool_calls.add(&pieces);
        }
        let reason =
            choice.find(&["finish_reason"]).and_then(|reason| reason.text()).filter(|reason| !reason.is_empty());
        self.finish_reason = reason.or(self.finish_reason.take());
    }

    /// The bytes are over.
    fn at_end(&mut self) -> Option<Result<String, Error>> {
        match self.finished() {
            Some(outcome) => {
                self.end(outcome);
                None
            }
            None => {
                let message = format!("{SERVER}'s stream closed without finish_reason and without [DONE]");
                Some(Err(self.fail(Outcome::Truncated, Reason::Truncated, message)))
            }
        }
    }

    fn finished(&self) -> Option<Outcome> {
        self.finish_reason.as_deref().map(Outcome::of_finish_reason)
    }

    fn fail(&mut self, outcome: Outcome, reason: Reason, message: String) -> Error {
        self.end(outcome);
        Error::new(reason, message).with_trace_id(self.trace.trace_id.clone())
    }

    /// Lets the server finish its answer after the end marker. Hanging up at once would look to it like a caller who
    /// left, and the connection could not be used again.
    fn drain(&mut self) {
        let Some(mut response) = self.response.take() else { return };
        let (shared, limit) = (self.shared.clone(), self.shared.transport.sleep(DRAIN));
        shared.transport.spawn(Box::pin(async move {
            let rest = poll_fn(|context| {
                while let Some(Ok(_)) = ready!(response.body.poll_chunk(context)) {}
                Poll::Ready(())
            });
            select(rest, limit).await;
        }));
    }

    fn end(&mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
        self.response = None;
        self.tab = None;
        // The stream may be kept for its text; its timers are not.
        self.idle = None;
        self.total = None;
    }
}

/// A success that is no stream: the gateway ignored `stream`, or the URL leads to a page.
async fn check_is_stream(shared: &Shared, response: Response) -> Result<Response, Error> {
    let kind = response.header("content-type").unwrap_or_default().to_ascii_lowercase();
    if !kind.starts_with("application/json") && !kind.starts_with("text/html") {
        return Ok(response);
    }
    let status = response.status;
    let limit =
        Limit { time: shared.timeouts.idle, reason: Reason::Timeout, what: "the gateway's reply (timeouts.idle)" };
    let body = exchange::read(&*shared.transport, limit, SERVER, response).await?;
    let json = Json::parse_bytes(&body);
    Err(match json.filter(reports_an_error) {
        Some(json) => ErrorBody::of(&json).into_reported(SERVER),
        None => Error::new(Reason::InvalidResponse, format!("{SERVER} answered {kind} instead of a stream")),
    }
    .with_status(status))
}

/// `"error": null` and `"error": false` report none.
pub(crate) fn reports_an_error(json: &Json) -> bool {
    json.find(&["error"]).is_some_and(|error| error.is_object() || error.text().is_some())
}

/// A streamed answer as typed chunks: a [`Stream`] of `Result<ChatChunk, Error>`.
pub struct ChatStream {
    raw: RawStream,
    text: String,
    usage: Option<Usage>,
}

impl ChatStream {
    pub(crate) fn new(raw: RawStream) -> Self {
        Self { raw, text: String::new(), usage: None }
    }

    /// The first answer's text so far. Kept whatever happens.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it cost in tokens, once the gateway has said so (`stream_options: {"include_usage": true}`).
    pub fn usage(&self) -> Option<&Usage> {
        self.usage.as_ref()
    }

    fn read(&mut self, json: &str) -> Result<ChatChunk, Error> {
        let chunk: ChatChunk = serde_json::from_str(json).map_err(|error| {
            let message = format!("{SERVER}'s stream has a chunk of another shape: {error}");
            self.raw.fail(Outcome::Failed, Reason::InvalidResponse, message)
        })?;
        self.text.push_str(chunk.text());
        self.usage = chunk.usage.clone().or(self.usage.take());
        Ok(chunk)
    }
}

impl std::ops::Deref for ChatStream {
    type Target = RawStream;

    fn deref(&self) -> &RawStream {
        &self.raw
    }
}

impl std::ops::DerefMut for ChatStream {
    fn deref_mut(&mut self) -> &mut RawStream {
        &mut self.raw
    }
}

impl Stream for ChatStream {
    type Item = Result<ChatChunk, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = ready!(self.raw.poll_chunk(context));
        Poll::Ready(item.map(|json| self.read(&json?)))
    }
}
