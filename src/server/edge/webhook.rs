//! Webhooks, as the JavaScript facade sees them.

use std::time::Duration;

use js_sys::{Object, Promise, Uint8Array};
use wasm_bindgen::prelude::*;

use super::convert::{headers, object, read_request};
use super::errors::promise;
use super::options::{option, wrong};
use crate::server::webhook::{MAX_BODY, Webhook};
use crate::{Error, Reason};

const OPTIONS: [&str; 4] = ["sender", "secret", "toleranceSecs", "maxBytes"];

/// Checks deliveries.
#[wasm_bindgen]
pub struct Deliveries;

#[wasm_bindgen]
impl Deliveries {
    /// Resolves to `{ id, signedAt, body }`, or rejects with the plain object of an error. `options` are those of
    /// `verifyWebhook`.
    pub fn verify(request: web_sys::Request, options: &JsValue) -> Promise {
        let set_up = webhook(options).and_then(|webhook| Ok((webhook, limit(options)?)));
        promise(async move {
            let (webhook, limit) = set_up?;
            let headers = headers(&request.headers());
            webhook.check_headers(&headers)?;
            let body = read_request(&request, &headers, limit).await?;
            let delivery = webhook.verify(&headers, &body).await?;
            Ok(object(&[
                ("id", delivery.id.as_deref().into()),
                ("signedAt", delivery.signed_at.map(|at| at.as_secs_f64()).into()),
                ("body", Uint8Array::from(&body[..]).into()),
            ]))
        })
    }
}

fn misconfigured(message: String) -> Error {
    Error::new(Reason::Misconfigured, message)
}

fn webhook(options: &JsValue) -> Result<Webhook, Error> {
    let mut names = Object::keys(options.unchecked_ref::<Object>()).into_iter().filter_map(|name| name.as_string());
    if let Some(name) = names.find(|name| !OPTIONS.contains(&name.as_str())) {
        return Err(misconfigured(format!("there is no option {name}")));
    }
    let text = |name| option(options, name).and_then(|value| value.as_string()).unwrap_or_default();
    let secret = text("secret");
    let webhook = match text("sender").as_str() {
        "stripe" => Webhook::stripe(&secret),
        "github" => Webhook::github(&secret),
        "standard" => Webhook::standard(&secret),
        _ => Err(misconfigured("the sender of a webhook must be stripe, github or standard".into())),
    }?;
    let Some(tolerance) = option(options, "toleranceSecs") else { return Ok(webhook) };
    let tolerance = tolerance.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    tolerance
        .map(|tolerance| webhook.tolerance(tolerance))
        .ok_or_else(|| misconfigured(wrong("toleranceSecs", "a number of seconds")))
}

fn limit(options: &JsValue) -> Result<usize, Error> {
    let Some(limit) = option(options, "maxBytes") else { return Ok(MAX_BODY) };
    let limit = limit.as_f64().filter(|limit| *limit >= 1.0 && *limit <= f64::from(i32::MAX));
    limit.map(|limit| limit as usize).ok_or_else(|| misconfigured(wrong("maxBytes", "a number of bytes")))
}
