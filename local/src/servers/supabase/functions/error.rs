//! Errors of the functions' platform.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

/// An error of the platform, not of a function.
pub(super) fn platform_error(status: StatusCode, code: &'static str, message: &str) -> Response {
    (status, [("sb-error-code", code)], Json(json!({ "code": code, "message": message }))).into_response()
}

pub(in crate::servers::supabase) fn fault(status: StatusCode, message: String) -> Response {
    platform_error(status, "FAULT", &message)
}
