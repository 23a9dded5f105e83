//! Addresses of this machine, before which no proxy stands.

use std::net::IpAddr;

use reqwest::Url;

/// Does the URL name this machine?
pub(crate) fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
        host == "localhost" || host.ends_with(".localhost") || ip.is_ok_and(|ip| ip.to_canonical().is_loopback())
    })
}
