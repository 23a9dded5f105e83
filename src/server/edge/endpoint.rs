//! The wasm-bindgen exports behind `behest-client/server`.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use js_sys::{Array, Function, JSON, Object, Promise, Reflect};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;

use super::convert::{BodyError, headers, read, response, within};
use super::log;
use super::policy::JsPolicy;
use crate::server::respond::status_of;
use crate::server::{Config, MAX_BODY, TokenEndpoint, User};
use crate::{Error, Reason};

/// How long a body of at most 16 KiB may take to arrive.
const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// The token endpoint, as the JavaScript facade sees it.
#[wasm_bindgen]
pub struct Endpoint(TokenEndpoint);

#[wasm_bindgen]
impl Endpoint {
    /// `lookup` gives the value of a variable; `options` are those of `createTokenEndpoint`.
    #[wasm_bindgen(constructor)]
    pub fn new(lookup: Function, options: &Object) -> Result<Endpoint, JsValue> {
        log::to_console();
        config(&lookup, options).and_then(TokenEndpoint::new).map(Endpoint).map_err(|error| to_js(&error))
    }

    /// Resolves to a Response, always.
    pub fn handle(&self, request: web_sys::Request) -> Promise {
        let endpoint = self.0.clone();
        future_to_promise(async move { response(serve(endpoint, request).await).map(JsValue::from) })
    }

    /// The answer to a request during which an instance of this module stopped: a 500 that the page may read.
    pub fn fail(&self, request: web_sys::Request) -> Promise {
        let endpoint = self.0.clone();
        let headers = headers(&request.headers());
        let stopped = Error::new(Reason::Internal, "the endpoint failed");
        future_to_promise(async move { response(endpoint.refuse(&headers, stopped).await).map(JsValue::from) })
    }
}

async fn serve(endpoint: TokenEndpoint, request: web_sys::Request) -> http::Response<Bytes> {
    let headers = headers(&request.headers());
    let length = headers.get(http::header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let too_large = || Error::new(Reason::PayloadTooLarge, "the request body is larger than 16 KiB");
    let body = match length {
        Some(length) if length > MAX_BODY as u64 => Err(too_large()),
        _ => match within(BODY_DEADLINE, read(request.body(), MAX_BODY)).await {
            Some(Ok(body)) => Ok(body),
            Some(Err(BodyError::TooLarge)) => Err(too_large()),
            Some(Err(BodyError::Broken(_))) => Err(Error::new(Reason::InvalidRequest, "the request body broke off")),
            None => Err(Error::new(Reason::Timeout, "the request body did not arrive in time")),
        },
    };
    match body {
        Ok(body) => {
            let mut plain = Request::new(body);
            *plain.method_mut() = Method::from_bytes(request.method().as_bytes()).unwrap_or(Method::TRACE);
            *plain.headers_mut() = headers;
            endpoint.handle(plain).await
        }
        Err(error) => endpoint.refuse(&headers, error).await,
    }
}

fn config(lookup: &Function, options: &Object) -> Result<Config, Error> {
    let mut config = Config::from_lookup(|name| variable(lookup, name))?;
    if let Some(policy) = option(options, "policy") {
        let policy: Function = policy.dyn_into().map_err(|_| wrong("policy", "a function"))?;
        config = config.policy(JsPolicy::new(policy));
    }
    if let Some(issuers) = texts(options, "issuers")? {
        config = config.issuers(issuers);
    }
    if let Some(audiences) = texts(options, "audiences")? {
        config = config.audiences(audiences);
    }
    if let Some(leeway) = seconds(options, "leewaySecs")? {
        config = config.leeway(leeway);
    }
    Ok(config)
}

fn wrong(name: &str, what: &str) -> Error {
    Error::new(Reason::Misconfigured, format!("the option {name} must be {what}"))
}

/// A list of strings, or one string.
pub(super) fn texts(options: &Object, name: &str) -> Result<Option<Vec<String>>, Error> {
    let Some(value) = option(options, name) else { return Ok(None) };
    if let Some(one) = value.as_string() {
        return Ok(Some(vec![one]));
    }
    let list = Array::is_array(&value).then(|| Array::from(&value).iter().map(|one| one.as_string()).collect());
    list.flatten().map(Some).ok_or_else(|| wrong(name, "a string or a list of strings"))
}

pub(super) fn seconds(options: &Object, name: &str) -> Result<Option<Duration>, Error> {
    let Some(value) = option(options, name) else { return Ok(None) };
    let seconds = value.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.map(Some).ok_or_else(|| wrong(name, "a number of seconds"))
}

pub(super) fn flag(options: &Object, name: &str) -> Result<Option<bool>, Error> {
    let Some(value) = option(options, name) else { return Ok(None) };
    value.as_bool().map(Some).ok_or_else(|| wrong(name, "true or false"))
}

/// The value of a variable, as the facade finds it.
pub(super) fn variable(lookup: &Function, name: &str) -> Option<String> {
    lookup.call1(&JsValue::UNDEFINED, &name.into()).ok()?.as_string()
}

pub(super) fn option(options: &Object, name: &str) -> Option<JsValue> {
    Reflect::get(options, &name.into()).ok().filter(|value| !value.is_undefined() && !value.is_null())
}

/// A user's verified claims.
pub(super) fn claims(user: &User) -> JsValue {
    let text = serde_json::Value::Object(user.claims().clone()).to_string();
    JSON::parse(&text).unwrap_or(JsValue::NULL)
}

/// The plain object from which the facade makes its error.
pub(super) fn to_js(error: &Error) -> JsValue {
    let object = Object::new();
    let set = |name: &str, value: JsValue| {
        // Setting a field of a plain object cannot fail.
        let _ = Reflect::set(&object, &name.into(), &value);
    };
    set("reason", error.reason().as_str().into());
    set("action", error.action().as_str().into());
    set("message", error.message().into());
    set("hint", error.reason().hint().into());
    set("status", status_of(error.reason()).as_u16().into());
    if let Some(wait) = error.retry_after() {
        set("retryAfterMs", (wait.as_secs_f64() * 1000.0).into());
    }
    object.into()
}

/// The error an application throws on purpose: it has one of our reasons.
pub(super) fn failure(thrown: &JsValue) -> Option<Error> {
    let text = |name: &str| Reflect::get(thrown, &name.into()).ok()?.as_string();
    let reason = Reason::from_name(&text("reason")?)?;
    let wait = Reflect::get(thrown, &"retryAfterMs".into()).ok().and_then(|wait| wait.as_f64());
    let wait = wait.and_then(|millis| Duration::try_from_secs_f64(millis / 1000.0).ok());
    Some(Error::new(reason, text("message").unwrap_or_else(|| reason.hint().to_owned())).with_retry_after(wait))
}
