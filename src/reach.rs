//! HTTP clients of native programs. The system's proxy stands before other machines, never before this one: browsers keep to
//! that by themselves, and a proxy cannot know what listens here.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use reqwest::{Client, ClientBuilder, Url};

/// A client for other machines, and one like it for this machine, made when it is first needed.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    far: Client,
    near: Arc<OnceLock<Client>>,
    build: fn() -> ClientBuilder,
}

impl Reach {
    pub(crate) fn new(build: fn() -> ClientBuilder) -> reqwest::Result<Self> {
        Ok(Self { far: build().build()?, near: Arc::default(), build })
    }

    /// The one client, whose proxies are its owner's business.
    #[cfg(feature = "client")]
    pub(crate) fn by(client: Client) -> Self {
        Self { far: client.clone(), near: Arc::new(client.into()), build: Client::builder }
    }

    /// The client for this address.
    pub(crate) fn to(&self, url: &str) -> &Client {
        if !is_this_machine(url) {
            return &self.far;
        }
        self.near.get_or_init(|| (self.build)().no_proxy().build().unwrap_or_else(|_| self.far.clone()))
    }
}

fn is_this_machine(url: &str) -> bool {
    let url = Url::parse(url).ok();
    url.as_ref().and_then(Url::host_str).is_some_and(|host| {
        let ip = || host.trim_matches(['[', ']']).parse::<IpAddr>();
        host == "localhost" || host.ends_with(".localhost") || ip().is_ok_and(|ip| ip.to_canonical().is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_goes_by_its_own_names() {
        let is_ours = |host: &str| is_this_machine(&format!("http://{host}/v1"));
        for ours in ["localhost", "LOCALHOST:8787", "app.localhost", "127.0.0.1:1", "127.8.8.8", "[::1]:8787"] {
            assert!(is_ours(ours), "{ours}");
        }
        for other in ["localhost.example", "example.com", "127.0.0.1.example", "192.0.2.1", "0.0.0.0", "[2001:db8::1]"]
        {
            assert!(!is_ours(other), "{other}");
        }
    }
}
