//! URLs, by the host.

use super::host;
use crate::server::url::Url;

/// Reads an absolute URL; the error says why it is none.
pub(in crate::server) fn parse(text: &str) -> Result<Url, String> {
    let told = host::url(text);
    let mut lines = told.split('\n');
    let mut line = || lines.next().unwrap_or_default().to_owned();
    let (href, scheme) = (line(), line());
    if scheme.is_empty() {
        return Err(href);
    }
    Ok(Url { href, scheme, host: line(), origin: line(), has_login: !line().is_empty(), has_query: !line().is_empty() })
}
