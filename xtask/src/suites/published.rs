//! The crate as it is published: its own tests pass without the rest of the repository.

use std::fs;
use std::process::Command;

use anyhow::Result;

use crate::machine::commands::{command, step};
use crate::machine::places::{cache, root};

/// Packs the crate, and gives the command that tests what was packed.
pub(crate) fn tests() -> Result<Command> {
    // Outside the repository, whose workspace would take it in.
    let folder = cache().join("published");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let mut package = command("cargo");
    package.args(["package", "--package", "behest-client", "--no-verify", "--allow-dirty", "--quiet"]);
    step("cargo package", &mut package)?;
    let name = concat!("behest-client-", env!("CARGO_PKG_VERSION"));
    let packed = root().join(format!("target/package/{name}.crate"));
    // With the time of now (`-m`): a package's own is always the same, and cargo would test what it built of the one before.
    step("unpacking it", command("tar").arg("-xmzf").arg(packed).arg("-C").arg(&folder))?;
    let mut test = command("cargo");
    test.current_dir(folder.join(name)).arg("test").env("CARGO_TARGET_DIR", root().join("target/published"));
    Ok(test)
}
