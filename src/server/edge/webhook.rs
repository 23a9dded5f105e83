//! Webhooks, as the JavaScript facade sees them.

use std::time::Duration;

use js_sys::{Promise, Uint8Array};
use wasm_bindgen::prelude::*;

use super::convert::{headers, object};
use super::errors::promise;
use super::options::{option, wrong};
use crate::server::webhook::Webhook;
use crate::{Error, Reason};

/// Checks deliveries.
#[wasm_bindgen]
pub struct Deliveries;

#[wasm_bindgen]
impl Deliveries {
    /// Resolves to `{ id, signedAt }`, or rejects with the plain object of an error. `sender` is `stripe`, `github` or
    /// `standard`; `options` may have `toleranceSecs`.
    pub fn verify(
        sender: &str,
        secret: &str,
        from: &web_sys::Headers,
        body: &Uint8Array,
        options: &JsValue,
    ) -> Promise {
        let webhook = webhook(sender, secret, options);
        let headers = headers(from);
        let body = body.to_vec();
        promise(async move {
            let delivery = webhook?.verify(&headers, &body).await?;
            let signed_at = delivery.signed_at.map(|at| at.as_secs_f64());
            Ok(object(&[("id", delivery.id.as_deref().into()), ("signedAt", signed_at.into())]))
        })
    }
}

fn webhook(sender: &str, secret: &str, options: &JsValue) -> Result<Webhook, Error> {
    let webhook = match sender {
        "stripe" => Webhook::stripe(secret),
        "github" => Webhook::github(secret),
        "standard" => Webhook::standard(secret),
        _ => Err(Error::new(Reason::Misconfigured, "the sender of a webhook must be stripe, github or standard")),
    }?;
    let Some(tolerance) = option(options, "toleranceSecs") else { return Ok(webhook) };
    let tolerance = tolerance.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let tolerance =
        tolerance.ok_or_else(|| Error::new(Reason::Misconfigured, wrong("toleranceSecs", "a number of seconds")))?;
    Ok(webhook.tolerance(tolerance))
}
