//! A streamed answer: its chunks as they come, and the truth about how it ended.

use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::vec::IntoIter;

use futures_util::Stream;
use serde::de::DeserializeOwned;

use super::chat::{ChatChunk, Usage};
use super::drive::Driver;
use super::handle::Client;
use super::items::Item;
use super::json::{read_chunk, read_usage};
use super::sleep::Sleep;
use super::spans::Span;
use crate::engine::{Id, Outcome, ToolCall, Trace};
use crate::{Error, Reason};

/// A streamed answer as JSON texts, one for each chunk: a [`Stream`] of `Result<String, Error>`.
#[must_use = "a stream that is dropped is cancelled"]
pub struct RawStream {
    client: Client,
    id: Id,
    /// What has come and was not asked for yet.
    queue: IntoIter<Item>,
    sleep: Sleep,
    span: Span,
    trace: Trace,
    tool_calls: Vec<ToolCall>,
    finish_reason: Option<String>,
    /// As JSON, until it is read.
    usage: Option<String>,
    outcome: Option<Outcome>,
}

impl RawStream {
    pub(super) fn new(client: &Client, id: Id, trace: Trace) -> Self {
        Self {
            client: client.clone(),
            id,
            queue: IntoIter::default(),
            sleep: Sleep::default(),
            span: Span::stream(&trace),
            trace,
            tool_calls: Vec::new(),
            finish_reason: None,
            usage: None,
            outcome: None,
        }
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
        self.tool_calls.iter()
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

    /// Cancels the request from elsewhere, while the stream is being read.
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle { client: self.client.clone(), id: self.id }
    }

    /// The next chunk. After `None` or an error [`outcome`](Self::outcome) is set and only `None` follows.
    pub fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<String, Error>>> {
        loop {
            if self.outcome.is_some() {
                return Poll::Ready(None);
            }
            let driver = self.client.driver().clone();
            // Also where something is left to hand out: it may be nobody's any more.
            let (id, sleep, queue) = (self.id, &mut self.sleep, &mut self.queue);
            if let Some(end) = ready!(self.span.within(|| driver.poll_stream(id, context, sleep, queue))) {
                end.error.iter().for_each(|error| self.span.failed(error));
                self.end(end.outcome);
                return Poll::Ready(end.error.map(Err));
            }
            self.note_trace(&driver);
            if let Some(json) = self.next_chunk() {
                return Poll::Ready(Some(Ok(json)));
            }
        }
    }

    /// A chunk, and what belongs to it.
    fn next_chunk(&mut self) -> Option<String> {
        let mut chunk = None;
        while let Some(item) = self.queue.as_slice().first() {
            if chunk.is_some() && matches!(item, Item::Chunk(_)) {
                break;
            }
            match self.queue.next()? {
                Item::Chunk(json) => chunk = Some(json),
                change => self.note(change),
            }
        }
        chunk
    }

    fn note(&mut self, change: Item) {
        match change {
            Item::Chunk(_) => {}
            Item::Usage(json) => self.usage = Some(json),
            Item::FinishReason(reason) => self.finish_reason = Some(reason),
            Item::ToolCall { slot, id, name, arguments } => {
                if slot == self.tool_calls.len() {
                    self.tool_calls.push(ToolCall::default());
                }
                let Some(call) = self.tool_calls.get_mut(slot) else { return };
                call.id.push_str(&id);
                call.name.push_str(&name);
                call.arguments.push_str(&arguments);
            }
        }
    }

    fn note_trace(&mut self, driver: &Driver) {
        if self.trace.first_content.is_none() {
            let first = driver.engine(|engine| engine.trace(self.id).and_then(|trace| trace.first_content));
            self.trace.first_content = first;
        }
    }

    fn fail(&mut self, message: &'static str) -> Error {
        self.end(Outcome::Failed);
        Error::new(Reason::InvalidResponse, message).with_trace_id(self.trace.trace_id.clone())
    }

    fn end(&mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
        self.span.ended(outcome);
        self.queue = IntoIter::default();
        // The stream may be kept for its text; its timer is not.
        self.sleep = Sleep::default();
        self.client.driver().abort(self.id);
    }
}

impl Stream for RawStream {
    type Item = Result<String, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_chunk(context)
    }
}

impl Drop for RawStream {
    fn drop(&mut self) {
        self.abort();
    }
}

impl std::fmt::Debug for RawStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawStream").field("outcome", &self.outcome).field("trace", &self.trace).finish_non_exhaustive()
    }
}

/// Cancels a stream from wherever it is. Cheap to clone.
#[derive(Clone)]
pub struct AbortHandle {
    client: Client,
    id: Id,
}

impl AbortHandle {
    /// Cancels the request. The stream ends with [`Outcome::Aborted`], unless it has ended already.
    pub fn abort(&self) {
        self.client.driver().abort(self.id);
    }
}

impl std::fmt::Debug for AbortHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AbortHandle").finish_non_exhaustive()
    }
}

/// A streamed answer as chunks of a type of your own: a [`Stream`] of `Result<T, Error>`.
#[must_use = "a stream that is dropped is cancelled"]
pub struct StreamOf<T> {
    raw: RawStream,
    chunk: PhantomData<fn() -> T>,
}

impl<T> StreamOf<T> {
    pub(super) fn new(raw: RawStream) -> Self {
        Self { raw, chunk: PhantomData }
    }

    /// What is known of the stream, apart from its chunks: its outcome, tool calls and trace.
    pub fn raw(&self) -> &RawStream {
        &self.raw
    }

    /// Cancels the request. What came so far stays.
    pub fn abort(&mut self) {
        self.raw.abort();
    }
}

impl<T: DeserializeOwned> Stream for StreamOf<T> {
    type Item = Result<T, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = ready!(self.raw.poll_chunk(context));
        Poll::Ready(
            item.map(|json| {
                serde_json::from_str(&json?).map_err(|error| self.raw.fail(ANOTHER_SHAPE).with_source(error))
            }),
        )
    }
}

impl<T> std::fmt::Debug for StreamOf<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamOf").field("raw", &self.raw).finish()
    }
}

const ANOTHER_SHAPE: &str = "the gateway's stream has a chunk of another shape";

/// A streamed answer as typed chunks: a [`Stream`] of `Result<ChatChunk, Error>`.
#[derive(Debug)]
#[must_use = "a stream that is dropped is cancelled"]
pub struct ChatStream {
    raw: RawStream,
    text: String,
    usage: Option<Usage>,
}

impl ChatStream {
    pub(super) fn new(raw: RawStream) -> Self {
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

    /// How it ended; `None` while it goes on.
    pub fn outcome(&self) -> Option<Outcome> {
        self.raw.outcome()
    }

    /// The gateway's word for why the answer ended.
    pub fn finish_reason(&self) -> Option<&str> {
        self.raw.finish_reason()
    }

    /// The tool calls of the first answer so far.
    pub fn tool_calls(&self) -> impl Iterator<Item = &ToolCall> {
        self.raw.tool_calls()
    }

    /// What the call did and how long it took.
    pub fn trace(&self) -> &Trace {
        self.raw.trace()
    }

    /// Cancels the request. What came so far stays.
    pub fn abort(&mut self) {
        self.raw.abort();
    }

    /// Cancels the request from elsewhere, while the stream is being read.
    pub fn abort_handle(&self) -> AbortHandle {
        self.raw.abort_handle()
    }

    fn read(&mut self, json: &str) -> Result<ChatChunk, Error> {
        let chunk = read_chunk(json).ok_or_else(|| self.raw.fail(ANOTHER_SHAPE))?;
        chunk.write_to(&mut self.text);
        // Read once more: that costs less than code that copies what it holds.
        if let Some(json) = self.raw.usage.take() {
            self.usage = read_usage(&json);
        }
        Ok(chunk)
    }
}

impl Stream for ChatStream {
    type Item = Result<ChatChunk, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = ready!(self.raw.poll_chunk(context));
        Poll::Ready(item.map(|json| self.read(&json?)))
    }
}
