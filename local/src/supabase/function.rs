//! `functions/v1`: the token function, which is this project's own server module, unchanged, and functions that run
//! elsewhere.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Result;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Json, Router};
use behest_client::server::axum::route;
use behest_client::server::{Clock, Settings, TokenEndpoint};
use serde_json::json;
use tower::ServiceExt as _;

use super::proxy::Proxy;
use super::{Supabase, bearer};
use crate::counters::Counters;
use crate::identity::Identity;
use crate::jwt::Fault;
use crate::origins::Origins;

/// The name under which the token function is deployed.
pub(crate) const NAME: &str = "behest-token";

/// What the function's environment holds.
pub(crate) struct Environment {
    pub(crate) supabase_url: String,
    pub(crate) gateway_url: String,
    /// The interface's address, should it not be loopback: the function may speak plain HTTP to it.
    pub(crate) host: String,
    pub(crate) identity: Arc<Identity>,
    pub(crate) origins: Origins,
    pub(crate) allow_anonymous: bool,
    pub(crate) clock: crate::Clock,
}

impl Environment {
    /// The function, set up through the variables it would have on the platform, so that it speaks to the two
    /// origins over HTTP as it would there.
    fn endpoint(&self) -> Result<Router> {
        let settings = Settings::from_lookup(|name| {
            Some(match name {
                "SUPABASE_URL" => self.supabase_url.clone(),
                "SUPABASE_PUBLISHABLE_KEY" => self.identity.publishable_key.clone(),
                "BEHEST_BASE_URL" => self.gateway_url.clone(),
                "BEHEST_KEY" => self.identity.behest_key.expose().clone(),
                "CORS_ORIGIN" => self.origins.list().join(","),
                "ALLOW_HTTP_HOSTS" => self.host.clone(),
                _ => return None,
            })
        });
        let clock = self.clock.clone();
        let now = move || Duration::from_millis(clock.now_ms().try_into().unwrap_or_default());
        let endpoint = TokenEndpoint::new(settings.allow_anonymous(self.allow_anonymous).clock(Clock::from_fn(now)))?;
        Ok(Router::new().fallback_service(route(endpoint)))
    }
}

/// All functions by name. Clones share them.
#[derive(Clone)]
pub(crate) struct Functions {
    environment: Arc<Environment>,
    token: Arc<RwLock<Router>>,
    elsewhere: Arc<BTreeMap<String, Proxy>>,
    verify_jwt: bool,
    counters: Counters,
}

impl Functions {
    /// `elsewhere` are functions that other processes serve. `verify_jwt` puts the platform's gate before all of them.
    pub(crate) fn new(
        environment: Environment,
        elsewhere: BTreeMap<String, Proxy>,
        verify_jwt: bool,
        counters: Counters,
    ) -> Result<Self> {
        let token = Arc::new(RwLock::new(environment.endpoint()?));
        Ok(Self { environment: Arc::new(environment), token, elsewhere: Arc::new(elsewhere), verify_jwt, counters })
    }

    /// Deploys the token function anew, with the origins that are allowed now.
    pub(crate) fn redeploy(&self) -> Result<()> {
        let endpoint = self.environment.endpoint()?;
        *self.token.write().unwrap_or_else(PoisonError::into_inner) = endpoint;
        Ok(())
    }

    /// The routes below `functions/v1`. A function answers its own preflights.
    pub(crate) fn routes(self, supabase: Supabase) -> Router {
        let state = (self, supabase);
        Router::new()
            .route("/{name}", any(|state, Path(name): Path<String>, request| call(state, name, String::new(), request)))
            .route(
                "/{name}/{*rest}",
                any(|state, Path((name, rest)): Path<(String, String)>, request| call(state, name, rest, request)),
            )
            .fallback(|| async { not_found() })
            .with_state(state)
    }
}

async fn call(
    State((functions, supabase)): State<(Functions, Supabase)>,
    name: String,
    rest: String,
    request: Request,
) -> Response {
    let proxy = functions.elsewhere.get(&name);
    if proxy.is_none() && (name != NAME || !rest.is_empty()) {
        return not_found();
    }
    if proxy.is_none() {
        functions.environment.origins.refuses(&request, "the token function");
    }
    if request.method() != Method::OPTIONS {
        functions.counters.add(&format!("functions.{name}"));
        if functions.verify_jwt
            && let Some(refusal) = supabase.gate(request.headers())
        {
            return refusal;
        }
    }
    match proxy {
        Some(proxy) => proxy.forward(&rest, request).await,
        None => {
            let token = functions.token.read().unwrap_or_else(PoisonError::into_inner).clone();
            match token.oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        }
    }
}

impl Supabase {
    /// The platform's gate, as it documents its refusals. It says nothing about whether the session still stands.
    fn gate(&self, headers: &HeaderMap) -> Option<Response> {
        if !headers.contains_key(header::AUTHORIZATION) {
            return Some(unauthorized("UNAUTHORIZED_NO_AUTH_HEADER", "Missing authorization header"));
        }
        let invalid = |code| unauthorized(code, "Invalid JWT");
        let Some(token) = bearer::token(headers) else { return Some(invalid("UNAUTHORIZED_INVALID_JWT_FORMAT")) };
        let fault = self.verify(token).err()?;
        Some(invalid(match fault {
            Fault::Malformed => "UNAUTHORIZED_INVALID_JWT_FORMAT",
            Fault::Algorithm => "UNAUTHORIZED_UNSUPPORTED_TOKEN_ALGORITHM",
            _ => "UNAUTHORIZED_ASYMMETRIC_JWT",
        }))
    }
}

fn unauthorized(code: &'static str, message: &str) -> Response {
    platform_error(StatusCode::UNAUTHORIZED, code, message)
}

fn not_found() -> Response {
    platform_error(StatusCode::NOT_FOUND, "NOT_FOUND", "Requested function was not found")
}

/// An error of the platform, not of a function.
pub(super) fn platform_error(status: StatusCode, code: &'static str, message: &str) -> Response {
    (status, [("sb-error-code", code)], Json(json!({ "code": code, "message": message }))).into_response()
}
