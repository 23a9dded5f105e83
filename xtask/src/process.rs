//! Child processes with a visible beginning and end.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::children::Running;

/// How often a long step says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// The workspace root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// A command that runs in the workspace root.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// Says what is about to happen, runs it with its output shown, and fails if it fails.
pub(crate) fn step(what: &str, command: &mut Command) -> Result<()> {
    let started = Instant::now();
    eprintln!("==> {what}");
    let mut child = Running::start(command)?;
    let status = loop {
        match child.wait(HEARTBEAT)? {
            Some(status) => break status,
            None => eprintln!("    still at it after {} s: {what}", started.elapsed().as_secs()),
        }
    };
    if !status.success() {
        bail!("{what} failed ({status}): {command:?}");
    }
    eprintln!("    done in {:.1} s", started.elapsed().as_secs_f32());
    Ok(())
}

/// Trimmed standard output of a quiet command; `None` if it cannot run or fails.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok().filter(|o| o.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Whether a quiet command succeeded, and what it wrote to standard error.
pub(crate) fn output_of(command: &mut Command) -> Result<(bool, String)> {
    let output = command.output()?;
    Ok((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// The first of `names` found on PATH.
pub(crate) fn on_path(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    names.iter().find_map(|name| {
        std::env::split_paths(&path)
            .map(|folder| folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX)))
            .find(|file| file.is_file())
    })
}

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
