//! The HTTP door on JavaScript hosts.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response, StatusCode};
use js_sys::{Promise, Uint8Array};
use send_wrapper::SendWrapper;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortController, RequestInit, RequestRedirect};

use super::convert::{BodyError, headers, host_headers, read, within, words};
use crate::server::http::{HttpClient, HttpError, Limits};

#[wasm_bindgen]
extern "C" {
    /// Looked up at each call, so that mocks and instrumentation that replace it are used.
    #[wasm_bindgen(js_name = fetch, catch)]
    fn global_fetch(url: &str, init: &RequestInit) -> Result<Promise, JsValue>;
}

/// [`HttpClient`] by the host's `fetch`.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct FetchClient {}

impl HttpClient for FetchClient {
    fn send(&self, request: Request<Bytes>, limits: Limits) -> BoxFuture<'static, Result<Response<Bytes>, HttpError>> {
        Box::pin(SendWrapper::new(async move {
            within(limits.deadline, exchange(request, limits.body)).await.unwrap_or(Err(HttpError::Timeout))
        }))
    }
}

/// Cancels the fetch when dropped, be it because the deadline passed or because nobody waits any more.
struct AbortGuard(AbortController);

impl Drop for AbortGuard {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn exchange(request: Request<Bytes>, limit: usize) -> Result<Response<Bytes>, HttpError> {
    let failed = |thrown: JsValue| HttpError::Failed(words(&thrown));
    let guard = AbortGuard(AbortController::new().map_err(failed)?);
    let init = init(&request, &guard.0).map_err(failed)?;
    let promise = global_fetch(&request.uri().to_string(), &init).map_err(failed)?;
    let answer: web_sys::Response = JsFuture::from(promise).await.map_err(failed)?.unchecked_into();
    let body = read(answer.body(), limit).await.map_err(|error| match error {
        BodyError::TooLarge => HttpError::TooLarge,
        BodyError::Broken(why) => HttpError::Failed(why),
    })?;
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(answer.status()).map_err(|error| HttpError::Failed(error.to_string()))?;
    *response.headers_mut() = headers(&answer.headers());
    Ok(response)
}

fn init(request: &Request<Bytes>, controller: &AbortController) -> Result<RequestInit, JsValue> {
    let init = RequestInit::new();
    init.set_method(request.method().as_str());
    init.set_headers_headers(&host_headers(request.headers())?);
    init.set_redirect(RequestRedirect::Manual);
    init.set_signal(Some(&controller.signal()));
    if !request.body().is_empty() {
        init.set_body_opt_u8_array(Some(&Uint8Array::from(&request.body()[..])));
    }
    Ok(init)
}
