//! What a load balancer asks, and how it is told that this replica leaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::get;

/// This replica was told to stop.
#[derive(Clone, Default)]
pub(crate) struct Draining(Arc<AtomicBool>);

impl Draining {
    pub(crate) fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn has_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// `/healthz`: it answers; who gets no answer starts it anew. `/readyz`: send it requests. That Supabase or Behest is down makes
/// no replica unready: they are down for all replicas, and a refusal with a reason is worth more than a load balancer's.
pub(crate) fn routes(draining: Draining) -> Router {
    let ready = move || async move {
        match draining.has_begun() {
            true => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
            false => (StatusCode::OK, "ready"),
        }
    };
    Router::new().route("/healthz", get(async || "ok")).route("/readyz", get(ready))
}

/// While it drains, each answer parts with its connection: what a proxy keeps open would be closed under its next request.
pub(crate) async fn part(State(draining): State<Draining>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if draining.has_begun() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
