//! Between the Fetch API's requests and answers and those of the crate `http`.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::{Either, select};
use gloo_timers::future::TimeoutFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use js_sys::{Array, JSON, Object, Reflect, Uint8Array};
use send_wrapper::SendWrapper;
use serde::Serialize;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Headers, ReadableStream, ReadableStreamDefaultReader, ResponseInit};

use crate::Error;
use crate::server::body;

/// Why a body could not be read.
pub(super) enum BodyError {
    TooLarge,
    Broken(String),
}

/// `None` if `future` takes longer than `limit`; it is dropped then.
pub(crate) async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    // The host's timers take a signed 32-bit number of milliseconds; more fires at once.
    let millis = u32::try_from(limit.as_millis()).unwrap_or(u32::MAX).min(i32::MAX as u32);
    let timer = SendWrapper::new(TimeoutFuture::new(millis));
    match select(std::pin::pin!(future), timer).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}

/// Reads a body to its end, or up to `limit` bytes.
pub(super) async fn read(stream: Option<ReadableStream>, limit: usize) -> Result<Bytes, BodyError> {
    let Some(stream) = stream else { return Ok(Bytes::new()) };
    let broken = |thrown| BodyError::Broken(words(&thrown));
    let reader = ReadableStreamDefaultReader::new(&stream).map_err(broken)?;
    let mut body = BytesMut::new();
    loop {
        let step = JsFuture::from(reader.read()).await.map_err(broken)?;
        let field = |name: &str| Reflect::get(&step, &name.into()).map_err(broken);
        if field("done")?.is_truthy() {
            return Ok(body.freeze());
        }
        let chunk: Uint8Array =
            field("value")?.dyn_into().map_err(|_| BodyError::Broken("the body is not a stream of bytes".into()))?;
        if body.len() + chunk.length() as usize > limit {
            spawn_local(async move { drop(JsFuture::from(reader.cancel()).await) });
            return Err(BodyError::TooLarge);
        }
        body.extend_from_slice(&chunk.to_vec());
    }
}

/// Every header that the crate `http` takes; each character of a value stands for a byte.
pub(super) fn headers(from: &Headers) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for pair in Array::from(from).iter().map(|pair| Array::from(&pair)) {
        let text = |index| pair.get(index).as_string().unwrap_or_default();
        let name = HeaderName::try_from(text(0));
        let value = HeaderValue::from_bytes(&text(1).chars().map(|byte| byte as u8).collect::<Vec<_>>());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}

/// The host's headers; each byte of a value is one character.
pub(super) fn host_headers(from: &HeaderMap) -> Result<Headers, JsValue> {
    let headers = Headers::new()?;
    for (name, value) in from {
        headers.append(name.as_str(), &latin1(value))?;
    }
    Ok(headers)
}

pub(super) fn latin1(value: &HeaderValue) -> String {
    value.as_bytes().iter().map(|byte| char::from(*byte)).collect()
}

/// The host's answer.
pub(super) fn response(from: Response<Bytes>) -> Result<web_sys::Response, JsValue> {
    let init = ResponseInit::new();
    init.set_status(from.status().as_u16());
    init.set_headers_headers(&host_headers(from.headers())?);
    // A status such as 204 may have no body at all, not even an empty one.
    let body = Some(from.body()).filter(|body| !body.is_empty()).map(|body| Uint8Array::from(&body[..]));
    web_sys::Response::new_with_opt_js_u8_array_and_init(body.as_ref(), &init)
}

/// Reads a request's body to its end.
pub(super) async fn read_request(
    request: &web_sys::Request,
    headers: &HeaderMap,
    limit: usize,
) -> Result<Bytes, Error> {
    body::check_length(headers, limit)?;
    match within(body::DEADLINE, read(request.body(), limit)).await {
        Some(Ok(body)) => Ok(body),
        Some(Err(BodyError::TooLarge)) => Err(body::too_large(limit)),
        Some(Err(BodyError::Broken(_))) => Err(body::broken()),
        None => Err(body::late()),
    }
}

/// A plain object.
pub(super) fn object(fields: &[(&str, JsValue)]) -> JsValue {
    let object = Object::new();
    for (name, value) in fields {
        // Setting a field of a plain object cannot fail.
        let _ = Reflect::set(&object, &(*name).into(), value);
    }
    object.into()
}

/// What serde has read, as the host has it.
pub(super) fn json(value: &impl Serialize) -> JsValue {
    let text = serde_json::to_string(value).unwrap_or_default();
    JSON::parse(&text).unwrap_or(JsValue::NULL)
}

/// Whatever was thrown, in words.
pub(super) fn words(thrown: &JsValue) -> String {
    match thrown.dyn_ref::<js_sys::Error>() {
        Some(error) => error.message().into(),
        None => thrown.as_string().unwrap_or_else(|| "the host gave no reason".to_owned()),
    }
}
