//! One request and its answer, with a limit on every wait.

use std::future::{Future, poll_fn};
use std::time::Duration;

use futures_util::future::{Either, select};

use super::transport::{Request, Response, Transport};
use crate::parse::http_date;
use crate::wire::ErrorBody;
use crate::{Error, Reason};

/// Larger than any JSON reply worth having in memory.
const LARGEST_REPLY: usize = 16 << 20;

/// How long the words of a refusal are waited for.
const REFUSAL: Duration = Duration::from_secs(5);

/// The wait in whose name the limit is set, for the error of a limit that passed.
#[derive(Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) time: Duration,
    pub(crate) reason: Reason,
    /// As in "the gateway's first byte (first_byte)".
    pub(crate) what: &'static str,
}

/// Waits for `future`, but not longer than the limit.
pub(crate) async fn within<T>(
    transport: &dyn Transport,
    limit: Limit,
    future: impl Future<Output = T>,
) -> Result<T, Error> {
    match select(Box::pin(future), transport.sleep(limit.time)).await {
        Either::Left((value, _)) => Ok(value),
        Either::Right(((), _)) => {
            let millis = limit.time.as_millis() as u64;
            Err(Error::new(limit.reason, format!("no answer within {millis} ms: {}", limit.what)))
        }
    }
}

/// Sends a request and gives the response if its status is a success, else the typed refusal.
pub(crate) async fn send(
    transport: &dyn Transport,
    limit: Limit,
    server: &'static str,
    request: Request,
) -> Result<Response, Error> {
    let url = request.url.clone();
    let response = within(transport, limit, transport.send(request)).await?;
    let response = response
        .map_err(|failure| Error::new(Reason::Network, format!("{server} at {url} gave no answer: {failure}")))?;
    if (200..300).contains(&response.status) {
        return Ok(response);
    }
    Err(refusal(transport, limit, server, response).await)
}

/// The whole body of a reply.
pub(crate) async fn read(
    transport: &dyn Transport,
    limit: Limit,
    server: &'static str,
    mut response: Response,
) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    loop {
        let chunk = within(transport, limit, poll_fn(|context| response.body.poll_chunk(context))).await?;
        match chunk {
            None => return Ok(bytes),
            Some(Ok(chunk)) if bytes.len() + chunk.len() <= LARGEST_REPLY => bytes.extend_from_slice(&chunk),
            Some(Ok(_)) => return Err(Error::new(Reason::InvalidResponse, format!("{server}'s reply is too large"))),
            Some(Err(failure)) => {
                let message = format!("{server}'s reply broke off: {failure}");
                return Err(Error::new(Reason::Disconnected, message).with_trace_id(trace_id(&response)));
            }
        }
    }
}

/// The id under which the server logged this response.
pub(crate) fn trace_id(response: &Response) -> Option<String> {
    response.header("x-trace-id").or_else(|| response.header("x-request-id")).map(str::to_owned)
}

async fn refusal(transport: &dyn Transport, limit: Limit, server: &'static str, response: Response) -> Error {
    let status = response.status;
    let id = trace_id(&response);
    let wait = response.header("retry-after").and_then(|value| retry_after(value, transport.now().wall));
    // A refusal whose body breaks off, or never ends, is still a refusal.
    let limit = Limit { time: limit.time.min(REFUSAL), ..limit };
    let body = within(transport, limit, read(transport, limit, server, response))
        .await
        .and_then(|body| body)
        .unwrap_or_default();
    let error = ErrorBody::parse(&body).into_error(server, status);
    let wait = wait.or(error.retry_after());
    error.with_retry_after(wait).with_trace_id(id)
}

/// `Retry-After` as seconds, as decimals (which some gateways send), or as an HTTP date.
pub(crate) fn retry_after(value: &str, now: Duration) -> Option<Duration> {
    let value = value.trim();
    if let Some(wait) = decimal_seconds(value) {
        return Some(wait);
    }
    Some(http_date(value)?.saturating_sub(now))
}

/// `12` or `1.5`, to the millisecond. (The standard library's parser of floats is large, and this needs no exponents.)
fn decimal_seconds(value: &str) -> Option<Duration> {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, "0"));
    if ![whole, fraction].iter().all(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())) {
        return None;
    }
    let millis: u64 = format!("{fraction:0<3}")[..3].parse().ok()?;
    Some(Duration::from_secs(whole.parse().ok()?) + Duration::from_millis(millis))
}
