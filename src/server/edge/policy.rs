//! A policy written in JavaScript.

use std::time::Duration;

use futures_util::future::BoxFuture;
use js_sys::{Function, Promise, Reflect};
use send_wrapper::SendWrapper;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;

use super::convert::{json, words};
use super::errors::from_js;
use crate::server::policy::{Grant, Policy};
use crate::server::user::User;
use crate::{Error, Reason};

/// `async (user) => ({ tier, ttlSecs })`; what it throws refuses.
pub(super) struct JsPolicy(SendWrapper<Function>);

impl JsPolicy {
    pub(super) fn new(decide: Function) -> Self {
        Self(SendWrapper::new(decide))
    }

    async fn ask(&self, user: User) -> Result<Grant, Error> {
        let answer = self.0.call1(&JsValue::UNDEFINED, &json(user.claims())).map_err(refused)?;
        let answer = JsFuture::from(Promise::resolve(&answer)).await.map_err(refused)?;
        let number = |name: &'static str| match Reflect::get(&answer, &name.into()) {
            Ok(value) if value.is_undefined() || value.is_null() => Ok(None),
            Ok(value) => match value.as_f64() {
                Some(number) if number >= 0.0 && number <= f64::from(u32::MAX) && number.fract() == 0.0 => {
                    Ok(Some(number as u32))
                }
                _ => Err(misfit(name)),
            },
            Err(_) => Err(Error::new(Reason::Misconfigured, "the policy must resolve to an object {tier, ttlSecs}")),
        };
        let ttl = number("ttlSecs")?.map(|seconds| Duration::from_secs(seconds.into()));
        Ok(Grant { tier: number("tier")?, ttl })
    }
}

impl Policy for JsPolicy {
    fn decide(&self, user: User) -> BoxFuture<'_, Result<Grant, Error>> {
        Box::pin(SendWrapper::new(self.ask(user)))
    }
}

fn misfit(name: &str) -> Error {
    tracing::error!(name, "the policy's answer has a field that is not a whole number");
    Error::new(Reason::Misconfigured, "the policy's answer is not usable")
}

/// An error with a `reason` of ours may be an answer to the caller. Anything else is the app's own failure.
fn refused(thrown: JsValue) -> Error {
    from_js(&thrown).unwrap_or_else(|| Error::new(Reason::ServerError, words(&thrown)))
}
