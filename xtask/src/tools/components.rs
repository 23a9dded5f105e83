//! Parts of the Rust toolchain.

use anyhow::{Result, bail};

use crate::machine::commands::{command, output, step};
use crate::machine::places::on_path;

/// rustfmt and clippy, which minimal installations lack.
pub(crate) fn ensure() -> Result<()> {
    let missing: Vec<&str> = [("rustfmt", "fmt"), ("clippy", "clippy")]
        .into_iter()
        .filter(|(_, subcommand)| output(command("cargo").args([subcommand, "--version"])).is_none())
        .map(|(component, _)| component)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if on_path(&["rustup"]).is_none() {
        bail!("{} missing: install them with the package manager that installed cargo", missing.join(" and "));
    }
    step(
        &format!("rustup component add {}", missing.join(" ")),
        command("rustup").args(["component", "add"]).args(&missing),
    )
}
