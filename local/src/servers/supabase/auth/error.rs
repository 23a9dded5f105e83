//! The error bodies of Supabase Auth, in the format the caller's API version asks for.

use std::borrow::Cow;

use axum::Json;
use axum::extract::Request;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;

const API_VERSION: &str = "x-supabase-api-version";
/// From this version on `code` is a word; before, it was the status.
const WORD_CODES_SINCE: &str = "2024-01-01";

/// A refusal of Supabase Auth. Its body is written by [`write()`], which knows the request's headers.
#[derive(Clone, Debug)]
pub(crate) struct AuthError {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    weak_password: Option<&'static str>,
}

impl AuthError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, message: message.into(), weak_password: None }
    }

    /// Code and message.
    pub(crate) fn words(&self) -> (&'static str, &str) {
        (self.code, &self.message)
    }

    pub(crate) fn bad_request(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn unprocessable(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    pub(crate) fn forbidden(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    pub(crate) fn weak_password(reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { weak_password: Some(reason), ..Self::unprocessable("weak_password", message) }
    }

    pub(crate) fn fault(status: StatusCode, message: String) -> Response {
        let code = match status.as_u16() {
            429 => "over_request_rate_limit",
            504 => "request_timeout",
            500.. => "unexpected_failure",
            _ => "validation_failed",
        };
        Self::new(status, code, message).into_response()
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "behest-local's Supabase Auth has nothing at this path")
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "This path does not answer that method")
    }
}

impl From<anyhow::Error> for AuthError {
    fn from(error: anyhow::Error) -> Self {
        tracing::error!(error = format!("{error:#}"), "a Supabase Auth request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "unexpected_failure", "Unexpected failure, see the log")
    }
}

impl From<BytesRejection> for AuthError {
    fn from(rejection: BytesRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", "The body is larger than 1 MiB")
            }
            _ => Self::bad_request("bad_json", "Could not read request body"),
        }
    }
}

impl From<QueryRejection> for AuthError {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad_request("validation_failed", rejection.body_text())
    }
}

impl From<PathRejection> for AuthError {
    fn from(rejection: PathRejection) -> Self {
        Self::bad_request("validation_failed", rejection.body_text())
    }
}

impl IntoResponse for AuthError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Middleware: gives a response that carries an [`AuthError`] its body.
pub(crate) async fn write(request: Request, next: Next) -> Response {
    let wants_words = request
        .headers()
        .get(API_VERSION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<jiff::civil::Date>().ok())
        .is_some_and(|date| WORD_CODES_SINCE.parse().is_ok_and(|since: jiff::civil::Date| date >= since));
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    let Some(error) = response.extensions_mut().remove::<AuthError>() else { return response };
    let (status, message) = (error.status.as_u16(), &error.message);
    tracing::warn!(status, code = error.code, "Supabase Auth refused {method} {path}: {message}");
    let mut body = if wants_words {
        json!({ "code": error.code, "message": error.message })
    } else {
        json!({ "code": error.status.as_u16(), "error_code": error.code, "msg": error.message })
    };
    if let Some(reason) = error.weak_password {
        body["weak_password"] = json!({ "reasons": [reason] });
    }
    let headers = std::mem::take(response.headers_mut());
    let mut response = (error.status, Json(body)).into_response();
    if let Some(wait) = headers.get(header::RETRY_AFTER) {
        response.headers_mut().insert(header::RETRY_AFTER, wait.clone());
    }
    response.headers_mut().insert("x-sb-error-code", HeaderValue::from_static(error.code));
    if wants_words {
        response.headers_mut().insert(API_VERSION, HeaderValue::from_static(WORD_CODES_SINCE));
    }
    response
}
