//! A script of `benches/`, and what it prints: one line of JSON for each thing that it has measured.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;

use crate::machine::children::Running;
use crate::machine::commands::command;
use crate::machine::places::root;

/// No benchmark may hang.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// Runs `benches/{name}.mjs` with the packed package, and another program by the name of its variable.
pub(crate) fn run<T: DeserializeOwned>(
    name: &str,
    tarball: &Path,
    quick: bool,
    (variable, program): (&str, &Path),
) -> Result<Vec<T>> {
    eprintln!("==> benchmark {name}");
    let mut node = command("node");
    node.arg("--expose-gc").arg(root().join("benches").join(name).with_extension("mjs"));
    node.env("BEHEST_TARBALL", tarball).env("BENCH_QUICK", u8::from(quick).to_string()).env(variable, program);
    let mut child = Running::start(node.stdout(Stdio::piped()))?;
    let read = |line: String| {
        serde_json::from_str(&line).with_context(|| format!("benches/{name}.mjs printed no figure: {line}"))
    };
    let measured: Result<_> = child.lines().iter().map(read).collect();
    match child.wait(LIMIT)? {
        Some(status) if status.success() => measured,
        _ => bail!("benches/{name}.mjs failed"),
    }
}
