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

use std::convert::Infallible;
use std::task::{Context, Poll};

use ::axum::Router;
use ::axum::body::Body;
use ::axum::extract::{FromRequestParts, Request, State};
use ::axum::middleware::Next;
use ::axum::response::Response;
use ::axum::routing::{MethodRouter, any};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use http::HeaderMap;
use http::request::Parts;

use super::body::{DEADLINE, broken, check_length, late, too_large};
use super::endpoint::{MAX_BODY, TokenEndpoint};
use super::guard::{Caller, Guard};
use super::platform::log::log;
use super::respond;
use super::webhook::{self, Delivery, Webhook};
use crate::{Error, Reason};

/// A router that serves the endpoint at the path it is nested at and at every path below. With nothing but a slash behind it, axum
/// takes that path for another one; `Router::nest_service(path, endpoint)` serves it, too.
pub fn router<S: Clone + Send + Sync + 'static>(endpoint: TokenEndpoint) -> Router<S> {
    Router::new().fallback(move |request: Request| serve(endpoint.clone(), request))
}

/// The endpoint for one path: `Router::route("/api/behest/token", route(endpoint))`.
pub fn route<S: Clone + Send + Sync + 'static>(endpoint: TokenEndpoint) -> MethodRouter<S> {
    any(move |request: Request| serve(endpoint.clone(), request))
}

/// Lets in whom the guard lets in and puts the [`Caller`] where handlers find it. For
/// `axum::middleware::from_fn_with_state(guard, authenticate)`.
///
/// Each layer judges the request anew: an outer one that lets everybody in opens nothing behind an inner one. Answers carry
/// the guard's CORS headers, refusals included, and preflights are answered here.
pub async fn authenticate(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    if let Some(answer) = guard.preflight(request.method(), request.headers()) {
        return answer.map(Body::from);
    }
    match guard.authenticate(request.headers()).await {
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
            log!(error, "a handler asks for the caller, but no layer authenticates");
            let error = Error::new(Reason::Misconfigured, "nobody authenticated this request");
            respond::refusal(&error, "supabase").map(Body::from)
        })
    }
}

/// Checks a webhook's delivery and reads its body: the headers first, then at most [`webhook::MAX_BODY`] bytes, within 10 s.
///
/// # Errors
/// As [`Webhook::verify`]; [`Reason::PayloadTooLarge`], [`Reason::Timeout`], and [`Reason::InvalidRequest`] for a body that
/// broke off.
pub async fn receive(webhook: &Webhook, request: Request) -> Result<(Delivery, Bytes), Error> {
    let (parts, body) = request.into_parts();
    webhook.check_headers(&parts.headers)?;
    let body = read(&parts.headers, body, webhook::MAX_BODY).await?;
    Ok((webhook.verify(&parts.headers, &body).await?, body))
}

/// For `Router::nest_service` and `Router::route_service`.
impl tower::Service<Request> for TokenEndpoint {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let endpoint = self.clone();
        Box::pin(async move { Ok(serve(endpoint, request).await) })
    }
}

async fn serve(endpoint: TokenEndpoint, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let response = match read(&parts.headers, body, MAX_BODY).await {
        Ok(body) => endpoint.handle(Request::from_parts(parts, body)).await,
        Err(error) => endpoint.refuse(&parts.headers, error).await,
    };
    response.map(Body::from)
}

async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Error> {
    check_length(headers, limit)?;
    let all = async {
        let mut chunks = body.into_data_stream();
        let mut all = BytesMut::new();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| broken())?;
            if all.len() + chunk.len() > limit {
                return Err(too_large(limit));
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    };
    tokio::time::timeout(DEADLINE, all).await.unwrap_or_else(|_| Err(late()))
}
