//! Packages of Debian and its like.

use std::process::Stdio;

use anyhow::Result;

use crate::machine::commands::{command, output, step};
use crate::machine::places::on_path;

/// Is this a Debian-like system on which this process may install packages?
pub(crate) fn may_apt_install() -> bool {
    on_path(&["apt-get"]).is_some() && output(command("id").arg("-u")).as_deref() == Some("0")
}

/// Installs Debian packages, refreshing the package lists once if that alone does not do.
pub(crate) fn apt_install(packages: &[&str]) -> Result<()> {
    let install = || {
        let mut apt = command("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive").args(["install", "--yes", "--quiet", "--no-install-recommends"]);
        apt.args(packages).stdout(Stdio::null());
        apt
    };
    let what = format!("apt-get install {}", packages.join(" "));
    if step(&what, &mut install()).is_ok() {
        return Ok(());
    }
    step("apt-get update", command("apt-get").args(["update", "--quiet"]).stdout(Stdio::null()))?;
    step(&what, &mut install())
}
