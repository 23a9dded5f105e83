//! The exact origins whose pages may call the gateway and the token function.

use std::sync::{Arc, PoisonError, RwLock};

use http::{HeaderMap, HeaderValue, header};
use reqwest::Url;

use super::activity::Activity;
use super::counters::Counters;

/// A list of `scheme://host[:port]`; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Origins {
    list: Arc<RwLock<Vec<String>>>,
    counters: Counters,
    activity: Activity,
}

impl Origins {
    pub(crate) fn new(list: Vec<String>, counters: Counters, activity: Activity) -> Self {
        Self { list: Arc::new(RwLock::new(list)), counters, activity }
    }

    pub(crate) fn list(&self) -> Vec<String> {
        self.list.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the list.
    pub(crate) fn set(&self, list: Vec<String>) {
        *self.list.write().unwrap_or_else(PoisonError::into_inner) = list;
    }

    pub(crate) fn allows(&self, origin: &HeaderValue) -> bool {
        let list = self.list.read().unwrap_or_else(PoisonError::into_inner);
        list.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes())
    }

    /// Counts and logs a request from an origin that is not on the list, and says whether it is one.
    pub(crate) fn refuses(&self, headers: &HeaderMap, server: &str) -> bool {
        let Some(origin) = headers.get(header::ORIGIN).filter(|origin| !self.allows(origin)) else {
            return false;
        };
        self.counters.add("cors.refused");
        self.activity.refused(&String::from_utf8_lossy(origin.as_bytes()), server);
        tracing::warn!(
            origin = ?origin,
            "{server} refused a page's origin: add it with --allow-origin if the page is yours"
        );
        true
    }
}

/// Is this an origin as a browser sends it: scheme, host, port, nothing after it?
pub(crate) fn is_origin(text: &str) -> bool {
    Url::parse(text).ok().and_then(|url| origin_of(&url)).is_some_and(|origin| origin == text)
}

/// What browsers send for pages at this address, and web views for those of an app's own scheme (`tauri://localhost`).
pub(crate) fn origin_of(url: &Url) -> Option<String> {
    match url.scheme() {
        "http" | "https" => Some(url.origin().ascii_serialization()),
        "about" | "blob" | "data" | "file" | "ftp" | "javascript" | "ws" | "wss" => None,
        scheme => {
            let host = url.host_str().filter(|host| !host.is_empty())?;
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            Some(format!("{scheme}://{host}{port}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_exactly_what_a_browser_sends() {
        for good in [
            "http://localhost:5173",
            "https://app.example.com",
            "http://[::1]:8080",
            "tauri://localhost",
            "capacitor://localhost:1",
        ] {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "*",
            "null",
            "localhost:5173",
            "http://localhost:5173/",
            "https://App.example.com",
            "https://a:443",
            "tauri://localhost/",
            "tauri://localhost/page",
            "tauri://a@localhost",
            "tauri:localhost",
            "file:///page.html",
            "javascript://localhost",
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
