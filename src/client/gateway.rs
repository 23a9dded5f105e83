//! Calls to the gateway: authorised, limited in time, tried again where that is safe.

use std::sync::Arc;

use super::Client;
use super::exchange::{self, Limit};
use super::retry::wait_before_retry;
use super::token::Token;
use super::transport::{Request, Response};
use crate::json::Json;
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

/// A successful answer, its body still to be read, and the token it was given for.
pub(crate) struct Answer {
    pub(crate) response: Response,
    pub(crate) token: Arc<Token>,
}

/// A JSON reply as the gateway sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The body.
    pub json: String,
    /// The session it is attributed to.
    pub session_id: String,
    /// The gateway's `X-Trace-Id` or `X-Request-Id`, where CORS exposes it.
    pub trace_id: Option<String>,
}

impl Client {
    /// The answer's head. Nothing of the answer has been handed out before this returns, so a refused
    /// token is renewed and the call repeated once, and a passing failure is retried.
    pub(crate) async fn call(&self, call: &Call) -> Result<Answer, Error> {
        let transport = &*self.shared.transport;
        let limit = self.first_byte();
        let mut renewed = false;
        let mut attempt = 0;
        loop {
            let token = self.tokens.get().await?;
            let request = self.authorise(call, &token);
            let error = match exchange::send(transport, limit, SERVER, request).await {
                Ok(response) => return Ok(Answer { response, token }),
                Err(error) => error,
            };
            if error.status() == Some(401) && !renewed {
                self.tokens.invalidate(token.generation);
                renewed = true;
                continue;
            }
            let wait =
                wait_before_retry(&error, attempt, transport.random()).filter(|_| attempt < self.shared.max_retries);
            let Some(wait) = wait else { return Err(error) };
            attempt += 1;
            transport.sleep(wait).await;
        }
    }

    /// The answer's whole body, within the total limit if there is one.
    pub(crate) async fn call_json(&self, call: Call) -> Result<Reply, Error> {
        let whole = async {
            let Answer { response, token } = self.call(&call).await?;
            let trace_id = exchange::trace_id(&response);
            let bytes = exchange::read(&*self.shared.transport, self.idle(), SERVER, response).await?;
            let invalid = |what: &'static str| {
                Error::new(Reason::InvalidResponse, format!("{SERVER}'s reply {what}")).with_trace_id(trace_id.clone())
            };
            let json = String::from_utf8(bytes).map_err(|_| invalid("is not text"))?;
            if json.trim().is_empty() && call.method != "DELETE" {
                return Err(invalid("is empty"));
            }
            if !json.is_empty() && Json::parse(&json).is_none() {
                return Err(invalid("is not JSON"));
            }
            Ok(Reply { json, session_id: token.session_id.clone(), trace_id })
        };
        match self.shared.timeouts.total {
            None => whole.await,
            Some(time) => {
                let limit = Limit { time, reason: Reason::Timeout, what: "the whole call (timeouts.total)" };
                exchange::within(&*self.shared.transport, limit, whole).await?
            }
        }
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
