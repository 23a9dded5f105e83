//! `cargo xtask demo`: the whole system on this machine, to look at or to check.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::artifacts;
use crate::children::{self, End, Running, watch};
use crate::pack::{self, Larger};
use crate::process::{command, root};
use crate::setup::{self, Tools};

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

/// How long the stack may take to come up, and the check to run. Both normally take seconds.
const START_LIMIT: Duration = Duration::from_secs(60);
const CHECK_LIMIT: Duration = Duration::from_secs(5 * 60);

/// What has to be there before the demo runs, with the seconds it takes on a small machine when it is not there yet.
struct Step {
    what: &'static str,
    seconds: u64,
    make: fn(&Tools) -> Result<()>,
}

/// Makes what the demo needs and nothing else, and runs it: for a person, or in headless Chromium with `check`.
pub(crate) fn run(tools: &Tools, check: bool, upstream: &Upstream) -> Result<()> {
    let there = |path: &str| root().join(path).exists();
    let unless = |there: bool, seconds| if there { 1 } else { seconds };
    let mut steps = vec![
        Step {
            what: "what packing needs from npm",
            seconds: unless(there("tests/js/node_modules/.installed-from"), 10),
            make: |_| setup::npm_packages("tests/js"),
        },
        Step { what: "a Rust toolchain for browsers", seconds: 5, make: |tools| tools.wasm().map(drop) },
        Step {
            what: "wasm-bindgen",
            seconds: unless(setup::has_wasm_bindgen(), 120),
            make: |tools| tools.wasm_bindgen().map(drop),
        },
        Step {
            what: "the npm package",
            seconds: if there("target/wasm32-unknown-unknown/wasm-release") { 15 } else { 60 },
            make: |tools| pack::tarball(tools, Larger::Allowed).map(drop),
        },
        Step {
            what: "behest-local",
            seconds: unless(there("target/debug/behest-local"), 120),
            make: |_| build_behest_local().map(drop),
        },
    ];
    if check {
        steps.push(Step { what: "Chromium", seconds: 1, make: |tools| tools.chromium().map(drop) });
    }
    for (index, step) in steps.iter().enumerate() {
        let left: u64 = steps[index..].iter().map(|step| step.seconds).sum();
        eprintln!("[{}/{}] {} (ready in about {})", index + 1, steps.len(), step.what, words(left));
        (step.make)(tools)?;
    }
    let behest_local = build_behest_local()?;
    if check { self::check(&behest_local, tools, upstream) } else { serve(&behest_local, upstream) }
}

fn words(seconds: u64) -> String {
    match seconds {
        0..90 => format!("{} s", seconds.next_multiple_of(10)),
        _ => format!("{} minutes", (seconds + 30) / 60),
    }
}

/// Compiles `behest-local` and says where it is.
pub(crate) fn build_behest_local() -> Result<PathBuf> {
    let mut cargo = command("cargo");
    cargo.args(["build", "--package", "behest-local", "--message-format=json-render-diagnostics"]);
    artifacts::build("compiling behest-local (some minutes the first time)", &mut cargo)?
        .into_iter()
        .find_map(|artifact| artifact.executable.filter(|_| artifact.target == "behest-local"))
        .context("cargo built no behest-local")
}

/// Runs the demo until Ctrl-C.
fn serve(behest_local: &Path, upstream: &Upstream) -> Result<()> {
    eprintln!("==> behest-local; stop it with Ctrl-C");
    children::interruption_is_success();
    let mut stack = Running::start(&mut start_command(behest_local, upstream))?;
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
    start.args(["start", "--demo-user", "--www", "www", "--package", "pkg"]);
    if let Some(url) = &upstream.url {
        start.arg("--upstream").arg(url);
    }
    if let Some(name) = &upstream.key_env {
        start.arg("--upstream-key-env").arg(name);
    }
    start
}
