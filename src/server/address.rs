//! Addresses of servers that are sent credentials or trusted for keys, and of what lies below them.

use super::platform::parse_url;
use crate::text::percent_encode;

/// An address without query or fragment, as the URL Standard writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address(String);

impl Address {
    /// Only https, except for this machine itself and the hosts in `plain`.
    pub(super) fn read(text: &str, plain: &[String]) -> Result<Self, String> {
        let url = parse_url(text).ok_or("is not a URL: it must begin with https:// and a host")?;
        if url.has_login {
            return Err("must not hold a user name or password".into());
        }
        if url.has_query {
            return Err("must not have a query or fragment".into());
        }
        let host = &*url.host;
        match &*url.scheme {
            "https" => Ok(Self(url.href)),
            "http" if is_loopback(host) || plain.iter().any(|name| name.eq_ignore_ascii_case(host)) => {
                Ok(Self(url.href))
            }
            "http" => {
                Err(["must begin with https:// (for a host on a private network, list ", host, " in ALLOW_HTTP_HOSTS)"]
                    .concat())
            }
            _ => Err("must begin with https://".into()),
        }
    }

    /// The address under which the Supabase CLI's local stack is known to the functions that it serves, if it is that.
    pub(super) fn of_local_stack(text: &str) -> Option<Self> {
        let url = parse_url(text)?;
        Some(Self(url.href)).filter(Self::is_local_stack)
    }

    pub(super) fn is_local_stack(&self) -> bool {
        self.0 == "http://kong:8000/"
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// With `path` appended to its own, whether or not that ends in a slash.
    pub(super) fn join(&self, path: &str) -> Self {
        Self([self.0.trim_end_matches('/'), path].concat())
    }

    /// In the one spelling of the URL Standard.
    pub(super) fn respelled(&self) -> Option<Self> {
        Some(Self(parse_url(&self.0)?.href))
    }

    /// One that ends in `/v1`, as OpenAI-compatible settings do, without it.
    pub(super) fn without_version(&self) -> Self {
        let text = self.0.trim_end_matches('/');
        Self(text.strip_suffix("/v1").unwrap_or(text).to_owned())
    }
}

/// The host as the URL Standard writes it: addresses of version 4 in four numbers, of version 6 in brackets.
fn is_loopback(host: &str) -> bool {
    let is_v4 = || host.split('.').count() == 4 && host.bytes().all(|byte| byte == b'.' || byte.is_ascii_digit());
    host == "localhost" || host.ends_with(".localhost") || host == "[::1]" || (host.starts_with("127.") && is_v4())
}

/// Adds a segment to the path of a URL. What could be read as anything but a letter of it is encoded.
pub(super) fn push_segment(segment: &str, url: &mut String) {
    // These two would lead elsewhere.
    if !matches!(segment, "." | "..") {
        url.push('/');
        percent_encode(segment, url);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::text::push_parameter;

    #[test]
    fn plain_http_is_for_this_machine() {
        let reads = |text: &str| Address::read(text, &["intern".into()]).is_ok();
        for text in [
            "http://localhost",
            "http://a.localhost:1/x",
            "http://127.0.0.1",
            "http://127.1",
            "http://[::1]:8",
            "http://INTERN",
        ] {
            assert!(reads(text), "{text}");
        }
        for text in [
            "http://127.0.0.1.evil.example",
            "http://128.0.0.1",
            "http://localhost.evil.example",
            "http://[::2]",
            "ftp://localhost",
        ] {
            assert!(!reads(text), "{text}");
        }
    }

    #[test]
    fn what_is_appended_stays_below() {
        let base = Address::read("https://ref.supabase.co/base/", &[]).unwrap();
        let mut url = base.join("/rest/v1").as_str().to_owned();
        for segment in ["..", ".", "%2e%2e", "a/b?c#d", "ä"] {
            push_segment(segment, &mut url);
        }
        push_parameter("id", "eq.a b&c+d", &mut url);
        push_parameter("select", "*,x", &mut url);
        assert_eq!(
            url,
            "https://ref.supabase.co/base/rest/v1/%252e%252e/a%2Fb%3Fc%23d/%C3%A4?id=eq.a%20b%26c%2Bd&select=*%2Cx"
        );
        assert_eq!(parse_url(&url).unwrap().href, url);
        assert_eq!(base.join("/v1/").without_version().as_str(), "https://ref.supabase.co/base");
    }
}
