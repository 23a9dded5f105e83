//! Child processes with a visible beginning and end.

use std::ffi::OsStr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::children::Running;
use super::places::root;

/// How often a long step says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(30);

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
