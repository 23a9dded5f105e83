//! Webhooks, as the JavaScript facade sees them.

use js_sys::{Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;

use super::convert::headers;
use super::exports::{seconds, to_js};
use crate::server::webhook::{Delivery, Webhook};
use crate::{Error, Reason};

/// Checks deliveries.
#[wasm_bindgen]
pub struct Deliveries;

#[wasm_bindgen]
impl Deliveries {
    /// Resolves to `{ id, signedAt }`, or rejects with the plain object of an error. `sender` is `stripe`, `github` or
    /// `standard`; `options` may have `toleranceSecs`.
    pub fn verify(sender: &str, secret: &str, from: &web_sys::Headers, body: &Uint8Array, options: &Object) -> Promise {
        let webhook = webhook(sender, secret, options);
        let headers = headers(from);
        let body = body.to_vec();
        future_to_promise(async move {
            let verified = match webhook {
                Ok(webhook) => webhook.verify(&headers, &body).await,
                Err(error) => Err(error),
            };
            verified.map(|delivery| object(&delivery)).map_err(|error| to_js(&error))
        })
    }
}

fn webhook(sender: &str, secret: &str, options: &Object) -> Result<Webhook, Error> {
    let webhook = match sender {
        "stripe" => Webhook::stripe(secret),
        "github" => Webhook::github(secret),
        "standard" => Webhook::standard(secret),
        _ => Err(Error::new(Reason::Misconfigured, "the sender of a webhook must be stripe, github or standard")),
    }?;
    Ok(match seconds(options, "toleranceSecs")? {
        Some(tolerance) => webhook.tolerance(tolerance),
        None => webhook,
    })
}

fn object(delivery: &Delivery) -> JsValue {
    let object = Object::new();
    let set = |name: &str, value: JsValue| {
        // Setting a field of a plain object cannot fail.
        let _ = Reflect::set(&object, &name.into(), &value);
    };
    set("id", delivery.id.as_deref().into());
    set("signedAt", delivery.signed_at.map(|at| at.as_secs_f64()).into());
    object.into()
}
