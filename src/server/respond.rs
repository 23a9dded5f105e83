//! Errors and bundles as HTTP answers.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response, StatusCode};

use crate::object::Object;
use crate::wire::TokenBundle;
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
fn json(status: StatusCode, body: String) -> Response<Bytes> {
    let mut response = empty(status);
    *response.body_mut() = body.into();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

pub(super) fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A token.
pub(super) fn bundle(bundle: &TokenBundle) -> Response<Bytes> {
    let body = Object::new()
        .text("token", bundle.token.expose())
        .number("ttl", bundle.ttl)
        .text("sessionId", &bundle.session_id)
        .number("expiresAt", bundle.expires_at);
    json(StatusCode::OK, body.finish())
}

/// A refusal: `{"error": {code, message, hint}}`, with `retry_after` in seconds where it is known. `message` and `code` stand
/// beside it too, where those look who come from `@supabase/server`. `realm` is what a caller would need credentials for.
pub(super) fn refusal(error: &Error, realm: &str) -> Response<Bytes> {
    let reason = error.reason();
    let wait = error.retry_after().map(|wait| wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
    let (code, message) = (reason.as_str(), error.message());
    let mut body = Object::new().text("code", code).text("message", message).text("hint", reason.hint());
    if let Some(wait) = wait {
        body = body.number("retry_after", wait);
    }
    let body = Object::new().raw("error", &body.finish()).text("message", message).text("code", code);
    let status = status_of(reason);
    let mut response = json(status, body.finish());
    let headers = response.headers_mut();
    if let Some(wait) = wait {
        headers.insert(RETRY_AFTER, wait.into());
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("POST, OPTIONS"));
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, challenge(reason, realm));
    }
    response
}

/// RFC 6750 section 3: no error code for a request that tried no credential.
fn challenge(reason: Reason, realm: &str) -> HeaderValue {
    let code = match reason {
        Reason::MissingToken | Reason::MissingApiKey => None,
        Reason::InvalidAuthorization | Reason::ApiKeyAsBearer => Some("invalid_request"),
        _ => Some("invalid_token"),
    };
    let mut text = ["Bearer realm=\"", realm, "\""].concat();
    if let Some(code) = code {
        text = [&text, ", error=\"", code, "\", error_description=\"", reason.as_str(), "\""].concat();
    }
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("Bearer"))
}
