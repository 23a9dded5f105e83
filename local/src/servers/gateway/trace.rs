//! The request's id.

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::Response;
use uuid::Uuid;

/// In `X-Trace-Id`, in the log and in the usage row.
#[derive(Clone, Debug)]
pub(super) struct TraceId(pub(super) String);

/// Middleware: gives the request an id and logs it.
pub(super) async fn trace(mut request: Request, next: Next) -> Response {
    let id = Uuid::new_v4().to_string();
    request.extensions_mut().insert(TraceId(id.clone()));
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    tracing::info!(trace_id = id, status = response.status().as_u16(), "{method} {path}");
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert("x-trace-id", id);
    }
    response
}
