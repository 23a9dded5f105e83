//! Errors, as the JavaScript facade makes them, and as applications throw them.

use std::time::Duration;

use js_sys::{Promise, Reflect};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;

use super::convert::object;
use crate::server::respond::status_of;
use crate::{Error, Reason};

/// The plain object from which the facade makes its error.
pub(super) fn to_js(error: &Error) -> JsValue {
    let wait = error.retry_after().map(|wait| wait.as_secs_f64() * 1000.0);
    object(&[
        ("reason", error.reason().as_str().into()),
        ("action", error.action().as_str().into()),
        ("message", error.message().into()),
        ("hint", error.reason().hint().into()),
        ("status", status_of(error.reason()).as_u16().into()),
        ("retryAfterMs", wait.into()),
    ])
}

/// A promise of what `future` gives.
pub(super) fn promise(future: impl Future<Output = Result<JsValue, Error>> + 'static) -> Promise {
    future_to_promise(async move { future.await.map_err(|error| to_js(&error)) })
}

/// The error an application throws on purpose: it has one of our reasons.
pub(super) fn from_js(thrown: &JsValue) -> Option<Error> {
    let text = |name: &str| Reflect::get(thrown, &name.into()).ok()?.as_string();
    let reason = Reason::from_name(&text("reason")?)?;
    let wait = Reflect::get(thrown, &"retryAfterMs".into()).ok().and_then(|wait| wait.as_f64());
    let wait = wait.and_then(|millis| Duration::try_from_secs_f64(millis / 1000.0).ok());
    Some(Error::new(reason, text("message").unwrap_or_else(|| reason.hint().to_owned())).with_retry_after(wait))
}
