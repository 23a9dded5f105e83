//! The parts of a URL that the module looks at. Each host has a parser of its own.

/// What is asked of a URL.
pub(super) struct Url {
    /// All of it, in its one spelling.
    pub(super) href: String,
    /// `https`, without a colon.
    pub(super) scheme: String,
    /// Without the port.
    pub(super) host: String,
    /// As browsers send it; `null` where there is none.
    pub(super) origin: String,
    pub(super) has_login: bool,
    /// Or a fragment.
    pub(super) has_query: bool,
}
