//! What the project promises about its dependencies and its compiler: licences and sources, and the oldest Rust that builds it.

use anyhow::Result;

use super::counts::Counts;
use crate::machine::commands::{command, output, step};
use crate::machine::places::{on_path, root};
use crate::tools::Tools;

/// The stated minimum, as a toolchain of rustup's.
const OLDEST_RUST: &str = env!("CARGO_PKG_RUST_VERSION");

/// cargo-deny over the workspace, with deny.toml.
pub(crate) fn licences(tools: &Tools) -> Result<Counts> {
    let mut deny = command(tools.cargo_deny()?);
    // Advisories change by the day, without a change of ours: no gate for those.
    deny.args(["--all-features", "--workspace", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"]);
    Ok(Counts::of(step("cargo deny: bans, licences, sources", &mut deny)))
}

/// The library with the oldest compiler that it says it builds with, where rustup can get that.
pub(crate) fn oldest_rust() -> Result<Counts> {
    let installed = || output(command("rustup").args(["run", OLDEST_RUST, "rustc", "--version"])).is_some();
    if on_path(&["rustup"]).is_none() {
        println!("skipped: without rustup there is no Rust {OLDEST_RUST}");
        return Ok(Counts::SKIPPED);
    }
    let install = ["toolchain", "install", OLDEST_RUST, "--profile", "minimal", "--no-self-update"];
    if !installed()
        && step(&format!("rustup toolchain install {OLDEST_RUST}"), command("rustup").args(install)).is_err()
    {
        println!("skipped: rustup cannot install Rust {OLDEST_RUST} here");
        return Ok(Counts::SKIPPED);
    }
    let mut check = command("rustup");
    check.args(["run", OLDEST_RUST, "cargo", "check", "--package", "behest-client", "--all-features", "--quiet"]);
    check.env_remove("CARGO").env_remove("RUSTC").env_remove("RUSTUP_TOOLCHAIN");
    check.env("CARGO_TARGET_DIR", root().join("target/oldest-rust"));
    Ok(Counts::of(step(&format!("cargo check with Rust {OLDEST_RUST} (a minute the first time)"), &mut check)))
}
