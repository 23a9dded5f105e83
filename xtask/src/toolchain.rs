//! The Rust toolchain that compiles to WebAssembly, found or made in one of three ways.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{apt_install, command, may_apt_install, on_path, output, step};
use crate::setup::cache;

pub(crate) const TARGET: &str = "wasm32-unknown-unknown";
const DEBIAN_PACKAGES: [&str; 5] = ["rustc-web", "cargo-web", "rust-web-src", "rust-web-llvm", "lld-22"];
const DEBIAN_NAME: &str = "debian";

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
        if let Some(name) = self.rustup_name {
            command.env("RUSTUP_TOOLCHAIN", name);
        }
        command.env_remove("CARGO").env_remove("RUSTC");
    }

    /// Can the standard library be rebuilt for size? Only with its sources at hand.
    pub(crate) fn has_std_source(&self) -> bool {
        sysroot(&self.rustc).is_some_and(|root| root.join("lib/rustlib/src/rust/library/std/Cargo.toml").exists())
    }

    /// Does this compiler, unstable options allowed, know these flags?
    pub(crate) fn accepts(&self, flags: &str) -> bool {
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
    if has_target(&default.rustc) {
        return Ok(default);
    }
    let rustup = on_path(&["rustup"]);
    if rustup.is_some() && !debian_is_ready() {
        eprintln!("==> rustup target add {TARGET}");
        if step("rustup", command("rustup").args(["target", "add", TARGET])).is_ok() && has_target(&default.rustc) {
            // Only needed for the smallest build; without it the package is larger, not broken.
            let _ = step("rustup component add rust-src", command("rustup").args(["component", "add", "rust-src"]));
            return Ok(default);
        }
        eprintln!("    rustup could not add it here; trying Debian's toolchain");
    }
    debian(rustup.is_some())
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

/// The library folder of Debian's compiler, and the note of which compiler filled it.
fn debian_library() -> (PathBuf, PathBuf) {
    let library = Path::new("/usr/lib/rustlib").join(TARGET).join("lib");
    let note = library.join("behest-built-by");
    (library, note)
}

fn debian_version() -> Option<String> {
    output(Command::new("/usr/bin/rustc").arg("-vV"))
}

fn debian_is_ready() -> bool {
    debian_version().is_some_and(|version| fs::read_to_string(debian_library().1).is_ok_and(|noted| noted == version))
}

/// Debian's compiler comes without a wasm library: build it once from Debian's own sources.
fn debian(has_rustup: bool) -> Result<WasmToolchain> {
    if !debian_is_ready() {
        if !may_apt_install() {
            bail!("the {TARGET} target is missing. Run: rustup target add {TARGET} (see https://rustup.rs)");
        }
        apt_install(&DEBIAN_PACKAGES)?;
        build_debian_library()?;
    }
    let rustup_name = has_rustup.then_some(DEBIAN_NAME);
    if has_rustup && output(command("rustup").args(["which", "--toolchain", DEBIAN_NAME, "rustc"])).is_none() {
        step("rustup toolchain link", command("rustup").args(["toolchain", "link", DEBIAN_NAME, "/usr"]))?;
    }
    let cargo = if has_rustup { "cargo" } else { "/usr/bin/cargo" };
    Ok(WasmToolchain { rustup_name, rustc: "/usr/bin/rustc".into(), cargo: cargo.into() })
}

fn build_debian_library() -> Result<()> {
    let version = debian_version().context("Debian's rustc does not run")?;
    let seed = cache().join("std-seed");
    fs::create_dir_all(seed.join("src"))?;
    fs::write(
        seed.join("Cargo.toml"),
        "[package]\nname = \"seed\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[lib]\n[workspace]\n",
    )?;
    fs::write(seed.join("src/lib.rs"), "#![no_std]\n")?;
    step(
        &format!("building the standard library for {TARGET} (about a minute)"),
        Command::new("/usr/bin/cargo")
            .current_dir(&seed)
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTC", "/usr/bin/rustc")
            .env("CARGO_TARGET_DIR", seed.join("target"))
            // `test` must be in the list, or no wasm test links.
            .args(["build", "--quiet", "--release", "-Zbuild-std=std,panic_abort,test", "--target", TARGET]),
    )?;
    let (library, note) = debian_library();
    fs::create_dir_all(&library)?;
    for file in fs::read_dir(seed.join("target").join(TARGET).join("release/deps"))? {
        let path = file?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".rlib") && !name.starts_with("libseed-") {
            fs::copy(&path, library.join(name))?;
        }
    }
    fs::write(note, version)?;
    Ok(())
}
