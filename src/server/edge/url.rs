//! URLs, by the host.

use super::host;

/// What is asked of a URL.
pub(crate) struct Url {
    /// All of it, in its one spelling.
    pub(crate) href: String,
    /// `https`, without a colon.
    pub(crate) scheme: String,
    /// Without the port.
    pub(crate) host: String,
    /// As browsers send it; `null` where there is none.
    pub(crate) origin: String,
    pub(crate) has_login: bool,
    /// Or a fragment.
    pub(crate) has_query: bool,
}

/// Reads an absolute URL; the error says why it is none.
pub(crate) fn parse(text: &str) -> Result<Url, String> {
    let told = host::url(text);
    let mut lines = told.split('\n');
    let mut line = || lines.next().unwrap_or_default().to_owned();
    let (href, scheme) = (line(), line());
    if scheme.is_empty() {
        return Err(href);
    }
    Ok(Url { href, scheme, host: line(), origin: line(), has_login: !line().is_empty(), has_query: !line().is_empty() })
}
