//! Are two builds of the shipped WebAssembly modules the same, byte by byte, whatever folder they are made in?

use std::fs;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};

use super::pack::{self, Build, Larger};
use crate::machine::commands::{command, step};
use crate::machine::places::root;
use crate::tools::Tools;

/// What users run.
const SHIPPED: [&str; 6] = ["behest.wasm", "glue.js", "auth.wasm", "auth-glue.js", "server.wasm", "server-glue.js"];

/// Builds here, then in a copy of the tracked files elsewhere and from nothing, and compares.
pub(crate) fn check() -> Result<()> {
    let here = pack::dist(&Tools::default(), Build::Release(Larger::Refused))?;
    let first = SHIPPED.map(|name| fs::read(here.join(name)));
    let copy = root().join("target/reproducible/a folder of another name");
    let _ = fs::remove_dir_all(&copy);
    fs::create_dir_all(&copy)?;
    copy_tracked(&copy)?;
    let mut again = command("cargo");
    again.current_dir(&copy).args(["xtask", "pack"]).env_remove("CARGO_TARGET_DIR").stdout(Stdio::null());
    step("cargo xtask pack in another folder (minutes)", &mut again)?;
    for (name, first) in SHIPPED.iter().zip(first) {
        let first = first.with_context(|| format!("pkg/dist/{name} was not built"))?;
        let second = fs::read(copy.join("pkg/dist").join(name))?;
        if first != second {
            bail!("{name} differs: {} and {} bytes", first.len(), second.len());
        }
        println!("{name}: {} bytes, the same twice", first.len());
    }
    fs::remove_dir_all(copy).context("could not remove the copy")
}

fn copy_tracked(to: &Path) -> Result<()> {
    let listed = command("git").args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).output()?;
    for name in listed.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let name = std::str::from_utf8(name)?;
        let (from, to) = (root().join(name), to.join(name));
        if !from.is_file() {
            continue;
        }
        fs::create_dir_all(to.parent().unwrap_or(&to))?;
        fs::copy(&from, &to).with_context(|| format!("could not copy {name}"))?;
    }
    Ok(())
}
