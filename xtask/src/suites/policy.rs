//! What the project promises about its dependencies and its compiler: licences and sources, how many there are, and the oldest
//! Rust that builds it.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};

use super::counts::Counts;
use crate::machine::commands::{command, output, step};
use crate::machine::places::{on_path, root};
use crate::tools::Tools;
use crate::tools::toolchain::TARGET;

/// The stated minimum, as a toolchain of rustup's.
const OLDEST_RUST: &str = env!("CARGO_PKG_RUST_VERSION");

/// The most crates that the default feature may need, on this machine and in browsers.
const MOST_DEPENDENCIES: [(Option<&str>, usize); 2] = [(None, 96), (Some(TARGET), 39)];

/// How many crates an application compiles along with ours.
pub(crate) fn dependencies() -> Counts {
    let mut counts = Counts::default();
    for (target, most) in MOST_DEPENDENCIES {
        counts += Counts::of(dependencies_of(target).and_then(|crates| {
            let (count, where_) = (crates.len(), target.unwrap_or("this machine"));
            println!("{count} dependencies on {where_}, of {most}");
            ensure!(count <= most, "{count} dependencies on {where_}, {most} are promised: {crates:?}");
            Ok(())
        }));
    }
    counts
}

fn dependencies_of(target: Option<&str>) -> Result<BTreeSet<String>> {
    let mut tree = command("cargo");
    tree.args(["tree", "--package", "behest-client", "--edges", "normal", "--prefix", "none", "--format", "{p}"]);
    tree.args(target.iter().flat_map(|target| ["--target", target]));
    Ok(named(&output(&mut tree).context("cargo tree failed")?))
}

/// Name and version of each crate of a tree but the first, which is ours.
fn named(tree: &str) -> BTreeSet<String> {
    let name = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    let ours = tree.lines().next().map(name);
    tree.lines().filter(|line| !line.is_empty()).map(name).filter(|name| Some(name) != ours.as_ref()).collect()
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_counts_once_for_each_of_its_versions() {
        let tree = "ours v0.1.0 (/here)\na v1.0.0\nb v1.0.0 (proc-macro)\na v1.0.0 (*)\na v2.0.0\nb v1.0.0 (*)\n\nours v0.1.0 (/here) (*)";
        assert_eq!(named(tree).into_iter().collect::<Vec<_>>(), ["a v1.0.0", "a v2.0.0", "b v1.0.0"]);
    }
}
