//! Reading what other people's servers wrote: JSON of any shape through one small view, and dates.
//!
//! Here with serde_json and httpdate. The npm package has the same functions over the parsers that every browser
//! brings along (`js/parse.rs`), which saves its users a second set.

#[cfg(feature = "client")]
use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;

/// A JSON value that is not null.
#[derive(Clone, Debug)]
pub(crate) struct Json(Value);

impl Json {
    /// `None` if it is not JSON, or null.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().and_then(Self::present)
    }

    pub(crate) fn parse_bytes(bytes: &[u8]) -> Option<Self> {
        Self::parse(std::str::from_utf8(bytes).ok()?)
    }

    /// The value at the end of a path of keys and indices; `None` if there is none, or null.
    pub(crate) fn find(&self, path: &[&str]) -> Option<Self> {
        let found = path.iter().try_fold(&self.0, |value, key| match value {
            Value::Array(items) => items.get(key.parse::<usize>().ok()?),
            object => object.get(*key),
        });
        found.cloned().and_then(Self::present)
    }

    /// The items of an array that are not null; nothing for any other value.
    pub(crate) fn items(&self) -> impl Iterator<Item = Self> {
        self.0.as_array().into_iter().flatten().cloned().filter_map(Self::present)
    }

    pub(crate) fn text(&self) -> Option<String> {
        self.0.as_str().map(str::to_owned)
    }

    pub(crate) fn number(&self) -> Option<f64> {
        self.0.as_f64()
    }

    pub(crate) fn is_object(&self) -> bool {
        self.0.is_object()
    }

    pub(crate) fn is_array(&self) -> bool {
        self.0.is_array()
    }

    fn present(value: Value) -> Option<Self> {
        Some(Self(value)).filter(|json| !json.0.is_null())
    }
}

/// An HTTP date, since the Unix epoch.
#[cfg(feature = "client")]
pub(crate) fn http_date(text: &str) -> Option<Duration> {
    httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()
}

/// A text as a JSON string, quotes included.
pub(crate) fn quote(text: &str) -> String {
    Value::from(text).to_string()
}
