//! Python, with packages of its own.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::debian::{apt_install, may_apt_install};
use crate::machine::commands::{command, output, step};
use crate::machine::places::{cache, on_path};

/// A Python with these packages, made if `check` does not run in it.
pub(crate) fn virtual_environment(name: &str, packages: &[&str], check: &str, what: &str) -> Result<PathBuf> {
    let folder = cache().join(name).join("venv");
    let python = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let installed = |python: &PathBuf| output(command(python).args(["-c", check]));
    if installed(&python).is_some() {
        return Ok(python);
    }
    let system = on_path(&["python3", "python"]).context("Python 3 is missing: this suite needs it")?;
    let create = || step("python3 -m venv", command(&system).args(["-m", "venv", "--clear"]).arg(&folder));
    if create().is_err() {
        if !may_apt_install() {
            bail!("Python cannot make virtual environments. Debian and Ubuntu: sudo apt-get install python3-venv");
        }
        apt_install(&["python3-venv"])?;
        create()?;
    }
    step(&format!("pip install {what}"), command(&python).args(["-m", "pip", "install", "--quiet"]).args(packages))?;
    Ok(python)
}
