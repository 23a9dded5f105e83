//! The token endpoint, as the JavaScript facade sees it.

use bytes::Bytes;
use http::{Method, Request, Response};
use js_sys::{Function, Promise};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;

use super::convert::{headers, read_request, response};
use super::errors::to_js;
use super::log;
use super::options::{option, settings, wrong};
use super::policy::JsPolicy;
use crate::server::endpoint::{MAX_BODY, TokenEndpoint};
use crate::{Error, Reason};

/// The token endpoint.
#[wasm_bindgen(js_name = Endpoint)]
pub struct JsEndpoint(TokenEndpoint);

#[wasm_bindgen(js_class = Endpoint)]
impl JsEndpoint {
    /// `lookup` gives the value of a variable; `options` are those of `createTokenEndpoint`.
    #[wasm_bindgen(constructor)]
    pub fn new(lookup: Function, options: &JsValue) -> Result<JsEndpoint, JsValue> {
        log::to_console();
        build(&lookup, options).map(JsEndpoint).map_err(|error| to_js(&error))
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

fn build(lookup: &Function, options: &JsValue) -> Result<TokenEndpoint, Error> {
    let mut settings = settings(lookup, options, &["policy"]);
    if let Some(policy) = option(options, "policy") {
        match policy.dyn_into() {
            Ok(policy) => settings = settings.policy(JsPolicy::new(policy)),
            Err(_) => settings = settings.with_problem(wrong("policy", "a function")),
        }
    }
    TokenEndpoint::new(settings)
}

async fn serve(endpoint: TokenEndpoint, request: web_sys::Request) -> Response<Bytes> {
    let headers = headers(&request.headers());
    match read_request(&request, &headers, MAX_BODY).await {
        Ok(body) => {
            let mut plain = Request::new(body);
            *plain.method_mut() = Method::from_bytes(request.method().as_bytes()).unwrap_or(Method::TRACE);
            *plain.headers_mut() = headers;
            endpoint.handle(plain).await
        }
        Err(error) => endpoint.refuse(&headers, error).await,
    }
}
