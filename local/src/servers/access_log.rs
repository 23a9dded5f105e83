//! Middleware that notes every request to a server but those of the tools.

use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;

use crate::domain::activity::{Activity, Served};

pub(super) async fn note(
    State((activity, server)): State<(Activity, &'static str)>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path().to_owned();
    if path.starts_with("/_local") || path.starts_with("/dashboard") {
        return next.run(request).await;
    }
    let method = request.method().to_string();
    let origin = request.headers().get(header::ORIGIN).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (at, began) = (activity.now_ms(), Instant::now());
    let response = next.run(request).await;
    let (status, ms) = (response.status().as_u16(), began.elapsed().as_millis());
    activity.served(Served { at, server, method, path, status, ms, origin });
    response
}
