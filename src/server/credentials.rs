//! The credentials of a request: one bearer token, one API key.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};

use crate::credential::is_api_key;
use crate::{Error, Reason, Secret};

pub(super) const APIKEY: HeaderName = HeaderName::from_static("apikey");

/// The longest access token that is looked at, in bytes. Supabase's own are one to three thousand.
const LONGEST_TOKEN: usize = 16 * 1024;

/// The bearer token of a request.
///
/// The scheme is compared without regard to case, as RFC 9110 section 11.1 has it and Supabase Auth does. One space
/// follows it. A second authorization header is refused, because hosts disagree about which of two is the real one.
pub(super) fn bearer(headers: &HeaderMap) -> Result<Secret, Error> {
    let invalid = |message: &'static str| Error::new(Reason::InvalidAuthorization, message);
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Err(Error::new(Reason::MissingToken, "the request has no authorization header"));
    };
    if values.next().is_some() {
        return Err(invalid("the request has more than one access token"));
    }
    let text = value.to_str().map_err(|_| invalid("the authorization header is not plain ASCII"))?.trim();
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(invalid("the authorization header's scheme is not Bearer"));
    }
    if token.is_empty() {
        return Err(Error::new(Reason::MissingToken, "the authorization header holds no token"));
    }
    if token.len() > LONGEST_TOKEN {
        return Err(Error::new(Reason::MalformedToken, "the token is longer than 16 KiB"));
    }
    if is_api_key(token) {
        return Err(Error::new(Reason::ApiKeyAsBearer, "the authorization header holds an API key"));
    }
    // What some hosts make of two headers, `one, Bearer two`, ends here too.
    if token.contains([' ', ',', '\t']) {
        return Err(invalid("the request has more than one access token"));
    }
    Ok(Secret::from(token))
}

/// The `apikey` header of a request.
pub(super) enum SentKey<'a> {
    Absent,
    One(&'a [u8]),
    /// Hosts disagree about which of several is the real one, so none is.
    Several,
}

impl SentKey<'_> {
    pub(super) fn of(headers: &HeaderMap) -> SentKey<'_> {
        let mut values = headers.get_all(APIKEY).iter().map(|value| value.as_bytes().trim_ascii());
        match (values.next(), values.next()) {
            (None, _) => SentKey::Absent,
            (Some(b""), None) => SentKey::Absent,
            (Some(key), None) => SentKey::One(key),
            (Some(_), Some(_)) => SentKey::Several,
        }
    }
}
