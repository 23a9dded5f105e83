//! Programs of the operating system.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::debian::{apt_install, may_apt_install};
use crate::machine::places::on_path;

/// A program: named by `variable`, from PATH, or from Debian's packages.
pub(crate) fn system_tool(
    what: &str,
    variable: &str,
    names: &[&str],
    packages: &[&str],
    cask: &str,
) -> Result<PathBuf> {
    let find = || env::var_os(variable).map(PathBuf::from).or_else(|| on_path(names));
    if let Some(found) = find() {
        return Ok(found);
    }
    if may_apt_install() {
        apt_install(packages)?;
    }
    find().with_context(|| {
        format!(
            "{what} is missing: it must be on PATH, or named in {variable}.\n\
             Debian and Ubuntu: sudo apt-get install {}\nmacOS: brew install --cask {cask}",
            packages.join(" ")
        )
    })
}
