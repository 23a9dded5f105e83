//! `start`.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::json;
use tracing_subscriber::EnvFilter;

use crate::config::{Config, Upstream, secs};
use crate::connect::Connect;
use crate::running::Running;
use crate::start::start;

#[derive(Args)]
pub(super) struct Start {
    /// TOML file with these flags as names, such as demo-user = true. Flags stand before it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    servers: Config,
    /// OpenAI-compatible server that answers, with or without /v1; without it a built-in responder does
    #[arg(long = "upstream", value_name = "URL", conflicts_with = "pace")]
    upstream_url: Option<String>,
    /// Environment variable that holds the upstream's API key
    #[arg(long, value_name = "NAME", requires = "upstream_url")]
    upstream_key_env: Option<String>,
    /// Model for requests that name none or "default"
    #[arg(long, value_name = "MODEL", requires = "upstream_url")]
    upstream_model: Option<String>,
    /// Seconds of silence after which the upstream counts as dead
    #[arg(long, value_name = "SECS", default_value = "120", value_parser = secs, requires = "upstream_url")]
    upstream_silence_secs: Duration,
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
        let (model, silence) = (self.upstream_model, self.upstream_silence_secs);
        let upstream = self.upstream_url.map(|url| Upstream { url, key, model, silence });
        Ok(Config { upstream, ..self.servers })
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
        let Connect { public, secret, code } = Connect::to(&running.shared);
        let dashboard = running.dashboard_url();
        let places =
            running.page_url.iter().map(|page| ("Page", page.as_str())).chain([("Dashboard", dashboard.as_str())]);
        for (name, value) in places.chain(public) {
            writeln!(out, "{name:<21}{value}")?;
        }
        writeln!(out, "For servers, never in a page:")?;
        for (name, value) in secret {
            writeln!(out, "{name:<21}{value}")?;
        }
        if let Some(user) = &running.demo_user {
            writeln!(out, "{:<21}{}  password {}", "Demo user", user.email, user.password)?;
        }
        for (language, code) in code {
            writeln!(out, "\n{language}:\n\n    {}\n", code.trim_end().replace('\n', "\n    "))?;
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
