//! The tools the tasks need, each found or installed when it is first asked for. Idempotent, says what it does, asks the
//! network only for what is missing.

mod cargo_tool;
pub(crate) mod components;
mod debian;
pub(crate) mod npm;
pub(crate) mod python;
pub(crate) mod setup;
mod system_tool;
pub(crate) mod toolchain;
pub(crate) mod webdriver;

use std::cell::OnceCell;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::machine::artifacts;
use crate::machine::commands::{command, step};
use crate::machine::places::{on_path, root};
use cargo_tool::CargoTool;
use system_tool::system_tool;
use toolchain::WasmToolchain;

/// The package of our own program around wasm-bindgen.
pub(crate) const BINDGEN: &str = "xtask-bindgen";

const WASM_PACK: &str = "0.15.1";
const GECKODRIVER: &str = "0.37.1";
const CARGO_DENY: &str = "0.20.2";

/// The tools and their places.
#[derive(Debug, Default)]
pub(crate) struct Tools {
    wasm: OnceCell<WasmToolchain>,
    bindgen: OnceCell<PathBuf>,
    wasm_bindgen: OnceCell<PathBuf>,
    wasm_pack: OnceCell<PathBuf>,
    chromium: OnceCell<PathBuf>,
    chromedriver: OnceCell<PathBuf>,
    firefox: OnceCell<PathBuf>,
    geckodriver: OnceCell<PathBuf>,
    cargo_deny: OnceCell<PathBuf>,
}

/// The value of a cell, made if it is empty.
pub(crate) fn once<T>(cell: &OnceCell<T>, make: impl FnOnce() -> Result<T>) -> Result<&T> {
    if cell.get().is_none() {
        let _ = cell.set(make()?);
    }
    cell.get().context("could not be made")
}

impl Tools {
    /// The Rust toolchain that compiles for browsers.
    pub(crate) fn wasm(&self) -> Result<&WasmToolchain> {
        once(&self.wasm, toolchain::ensure)
    }

    /// Our own program around wasm-bindgen.
    pub(crate) fn bindgen(&self) -> Result<&PathBuf> {
        once(&self.bindgen, || artifacts::programs([BINDGEN]).map(|[program]| program))
    }

    /// It has been compiled together with others.
    pub(crate) fn with_bindgen(mut self, program: PathBuf) -> Self {
        self.bindgen = program.into();
        self
    }

    /// wasm-bindgen's own programs, for the tests in browsers. Of the version in Cargo.lock: module and tool must agree.
    pub(crate) fn wasm_bindgen(&self) -> Result<&PathBuf> {
        once(&self.wasm_bindgen, || wasm_bindgen()?.ensure())
    }

    pub(crate) fn wasm_pack(&self) -> Result<&PathBuf> {
        once(&self.wasm_pack, || locked_tool("wasm-pack", WASM_PACK).ensure())
    }

    pub(crate) fn chromium(&self) -> Result<&PathBuf> {
        once(&self.chromium, || {
            let names = ["chromium", "chromium-browser", "google-chrome"];
            system_tool("Chromium", "CHROME", &names, &["chromium", "chromium-driver"], "chromium")
        })
    }

    pub(crate) fn chromedriver(&self) -> Result<&PathBuf> {
        once(&self.chromedriver, || {
            let packages = ["chromium", "chromium-driver"];
            system_tool("chromedriver", "CHROMEDRIVER", &["chromedriver"], &packages, "chromedriver")
        })
    }

    pub(crate) fn firefox(&self) -> Result<&PathBuf> {
        once(&self.firefox, || {
            system_tool("Firefox", "FIREFOX", &["firefox-esr", "firefox"], &["firefox-esr"], "firefox")
        })
    }

    pub(crate) fn geckodriver(&self) -> Result<&PathBuf> {
        once(&self.geckodriver, || match on_path(&["geckodriver"]) {
            Some(found) => Ok(found),
            None => locked_tool("geckodriver", GECKODRIVER).ensure(),
        })
    }

    pub(crate) fn cargo_deny(&self) -> Result<&PathBuf> {
        once(&self.cargo_deny, || locked_tool("cargo-deny", CARGO_DENY).ensure())
    }

    /// PATH with our own tools first, so that wasm-pack finds wasm-bindgen's test runner.
    pub(crate) fn path(&self) -> Result<std::ffi::OsString> {
        let own = self.wasm_bindgen()?.parent().map(Path::to_path_buf);
        let inherited = env::var_os("PATH").unwrap_or_default();
        Ok(env::join_paths(own.into_iter().chain(env::split_paths(&inherited)))?)
    }
}

fn locked_tool(name: &'static str, version: &str) -> CargoTool {
    CargoTool { package: name, binary: name, version: version.to_owned(), locked: true }
}

/// Its own lock file names versions that no longer resolve everywhere.
fn wasm_bindgen() -> Result<CargoTool> {
    let version = wasm_bindgen_version()?;
    Ok(CargoTool { package: "wasm-bindgen-cli", binary: "wasm-bindgen", version, locked: false })
}

/// wasm-bindgen's version in Cargo.lock.
fn wasm_bindgen_version() -> Result<String> {
    let lock = root().join("Cargo.lock");
    if !lock.exists() {
        step("cargo generate-lockfile", command("cargo").arg("generate-lockfile"))?;
    }
    let text = fs::read_to_string(lock)?;
    text.lines()
        .skip_while(|line| *line != "name = \"wasm-bindgen\"")
        .nth(1)
        .and_then(|line| line.strip_prefix("version = \"")?.strip_suffix('"'))
        .map(str::to_owned)
        .context("wasm-bindgen is not in Cargo.lock")
}
