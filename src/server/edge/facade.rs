//! Errors and callers, as JSON for the facade; errors of applications, from it.

use http::HeaderMap;

use crate::json::{Json, quote};
use crate::object::Object;
use crate::server::guard::Caller;
use crate::server::respond::status_of;
use crate::server::supabase::Rest;
use crate::wire::millis;
use crate::{Error, Reason};

/// What the facade makes its error from.
pub(super) fn error(error: &Error) -> String {
    let reason = error.reason();
    let told = Object::new()
        .text("reason", reason.as_str())
        .text("action", error.action().as_str())
        .text("message", error.message())
        .text("hint", error.hint())
        .number("status", status_of(reason).as_u16().into());
    match error.retry_after() {
        Some(wait) => told.number("retryAfterMs", wait.as_millis() as u64),
        None => told,
    }
    .finish()
}

/// The error an application throws on purpose: it has one of our reasons. Anything else is its own failure.
pub(super) fn thrown(json: &str) -> Error {
    let thrown = Json::parse(json);
    let field = |name: &str| thrown.and_then(|thrown| thrown.field(name));
    let message = field("message").and_then(Json::text);
    let reason = field("reason").and_then(Json::text).and_then(|reason| Reason::from_name(&reason));
    let Some(reason) = reason else {
        return Error::new(Reason::ServerError, message.unwrap_or_else(|| "the host gave no reason".to_owned()));
    };
    let wait = field("retryAfterMs").and_then(Json::number).filter(|wait| *wait >= 0.0).map(millis);
    Error::new(reason, message.unwrap_or_else(|| reason.hint().to_owned())).with_retry_after(wait)
}

/// What handlers are given, in the words of `@supabase/server`, the older ones included.
pub(super) fn caller(caller: &Caller) -> Result<String, Error> {
    let mut told = Object::new().text("authMode", caller.mode().as_str()).text("authType", caller.mode().older_str());
    if let Some(name) = caller.key_name() {
        told = told.text("authKeyName", name);
    }
    told = told.raw("jwtClaims", caller.user().map_or("null", |user| user.json()));
    told = told.raw("rest", &rest(&caller.rest())?);
    if let Ok(admin) = caller.admin() {
        told = told.raw("admin", &rest(&admin)?);
    }
    Ok(told.finish())
}

/// The facade makes a function of it: address and headers.
fn rest(rest: &Rest) -> Result<String, Error> {
    let (address, headers) = rest.address_and_headers()?;
    let mut told = "[".to_owned();
    quote(address, &mut told);
    told.push(',');
    told.push_str(&pairs(&headers));
    told.push(']');
    Ok(told)
}

/// A list of names and values.
pub(super) fn pairs(headers: &HeaderMap) -> String {
    let mut list = "[".to_owned();
    for (name, value) in headers {
        list.push_str(if list.len() > 1 { ",[" } else { "[" });
        quote(name.as_str(), &mut list);
        list.push(',');
        quote(value.to_str().unwrap_or_default(), &mut list);
        list.push(']');
    }
    list.push(']');
    list
}
