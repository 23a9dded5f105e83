//! What cargo built and where it put it, read from cargo's own messages.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::children::Running;
use super::commands::command;

/// One thing cargo built.
#[derive(Clone, Debug)]
pub(crate) struct Artifact {
    /// Folder of the package it belongs to.
    pub(crate) package: PathBuf,
    /// Name of the library, binary or test.
    pub(crate) target: String,
    /// `lib`, `bin`, `test`, …
    pub(crate) kind: String,
    /// Whether it is a test harness.
    pub(crate) is_test: bool,
    pub(crate) executable: Option<PathBuf>,
    pub(crate) files: Vec<PathBuf>,
}

impl Artifact {
    /// The WebAssembly module, if it is one.
    pub(crate) fn wasm(&self) -> Option<&PathBuf> {
        self.files.iter().find(|file| file.extension().is_some_and(|kind| kind == "wasm"))
    }
}

/// Runs a cargo command that builds, and asks it what it made.
pub(crate) fn build(what: &str, cargo: &mut Command) -> Result<Vec<Artifact>> {
    eprintln!("==> {what}");
    let started = Instant::now();
    let mut child = Running::start(cargo.arg("--message-format=json-render-diagnostics").stdout(Stdio::piped()))?;
    let artifacts = child.lines().iter().filter_map(|line| parse(&line)).collect();
    match child.wait(std::time::Duration::MAX)? {
        Some(status) if status.success() => {
            eprintln!("    done in {:.1} s", started.elapsed().as_secs_f32());
            Ok(artifacts)
        }
        _ => bail!("{what} failed: {cargo:?}"),
    }
}

/// Compiles these packages of the workspace, in one go so that they share their work, and finds the program of each.
pub(crate) fn programs<const N: usize>(packages: [&str; N]) -> Result<[PathBuf; N]> {
    let mut cargo = command("cargo");
    cargo.arg("build").args(packages.iter().flat_map(|package| ["--package", package]));
    let built = build(&format!("compiling {} (minutes the first time)", packages.join(" and ")), &mut cargo)?;
    let mut places = packages.map(|_| PathBuf::new());
    for (package, place) in packages.iter().zip(&mut places) {
        let program = built.iter().filter(|artifact| artifact.target == *package).find_map(|a| a.executable.clone());
        *place = program.with_context(|| format!("cargo built no {package}"))?;
    }
    Ok(places)
}

fn parse(line: &str) -> Option<Artifact> {
    let message: Value = serde_json::from_str(line).ok()?;
    if message["reason"] != "compiler-artifact" {
        return None;
    }
    let manifest = PathBuf::from(message["manifest_path"].as_str()?);
    Some(Artifact {
        package: manifest.parent()?.to_path_buf(),
        target: message["target"]["name"].as_str()?.to_owned(),
        kind: message["target"]["kind"][0].as_str()?.to_owned(),
        is_test: message["profile"]["test"].as_bool()?,
        executable: message["executable"].as_str().map(PathBuf::from),
        files: message["filenames"].as_array()?.iter().filter_map(|f| f.as_str().map(PathBuf::from)).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_messages_are_read() {
        let line = r#"{"reason":"compiler-artifact","manifest_path":"/x/local/Cargo.toml","target":{"kind":["bin"],
            "name":"behest-local"},"profile":{"test":false},"filenames":["/x/t/behest-local"],"executable":"/x/t/behest-local"}"#;
        let artifact = parse(line).unwrap();
        assert_eq!((artifact.target.as_str(), artifact.kind.as_str()), ("behest-local", "bin"));
        assert_eq!(artifact.package, PathBuf::from("/x/local"));
        assert!(parse(r#"{"reason":"build-finished","success":true}"#).is_none());
        assert!(parse("plain text").is_none());
    }
}
