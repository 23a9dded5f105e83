//! Node.js and packages from npm.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::machine::commands::{command, output, step};
use crate::machine::places::root;

/// The npm packages that a folder's lock file names: tools, tests and peers, never part of what users get.
pub(crate) fn packages(folder: &str) -> Result<()> {
    let what = format!("npm install in {folder}");
    let folder = root().join(folder);
    let lock = fs::read(folder.join("package-lock.json")).unwrap_or_default();
    let done = folder.join("node_modules/.installed-from");
    if !lock.is_empty() && fs::read(&done).is_ok_and(|noted| noted == lock) {
        return Ok(());
    }
    node()?;
    // Not `npm ci`: it insists that the lock file names the binaries of every platform, and not every registry has them.
    let mut npm = command("npm");
    npm.current_dir(&folder).args(["install", "--no-save", "--no-fund", "--no-audit", "--loglevel=error"]);
    step(&what, npm.stdout(Stdio::null()))?;
    fs::copy(folder.join("package-lock.json"), done)?;
    Ok(())
}

/// A program of the npm packages in tests/js.
pub(crate) fn program(name: &str) -> Result<Command> {
    packages("tests/js")?;
    let suffix = if cfg!(windows) { ".cmd" } else { "" };
    Ok(command(root().join("tests/js/node_modules/.bin").join(format!("{name}{suffix}"))))
}

fn node() -> Result<()> {
    let version =
        output(command("node").arg("--version")).context("Node.js is missing. Install version 20 or newer")?;
    let major = version.trim_start_matches('v').split('.').next().and_then(|n| n.parse::<u32>().ok()).unwrap_or(0);
    if major < 20 {
        bail!("Node.js {version} is too old. Install version 20 or newer");
    }
    Ok(())
}
