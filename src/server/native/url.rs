//! URLs, by the crate `url`.

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
    let url = url::Url::parse(text).map_err(|error| error.to_string())?;
    Ok(Url {
        scheme: url.scheme().to_owned(),
        host: url.host_str().unwrap_or_default().to_owned(),
        origin: url.origin().ascii_serialization(),
        has_login: !url.username().is_empty() || url.password().is_some(),
        has_query: url.query().is_some() || url.fragment().is_some(),
        href: url.into(),
    })
}
