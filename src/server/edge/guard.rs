//! Authentication, as the JavaScript facade sees it.

use http::HeaderMap;
use js_sys::{Array, Function, JSON, Object, Promise, Reflect};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;

use super::convert::{headers, response};
use super::exports::{claims, failure, flag, seconds, texts, to_js, variable};
use super::log;
use crate::server::auth::{AuthConfig, Caller, Guard, Mode, Rest};
use crate::{Error, Reason};

/// Lets requests in, or says why not.
#[wasm_bindgen]
pub struct Gate(Guard);

#[wasm_bindgen]
impl Gate {
    /// `lookup` gives the value of a variable; `options` are those of `withSupabase`.
    #[wasm_bindgen(constructor)]
    pub fn new(lookup: Function, options: &Object) -> Result<Gate, JsValue> {
        log::to_console();
        build(&lookup, options).map(Gate).map_err(|error| to_js(&error))
    }

    /// Resolves to the caller, or rejects with the plain object of an error.
    pub fn authenticate(&self, request: &web_sys::Request) -> Promise {
        let guard = self.0.clone();
        let headers = headers(&request.headers());
        future_to_promise(async move {
            let caller = match guard.check_origin(&headers) {
                Ok(()) => guard.authenticate(&headers).await,
                Err(error) => Err(error),
            };
            caller.and_then(|caller| context(&caller)).map_err(|error| to_js(&error))
        })
    }

    /// The answer to a request that was not let in, from the error that `authenticate` gave.
    pub fn refuse(&self, request: &web_sys::Request, error: &JsValue) -> Result<web_sys::Response, JsValue> {
        let error = failure(error).unwrap_or_else(|| Error::new(Reason::Internal, "the endpoint failed"));
        response(self.0.refuse(&headers(&request.headers()), &error))
    }

    /// The answer to a preflight.
    pub fn preflight(&self, request: &web_sys::Request) -> Result<web_sys::Response, JsValue> {
        response(self.0.preflight(&headers(&request.headers())))
    }

    /// The headers that let the page read an answer: a list of names and values.
    pub fn permit(&self, request: &web_sys::Request) -> Array {
        let mut answer = HeaderMap::new();
        self.0.permit(&headers(&request.headers()), &mut answer);
        pairs(&answer)
    }
}

fn build(lookup: &Function, options: &Object) -> Result<Guard, Error> {
    let mut config = AuthConfig::from_lookup(|name| variable(lookup, name))?;
    if let Some(issuers) = texts(options, "issuers")? {
        config = config.issuers(issuers);
    }
    if let Some(audiences) = texts(options, "audiences")? {
        config = config.audiences(audiences);
    }
    if let Some(roles) = texts(options, "roles")? {
        config = config.roles(roles);
    }
    if let Some(leeway) = seconds(options, "leewaySecs")? {
        config = config.leeway(leeway);
    }
    if let Some(allow) = flag(options, "allowAnonymous")? {
        config = config.allow_anonymous(allow);
    }
    if let Some(allow) = flag(options, "wrongKeysAreNobody")? {
        config = config.wrong_keys_are_nobody(allow);
    }
    if let Some(check) = flag(options, "checkSession")? {
        config = config.check_session(check);
    }
    let modes = match texts(options, "auth")? {
        Some(modes) => modes,
        None => texts(options, "allow")?.unwrap_or_else(|| vec!["user".to_owned()]),
    };
    config.guard(modes.iter().map(|mode| mode.parse()).collect::<Result<Vec<Mode>, Error>>()?)
}

fn pairs(headers: &HeaderMap) -> Array {
    let text = |bytes: &[u8]| JsValue::from(bytes.iter().map(|byte| char::from(*byte)).collect::<String>());
    headers.iter().map(|(name, value)| Array::of2(&name.as_str().into(), &text(value.as_bytes()))).collect()
}

/// What handlers are given, in the words of `@supabase/server`, the older ones included.
fn context(caller: &Caller) -> Result<JsValue, Error> {
    let context = Object::new();
    let set = |object: &Object, name: &str, value: JsValue| {
        // Setting a field of a plain object cannot fail.
        let _ = Reflect::set(object, &name.into(), &value);
    };
    set(&context, "authMode", caller.mode().as_str().into());
    set(&context, "authType", caller.mode().older_str().into());
    set(&context, "authKeyName", caller.key_name().into());
    let (user, jwt) = match caller.user() {
        None => (JsValue::NULL, JsValue::NULL),
        Some(user) => {
            let claim = |name: &str| user.claims().get(name).map_or(JsValue::UNDEFINED, parsed);
            let short = Object::new();
            set(&short, "id", user.id().into());
            set(&short, "role", user.role().into());
            set(&short, "email", claim("email"));
            set(&short, "appMetadata", claim("app_metadata"));
            set(&short, "userMetadata", claim("user_metadata"));
            (short.into(), claims(user))
        }
    };
    set(&context, "userClaims", user);
    set(&context, "jwtClaims", jwt);
    set(&context, "rest", door(&caller.rest())?);
    if let Ok(admin) = caller.admin() {
        set(&context, "admin", door(&admin)?);
    }
    Ok(context.into())
}

fn parsed(value: &serde_json::Value) -> JsValue {
    JSON::parse(&value.to_string()).unwrap_or(JsValue::NULL)
}

/// `[address of rest/v1, headers]`; the facade makes a function of it.
fn door(rest: &Rest) -> Result<JsValue, Error> {
    Ok(Array::of2(&rest.address("", &[]).as_str().into(), &pairs(&rest.headers()?)).into())
}
