//! `start`.

use std::io::{IsTerminal as _, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::json;
use tracing_subscriber::EnvFilter;

use crate::config::{Config, Upstream};
use crate::domain::controls::{ErrorShape, MintReply};
use crate::domain::faults::Fault;
use crate::domain::limits::BudgetRule;
use crate::running::Running;
use crate::start::start;

#[derive(Args)]
pub(super) struct Start {
    /// TOML file with these flags as names, such as demo-user = true. Flags stand before it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address to listen on; any but loopback needs --expose
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// Let other machines in. Anybody who can reach the ports can sign up and chat
    #[arg(long)]
    expose: bool,
    /// Port of the Supabase origin; 0 picks a free one
    #[arg(long, value_name = "PORT", default_value_t = 54321)]
    supabase_port: u16,
    /// Port of the gateway; 0 picks a free one
    #[arg(long, value_name = "PORT", default_value_t = 8787)]
    gateway_port: u16,
    /// Port of the page; 0 picks a free one. Its origin is allowed also when another program serves the page
    #[arg(long, value_name = "PORT", default_value_t = 5173)]
    page_port: u16,
    /// Folder to serve as the page; without it no page is served
    #[arg(long, value_name = "DIR")]
    www: Option<PathBuf>,
    /// Folder of the built npm package, served at /pkg/ of the page
    #[arg(long, value_name = "DIR", requires = "www")]
    package: Option<PathBuf>,
    /// SQLite file to keep users, keys and usage in; without it they are gone at the end
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// OpenAI-compatible server that answers, with or without /v1; without it a built-in responder does
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// Environment variable that holds the upstream's API key
    #[arg(long, value_name = "NAME", requires = "upstream")]
    upstream_key_env: Option<String>,
    /// Model for requests that name none or "default"
    #[arg(long, value_name = "MODEL", requires = "upstream")]
    upstream_model: Option<String>,
    /// Seconds of silence after which the upstream counts as dead
    #[arg(long, value_name = "SECS", default_value_t = 120, requires = "upstream")]
    upstream_silence_secs: u64,
    /// Milliseconds between the words of the built-in responder
    #[arg(long, value_name = "MS", default_value_t = 15, conflicts_with = "upstream")]
    pace_ms: u64,
    /// Another origin whose pages may call, such as http://localhost:3000; may be repeated
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<String>,
    /// Give gateway tokens to anonymous users, too
    #[arg(long)]
    allow_anonymous: bool,
    /// Enforce the documented limits of the tiers: free 10 requests a minute, 100 requests and 50,000 tokens a day, and so on
    #[arg(long)]
    tier_limits: bool,
    /// Set a budget, in tokens or US dollars: session=20000, user=0.50usd, user:ID=9000, project=20usd; may be repeated
    #[arg(long, value_name = "SCOPE=AMOUNT")]
    budget: Vec<BudgetRule>,
    /// Refuse prompts that match this regular expression, with 451; may be repeated
    #[arg(long, value_name = "REGEX")]
    block: Vec<String>,
    /// Shape of the gateway's error bodies
    #[arg(long, value_enum, default_value_t)]
    error_shape: ErrorShape,
    /// Response headers that pages may read, in place of x-trace-id, x-request-id and retry-after; "" for none
    #[arg(long, value_name = "NAMES")]
    exposed_headers: Option<String>,
    /// Shape of the mint's replies
    #[arg(long, value_enum, default_value_t)]
    mint_reply: MintReply,
    /// A function that another process serves, as in hello=http://localhost:8000; may be repeated
    #[arg(long, value_name = "NAME=URL")]
    function: Vec<String>,
    /// A fault of answers, as in "chat status=503 times=2" or "chat cut=200"; may be repeated
    #[arg(long, value_name = "FAULT")]
    fault: Vec<Fault>,
    /// Put the platform's JWT gate before every function
    #[arg(long)]
    verify_jwt: bool,
    /// Seconds for which a rotated refresh token is still honoured
    #[arg(long, value_name = "SECS", default_value_t = 10)]
    reuse_interval_secs: u64,
    /// Enforce the rate limits of Supabase Auth
    #[arg(long)]
    auth_limits: bool,
    /// Add demo@example.com with a new password
    #[arg(long)]
    demo_user: bool,
    /// Print the addresses as one line of JSON
    #[arg(long)]
    json: bool,
}

impl Start {
    /// The file that says more.
    pub(super) fn settings_file(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    pub(super) async fn run(self) -> Result<()> {
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,behest_local=info"));
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .init();
        let as_json = self.json;
        // Watched from the start, so that no signal is lost while the servers come up.
        let stopped = stop_signal()?;
        let running = start(self.into_config()?).await?;
        announce(&running, as_json)?;
        stopped.await;
        tracing::info!("stopping");
        running.stop().await;
        Ok(())
    }

    fn into_config(self) -> Result<Config> {
        let key = match &self.upstream_key_env {
            Some(name) => {
                let key = std::env::var(name).with_context(|| format!("--upstream-key-env: {name} is not set"))?;
                ensure!(!key.trim().is_empty(), "--upstream-key-env: {name} is empty");
                Some(key.trim().into())
            }
            None => None,
        };
        let model = self.upstream_model;
        let silence = Duration::from_secs(self.upstream_silence_secs);
        Ok(Config {
            host: self.host,
            expose: self.expose,
            supabase_port: self.supabase_port,
            gateway_port: self.gateway_port,
            page_port: self.page_port,
            www: self.www,
            package: self.package,
            data: self.data,
            upstream: self.upstream.map(|url| Upstream { url, key, model, silence }),
            pace: Duration::from_millis(self.pace_ms),
            allow_origins: self.allow_origin,
            allow_anonymous: self.allow_anonymous,
            functions: self.function,
            faults: self.fault,
            verify_jwt: self.verify_jwt,
            auth_limits: self.auth_limits,
            reuse_interval: Duration::from_secs(self.reuse_interval_secs),
            tier_limits: self.tier_limits,
            budgets: self.budget,
            block: self.block,
            error_shape: self.error_shape,
            mint_reply: self.mint_reply,
            exposed_headers: self.exposed_headers,
            demo_user: self.demo_user,
            ..Config::default()
        })
    }
}

fn announce(running: &Running, as_json: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if as_json {
        let user = running.demo_user.as_ref();
        let line = json!({
            "supabase": running.supabase_url,
            "gateway": running.gateway_url,
            "page": running.page_url,
            "dashboard": running.dashboard_url(),
            "publishableKey": running.publishable_key,
            "demoUser": user.map(|user| json!({ "email": user.email, "password": user.password })),
        });
        writeln!(out, "{line}")?;
    } else {
        if let Some(page) = &running.page_url {
            writeln!(out, "Page             {page}")?;
        }
        writeln!(out, "Supabase         {}", running.supabase_url)?;
        writeln!(out, "Behest gateway   {}", running.gateway_url)?;
        writeln!(out, "Dashboard        {}", running.dashboard_url())?;
        writeln!(out, "Publishable key  {}", running.publishable_key)?;
        if let Some(user) = &running.demo_user {
            writeln!(out, "Demo user        {}  password {}", user.email, user.password)?;
        }
        writeln!(out, "Ctrl-C stops it.")?;
    }
    Ok(out.flush()?)
}

/// Resolves at Ctrl-C, and on Unix at SIGTERM.
#[cfg(unix)]
fn stop_signal() -> Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Resolves at Ctrl-C.
#[cfg(not(unix))]
fn stop_signal() -> Result<impl Future<Output = ()>> {
    Ok(async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::error!(%error, "Ctrl-C cannot be watched");
            std::future::pending::<()>().await;
        }
    })
}
