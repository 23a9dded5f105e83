//! The token endpoint for axum.
//!
//! ```no_run
//! # fn example() -> Result<axum::Router, behest_client::Error> {
//! use behest_client::server::{TokenEndpoint, axum::router};
//!
//! let app = axum::Router::new().nest("/functions/v1/behest-token", router(TokenEndpoint::from_env()?));
//! # Ok(app) }
//! ```
//!
//! Do not put a CORS layer around it: the endpoint answers preflights itself.

use std::time::Duration;

use ::axum::Router;
use ::axum::body::Body;
use ::axum::extract::{FromRequestParts, Request, State};
use ::axum::middleware::Next;
use ::axum::response::Response;
use ::axum::routing::{MethodRouter, any};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::Method;
use http::header::CONTENT_LENGTH;
use http::request::Parts;

use super::auth::{Caller, Guard};
use super::{MAX_BODY, TokenEndpoint};
use crate::{Error, Reason};

/// How long a body of at most 16 KiB may take to arrive.
const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// A router that serves the endpoint at the path it is nested at and at every path below.
pub fn router(endpoint: TokenEndpoint) -> Router {
    Router::new().fallback(move |request: Request| serve(endpoint.clone(), request))
}

/// The endpoint for one path: `Router::route("/api/behest/token", route(endpoint))`.
pub fn route(endpoint: TokenEndpoint) -> MethodRouter {
    any(move |request: Request| serve(endpoint.clone(), request))
}

/// Lets in whom the guard lets in and puts the [`Caller`] where handlers find it. For
/// `axum::middleware::from_fn_with_state(guard, authenticate)`.
///
/// Each layer judges the request anew: an outer one that lets everybody in opens nothing behind an inner one. Answers carry
/// the guard's CORS headers, refusals included, and preflights are answered here.
pub async fn authenticate(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    if request.method() == Method::OPTIONS && request.headers().contains_key("access-control-request-method") {
        return guard.preflight(request.headers()).map(Body::from);
    }
    let judged = match guard.check_origin(request.headers()) {
        Ok(()) => guard.authenticate(request.headers()).await,
        Err(error) => Err(error),
    };
    match judged {
        Ok(caller) => {
            let asked = request.headers().clone();
            request.extensions_mut().insert(caller);
            let mut response = next.run(request).await;
            guard.permit(&asked, response.headers_mut());
            response
        }
        Err(error) => guard.refuse(request.headers(), &error).map(Body::from),
    }
}

/// The caller that [`authenticate`] let in. Without that layer around it, a handler that asks for one answers 500.
impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            tracing::error!("a handler asks for the caller, but no layer authenticates");
            let error = Error::new(Reason::Misconfigured, "nobody authenticated this request");
            super::respond::refusal(&error).map(Body::from)
        })
    }
}

async fn serve(endpoint: TokenEndpoint, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let stated = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let body = match stated {
        Some(length) if length > MAX_BODY as u64 => Err(too_large()),
        _ => read(body).await,
    };
    let response = match body {
        Ok(body) => endpoint.handle(Request::from_parts(parts, body)).await,
        Err(error) => endpoint.refuse(&parts.headers, error).await,
    };
    response.map(Body::from)
}

async fn read(body: Body) -> Result<Bytes, Error> {
    let all = async {
        let mut chunks = body.into_data_stream();
        let mut all = BytesMut::new();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| Error::new(Reason::InvalidRequest, "the request body broke off"))?;
            if all.len() + chunk.len() > MAX_BODY {
                return Err(too_large());
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    };
    let late = |_| Err(Error::new(Reason::Timeout, "the request body did not arrive in time"));
    tokio::time::timeout(BODY_DEADLINE, all).await.unwrap_or_else(late)
}

fn too_large() -> Error {
    Error::new(Reason::PayloadTooLarge, "the request body is larger than 16 KiB")
}
