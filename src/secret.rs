//! A string that must not be seen: tokens and keys.

use std::fmt;

/// Holds a secret. `Debug` prints a mask and there is no `Display`, so that a log line,
/// a panic message or an error can never show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T = String>(T);

impl<T> Secret<T> {
    /// Wraps a secret.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The secret itself. Every use of this is a place to review.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl From<&str> for Secret<String> {
    fn from(value: &str) -> Self {
        Self(value.to_owned())
    }
}

impl From<String> for Secret<String> {
    fn from(value: String) -> Self {
        Self(value)
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(feature = "server")]
impl Secret<String> {
    /// `Bearer <secret>` as a header value that HTTP libraries do not print.
    ///
    /// `None` if the secret holds a byte that no header can carry, such as a line break.
    pub fn bearer(&self) -> Option<http::HeaderValue> {
        let mut value = http::HeaderValue::try_from(["Bearer ", &self.0].concat()).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}
