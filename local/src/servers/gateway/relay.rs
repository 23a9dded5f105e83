//! Passes an answer's events on as they come, counts them, and writes the usage row before the end is passed on.

use std::convert::Infallible;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream, Stream};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::error::GatewayError;
use super::events::{self, Data, Events};
use super::meter::{Meter, Outcome};
use super::reply::Broken;

/// One streamed answer on its way. Dropping it (the caller hung up) cancels the upstream and records what was used.
pub(crate) struct Relay {
    upstream: BoxStream<'static, Result<Bytes, Broken>>,
    events: Events,
    meter: Meter,
    /// The usage chunk was asked for by the gateway alone, and some clients stumble over its empty `choices`.
    hides_usage: bool,
    cut: CancellationToken,
    over: bool,
}

impl Relay {
    pub(crate) fn new(
        upstream: BoxStream<'static, Result<Bytes, Broken>>,
        meter: Meter,
        hides_usage: bool,
        cut: CancellationToken,
    ) -> Self {
        Self { upstream, events: Events::default(), meter, hides_usage, cut, over: false }
    }

    /// The bytes for the caller.
    pub(crate) fn into_stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
        stream::unfold(self, |mut relay| async move { relay.next().await.map(|bytes| (Ok(bytes), relay)) })
    }

    async fn next(&mut self) -> Option<Bytes> {
        while !self.over {
            let next = tokio::select! {
                next = self.upstream.next() => next,
                () = self.cut.cancelled() => {
                    self.over = true;
                    self.meter.end(Outcome::Aborted).await;
                    return Some(error_event("The gateway is shutting down"));
                }
            };
            let ready = match next {
                Some(Ok(bytes)) => self.take(&bytes).await,
                Some(Err(Broken(why))) => {
                    tracing::warn!(error = why, "the upstream broke off");
                    self.fail("The upstream broke off in the middle of its answer").await
                }
                None => {
                    self.over = true;
                    self.meter.end(self.meter.outcome()).await;
                    self.events.rest()
                }
            };
            if !ready.is_empty() {
                return Some(ready);
            }
        }
        None
    }

    /// The events that `bytes` completes.
    async fn take(&mut self, bytes: &[u8]) -> Bytes {
        if self.events.push(bytes).is_err() {
            return self.fail("An event of the upstream is too large").await;
        }
        let mut ready = BytesMut::new();
        while let Some(event) = self.events.next() {
            match events::data(&event) {
                Data::Done => {
                    // Whoever reads the end may ask for the usage at once.
                    self.over = true;
                    self.meter.end(self.meter.outcome()).await;
                    ready.extend_from_slice(&event);
                    break;
                }
                Data::Json(json) => {
                    self.meter.see(&json);
                    if self.meter.is_over() {
                        // Dropped, the upstream is cancelled.
                        self.upstream = stream::empty().boxed();
                        self.over = true;
                        self.meter.end(Outcome::Length).await;
                        ready.extend_from_slice(&length_events(json));
                        break;
                    }
                    if !(self.hides_usage && is_usage_alone(&json)) {
                        ready.extend_from_slice(&event);
                    }
                }
                Data::Other => ready.extend_from_slice(&event),
            }
        }
        ready.freeze()
    }

    async fn fail(&mut self, message: &'static str) -> Bytes {
        self.over = true;
        self.meter.end(Outcome::Failed).await;
        error_event(message)
    }
}

/// The end of an answer that got too long, written after its last chunk.
fn length_events(mut chunk: Value) -> Bytes {
    chunk["choices"] = json!([{ "index": 0, "delta": {}, "finish_reason": "length" }]);
    if let Some(chunk) = chunk.as_object_mut() {
        chunk.remove("usage");
    }
    format!("data: {chunk}\n\ndata: [DONE]\n\n").into()
}

fn error_event(message: &'static str) -> Bytes {
    // The blank line first ends an event that the upstream left unfinished.
    format!("\n\ndata: {}\n\n", GatewayError::upstream(message).body()).into()
}

fn is_usage_alone(chunk: &Value) -> bool {
    let no_choices = chunk.get("choices").and_then(Value::as_array).is_some_and(Vec::is_empty);
    no_choices && chunk.get("usage").is_some_and(Value::is_object)
}
