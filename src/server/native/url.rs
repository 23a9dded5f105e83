//! URLs, by the crate `url`.

use crate::server::url::Url;

/// Reads an absolute URL.
pub(in crate::server) fn parse(text: &str) -> Option<Url> {
    let url = url::Url::parse(text).ok()?;
    Some(Url {
        scheme: url.scheme().to_owned(),
        host: url.host_str().unwrap_or_default().to_owned(),
        origin: url.origin().ascii_serialization(),
        has_login: !url.username().is_empty() || url.password().is_some(),
        has_query: url.query().is_some() || url.fragment().is_some(),
        href: url.into(),
    })
}
