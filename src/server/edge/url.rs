//! URLs, by the host.

use super::host;
use crate::server::url::Url;

/// Reads an absolute URL.
pub(in crate::server) fn parse(text: &str) -> Option<Url> {
    let told = host::url(text);
    let mut lines = told.split('\n');
    let mut line = || lines.next().unwrap_or_default().to_owned();
    let (href, scheme) = (line(), line());
    let (host, origin, has_login, has_query) = (line(), line(), !line().is_empty(), !line().is_empty());
    (!href.is_empty()).then_some(Url { href, scheme, host, origin, has_login, has_query })
}
