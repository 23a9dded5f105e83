//! Programs that are crates: found on this machine, fetched ready-made, or built from source.

use std::env;
use std::env::consts::EXE_SUFFIX;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::machine::commands::{command, output, step};
use crate::machine::places::{cache, on_path};

/// A program that is a crate.
#[derive(Clone, Debug)]
pub(crate) struct CargoTool {
    pub(crate) package: &'static str,
    pub(crate) binary: &'static str,
    pub(crate) version: String,
    /// Whether it builds with the lock file it was published with.
    pub(crate) locked: bool,
}

impl CargoTool {
    fn place(&self) -> PathBuf {
        cache().join(format!("{}-{}", self.package, self.version))
    }

    fn installed(&self) -> PathBuf {
        self.place().join("bin").join(format!("{}{EXE_SUFFIX}", self.binary))
    }

    /// Exactly this version, from the cache or from PATH.
    pub(crate) fn find(&self) -> Option<PathBuf> {
        [Some(self.installed()), on_path(&[self.binary])]
            .into_iter()
            .flatten()
            .find(|program| has_version(program, &self.version))
    }

    /// The same, fetched ready-made or compiled if it is not there.
    pub(crate) fn ensure(&self) -> Result<PathBuf> {
        if let Some(found) = self.find() {
            return Ok(found);
        }
        if ready_made(self.package, &self.version, &self.place()).is_ok()
            && let Some(found) = self.find()
        {
            return Ok(found);
        }
        self.compile()?;
        Ok(self.installed())
    }

    fn compile(&self) -> Result<()> {
        let Self { package, version, .. } = self;
        let mut install = command("cargo");
        install.args(["install", package, "--version", version, "--quiet", "--force", "--root"]).arg(self.place());
        if self.locked {
            install.arg("--locked");
        }
        // One target folder for all the tools: they share most of their dependencies.
        install.env("CARGO_TARGET_DIR", cache().join("build"));
        step(&format!("cargo install {package} {version} (minutes, once per machine)"), &mut install)
    }
}

fn has_version(program: &Path, version: &str) -> bool {
    output(Command::new(program).arg("--version"))
        .is_some_and(|line| line.split_whitespace().any(|word| word == version))
}

/// From the project's own release page, through cargo-binstall where it is installed.
fn ready_made(package: &str, version: &str, place: &Path) -> Result<()> {
    if on_path(&["cargo-binstall"]).is_some() {
        let mut binstall = command("cargo");
        binstall.args(["binstall", "--no-confirm", "--disable-strategies", "compile", "--root"]).arg(place);
        return step(&format!("cargo binstall {package} {version}"), binstall.arg(format!("{package}@{version}")));
    }
    let url = release(package, version).context("nobody offers it ready-made")?;
    let archive = place.join("release.tar.gz");
    fs::create_dir_all(place.join("bin"))?;
    let mut curl = command("curl");
    curl.args(["--fail", "--silent", "--location", "--connect-timeout", "5", "--max-time", "120", "--output"]);
    curl.arg(&archive).arg(&url).stderr(Stdio::null());
    eprintln!("==> looking for {package} {version} ready-made at {url}");
    if !curl.status()?.success() {
        eprintln!("    it cannot be had there");
        bail!("could not download {url}");
    }
    let mut tar = command("tar");
    tar.arg("-xzf").arg(&archive).args(["--strip-components=1", "-C"]).arg(place.join("bin"));
    let unpacked = step("unpacking it", &mut tar);
    let _ = fs::remove_file(archive);
    unpacked
}

/// Where wasm-bindgen's own project publishes it; the demo needs no other tool that is a crate.
fn release(package: &str, version: &str) -> Option<String> {
    let target = match (env::consts::OS, env::consts::ARCH) {
        ("linux", "x86_64") => "x86_64-unknown-linux-musl",
        ("linux", "aarch64") => "aarch64-unknown-linux-gnu",
        ("macos", "x86_64") => "x86_64-apple-darwin",
        ("macos", "aarch64") => "aarch64-apple-darwin",
        _ => return None,
    };
    (package == "wasm-bindgen-cli").then(|| {
        format!(
            "https://github.com/wasm-bindgen/wasm-bindgen/releases/download/{version}/wasm-bindgen-{version}-{target}.tar.gz"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_a_word_of_its_own() {
        let rustc = on_path(&["rustc"]).unwrap();
        let version = output(Command::new(&rustc).arg("--version")).unwrap();
        let version = version.split_whitespace().nth(1).unwrap();
        assert!(has_version(&rustc, version));
        assert!(!has_version(&rustc, &version[1..]));
        assert!(!has_version(Path::new("no-such-program-here"), version));
    }

    #[test]
    fn only_what_is_published_is_looked_for() {
        assert!(release("wasm-pack", "1.0.0").is_none());
        if let Some(url) = release("wasm-bindgen-cli", "0.2.1") {
            assert!(url.ends_with(".tar.gz") && url.contains("/0.2.1/wasm-bindgen-0.2.1-"), "{url}");
        }
    }
}
