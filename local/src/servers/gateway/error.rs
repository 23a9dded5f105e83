//! The gateway's errors: `{"error": {"code", "message"}}`.

use std::borrow::Cow;

use axum::Json;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::domain::controls::{Controls, ErrorShape};

/// A refusal or failure of the gateway.
#[derive(Clone, Debug)]
pub(crate) struct GatewayError {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    retry_after: Option<HeaderValue>,
    details: Option<Box<Value>>,
    /// The code in the shape that names faults of authentication apart.
    named: Option<&'static str>,
}

impl GatewayError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, message: message.into(), retry_after: None, details: None, named: None }
    }

    pub(crate) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "validation_error", message)
    }

    pub(crate) fn token(message: impl Into<Cow<'static, str>>) -> Self {
        Self { named: Some("BEHEST_AUTH_INVALID"), ..Self::new(StatusCode::UNAUTHORIZED, "invalid_token", message) }
    }

    pub(crate) fn missing_token(message: impl Into<Cow<'static, str>>) -> Self {
        Self { named: Some("BEHEST_AUTH_MISSING"), ..Self::token(message) }
    }

    pub(crate) fn expired_token(message: impl Into<Cow<'static, str>>) -> Self {
        Self { named: Some("BEHEST_AUTH_EXPIRED"), ..Self::token(message) }
    }

    pub(crate) fn upstream(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, "server_error", message)
    }

    pub(crate) fn timeout(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, "server_error", message)
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "The gateway has nothing at this path")
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "This path does not answer that method")
    }

    /// Any status, with the code that goes with it.
    pub(crate) fn of_status(status: StatusCode, message: String) -> Self {
        let code = match status.as_u16() {
            401 => return Self::token(message),
            402 => "quota_exceeded",
            403 => "forbidden",
            404 => "not_found",
            429 => "rate_limited",
            451 => "content_blocked",
            500.. => "server_error",
            _ => "validation_error",
        };
        Self::new(status, code, message)
    }

    #[must_use]
    pub(crate) fn with_retry_after(self, retry_after: Option<HeaderValue>) -> Self {
        Self { retry_after, ..self }
    }

    #[must_use]
    pub(crate) fn with_details(self, details: Value) -> Self {
        Self { details: Some(Box::new(details)), ..self }
    }

    /// The body in the shape of the current SDKs.
    pub(crate) fn body(&self) -> Value {
        self.body_as(ErrorShape::Nested)
    }

    fn body_as(&self, shape: ErrorShape) -> Value {
        let Self { code, message, .. } = self;
        match shape {
            ErrorShape::Nested => {
                let mut body = json!({ "error": { "code": code, "message": message } });
                if let Some(details) = &self.details {
                    body["error"]["details"] = Value::clone(details);
                }
                body
            }
            ErrorShape::Flat => {
                let retryable = self.status.is_server_error() || self.retry_after.is_some();
                json!({ "error": message, "code": code, "retryable": retryable })
            }
            ErrorShape::Named => {
                let limited = || (self.status == StatusCode::TOO_MANY_REQUESTS).then_some("BEHEST_RATE_LIMIT");
                json!({ "error": { "code": self.named.or_else(limited).unwrap_or(code), "message": message } })
            }
            ErrorShape::Legacy => json!({ "message": message, "code": code }),
        }
    }
}

impl From<anyhow::Error> for GatewayError {
    fn from(error: anyhow::Error) -> Self {
        tracing::error!(error = format!("{error:#}"), "a gateway request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "The gateway failed, see its log")
    }
}

impl From<BytesRejection> for GatewayError {
    fn from(rejection: BytesRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "validation_error", "The body is too large")
            }
            _ => Self::invalid("The body could not be read to its end"),
        }
    }
}

impl From<PathRejection> for GatewayError {
    fn from(rejection: PathRejection) -> Self {
        Self::invalid(rejection.body_text())
    }
}

impl IntoResponse for GatewayError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        if let Some(wait) = self.retry_after.clone() {
            response.headers_mut().insert(header::RETRY_AFTER, wait);
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Middleware: writes errors in the shape that is set.
pub(crate) async fn shape(State(controls): State<Controls>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let shape = controls.read().error_shape;
    match response.extensions_mut().remove::<GatewayError>() {
        Some(error) if shape != ErrorShape::Nested => {
            let body = error.body_as(shape).to_string();
            response.headers_mut().remove(header::CONTENT_LENGTH);
            *response.body_mut() = body.into();
            response
        }
        _ => response,
    }
}
