//! `cargo xtask setup`: the tools the other tasks need, each found or installed when it is first asked for. Idempotent,
//! says what it does, asks the network only for what is missing.

use std::cell::OnceCell;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use crate::install::{CargoTool, system_tool};
use crate::process::{command, on_path, output, root, step};
use crate::toolchain::{self, WasmToolchain};

const WASM_PACK: &str = "0.15.1";
const GECKODRIVER: &str = "0.37.1";
const CARGO_DENY: &str = "0.20.2";

/// The tools and their places.
#[derive(Debug, Default)]
pub(crate) struct Tools {
    wasm: OnceCell<WasmToolchain>,
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

    /// Of the version in Cargo.lock: the module and the tool must agree.
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

/// Installs all that is missing and says where everything is.
pub(crate) fn ensure_all(tools: &Tools) -> Result<()> {
    node()?;
    components()?;
    npm_packages("tests/js")?;
    let rows = [
        ("rustc for wasm", tools.wasm()?.rustc()),
        ("wasm-bindgen", tools.wasm_bindgen()?),
        ("wasm-pack", tools.wasm_pack()?),
        ("Chromium", tools.chromium()?),
        ("chromedriver", tools.chromedriver()?),
        ("Firefox", tools.firefox()?),
        ("geckodriver", tools.geckodriver()?),
        ("cargo-deny", tools.cargo_deny()?),
    ];
    configure_chromium(tools)?;
    configure_firefox(tools)?;
    for (name, place) in rows {
        println!("{name:<16}{}", place.display());
    }
    println!("everything is there");
    Ok(())
}

/// Tools outlive a clone: they are kept once per machine and version.
pub(crate) fn cache() -> PathBuf {
    env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
        .unwrap_or_else(env::temp_dir)
        .join("behest-client")
}

fn node() -> Result<()> {
    let version =
        output(command("node").arg("--version")).context("Node.js is missing. Install version 20 or newer")?;
    let major = version.trim_start_matches('v').split('.').next().and_then(|n| n.parse::<u32>().ok()).unwrap_or(0);
    if major < 20 {
        bail!("Node.js {version} is too old. Install version 20 or newer");
    }
    Ok(())
}

/// rustfmt and clippy, which minimal installations lack.
pub(crate) fn components() -> Result<()> {
    let missing: Vec<&str> = [("rustfmt", "fmt"), ("clippy", "clippy")]
        .into_iter()
        .filter(|(_, subcommand)| output(command("cargo").args([subcommand, "--version"])).is_none())
        .map(|(component, _)| component)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if on_path(&["rustup"]).is_none() {
        bail!("{} missing: install them with the package manager that installed cargo", missing.join(" and "));
    }
    step(
        &format!("rustup component add {}", missing.join(" ")),
        command("rustup").args(["component", "add"]).args(&missing),
    )
}

fn locked_tool(name: &'static str, version: &str) -> CargoTool {
    CargoTool { package: name, binary: name, version: version.to_owned(), locked: true }
}

/// Its own lock file names versions that no longer resolve everywhere.
fn wasm_bindgen() -> Result<CargoTool> {
    let version = wasm_bindgen_version()?;
    Ok(CargoTool { package: "wasm-bindgen-cli", binary: "wasm-bindgen", version, locked: false })
}

/// Whether it need not be installed first.
pub(crate) fn has_wasm_bindgen() -> bool {
    wasm_bindgen().is_ok_and(|tool| tool.find().is_some())
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

/// The npm packages that a folder's lock file names: tools, tests and peers, never part of what users get.
pub(crate) fn npm_packages(folder: &str) -> Result<()> {
    let what = format!("npm install in {folder}");
    let folder = root().join(folder);
    let lock = fs::read(folder.join("package-lock.json")).unwrap_or_default();
    let done = folder.join("node_modules/.installed-from");
    if !lock.is_empty() && fs::read(&done).is_ok_and(|noted| noted == lock) {
        return Ok(());
    }
    node()?;
    // Not `npm ci`: it insists that the lock file names the binaries of every platform, and not every registry has them.
    let mut npm = command("npm");
    npm.current_dir(&folder).args(["install", "--no-save", "--no-fund", "--no-audit", "--loglevel=error"]);
    step(&what, npm.stdout(Stdio::null()))?;
    fs::copy(folder.join("package-lock.json"), done)?;
    Ok(())
}

/// A program of the npm packages in tests/js.
pub(crate) fn npm_program(name: &str) -> Result<Command> {
    npm_packages("tests/js")?;
    let suffix = if cfg!(windows) { ".cmd" } else { "" };
    Ok(command(root().join("tests/js/node_modules/.bin").join(format!("{name}{suffix}"))))
}

/// What wasm-bindgen's test runner asks of Chromium's driver.
pub(crate) fn configure_chromium(tools: &Tools) -> Result<()> {
    let arguments = [
        "--headless",
        // Chromium refuses to run as root with its sandbox, and containers rarely allow one.
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
    ];
    configure_driver("goog:chromeOptions", json!({ "binary": tools.chromium()?, "args": arguments }))
}

/// The same for Firefox's.
pub(crate) fn configure_firefox(tools: &Tools) -> Result<()> {
    configure_driver("moz:firefoxOptions", json!({ "binary": tools.firefox()?, "args": ["-headless"] }))
}

/// The file is left alone when it is right: cargo would otherwise see a changed one on every run.
fn configure_driver(name: &str, options: Value) -> Result<()> {
    let file = root().join("webdriver.json");
    let present: Map<String, Value> =
        fs::read_to_string(&file).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    if present.get(name) == Some(&options) {
        return Ok(());
    }
    let mut config = present;
    config.insert(name.to_owned(), options);
    fs::write(file, serde_json::to_string_pretty(&config)?).context("could not write webdriver.json")
}
