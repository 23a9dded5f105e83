//! The credentials of a request: one bearer token, one API key.

use std::borrow::Cow;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};

use super::header;
use crate::credential::is_api_key;
use crate::{Error, Reason, Secret};

pub(super) const APIKEY: HeaderName = HeaderName::from_static("apikey");

/// The longest access token that is looked at, in bytes. Supabase's own are one to three thousand.
const LONGEST_TOKEN: usize = 16 * 1024;

/// The bearer token of a request.
///
/// The scheme is compared without regard to case, as RFC 9110 section 11.1 has it and Supabase Auth does. One space
/// follows it. A second token is refused before either is looked at: servers disagree about which of two is the real one.
pub(super) fn bearer(headers: &HeaderMap) -> Result<Secret, Error> {
    let invalid = |message: &'static str| Error::new(Reason::InvalidAuthorization, message);
    let Some(value) = header::text(headers, &AUTHORIZATION) else {
        return Err(Error::new(Reason::MissingToken, "the request has no authorization header"));
    };
    let text = value.map_err(|()| invalid("the authorization header is not plain ASCII"))?;
    let (scheme, token) = text.split_once(' ').unwrap_or((&text, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(invalid("the authorization header's scheme is not Bearer"));
    }
    if token.is_empty() {
        return Err(Error::new(Reason::MissingToken, "the authorization header holds no token"));
    }
    if token.contains([' ', ',', '\t']) {
        return Err(invalid("the request has more than one access token"));
    }
    if token.len() > LONGEST_TOKEN {
        return Err(Error::new(Reason::MalformedToken, "the token is longer than 16 KiB"));
    }
    if is_api_key(token) {
        return Err(Error::new(Reason::ApiKeyAsBearer, "the authorization header holds an API key"));
    }
    Ok(Secret::from(token))
}

/// The `apikey` header of a request. Two of them are no key: servers disagree about which is the real one.
pub(super) fn sent_key(headers: &HeaderMap) -> Option<Cow<'_, [u8]>> {
    header::stated(headers, &APIKEY)
}
