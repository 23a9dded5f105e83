//! `cargo xtask demo`: the whole system on this machine, to look at or to check.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::machine::artifacts;
use crate::machine::children::{self, End, Running, watch};
use crate::machine::commands::command;
use crate::machine::places::root;
use crate::machine::progress::Progress;
use crate::package::pack;
use crate::tools::{BINDGEN, Tools, npm};

/// Where `behest-local` forwards questions; to nowhere by default: it answers by itself.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Upstream {
    /// Forward chat to this OpenAI-compatible server, for example http://127.0.0.1:8080/v1
    #[arg(long = "upstream", value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Name of the environment variable that holds the upstream's API key
    #[arg(long = "upstream-key-env", value_name = "NAME", requires = "url")]
    pub(crate) key_env: Option<String>,
}

/// Where the demo listens. `behest-local` names these flags when a port is taken.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Ports {
    /// Port of the Supabase origin, in place of 54321; 0 picks a free one
    #[arg(long, value_name = "PORT", conflicts_with = "check")]
    supabase_port: Option<u16>,
    /// Port of the gateway, in place of 8787; 0 picks a free one
    #[arg(long, value_name = "PORT", conflicts_with = "check")]
    gateway_port: Option<u16>,
    /// Port of the page, in place of 5173; 0 picks a free one
    #[arg(long, value_name = "PORT", conflicts_with = "check")]
    page_port: Option<u16>,
}

impl Ports {
    fn flags(&self) -> impl Iterator<Item = String> {
        let ports =
            [("supabase", self.supabase_port), ("gateway", self.gateway_port), ("page", self.page_port)].into_iter();
        ports.filter_map(|(name, port)| Some(format!("--{name}-port={}", port?)))
    }
}

/// How long the stack may take to come up, and the check to run. Both normally take seconds.
const START_LIMIT: Duration = Duration::from_secs(60);
const CHECK_LIMIT: Duration = Duration::from_secs(5 * 60);

/// Makes what the demo needs and nothing else, and runs it: for a person, or in headless Chromium with `check`.
pub(crate) fn run(check: bool, ports: &Ports, upstream: &Upstream) -> Result<()> {
    let there = |path: &str| root().join(path).exists();
    let unless = |there: bool, seconds| if there { 1 } else { seconds };
    let mut progress = Progress::new([
        ("what packing needs from npm", unless(there("tests/js/node_modules/.installed-from"), 10)),
        ("behest-local", unless(there("target/debug/behest-local") && there("target/debug/xtask-bindgen"), 120)),
        ("the npm package", unless(there("target/wasm32-unknown-unknown/debug/behest_client.wasm"), 15)),
        ("a browser", 1),
    ]);
    progress.next();
    npm::packages("tests/js")?;
    progress.next();
    let [behest_local, bindgen] = artifacts::programs(["behest-local", BINDGEN])?;
    progress.next();
    // Unoptimised, with names and messages: it is ready sooner, and says more when something is wrong.
    let tools = Tools::default().with_bindgen(bindgen);
    pack::for_pages(&tools, pack::Build::Dev)?;
    if !check {
        return serve(&behest_local, ports, upstream);
    }
    progress.next();
    tools.chromium()?;
    drop(progress);
    self::check(&behest_local, &tools, upstream)
}

/// Runs the demo until Ctrl-C.
fn serve(behest_local: &Path, ports: &Ports, upstream: &Upstream) -> Result<()> {
    eprintln!("==> behest-local; stop it with Ctrl-C");
    children::interruption_is_success();
    let mut stack = Running::start(start_command(behest_local, upstream).args(ports.flags()))?;
    match stack.wait(Duration::MAX)? {
        Some(status) if status.success() => Ok(()),
        Some(status) => bail!("behest-local ended with {status}"),
        None => Ok(()),
    }
}

/// Starts the stack on free ports, drives the page in headless Chromium, and stops the stack.
pub(crate) fn check(behest_local: &Path, tools: &Tools, upstream: &Upstream) -> Result<()> {
    let mut start = start_command(behest_local, upstream);
    start.args(["--supabase-port", "0", "--gateway-port", "0", "--page-port", "0", "--json"]);
    if std::env::var_os("RUST_LOG").is_none() {
        // A line for each request would drown the transcript.
        start.env("RUST_LOG", "warn");
    }
    let mut stack = Running::start(start.stdout(Stdio::piped()))?;
    let addresses = stack
        .lines()
        .recv_timeout(START_LIMIT)
        .context("behest-local ended, or did not say within a minute where it listens")?;
    let parsed: Value = serde_json::from_str(&addresses)
        .with_context(|| format!("behest-local should print one line of JSON, but printed: {addresses}"))?;
    println!("page {}, supabase {}, gateway {}", parsed["page"], parsed["supabase"], parsed["gateway"]);
    let mut node = command("node");
    node.arg(root().join("tests/js/demo-check.mjs")).env("BEHEST_STACK", &addresses).env("CHROMIUM", tools.chromium()?);
    let end = watch(&mut node, CHECK_LIMIT, |_| {})?;
    stack.stop();
    match end {
        End::Success => Ok(()),
        End::Failure => bail!("the demo did not do all it should; the transcript above says what is missing"),
        End::TimedOut => bail!("the check of the demo did not end within {} minutes", CHECK_LIMIT.as_secs() / 60),
    }
}

fn start_command(behest_local: &Path, upstream: &Upstream) -> Command {
    let mut start = command(behest_local);
    start.args(["start", "--demo-user", "--www", "www", "--package", "pkg", "--budget", "session=20000"]);
    if let Some(url) = &upstream.url {
        start.arg("--upstream").arg(url);
    }
    if let Some(name) = &upstream.key_env {
        start.arg("--upstream-key-env").arg(name);
    }
    start
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Demo {
        #[arg(long)]
        check: bool,
        #[command(flatten)]
        ports: Ports,
    }

    #[test]
    fn the_demo_takes_the_flags_that_a_taken_port_is_told_with() {
        let parse = |line: &str| Demo::try_parse_from(line.split(' '));
        let flags = |line| parse(line).map(|demo| demo.ports.flags().collect::<Vec<_>>()).unwrap_or_default();
        assert_eq!(
            flags("demo --page-port 5174 --supabase-port 0 --gateway-port 1"),
            ["--supabase-port=0", "--gateway-port=1", "--page-port=5174"]
        );
        assert!(flags("demo").is_empty());
        assert!(parse("demo --check").is_ok_and(|demo| demo.check));
        assert!(parse("demo --check --page-port 0").is_err(), "the check picks free ones itself");
    }
}
