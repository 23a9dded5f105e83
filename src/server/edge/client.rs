//! The HTTP door, by the host's `fetch`.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{HeaderValue, RETRY_AFTER};
use http::{Request, Response, StatusCode};

use super::operation::{Operation, Outcome};
use super::{headers, host};
use crate::Error;
use crate::server::http::{HttpClient, HttpError, Limits};
use crate::wire::timer_millis;

/// Codes of a fetch that brought no complete answer.
const TIMEOUT: u32 = 1;
const TOO_LARGE: u32 = 2;

/// The way to other servers unless the settings name another.
pub(in crate::server) fn http_client() -> Result<Arc<dyn HttpClient>, Error> {
    static SHARED: LazyLock<Arc<FetchClient>> = LazyLock::new(|| Arc::new(FetchClient));
    Ok(LazyLock::force(&SHARED).clone())
}

/// [`HttpClient`] by the host's `fetch`.
#[derive(Debug)]
struct FetchClient;

impl HttpClient for FetchClient {
    fn send(&self, request: Request<Bytes>, limits: Limits) -> BoxFuture<'static, Result<Response<Bytes>, HttpError>> {
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let (url, headers) = (head.uri.to_string(), headers::write(&head.headers));
            let limit = u32::try_from(limits.body).unwrap_or(u32::MAX);
            let deadline = timer_millis(limits.deadline);
            let begin = |id| host::fetch(id, head.method.as_str(), &url, &headers, &body, deadline, limit);
            response(Operation::begin(begin).await)
        })
    }
}

fn response(outcome: Outcome) -> Result<Response<Bytes>, HttpError> {
    let Outcome { code, text, bytes } = outcome;
    let status = u16::try_from(code).ok().and_then(|code| StatusCode::from_u16(code).ok());
    let Some(status) = status else {
        return Err(match code {
            TIMEOUT => HttpError::Timeout,
            TOO_LARGE => HttpError::TooLarge,
            _ => HttpError::Failed(text),
        });
    };
    let mut response = Response::new(bytes.into());
    *response.status_mut() = status;
    if let (false, Ok(wait)) = (text.is_empty(), HeaderValue::try_from(text)) {
        response.headers_mut().insert(RETRY_AFTER, wait);
    }
    Ok(response)
}
