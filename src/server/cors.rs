//! Which pages may read the endpoint's answers.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue};
use url::Url;

use crate::wire::{EXPOSED_HEADERS, FUNCTION_REQUEST_HEADERS};

/// How long a browser may remember a preflight, in seconds: the most that Chromium keeps.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// A list of exact origins.
#[derive(Clone, Debug, Default)]
pub(super) struct Cors(Vec<String>);

/// What a request's `Origin` header comes to.
#[derive(Clone, Debug)]
pub(super) enum Caller {
    /// No browser page, or one that needs no permission: no `Origin` header.
    NoPage,
    /// A page on the list.
    Listed(HeaderValue),
    /// A page that is not on the list, or an unreadable header.
    Refused,
}

impl Cors {
    /// Reads a comma-separated list.
    pub(super) fn parse(list: &str) -> Result<Self, String> {
        let origins = list.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(exact);
        Ok(Self(origins.collect::<Result<_, _>>()?))
    }

    pub(super) fn judge(&self, headers: &HeaderMap) -> Caller {
        let mut values = headers.get_all(ORIGIN).iter();
        match (values.next(), values.next()) {
            (None, _) => Caller::NoPage,
            (Some(origin), None) if self.0.iter().any(|listed| listed.as_bytes() == origin.as_bytes()) => {
                Caller::Listed(origin.clone())
            }
            _ => Caller::Refused,
        }
    }
}

impl Caller {
    /// Adds what this caller's browser must see. Every answer goes through here, refusals and panics included.
    pub(super) fn permit(&self, headers: &mut HeaderMap) {
        headers.append(VARY, HeaderValue::from_static("origin"));
        if let Self::Listed(origin) = self {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
        }
    }

    /// Adds the answer to a preflight before a request of any method.
    pub(super) fn permit_any_request(&self, headers: &mut HeaderMap) {
        self.permit_request(headers);
        if let Self::Listed(_) = self {
            let methods = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        }
    }

    /// Adds the answer to a preflight.
    pub(super) fn permit_request(&self, headers: &mut HeaderMap) {
        if let Self::Listed(_) = self {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(FUNCTION_REQUEST_HEADERS));
            headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        }
    }
}

/// An origin, exactly as browsers send it.
fn exact(entry: &str) -> Result<String, String> {
    if entry.contains('*') {
        return Err("must not hold `*`: any page could then spend your users' allowance. List each origin".into());
    }
    let origin = Url::parse(entry).ok().map(|url| url.origin()).filter(|origin| origin.is_tuple());
    match origin.map(|origin| origin.ascii_serialization()) {
        Some(origin) if origin == entry => Ok(origin),
        Some(origin) => Err(format!("holds `{entry}`, which browsers send as `{origin}`: write it so")),
        None => Err(format!("holds `{entry}`, which is not an origin such as https://app.example.com")),
    }
}
