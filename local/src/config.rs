//! What can be set.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use behest_client::Secret;

use crate::domain::clock::Clock;
use crate::domain::controls::{ErrorShape, MintReply};
use crate::domain::faults::Fault;
use crate::domain::limits::BudgetRule;
use crate::domain::origins::is_origin;

/// How to run the three origins. [`Config::default`] is what the tests want: free ports, memory, no page.
#[derive(Clone, Debug)]
pub struct Config {
    /// The interface to listen on. Default 127.0.0.1.
    pub host: IpAddr,
    /// Allows a `host` that other machines can reach. Default false.
    pub expose: bool,
    /// Port of the Supabase origin; 0 picks a free one. Default 0.
    pub supabase_port: u16,
    /// Port of the gateway origin; 0 picks a free one. Default 0.
    pub gateway_port: u16,
    /// Port of the page origin; 0 picks a free one. Default 0. Its two loopback origins are allowed by default,
    /// also when the page is served by something else.
    pub page_port: u16,
    /// The folder served as the page; without it, no page is served. Default none.
    pub www: Option<PathBuf>,
    /// The npm package's folder, served at `/pkg/` of the page. Default none.
    pub package: Option<PathBuf>,
    /// The SQLite file; without it, all data is in memory and gone at the end. Default none.
    pub data: Option<PathBuf>,
    /// Who answers chats. Default: the built-in responder.
    pub upstream: Option<Upstream>,
    /// More origins whose pages may call, each `scheme://host[:port]` exactly as browsers send it. Default none.
    pub allow_origins: Vec<String>,
    /// Lets anonymous users have gateway tokens. Default false.
    pub allow_anonymous: bool,
    /// Adds `demo@example.com` with a new password. Default false.
    pub demo_user: bool,
    /// Enforces the documented limits of the tiers: free 10 requests a minute, 100 requests and 50,000 tokens a day; pro 60,
    /// 10,000 and 2 million; max 300, 100,000 and 20 million. Default false.
    pub tier_limits: bool,
    /// Budgets to set at the start; those of the data file stay as they are. Default none.
    pub budgets: Vec<BudgetRule>,
    /// Prompts that match one of these regular expressions are refused with 451. Default none.
    pub block: Vec<String>,
    /// The shape of the gateway's error bodies. Default: the current SDKs'.
    pub error_shape: ErrorShape,
    /// Response headers that the gateway lets pages read, separated by commas. Default: those the client knows.
    pub exposed_headers: Option<String>,
    /// The shape of the mint's replies. Default: the guides'.
    pub mint_reply: MintReply,
    /// Functions that other processes serve, each `NAME=URL`. Default none.
    pub functions: Vec<String>,
    /// Puts the platform's JWT gate before every function. Default false.
    pub verify_jwt: bool,
    /// Enforces the rate limits of Supabase Auth, by the caller's address. Default false.
    pub auth_limits: bool,
    /// Faults that answers have from the start. Default none.
    pub faults: Vec<Fault>,
    /// Life of a Supabase access token. Default 1 hour.
    pub session_ttl: Duration,
    /// How long a rotated refresh token is still honoured. Default 10 s.
    pub reuse_interval: Duration,
    /// The built-in responder's pause before each word. Default 15 ms.
    pub pace: Duration,
    /// How long running answers may go on once [`stop`](crate::Running::stop) is called. Default 2 s.
    pub grace: Duration,
    /// The clock of all parts. Default: the system's.
    pub clock: Clock,
}

/// An OpenAI-compatible server that answers chats.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Its URL, with or without `/v1`.
    pub url: String,
    /// Sent as bearer token, if it needs one.
    pub key: Option<Secret>,
    /// The model for requests that name none or `default`; without it they are passed on as they are.
    pub model: Option<String>,
    /// The longest silence to bear, before the first byte and between bytes. Default of the binary: 120 s.
    pub silence: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            host: Ipv4Addr::LOCALHOST.into(),
            expose: false,
            supabase_port: 0,
            gateway_port: 0,
            page_port: 0,
            www: None,
            package: None,
            data: None,
            upstream: None,
            allow_origins: Vec::new(),
            allow_anonymous: false,
            demo_user: false,
            tier_limits: false,
            budgets: Vec::new(),
            block: Vec::new(),
            error_shape: ErrorShape::default(),
            exposed_headers: None,
            mint_reply: MintReply::default(),
            functions: Vec::new(),
            verify_jwt: false,
            auth_limits: false,
            faults: Vec::new(),
            session_ttl: Duration::from_secs(3600),
            reuse_interval: Duration::from_secs(10),
            pace: Duration::from_millis(15),
            grace: Duration::from_secs(2),
            clock: Clock::default(),
        }
    }
}

impl Config {
    pub(crate) fn check(&self) -> Result<()> {
        if !self.host.is_loopback() && !self.expose {
            bail!(
                "{} can be reached by other machines, and behest-local is made for one: \
                 use 127.0.0.1, or add --expose if you mean it",
                self.host
            );
        }
        for (flag, folder) in [("--www", &self.www), ("--package", &self.package)] {
            if let Some(folder) = folder {
                ensure!(folder.is_dir(), "{flag}: {} is not a folder", folder.display());
            }
        }
        for origin in &self.allow_origins {
            ensure!(
                is_origin(origin),
                "--allow-origin: {origin:?} is not an origin: write scheme, host and port as in http://localhost:3000, \
                 in lower case, without a path or a trailing slash"
            );
        }
        ensure!(!self.session_ttl.is_zero(), "the life of a session token must not be zero");
        Ok(())
    }
}
