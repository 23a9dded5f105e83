//! What the facade, `pkg/server-core.js`, calls.

// The host is who reaches these.
#![allow(unreachable_pub)]

use std::cell::RefCell;
use std::future::Future;

use bytes::Bytes;
use http::{Method, Request, Response};
use wasm_bindgen::prelude::*;

use super::operation::{self, Outcome, Table};
use super::options::{Given, wrong};
use super::policy::HostPolicy;
use super::{facade, headers, host};
use crate::object::Object;
use crate::server::algorithm::Algorithm;
use crate::server::body;
use crate::server::endpoint::{MAX_BODY, TokenEndpoint};
use crate::server::guard::Guard;
use crate::server::jwk::{KeySet, Source};
use crate::server::mode::Mode;
use crate::server::platform::log::log;
use crate::server::settings::ALL;
use crate::server::webhook::{self, Webhook};
use crate::{Error, Reason};

/// What stands in for a body that could not be read, by the numbers of `TROUBLE` in `pkg/server-core.js`.
const TOO_LARGE: u32 = 1;
const LATE: u32 = 2;
const BROKEN: u32 = 3;
/// The module stopped while it worked on the request.
const STOPPED: u32 = 4;
/// The application had read it before.
const USED: u32 = 5;

thread_local! {
    static ENDPOINTS: RefCell<Table<TokenEndpoint>> = const { RefCell::new(Table::new()) };
    static GUARDS: RefCell<Table<Guard>> = const { RefCell::new(Table::new()) };
}

/// The variables that are looked at, separated by spaces.
#[wasm_bindgen(js_name = variableNames)]
pub fn variable_names() -> String {
    let mut names = String::new();
    for (name, _) in ALL {
        names.extend([name, " "]);
        if name.starts_with("SUPABASE_") {
            names.extend(["BEHEST_", name, " "]);
        }
    }
    names
}

/// `{id, maxBody, bodyDeadlineMs}`, or an error. `options` as [`Given::read`] has them; `policy` is its number with the host, or 0.
#[wasm_bindgen(js_name = makeEndpoint)]
pub fn make_endpoint(variables: &str, options: &str, policy: u32) -> String {
    let given = Given::read(variables, options);
    let mut settings = given.settings(&["policy"]);
    if policy > 0 {
        settings = settings.policy(HostPolicy(policy));
    } else if given.has("policy") {
        settings = settings.with_problem(wrong("policy", "a function"));
    }
    match TokenEndpoint::new(settings) {
        Ok(endpoint) => made(ENDPOINTS.with_borrow_mut(|endpoints| endpoints.add(endpoint)), MAX_BODY),
        Err(error) => facade::error(&error),
    }
}

/// `{id}`, or an error.
#[wasm_bindgen(js_name = makeGuard)]
pub fn make_guard(variables: &str, options: &str) -> String {
    match guard(&Given::read(variables, options)) {
        Ok(guard) => made(GUARDS.with_borrow_mut(|guards| guards.add(guard)), 0),
        Err(error) => facade::error(&error),
    }
}

fn made(id: u32, limit: usize) -> String {
    Object::new()
        .number("id", id.into())
        .number("maxBody", limit as u64)
        .number("bodyDeadlineMs", body::DEADLINE.as_millis() as u64)
        .finish()
}

/// Nobody has the endpoint any more.
#[wasm_bindgen(js_name = forgetEndpoint)]
pub fn forget_endpoint(id: u32) {
    drop(ENDPOINTS.with_borrow_mut(|endpoints| endpoints.remove(id)));
}

/// Nobody has the guard any more.
#[wasm_bindgen(js_name = forgetGuard)]
pub fn forget_guard(id: u32) {
    drop(GUARDS.with_borrow_mut(|guards| guards.remove(id)));
}

fn guard(given: &Given<'_>) -> Result<Guard, Error> {
    let mut settings = given.settings(&["auth", "allow"]);
    if given.has("allow") {
        log!(warn, "the option allow is deprecated: rename it to auth");
    }
    let name = if given.has("auth") { "auth" } else { "allow" };
    let names = if given.has(name) { given.texts(name) } else { Some(vec!["user".to_owned()]) };
    let mut modes = Vec::new();
    match names {
        None => settings = settings.with_problem(wrong("auth", "a mode or a list of modes")),
        Some(names) => {
            for name in names {
                match name.parse::<Mode>() {
                    Ok(mode) => modes.push(mode),
                    Err(error) => settings = settings.with_problem(error.message().to_owned()),
                }
            }
        }
    }
    Guard::new(settings, modes)
}

/// Ends in `host.answer`.
#[wasm_bindgen]
pub fn handle(call: u32, endpoint: u32, method: &str, head: &str, body: &[u8], trouble: u32) {
    let Some(endpoint) = ENDPOINTS.with_borrow_mut(|endpoints| endpoints.get(endpoint).cloned()) else {
        return unknown(call);
    };
    let headers = headers::read(head);
    let body = read(body, trouble, MAX_BODY);
    let method = Method::from_bytes(method.as_bytes()).unwrap_or(Method::TRACE);
    operation::spawn(async move {
        answer(
            call,
            &match body {
                Ok(body) => {
                    let mut request = Request::new(body);
                    (*request.method_mut(), *request.headers_mut()) = (method, headers);
                    endpoint.handle(request).await
                }
                Err(error) => endpoint.refuse(&headers, error).await,
            },
        );
    });
}

/// Ends in `host.answer` with a preflight's answer or a refusal, or else in `host.resolve`: `{context, permit}`.
#[wasm_bindgen]
pub fn admit(call: u32, guard: u32, method: &str, head: &str) {
    let Some(guard) = GUARDS.with_borrow_mut(|guards| guards.get(guard).cloned()) else { return unknown(call) };
    let headers = headers::read(head);
    let is_options = method == "OPTIONS";
    operation::spawn(async move {
        if let Some(preflight) = is_options.then(|| guard.preflight(&Method::OPTIONS, &headers)).flatten() {
            return answer(call, &preflight);
        }
        match guard.authenticate(&headers).await.and_then(|caller| facade::caller(&caller)) {
            Ok(context) => {
                let mut permit = http::HeaderMap::new();
                guard.permit(&headers, &mut permit);
                let admitted = Object::new().raw("context", &context).raw("permit", &facade::pairs(&permit));
                host::resolve(call, &admitted.finish());
            }
            Err(error) => answer(call, &guard.refuse(&headers, &error)),
        }
    });
}

/// Ends in `host.answer`: what a page may read of a request during which the module stopped.
#[wasm_bindgen]
pub fn refuse(call: u32, guard: u32, head: &str) {
    let Some(guard) = GUARDS.with_borrow_mut(|guards| guards.get(guard).cloned()) else { return unknown(call) };
    answer(call, &guard.refuse(&headers::read(head), &stopped()));
}

/// Ends in `host.resolve` with the context, or in `host.reject`.
#[wasm_bindgen]
pub fn authenticate(call: u32, guard: u32, head: &str) {
    let Some(guard) = GUARDS.with_borrow_mut(|guards| guards.get(guard).cloned()) else { return unknown(call) };
    let headers = headers::read(head);
    settle(call, async move { facade::caller(&guard.authenticate(&headers).await?) });
}

/// `{maxBody, bodyDeadlineMs}` if the headers of a delivery can be right, or an error.
#[wasm_bindgen(js_name = checkDelivery)]
pub fn check_delivery(options: &str, head: &str) -> String {
    let checked = webhook(options).and_then(|(webhook, limit)| {
        webhook.check_headers(&headers::read(head))?;
        Ok(limit)
    });
    checked.map_or_else(|error| facade::error(&error), |limit| made(0, limit))
}

/// Ends in `host.resolve` with `{id, signedAt}`, or in `host.reject`.
#[wasm_bindgen(js_name = verifyDelivery)]
pub fn verify_delivery(call: u32, options: &str, head: &str, body: &[u8], trouble: u32) {
    let headers = headers::read(head);
    let set_up = webhook(options).and_then(|(webhook, limit)| Ok((webhook, read(body, trouble, limit)?)));
    settle(call, async move {
        let (webhook, body) = set_up?;
        let delivery = webhook.verify(&headers, &body).await?;
        let mut told = Object::new();
        if let Some(id) = &delivery.id {
            told = told.text("id", id);
        }
        if let Some(at) = delivery.signed_at {
            told = told.number("signedAt", at.as_secs());
        }
        Ok(told.finish())
    });
}

/// Ends in `host.resolve`: did the one key of this set make the signature? For test vectors, whose messages are no JWT's.
#[wasm_bindgen(js_name = verifyVector)]
pub fn verify_vector(call: u32, keys: &str, algorithm: &str, message: &[u8], signature: &[u8]) {
    let algorithm = Algorithm::from_name(algorithm);
    let keys = KeySet::parse(keys.as_bytes(), Source::Published).unwrap_or_default();
    let (message, signature) = (message.to_vec(), signature.to_vec());
    settle(call, async move {
        let mut verified = false;
        if let Some(algorithm) = algorithm {
            for key in keys.pick(algorithm, None).unwrap_or_default() {
                verified |= key.verifies(algorithm, &message, &signature).await;
            }
        }
        Ok(if verified { "true" } else { "false" }.to_owned())
    });
}

/// An operation of the host is done.
#[wasm_bindgen]
pub fn resume(id: u32, code: u32, text: &str, bytes: &[u8]) {
    operation::resume(id, Outcome { code, text: text.to_owned(), bytes: bytes.to_vec() });
}

fn unknown(call: u32) {
    host::reject(call, &facade::error(&Error::new(Reason::Internal, "there is nothing of this number")));
}

fn settle(call: u32, value: impl Future<Output = Result<String, Error>> + 'static) {
    operation::spawn(async move {
        match value.await {
            Ok(value) => host::resolve(call, &value),
            Err(error) => host::reject(call, &facade::error(&error)),
        }
    });
}

fn answer(call: u32, response: &Response<Bytes>) {
    let body = std::str::from_utf8(response.body()).unwrap_or_default();
    host::answer(call, response.status().as_u16(), &headers::write(response.headers()), body);
}

fn read(body: &[u8], trouble: u32, limit: usize) -> Result<Bytes, Error> {
    match trouble {
        TOO_LARGE => Err(body::too_large(limit)),
        LATE => Err(body::late()),
        BROKEN => Err(body::broken()),
        STOPPED => Err(stopped()),
        USED => Err(Error::new(
            Reason::Misconfigured,
            "the request's body was read before the request came here: hand it on unread",
        )),
        _ => Ok(Bytes::copy_from_slice(body)),
    }
}

fn stopped() -> Error {
    Error::new(Reason::Internal, "the endpoint failed")
}

/// A webhook from the options of `verifyWebhook`, and the largest body that is read.
fn webhook(options: &str) -> Result<(Webhook, usize), Error> {
    let misconfigured = |message: String| Error::new(Reason::Misconfigured, message);
    let given = Given::read("{}", options);
    if let Some(name) = given.stranger(&["sender", "secret", "toleranceSecs", "maxBytes"]) {
        return Err(misconfigured(["there is no option ", name].concat()));
    }
    let text = |name| given.value(name, "string").and_then(crate::json::Json::text).unwrap_or_default();
    let number = |name| given.value(name, "number").and_then(crate::json::Json::number);
    let secret = text("secret");
    let mut webhook = match text("sender").as_str() {
        "stripe" => Webhook::stripe(&secret),
        "github" => Webhook::github(&secret),
        "standard" => Webhook::standard(&secret),
        _ => Err(misconfigured("the sender of a webhook must be stripe, github or standard".into())),
    }?;
    if given.has("toleranceSecs") {
        let tolerance = number("toleranceSecs").filter(|seconds| *seconds >= 0.0);
        let wrong = || misconfigured(wrong("toleranceSecs", "a number of seconds"));
        webhook = webhook.tolerance(crate::wire::duration(tolerance.ok_or_else(wrong)?));
    }
    if !given.has("maxBytes") {
        return Ok((webhook, webhook::MAX_BODY));
    }
    let limit = number("maxBytes").filter(|limit| *limit >= 1.0 && *limit <= f64::from(i32::MAX));
    Ok((webhook, limit.ok_or_else(|| misconfigured(wrong("maxBytes", "a number of bytes")))? as usize))
}
