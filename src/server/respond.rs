//! Errors and bundles as HTTP answers.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;
use serde_json::json;

use crate::{Error, Reason};

/// The status each reason is answered with.
pub(super) fn status_of(reason: Reason) -> StatusCode {
    match reason {
        Reason::MissingToken
        | Reason::InvalidAuthorization
        | Reason::ApiKeyAsBearer
        | Reason::MalformedToken
        | Reason::UnsupportedAlgorithm
        | Reason::UnknownKey
        | Reason::MissingKid
        | Reason::SessionRevoked
        | Reason::InvalidSignature
        | Reason::TokenExpired
        | Reason::TokenNotYetValid
        | Reason::WrongIssuer
        | Reason::WrongAudience
        | Reason::InvalidClaims
        | Reason::RoleRefused
        | Reason::AnonymousRefused
        | Reason::MissingApiKey
        | Reason::InvalidApiKey
        | Reason::InvalidWebhook => StatusCode::UNAUTHORIZED,
        Reason::InvalidRequest => StatusCode::BAD_REQUEST,
        Reason::QuotaExceeded | Reason::BudgetExhausted => StatusCode::PAYMENT_REQUIRED,
        Reason::OriginRefused | Reason::Forbidden => StatusCode::FORBIDDEN,
        Reason::NotFound => StatusCode::NOT_FOUND,
        Reason::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Reason::Timeout => StatusCode::REQUEST_TIMEOUT,
        Reason::Conflict => StatusCode::CONFLICT,
        Reason::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Reason::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Reason::JwksUnavailable | Reason::AuthUnavailable | Reason::PlanUnavailable | Reason::MintUnavailable => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// JSON that no cache may keep.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response<Bytes> {
    let mut response = empty(status);
    match serde_json::to_vec(body) {
        Ok(body) => *response.body_mut() = body.into(),
        Err(_) => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
    }
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

pub(super) fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

/// A refusal: `{"error": {code, message, hint}}`, with `retry_after` in seconds where it is known.
pub(super) fn refusal(error: &Error) -> Response<Bytes> {
    let reason = error.reason();
    let wait = error.retry_after().map(|wait| wait.as_secs_f64().ceil() as u64);
    let mut body = json!({"error": {"code": reason.as_str(), "message": error.message(), "hint": reason.hint()}});
    if let Some(wait) = wait {
        body["error"]["retry_after"] = wait.into();
    }
    let status = status_of(reason);
    let mut response = json(status, &body);
    let headers = response.headers_mut();
    if let Some(wait) = wait {
        headers.insert(RETRY_AFTER, wait.into());
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("POST, OPTIONS"));
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, challenge(reason));
    }
    response
}

/// RFC 6750 section 3: no error code for a request that tried no credential.
fn challenge(reason: Reason) -> HeaderValue {
    let code = match reason {
        Reason::MissingToken | Reason::MissingApiKey => {
            return HeaderValue::from_static(r#"Bearer realm="behest-token""#);
        }
        Reason::InvalidAuthorization | Reason::ApiKeyAsBearer => "invalid_request",
        _ => "invalid_token",
    };
    let text = format!(r#"Bearer realm="behest-token", error="{code}", error_description="{reason}""#);
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("Bearer"))
}
