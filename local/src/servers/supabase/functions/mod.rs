//! `functions/v1`: the token function, and functions that run elsewhere.

pub(super) mod error;
pub(super) mod proxy;
pub(super) mod token_function;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Result;
use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use axum::routing::any;
use percent_encoding::percent_decode_str;
use tower::ServiceExt as _;

use self::error::platform_error;
use self::proxy::Proxy;
use self::token_function::TokenFunction;
use super::state::Supabase;
use crate::domain::jwt::Invalid;
use crate::servers::bearer;
use crate::servers::inject_faults::HEADER;

/// All functions by name. Clones share them.
#[derive(Clone)]
pub(crate) struct Functions {
    token_function: Arc<TokenFunction>,
    /// The token function as it is deployed.
    token: Arc<RwLock<Router>>,
    elsewhere: Arc<BTreeMap<String, Proxy>>,
    verify_jwt: bool,
}

impl Functions {
    /// `elsewhere` are functions that other processes serve. `verify_jwt` puts the platform's gate before all of them.
    pub(crate) fn new(
        token_function: TokenFunction,
        elsewhere: BTreeMap<String, Proxy>,
        verify_jwt: bool,
    ) -> Result<Self> {
        let token = Arc::new(RwLock::new(token_function.endpoint()?));
        Ok(Self { token_function: Arc::new(token_function), token, elsewhere: Arc::new(elsewhere), verify_jwt })
    }

    /// Deploys the token function anew, with the origins that are allowed now.
    pub(crate) fn redeploy(&self) -> Result<()> {
        let endpoint = self.token_function.endpoint()?;
        *self.token.write().unwrap_or_else(PoisonError::into_inner) = endpoint;
        Ok(())
    }

    /// The routes below `functions/v1`. A function answers its own preflights.
    pub(crate) fn routes(self, supabase: Supabase) -> Router {
        let state = (self, supabase);
        Router::new()
            .route(
                "/{name}",
                any(|state, path: Result<Path<String>, PathRejection>, request| {
                    call(state, path.map(|Path(name)| name), request)
                }),
            )
            .route(
                "/{name}/{*rest}",
                any(|state, path: Result<Path<(String, String)>, PathRejection>, request| {
                    call(state, path.map(|Path((name, _))| name), request)
                }),
            )
            .fallback(|| async { not_found() })
            .with_state(state)
    }
}

async fn call(
    State((functions, supabase)): State<(Functions, Supabase)>,
    name: Result<String, PathRejection>,
    request: Request,
) -> Response {
    let Ok(name) = name else { return not_found() };
    // As it was sent: read and written again, it would be another.
    let path = request.uri().path().trim_start_matches('/');
    let rest = path.split_once('/').map_or("", |(_, rest)| rest).to_owned();
    if leaves_its_place(&rest) {
        return not_found();
    }
    let proxy = functions.elsewhere.get(&name);
    if proxy.is_none() && (name != token_function::NAME || !rest.is_empty()) {
        return not_found();
    }
    if proxy.is_none() {
        supabase.shared.origins.refuses(request.headers(), "the token function");
    }
    if request.method() != Method::OPTIONS {
        supabase.shared.counters.add(&format!("functions.{name}"));
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
                Ok(mut response) => {
                    // A page may ask for faults of this function, too.
                    if let Some(allowed) = response.headers_mut().get_mut(header::ACCESS_CONTROL_ALLOW_HEADERS)
                        && let Ok(more) = format!("{}, {HEADER}", allowed.to_str().unwrap_or_default()).try_into()
                    {
                        *allowed = more;
                    }
                    response
                }
                Err(never) => match never {},
            }
        }
    }
}

/// Would another server take part of this path for a way out of the function's own, were it to decode it twice?
fn leaves_its_place(rest: &str) -> bool {
    let once = percent_decode_str(rest).decode_utf8_lossy();
    let twice = percent_decode_str(&once).decode_utf8_lossy();
    [&once, &twice].iter().any(|path| path.split(['/', '\\']).any(|part| matches!(part, "." | "..")))
}

impl Supabase {
    /// The platform's gate, as it documents its refusals. It says nothing about whether the session still stands.
    fn gate(&self, headers: &HeaderMap) -> Option<Response> {
        if !headers.contains_key(header::AUTHORIZATION) {
            return Some(unauthorized("UNAUTHORIZED_NO_AUTH_HEADER", "Missing authorization header"));
        }
        let invalid = |code| unauthorized(code, "Invalid JWT");
        let Some(token) = bearer::token(headers) else { return Some(invalid("UNAUTHORIZED_INVALID_JWT_FORMAT")) };
        Some(invalid(match self.verify(token).err()? {
            Invalid::Malformed => "UNAUTHORIZED_INVALID_JWT_FORMAT",
            Invalid::Algorithm => "UNAUTHORIZED_UNSUPPORTED_TOKEN_ALGORITHM",
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
