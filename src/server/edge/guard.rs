//! Authentication, as the JavaScript facade sees it.

use http::{HeaderMap, Method};
use js_sys::{Array, Function, Promise};
use wasm_bindgen::prelude::*;

use super::convert::{headers, json, latin1, object, response};
use super::errors::{from_js, promise, to_js};
use super::log;
use super::options::{option, settings, texts, wrong};
use crate::server::guard::{Caller, Guard};
use crate::server::mode::Mode;
use crate::server::supabase::Rest;
use crate::server::user::User;
use crate::{Error, Reason};

/// Lets requests in, or says why not.
#[wasm_bindgen(js_name = Guard)]
pub struct JsGuard(Guard);

#[wasm_bindgen(js_class = Guard)]
impl JsGuard {
    /// `lookup` gives the value of a variable; `options` are those of `withSupabase`.
    #[wasm_bindgen(constructor)]
    pub fn new(lookup: Function, options: &JsValue) -> Result<JsGuard, JsValue> {
        log::to_console();
        build(&lookup, options).map(JsGuard).map_err(|error| to_js(&error))
    }

    /// Resolves to the caller, or rejects with the plain object of an error.
    pub fn authenticate(&self, request: &web_sys::Request) -> Promise {
        let guard = self.0.clone();
        let headers = headers(&request.headers());
        promise(async move { guard.authenticate(&headers).await.and_then(|caller| context(&caller)) })
    }

    /// The answer to a request that was not let in, from the error that `authenticate` gave.
    pub fn refuse(&self, request: &web_sys::Request, error: &JsValue) -> Result<web_sys::Response, JsValue> {
        let error = from_js(error).unwrap_or_else(|| Error::new(Reason::Internal, "the endpoint failed"));
        response(self.0.refuse(&headers(&request.headers()), &error))
    }

    /// The answer to a preflight; `undefined` if the request is none.
    pub fn preflight(&self, request: &web_sys::Request) -> Result<Option<web_sys::Response>, JsValue> {
        if request.method() != "OPTIONS" {
            return Ok(None);
        }
        self.0.preflight(&Method::OPTIONS, &headers(&request.headers())).map(response).transpose()
    }

    /// The headers that let the page read an answer: a list of names and values.
    pub fn permit(&self, request: &web_sys::Request) -> Array {
        let mut answer = HeaderMap::new();
        self.0.permit(&headers(&request.headers()), &mut answer);
        pairs(&answer)
    }
}

fn build(lookup: &Function, options: &JsValue) -> Result<Guard, Error> {
    let mut settings = settings(lookup, options, &["auth", "allow"]);
    if option(options, "allow").is_some() {
        tracing::warn!("the option allow is deprecated: rename it to auth");
    }
    let given = option(options, "auth").or_else(|| option(options, "allow")).unwrap_or_else(|| "user".into());
    let mut modes = Vec::new();
    match texts(&given) {
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

fn pairs(headers: &HeaderMap) -> Array {
    headers.iter().map(|(name, value)| Array::of2(&name.as_str().into(), &latin1(value).into())).collect()
}

/// What handlers are given, in the words of `@supabase/server`, the older ones included.
fn context(caller: &Caller) -> Result<JsValue, Error> {
    let (user, claims) =
        caller.user().map_or((JsValue::NULL, JsValue::NULL), |user| (short(user), json(user.claims())));
    Ok(object(&[
        ("authMode", caller.mode().as_str().into()),
        ("authType", caller.mode().older_str().into()),
        ("authKeyName", caller.key_name().into()),
        ("userClaims", user),
        ("jwtClaims", claims),
        ("rest", address_and_headers(&caller.rest())?),
        ("admin", caller.admin().ok().map_or(Ok(JsValue::UNDEFINED), |admin| address_and_headers(&admin))?),
    ]))
}

fn short(user: &User) -> JsValue {
    let claim = |name: &str| user.claims().get(name).map_or(JsValue::UNDEFINED, json);
    object(&[
        ("id", user.id().into()),
        ("role", user.role().into()),
        ("email", claim("email")),
        ("appMetadata", claim("app_metadata")),
        ("userMetadata", claim("user_metadata")),
    ])
}

/// The facade makes a function of it.
fn address_and_headers(rest: &Rest) -> Result<JsValue, Error> {
    let (address, headers) = rest.address_and_headers()?;
    Ok(Array::of2(&address.as_str().into(), &pairs(&headers)).into())
}
