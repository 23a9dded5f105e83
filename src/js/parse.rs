//! The functions of `parse.rs` over the parsers that every JavaScript host has.

use std::time::Duration;

use js_sys::{Array, Date, JSON, Object, Reflect};
use wasm_bindgen::{JsCast, JsValue};

/// A JSON value that is not null.
#[derive(Clone, Debug)]
pub(crate) struct Json(JsValue);

impl Json {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        JSON::parse(text).ok().and_then(Self::present)
    }

    pub(crate) fn parse_bytes(bytes: &[u8]) -> Option<Self> {
        Self::parse(std::str::from_utf8(bytes).ok()?)
    }

    pub(crate) fn find(&self, path: &[&str]) -> Option<Self> {
        path.iter().try_fold(self.clone(), |json, key| {
            // Only own data counts: a string has a length, and every object has a constructor.
            let own = json.0.is_object() && Object::has_own(json.0.unchecked_ref::<Object>(), &(*key).into());
            own.then(|| Reflect::get(&json.0, &(*key).into()).ok()).flatten().and_then(Self::present)
        })
    }

    pub(crate) fn items(&self) -> impl Iterator<Item = Self> {
        let array = self.0.dyn_ref::<Array>().cloned().unwrap_or_default();
        (0..array.length()).filter_map(move |index| Self::present(array.get(index)))
    }

    pub(crate) fn text(&self) -> Option<String> {
        self.0.as_string()
    }

    pub(crate) fn number(&self) -> Option<f64> {
        self.0.as_f64()
    }

    pub(crate) fn is_object(&self) -> bool {
        self.0.is_object() && !self.is_array()
    }

    pub(crate) fn is_array(&self) -> bool {
        Array::is_array(&self.0)
    }

    fn present(value: JsValue) -> Option<Self> {
        Some(Self(value)).filter(|json| !json.0.is_null())
    }
}

/// An HTTP date, since the Unix epoch.
pub(crate) fn http_date(text: &str) -> Option<Duration> {
    // Of what `Date.parse` reads, only what begins with the name of a day is an HTTP date.
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        .then(|| Date::parse(text) / 1000.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
}

/// A text as a JSON string, quotes included.
pub(crate) fn quote(text: &str) -> String {
    JSON::stringify(&text.into()).map(String::from).unwrap_or_default()
}
