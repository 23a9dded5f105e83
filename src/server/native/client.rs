//! The HTTP door on native targets.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use http::{Request, Response};

use crate::reach::Reach;
use crate::server::http::{HttpClient, HttpError, Limits};
use crate::{Error, Reason};

/// The way to other servers unless the settings name another.
pub(in crate::server) fn http_client() -> Result<Arc<dyn HttpClient>, Error> {
    Ok(Arc::new(NativeClient::new()?))
}

/// [`HttpClient`] by reqwest. Whoever clones it shares its connections. Other machines are reached through the system's proxy, if
/// there is one (`HTTPS_PROXY`, …), this machine without it.
#[derive(Clone, Debug)]
pub struct NativeClient(Reach);

impl NativeClient {
    /// A client with its own connection pool.
    ///
    /// # Errors
    /// [`Reason::Misconfigured`] if the TLS library cannot be set up.
    pub fn new() -> Result<Self, Error> {
        let builder = || {
            reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(Duration::from_secs(5))
                .user_agent(concat!("behest-client/", env!("CARGO_PKG_VERSION")))
        };
        Reach::new(builder)
            .map(Self)
            .map_err(|error| Error::new(Reason::Misconfigured, format!("the HTTP client cannot start: {error}")))
    }
}

impl HttpClient for NativeClient {
    fn send(&self, request: Request<Bytes>, limits: Limits) -> BoxFuture<'static, Result<Response<Bytes>, HttpError>> {
        let clients = self.0.clone();
        Box::pin(async move {
            let mut request = reqwest::Request::try_from(request).map_err(failed)?;
            *request.timeout_mut() = Some(limits.deadline);
            let mut answer = clients.to(request.url().as_str()).execute(request).await.map_err(failed)?;
            let mut body = BytesMut::new();
            while let Some(chunk) = answer.chunk().await.map_err(failed)? {
                if body.len() + chunk.len() > limits.body {
                    return Err(HttpError::TooLarge);
                }
                body.extend_from_slice(&chunk);
            }
            let mut response = Response::new(body.freeze());
            *response.status_mut() = answer.status();
            *response.headers_mut() = std::mem::take(answer.headers_mut());
            Ok(response)
        })
    }
}

/// The URL is left out: it can hold a user's id.
fn failed(error: reqwest::Error) -> HttpError {
    if error.is_timeout() {
        return HttpError::Timeout;
    }
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    HttpError::Failed(text)
}
