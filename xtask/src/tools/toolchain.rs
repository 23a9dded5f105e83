//! The Rust toolchain that compiles to WebAssembly, found or made in one of three ways.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::debian::{apt_install, may_apt_install};
use crate::machine::commands::{command, output, step};
use crate::machine::places::{cache, on_path};

pub(crate) const TARGET: &str = "wasm32-unknown-unknown";
const DEBIAN_PACKAGES: [&str; 5] = ["rustc-web", "cargo-web", "rust-web-src", "rust-web-llvm", "lld-22"];
/// What rustup calls the toolchain that is put together from Debian's packages.
const DEBIAN_NAME: &str = "behest-debian";

/// Where cargo for WebAssembly comes from.
#[derive(Clone, Debug)]
pub(crate) struct WasmToolchain {
    /// A rustup toolchain other than the current one.
    rustup_name: Option<&'static str>,
    rustc: PathBuf,
    cargo: PathBuf,
}

impl WasmToolchain {
    /// Its compiler.
    pub(crate) fn rustc(&self) -> &Path {
        &self.rustc
    }

    /// `cargo` of this toolchain, in the workspace root.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = command(&self.cargo);
        self.select(&mut cargo);
        cargo
    }

    /// Makes a command that calls `cargo` by itself (wasm-pack) use this toolchain.
    pub(crate) fn select(&self, command: &mut Command) {
        command.env_remove("CARGO").env_remove("RUSTC");
        if let Some(name) = self.rustup_name {
            command.env("RUSTUP_TOOLCHAIN", name);
        } else if self.rustc.is_absolute() {
            command.env("RUSTC", &self.rustc);
        }
    }

    /// What is missing for a module whose standard library is built anew with these flags, and how to get it.
    pub(crate) fn lacks_for(&self, flags: &str) -> Option<&'static str> {
        if !has_std_source(&self.rustc) {
            Some("the standard library's source is missing (rustup component add rust-src)")
        } else if !self.accepts(flags) {
            Some("this compiler is older than 1.95 (rustup update stable)")
        } else {
            None
        }
    }

    /// Does this compiler, unstable options allowed, know these flags?
    fn accepts(&self, flags: &str) -> bool {
        let mut rustc = Command::new(&self.rustc);
        self.select(&mut rustc);
        rustc.env("RUSTC_BOOTSTRAP", "1").args(flags.split_whitespace()).args(["--target", TARGET, "--print", "cfg"]);
        output(&mut rustc).is_some()
    }

    /// Whether `cargo clippy` can check code for this target.
    pub(crate) fn has_clippy(&self) -> bool {
        output(self.cargo().args(["clippy", "--version"])).is_some()
    }
}

/// Finds a toolchain with the wasm target, or makes one.
pub(crate) fn ensure() -> Result<WasmToolchain> {
    let default = WasmToolchain { rustup_name: None, rustc: "rustc".into(), cargo: "cargo".into() };
    let has_rustup = on_path(&["rustup"]).is_some();
    if !has_target(&default.rustc) && (!has_rustup || !rustup_add("target", TARGET) || !has_target(&default.rustc)) {
        return debian(has_rustup);
    }
    if has_rustup && !has_std_source(&default.rustc) {
        rustup_add("component", "rust-src");
    }
    Ok(default)
}

fn rustup_add(kind: &str, name: &str) -> bool {
    let mut rustup = command("rustup");
    step(&format!("rustup {kind} add {name}"), rustup.args([kind, "add", name])).is_ok()
}

fn sysroot(rustc: &Path) -> Option<PathBuf> {
    output(Command::new(rustc).args(["--print", "sysroot"]).env_remove("RUSTC")).map(PathBuf::from)
}

fn has_target(rustc: &Path) -> bool {
    sysroot(rustc).is_some_and(|root| {
        fs::read_dir(root.join("lib/rustlib").join(TARGET).join("lib")).is_ok_and(|mut files| {
            files.any(|f| f.is_ok_and(|f| f.file_name().to_string_lossy().starts_with("libstd-")))
        })
    })
}

fn has_std_source(rustc: &Path) -> bool {
    sysroot(rustc).is_some_and(|root| root.join("lib/rustlib/src/rust/library/std/Cargo.toml").exists())
}

/// Debian's compiler comes without a wasm library. It is built once from Debian's own sources, into a toolchain of our own
/// that otherwise points to Debian's: the system's folders stay as they are.
fn debian(has_rustup: bool) -> Result<WasmToolchain> {
    if !cfg!(unix) {
        bail!("the {TARGET} target is missing. Run: rustup target add {TARGET} (see https://rustup.rs)");
    }
    let version = || output(Command::new("/usr/bin/rustc").arg("-vV"));
    if version().is_none_or(|version| !version.contains("host: ")) || !Path::new("/usr/bin/cargo").exists() {
        if !may_apt_install() {
            bail!("the {TARGET} target is missing. Run: rustup target add {TARGET} (see https://rustup.rs)");
        }
        eprintln!("    rustup could not add it here; trying Debian's toolchain");
        apt_install(&DEBIAN_PACKAGES)?;
    }
    let version = version().context("Debian's rustc does not run")?;
    let folder = cache().join("debian-toolchain");
    let note = folder.join("built-by");
    if fs::read_to_string(&note).is_ok_and(|noted| noted == version) {
        return link_debian(has_rustup, &folder);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    mirror(Path::new("/usr"), &folder)?;
    build_library(&folder)?;
    let toolchain = link_debian(has_rustup, &folder)?;
    fs::write(note, version)?;
    Ok(toolchain)
}

/// A toolchain in `folder` whose programs and libraries are those of `system`, told that this folder is theirs.
#[cfg(unix)]
fn mirror(system: &Path, folder: &Path) -> Result<()> {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let (programs, libraries) = (folder.join("bin"), folder.join("lib/rustlib"));
    fs::create_dir_all(&programs)?;
    fs::create_dir_all(&libraries)?;
    symlink(system.join("bin/cargo"), programs.join("cargo"))?;
    for name in ["rustc", "rustdoc"] {
        let script = programs.join(name);
        let program = system.join("bin").join(name);
        fs::write(
            &script,
            format!("#!/bin/sh\nexec '{}' --sysroot '{}' \"$@\"\n", program.display(), folder.display()),
        )?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    }
    for entry in fs::read_dir(system.join("lib/rustlib")).context("Debian's rustc has no library folder")? {
        let entry = entry?;
        if entry.file_name() != TARGET {
            symlink(entry.path(), libraries.join(entry.file_name()))?;
        }
    }
    Ok(())
}

#[cfg(not(unix))]
fn mirror(_: &Path, _: &Path) -> Result<()> {
    bail!("Debian's toolchain is for Debian")
}

/// Builds the standard library for browsers into the toolchain of this folder.
fn build_library(folder: &Path) -> Result<()> {
    let seed = cache().join("std-seed");
    fs::create_dir_all(seed.join("src"))?;
    fs::write(
        seed.join("Cargo.toml"),
        "[package]\nname = \"seed\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[lib]\n[workspace]\n",
    )?;
    fs::write(seed.join("src/lib.rs"), "#![no_std]\n")?;
    step(
        &format!("building the standard library for {TARGET} (about a minute)"),
        Command::new(folder.join("bin/cargo"))
            .current_dir(&seed)
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTC", folder.join("bin/rustc"))
            .env("CARGO_TARGET_DIR", seed.join("target"))
            // `test` must be in the list, or no wasm test links.
            .args(["build", "--quiet", "--release", "-Zbuild-std=std,panic_abort,test", "--target", TARGET]),
    )?;
    let library = folder.join("lib/rustlib").join(TARGET).join("lib");
    fs::create_dir_all(&library)?;
    for file in fs::read_dir(seed.join("target").join(TARGET).join("release/deps"))? {
        let path = file?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".rlib") && !name.starts_with("libseed-") {
            fs::copy(&path, library.join(name))?;
        }
    }
    Ok(())
}

/// The toolchain of this folder, known to rustup where there is one.
fn link_debian(has_rustup: bool, folder: &Path) -> Result<WasmToolchain> {
    let (rustc, cargo) = (folder.join("bin/rustc"), folder.join("bin/cargo"));
    if !has_rustup {
        return Ok(WasmToolchain { rustup_name: None, rustc, cargo });
    }
    let linked = output(command("rustup").args(["which", "--toolchain", DEBIAN_NAME, "rustc"]));
    if linked.is_none_or(|linked| Path::new(&linked) != rustc) {
        step("rustup toolchain link", command("rustup").args(["toolchain", "link", DEBIAN_NAME]).arg(folder))?;
    }
    Ok(WasmToolchain { rustup_name: Some(DEBIAN_NAME), rustc, cargo: "cargo".into() })
}
