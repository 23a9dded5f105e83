//! The crate as it is published, unpacked somewhere.

use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::machine::commands::{command, step};
use crate::machine::places::root;

/// Packs the crate and unpacks it as this folder, which stays as it is if that has been done with the same files.
pub(crate) fn unpack(folder: &Path) -> Result<()> {
    let mut package = command("cargo");
    package.args(["package", "--package", "behest-client", "--no-verify", "--allow-dirty", "--quiet"]);
    step("cargo package", &mut package)?;
    let packed = root().join(concat!("target/package/behest-client-", env!("CARGO_PKG_VERSION"), ".crate"));
    let before = folder.join("unpacked.crate");
    if fs::read(&before).is_ok_and(|before| fs::read(&packed).is_ok_and(|packed| packed == before)) {
        return Ok(());
    }
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    // With the time of now (`-m`): a package's own is always the same, and cargo would use what it built of the one before.
    let mut tar = command("tar");
    tar.arg("-xmzf").arg(&packed).arg("-C").arg(folder).arg("--strip-components=1");
    step("unpacking it", &mut tar)?;
    fs::copy(packed, before)?;
    Ok(())
}
