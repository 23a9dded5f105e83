//! What can be set.

use std::net::IpAddr;
use std::num::ParseIntError;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use axum::http::HeaderName;
use behest_client::Secret;
use clap::{Args, Parser};

use crate::domain::clock::Clock;
use crate::domain::controls::{ErrorShape, MintReply};
use crate::domain::faults::Fault;
use crate::domain::gateway_token::TTL_SECS;
use crate::domain::limits::BudgetRule;
use crate::domain::origins::is_origin;

/// How to run the three origins: the flags of `start`. [`Config::default`] is what the tests want: free ports, memory,
/// no page.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// Address to listen on; any but loopback needs --expose
    #[arg(long, default_value = "127.0.0.1")]
    pub host: IpAddr,
    /// Let other machines in. Anybody who can reach the ports can sign up and chat
    #[arg(long)]
    pub expose: bool,
    /// Port of the Supabase origin; 0 picks a free one
    #[arg(long, value_name = "PORT", default_value_t = 54321)]
    pub supabase_port: u16,
    /// Port of the gateway; 0 picks a free one
    #[arg(long, value_name = "PORT", default_value_t = 8787)]
    pub gateway_port: u16,
    /// Port of the page; 0 picks a free one. Its origin is allowed also when another program serves the page
    #[arg(long, value_name = "PORT", default_value_t = 5173)]
    pub page_port: u16,
    /// Folder to serve as the page; without it no page is served
    #[arg(long, value_name = "DIR")]
    pub www: Option<PathBuf>,
    /// Folder of the built npm package, served at /pkg/ of the page
    #[arg(long, value_name = "DIR", requires = "www")]
    pub package: Option<PathBuf>,
    /// SQLite file to keep users, keys and usage in; without it they are gone at the end
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// Who answers chats; without it a built-in responder does
    #[arg(skip)]
    pub upstream: Option<Upstream>,
    /// Milliseconds between the words of the built-in responder
    #[arg(long = "pace-ms", value_name = "MS", default_value = "15", value_parser = millis)]
    pub pace: Duration,
    /// The most tokens that an image costs with the upstream's model: budgets reserve so many for each
    #[arg(long, value_name = "TOKENS", default_value_t = 50_000)]
    pub image_tokens: u32,
    /// Another origin whose pages may call, such as http://localhost:3000; may be repeated
    #[arg(long = "allow-origin", value_name = "ORIGIN")]
    pub allow_origins: Vec<String>,
    /// Give gateway tokens to anonymous users, too
    #[arg(long)]
    pub allow_anonymous: bool,
    /// Enforce the documented limits of the tiers: free 10 requests a minute, 100 requests and 50,000 tokens a day, and so on
    #[arg(long)]
    pub tier_limits: bool,
    /// Set a budget, in tokens or US dollars: session=20000, user=0.50usd, user:ID=9000, project=20usd; may be repeated
    #[arg(long = "budget", value_name = "SCOPE=AMOUNT")]
    pub budgets: Vec<BudgetRule>,
    /// Refuse prompts that match this regular expression, with 451; may be repeated
    #[arg(long, value_name = "REGEX")]
    pub block: Vec<String>,
    /// Shape of the gateway's error bodies
    #[arg(long, value_enum, default_value_t)]
    pub error_shape: ErrorShape,
    /// Response headers that pages may read, in place of x-trace-id, x-request-id and retry-after; "" for none
    #[arg(long, value_name = "NAMES")]
    pub exposed_headers: Option<String>,
    /// Shape of the mint's replies
    #[arg(long, value_enum, default_value_t)]
    pub mint_reply: MintReply,
    /// A function that another process serves, as in hello=http://localhost:8000; may be repeated
    #[arg(long = "function", value_name = "NAME=URL")]
    pub functions: Vec<String>,
    /// A fault of answers, as in "chat status=503 times=2" or "chat cut=200"; may be repeated
    #[arg(long = "fault", value_name = "FAULT")]
    pub faults: Vec<Fault>,
    /// Put the platform's JWT gate before every function
    #[arg(long)]
    pub verify_jwt: bool,
    /// Seconds for which a Supabase access token is good
    #[arg(long = "session-ttl-secs", value_name = "SECS", default_value = "3600", value_parser = secs)]
    pub session_ttl: Duration,
    /// Seconds for which a gateway token of the token function is good
    #[arg(long = "token-ttl-secs", value_name = "SECS", default_value = "900", value_parser = secs)]
    pub token_ttl: Duration,
    /// Seconds for which a rotated refresh token is still honoured
    #[arg(long = "reuse-interval-secs", value_name = "SECS", default_value = "10", value_parser = secs)]
    pub reuse_interval: Duration,
    /// Enforce the rate limits of Supabase Auth
    #[arg(long)]
    pub auth_limits: bool,
    /// Add demo@example.com with a new password
    #[arg(long)]
    pub demo_user: bool,
    /// How long the head of a request may take
    #[arg(skip = Duration::from_secs(30))]
    pub head_limit: Duration,
    /// How long running answers may go on once `Running::stop` is called
    #[arg(skip = Duration::from_secs(2))]
    pub grace: Duration,
    /// The clock of all parts: the system's by default
    #[arg(skip)]
    pub clock: Clock,
}

fn millis(text: &str) -> Result<Duration, ParseIntError> {
    text.parse().map(Duration::from_millis)
}

pub(crate) fn secs(text: &str) -> Result<Duration, ParseIntError> {
    text.parse().map(Duration::from_secs)
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
        #[derive(Parser)]
        struct Flags {
            #[command(flatten)]
            config: Config,
        }
        let Flags { config } = Flags::parse_from(["start"]);
        Self { supabase_port: 0, gateway_port: 0, page_port: 0, ..config }
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
        for name in self.exposed_headers.iter().flat_map(|names| names.split(',')).map(str::trim) {
            let is_name = name.is_empty() || name.parse::<HeaderName>().is_ok();
            ensure!(is_name, "--exposed-headers: {name:?} is not the name of a header: separate names with commas");
        }
        ensure!(!self.session_ttl.is_zero(), "--session-ttl-secs: the life of a session token must not be zero");
        let token_ttl = self.token_ttl.as_secs();
        ensure!(TTL_SECS.contains(&token_ttl), "--token-ttl-secs: {token_ttl} is not between 60 and 86400");
        Ok(())
    }
}
