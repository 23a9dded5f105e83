//! Passes an answer's events on as they come, counts them, and writes the usage row before the end is passed on.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream, Stream};
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;

use super::error::GatewayError;
use super::events::{self, Data, Events};
use super::meter::{self, Meter, Outcome, says_error};
use super::reply::Broken;
use super::responder::Responder;
use super::stop::Stop;

/// One streamed answer on its way. Dropping it (the caller hung up) cancels the upstream and records what was used.
pub(crate) struct Relay {
    upstream: BoxStream<'static, Result<Bytes, Broken>>,
    events: Events,
    meter: Arc<Mutex<Meter>>,
    /// The usage chunk was asked for by the gateway alone, and some clients stumble over its empty `choices`.
    hides_usage: bool,
    responder: Arc<Responder>,
    stop: Stop,
    /// Books the chat also if its caller does not read, so that nobody asks for the next piece.
    _watch: AbortOnDropHandle<()>,
    over: bool,
}

impl Relay {
    pub(crate) fn new(
        upstream: BoxStream<'static, Result<Bytes, Broken>>,
        meter: Meter,
        hides_usage: bool,
        responder: Arc<Responder>,
        stop: Stop,
    ) -> Self {
        let (meter, stopped) = (Arc::new(Mutex::new(meter)), stop.clone());
        let watched = Arc::downgrade(&meter);
        let watch = tokio::spawn(async move {
            stopped.reason().await;
            if let Some(meter) = watched.upgrade() {
                meter::end(&meter, Outcome::Aborted).await;
            }
        });
        let watch = AbortOnDropHandle::new(watch);
        Self { upstream, events: Events::default(), meter, hides_usage, responder, stop, _watch: watch, over: false }
    }

    /// The bytes for the caller.
    pub(crate) fn into_stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
        stream::unfold(self, |mut relay| async move { relay.next().await.map(|bytes| (Ok(bytes), relay)) })
    }

    async fn next(&mut self) -> Option<Bytes> {
        while !self.over {
            let next = tokio::select! {
                next = self.upstream.next() => next,
                why = self.stop.reason() => {
                    // Dropped, the upstream is cancelled.
                    self.upstream = stream::empty().boxed();
                    self.end(Outcome::Aborted).await;
                    return Some(error_event(why));
                }
            };
            let ready = match next {
                Some(Ok(bytes)) => self.take(&bytes).await,
                Some(Err(Broken(why))) => {
                    tracing::warn!(error = why, "the upstream broke off");
                    self.fail("The upstream broke off in the middle of its answer").await
                }
                None => {
                    self.end_as_said().await;
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
                    self.end_as_said().await;
                    ready.extend_from_slice(&event);
                    break;
                }
                Data::Json(json) => {
                    let is_over = {
                        let mut meter = meter::lock(&self.meter);
                        meter.see(&json);
                        meter.is_over()
                    };
                    if is_over {
                        // Dropped, the upstream is cancelled.
                        self.upstream = stream::empty().boxed();
                        self.end(Outcome::Length).await;
                        ready.extend_from_slice(&length_events(json));
                        break;
                    }
                    if says_error(&json) {
                        ready.extend_from_slice(&self.responder.without_key(event));
                    } else if !(self.hides_usage && is_usage_alone(&json)) {
                        ready.extend_from_slice(&event);
                    }
                }
                Data::Other => ready.extend_from_slice(&event),
            }
        }
        ready.freeze()
    }

    async fn fail(&mut self, message: &'static str) -> Bytes {
        self.end(Outcome::Failed).await;
        error_event(message)
    }

    async fn end_as_said(&mut self) {
        let outcome = meter::lock(&self.meter).outcome();
        self.end(outcome).await;
    }

    async fn end(&mut self, outcome: Outcome) {
        self.over = true;
        meter::end(&self.meter, outcome).await;
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
