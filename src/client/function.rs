//! The call to the token function: the user's session in, a gateway token out.

use std::time::Duration;

use super::exchange::{self, Limit};
use super::retry::wait_before_retry;
use super::session::{Identity, Outdated, check_access_token};
use super::transport::{Now, Request};
use super::{Shared, no_one_signed_in};
use crate::parse::quote;
use crate::wire::TokenReply;
use crate::{Error, Reason, Secret};

const SERVER: &str = "the token function";

/// A fresh token, when its life began, and whose epoch it belongs to.
pub(crate) struct Minted {
    pub(crate) reply: TokenReply,
    pub(crate) started: Now,
    pub(crate) epoch: u64,
    pub(crate) took: Took,
}

/// How long the parts of a mint took.
#[derive(Clone, Copy)]
pub(crate) struct Took {
    pub(crate) session: Duration,
    pub(crate) function: Duration,
}

/// Reads the session and asks the function for a token. `Ok(None)`: the user changed meanwhile, so begin again.
///
/// `session_id` tells the session to ask for, for the epoch that the session read turns out to belong to.
pub(crate) async fn mint(shared: &Shared, session_id: impl Fn(u64) -> Option<String>) -> Result<Option<Minted>, Error> {
    let began = shared.transport.now();
    let changes = shared.user.changes();
    let Some(session) = read_session(shared).await? else {
        return match shared.user.found_nobody(changes) {
            Ok(()) => Err(no_one_signed_in()),
            Err(Outdated) => Ok(None),
        };
    };
    check_access_token(&session)?;
    let Ok(epoch) = shared.user.found(Identity::of(&session), changes) else { return Ok(None) };
    let asked = shared.transport.now();
    let (reply, started) = request_token(shared, &session, session_id(epoch)).await?;
    let took = Took { session: asked.since(began), function: shared.transport.now().since(asked) };
    Ok(Some(Minted { reply, started, epoch, took }))
}

async fn read_session(shared: &Shared) -> Result<Option<Secret>, Error> {
    let limit = Limit {
        time: shared.timeouts.session,
        reason: Reason::SessionTimeout,
        what: "the session source (timeouts.session)",
    };
    exchange::within(&*shared.transport, limit, shared.session.access_token()).await?
}

async fn request_token(
    shared: &Shared,
    session: &Secret,
    session_id: Option<String>,
) -> Result<(TokenReply, Now), Error> {
    let transport = &*shared.transport;
    let limit =
        Limit { time: shared.timeouts.token, reason: Reason::Timeout, what: "the token function (timeouts.token)" };
    let request = request(shared, session, session_id);
    let mut attempt = 0;
    loop {
        let started = transport.now();
        let outcome = async {
            let response = exchange::send(transport, limit, SERVER, request.clone()).await?;
            let status = response.status;
            let body = exchange::read(transport, limit, SERVER, response).await?;
            TokenReply::parse(&body).map_err(|error| error.with_status(status))
        };
        let error = match outcome.await {
            Ok(reply) => return Ok((reply, started)),
            Err(error) => as_functions_error(error),
        };
        let wait = wait_before_retry(&error, attempt, transport.random()).filter(|_| attempt < shared.max_retries);
        let Some(wait) = wait else { return Err(error) };
        attempt += 1;
        transport.sleep(wait).await;
    }
}

fn request(shared: &Shared, session: &Secret, session_id: Option<String>) -> Request {
    let mut headers = vec![("authorization", format!("Bearer {}", session.expose()))];
    if let Some(key) = &shared.api_key {
        headers.push(("apikey", key.clone()));
    }
    // `wire::TokenRequest`, written by hand: one field is not worth a serializer in the browser.
    let body = session_id.map(|id| format!("{{\"session_id\":{}}}", quote(&id)));
    if body.is_some() {
        headers.push(("content-type", "application/json".to_owned()));
    }
    Request { method: "POST", url: shared.function_url.clone(), headers, body }
}

/// The function speaks our own vocabulary; any other server's 401 means that it did not accept the session.
fn as_functions_error(error: Error) -> Error {
    let named = error.code().and_then(Reason::from_server);
    match (named, error.status()) {
        (Some(reason), Some(_)) => error.with_reason(reason),
        (None, Some(401)) => error.with_reason(Reason::SessionRefused),
        _ => error,
    }
}
