//! The session source of JavaScript: a callback that gives a token, null, or a promise of either.

use js_sys::{Function, Promise};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::client::SessionSource;
use crate::client::transport::BoxFuture;
use crate::{Error, Reason, Secret};

pub(super) struct JsSession(Function);

impl JsSession {
    pub(super) fn new(get_access_token: Function) -> Self {
        Self(get_access_token)
    }
}

impl SessionSource for JsSession {
    fn access_token(&self) -> BoxFuture<'_, Result<Option<Secret>, Error>> {
        Box::pin(async move {
            let answer = self.0.call0(&JsValue::UNDEFINED).map_err(failed)?;
            let answer = JsFuture::from(Promise::resolve(&answer)).await.map_err(failed)?;
            if answer.is_null() || answer.is_undefined() {
                return Ok(None);
            }
            let token = answer.as_string().ok_or_else(|| {
                Error::new(Reason::SessionFailed, "getAccessToken must give the access token as a string, or null")
            })?;
            Ok(Some(Secret::new(token)).filter(|token| !token.expose().is_empty()))
        })
    }
}

fn failed(thrown: JsValue) -> Error {
    let said = match thrown.dyn_ref::<js_sys::Error>() {
        Some(error) => Some(String::from(error.message())),
        None => thrown.as_string(),
    };
    let said = said.unwrap_or_else(|| "something that is no Error".to_owned());
    Error::new(Reason::SessionFailed, format!("getAccessToken threw: {said}"))
}
