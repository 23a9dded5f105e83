//! Calls to the gateway: authorised, limited in time, tried again where that is safe.

use std::future::Future;
use std::time::Duration;

use super::Client;
use super::budget::Tab;
use super::exchange::{self, Limit};
use super::retry::wait_before_retry;
use super::token::Token;
use super::trace::{Retry, Trace};
use super::transport::{Now, Request, Response};
use crate::parse::Json;
use crate::{Error, Reason};

pub(crate) const SERVER: &str = "the gateway";

/// One call, before it is authorised.
pub(crate) struct Call {
    pub(crate) method: &'static str,
    /// Below the base URL, with the leading slash.
    pub(crate) path: String,
    pub(crate) accept: &'static str,
    pub(crate) body: Option<String>,
}

/// A successful answer, its body still to be read.
pub(crate) struct Answer {
    pub(crate) response: Response,
    /// The user it is for.
    pub(crate) epoch: u64,
    pub(crate) trace: Trace,
    /// When the request left.
    pub(crate) sent: Now,
    /// What it spends, if somebody counts.
    pub(crate) tab: Option<Tab>,
}

/// A JSON reply as the gateway sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The body; empty only where the gateway answers without one.
    pub json: String,
    /// What the call did and how long it took.
    pub trace: Trace,
}

impl Client {
    /// The answer's head. Nothing of the answer has been handed out before this returns, so a refused
    /// token is renewed and the call repeated once, and a passing failure is retried.
    pub(crate) async fn call(&self, call: &Call) -> Result<Answer, Error> {
        // Only what has a body spends anything.
        let meter = self.meter.as_ref().filter(|_| call.body.is_some());
        meter.map_or(Ok(()), |meter| meter.check())?;
        let transport = &*self.shared.transport;
        let limit = self.first_byte();
        let mut trace = Trace::default();
        let mut renewed = false;
        let mut attempt = 0;
        let mut epoch = None;
        loop {
            let (token, cached) = self.tokens.get().await?;
            // What one user asked is never sent again in the name of the next.
            if *epoch.get_or_insert(token.epoch) != token.epoch {
                return Err(Error::new(Reason::SignedOut, "the user changed during the call"));
            }
            if !cached {
                trace.session = Some(token.took.session);
                trace.mint = Some(token.took.function);
            }
            let sent = transport.now();
            let error = match exchange::send(transport, limit, SERVER, self.authorise(call, &token)).await {
                Ok(response) => {
                    trace.cached = trace.mint.is_none();
                    trace.headers = Some(transport.now().since(sent));
                    trace.session_id = token.session_id.clone();
                    trace.trace_id = exchange::trace_id(&response);
                    let request = call.body.as_ref().map_or(0, String::len);
                    let tab = meter.map(|meter| Tab::new(meter.clone(), request));
                    return Ok(Answer { response, epoch: token.epoch, trace, sent, tab });
                }
                Err(error) => error,
            };
            let waited = if error.status() == Some(401) && !renewed {
                self.tokens.invalidate(token.generation);
                renewed = true;
                Duration::ZERO
            } else {
                let wait = wait_before_retry(&error, attempt, transport.random());
                let Some(wait) = wait.filter(|_| attempt < self.max_retries) else { return Err(error) };
                attempt += 1;
                transport.sleep(wait).await;
                wait
            };
            trace.retries.push(Retry { reason: error.reason(), status: error.status(), waited });
        }
    }

    /// The answer's whole body, within the total limit if there is one.
    pub(crate) async fn call_json(&self, call: Call) -> Result<Reply, Error> {
        let whole = async {
            let Answer { response, trace, tab, .. } = self.call(&call).await?;
            let status = response.status;
            let bytes = exchange::read(&*self.shared.transport, self.idle(), SERVER, response).await?;
            let invalid = |what: &'static str| {
                let message = format!("{SERVER}'s reply {what}");
                Error::new(Reason::InvalidResponse, message).with_status(status).with_trace_id(trace.trace_id.clone())
            };
            let json = String::from_utf8(bytes).map_err(|_| invalid("is not text"))?;
            if json.trim().is_empty() && call.method != "DELETE" {
                return Err(invalid("is empty"));
            }
            let parsed = Json::parse(&json);
            if !json.is_empty() && parsed.is_none() {
                return Err(invalid("is not JSON"));
            }
            if let Some(mut tab) = tab {
                tab.answer = json.len();
                tab.usage = parsed.and_then(|json| json.find(&["usage"]));
            }
            Ok(Reply { status, json, trace })
        };
        self.bounded(whole).await
    }

    /// Within the limit on the whole of a call, if there is one.
    pub(crate) async fn bounded<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let Some(time) = self.total else { return call.await };
        let limit = Limit { time, reason: Reason::Timeout, what: "the whole call (timeouts.total)" };
        exchange::within(&*self.shared.transport, limit, call).await?
    }

    pub(crate) async fn get(&self, path: impl Into<String>) -> Result<Reply, Error> {
        self.call_json(Call { method: "GET", path: path.into(), accept: "application/json", body: None }).await
    }

    fn authorise(&self, call: &Call, token: &Token) -> Request {
        let mut headers = vec![
            ("authorization", format!("Bearer {}", token.secret.expose())),
            ("accept", call.accept.to_owned()),
            ("x-session-id", token.session_id.clone()),
        ];
        if let Some(thread_id) = &self.thread_id {
            headers.push(("x-thread-id", thread_id.to_string()));
        }
        if call.body.is_some() {
            headers.push(("content-type", "application/json".to_owned()));
        }
        Request {
            method: call.method,
            url: format!("{}{}", self.shared.gateway_url, call.path),
            headers,
            body: call.body.clone(),
        }
    }

    fn first_byte(&self) -> Limit {
        let what = "the gateway's first byte (timeouts.first_byte)";
        Limit { time: self.shared.timeouts.first_byte, reason: Reason::Timeout, what }
    }

    fn idle(&self) -> Limit {
        let what = "the rest of the gateway's reply (timeouts.idle)";
        Limit { time: self.shared.timeouts.idle, reason: Reason::Timeout, what }
    }
}
